import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { vectorMetadata } from '../checkpoint/vector.ts'
import { DEFAULT_SHARD_BYTES } from '../recipe/fields.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { referenceText } from '../recipe/references.ts'
import { spellRename } from '../recipe/rename.ts'

/**
 * The output's metadata: the donor's, the recipe as text, and for every input file the SHA-256 of its header.
 * Nothing in it depends on the machine or the day, so that the same merge gives the same bytes.
 */
export function provenance(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, donor: string): Record<string, string> {
  const inputs = Object.fromEntries(
    [...checkpoints].map(([model, { ref, files }]) => [model, { path: ref, headers: Object.fromEntries(files.map(f => [f.name, `sha256:${f.headerHash}`])) }]),
  )
  if (recipe.result === 'vector')
    return { format: 'pt', ...vectorMetadata(checkpoints.get(donor)!), 'merganser.recipe': recipeText(recipe), 'merganser.inputs': JSON.stringify(inputs) }
  const inherited = checkpoints.get(donor)!.files[0]?.metadata ?? {}
  return { format: 'pt', ...inherited, 'merganser.recipe': recipeText(recipe), 'merganser.inputs': JSON.stringify(inputs) } // loaders of safetensors want to see a format
}

/** A recipe that can be run again: the text as written, or for a bare expression the YAML that says the same. */
export function recipeText(recipe: Recipe): string {
  if (recipe.form !== 'expression') return recipe.source.text
  const quoted = (text: string): string => JSON.stringify(text)
  const models = Object.entries(recipe.models).map(([name, reference]) => {
    const path = quoted(referenceText(reference))
    return `  ${quoted(name)}: ${reference.rename ? `{ model: ${path}, rename: ${spellRename(reference.rename)} }` : path}`
  })
  const { dtype, shardSize, configFrom, tokenizerFrom } = recipe.output
  const output = [
    ...(dtype ? [`dtype: ${dtype.toLowerCase()}`] : []),
    ...(shardSize === DEFAULT_SHARD_BYTES ? [] : [`shard_size: ${shardSize}`]),
    ...(configFrom === null ? [] : [`config_from: ${quoted(configFrom)}`]),
    ...(tokenizerFrom === null ? [] : [`tokenizer_from: ${quoted(tokenizerFrom)}`]),
  ]
  const outputLine = output.length > 0 ? [`output: { ${output.join(', ')} }`] : []
  return [
    'models:',
    ...models,
    `merge: ${quoted(recipe.source.text)}`,
    ...outputLine,
    ...(recipe.vocabulary ? [`vocab: ${recipe.vocabulary.policy}`] : []),
    `seed: ${recipe.seed}`,
    '',
  ].join('\n')
}
