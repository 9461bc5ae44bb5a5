import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { METHODS } from '../methods/_all.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { referenceText } from '../recipe/references.ts'
import { show } from '../recipe/show.ts'
import { partsOf } from '../recipe/walk.ts'
import { recipeText } from './provenance.ts'

export const CARD = 'README.md'

/**
 * The model card of a merge: metadata as the Hugging Face hub reads them, the models, and a recipe that gives the same model again.
 * Nothing in it depends on the machine or the day.
 */
export function cardOf(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, donor: string): string {
  const references = Object.entries(recipe.models).map(([name, reference]) => ({ name, text: referenceText(reference) }))
  const called = [...new Set(partsOf(recipe.merge).flatMap(e => (e.kind === 'call' ? [e.method] : [])))]
  const metadata = [
    '---',
    'base_model:',
    ...[...new Set(references.map(r => r.text))].map(text => `- ${JSON.stringify(text)}`),
    ...(checkpoints.get(donor)!.config ? ['library_name: transformers'] : []),
    'tags:',
    '- merge',
    '- merganser',
    '---',
  ]
  const models = references.map(
    ({ name, text }) => `- ${name === text ? '' : `**${escaped(name)}**: `}\`${text.replaceAll('`', "'")}\`${name === donor ? ' (gives config and tensor order)' : ''}`,
  )
  const methods = called.flatMap(name => {
    const { summary, paper } = METHODS[name]!
    return [`- **${name}**: ${summary}${paper ? ` [Paper](${paper})` : ''}`]
  })
  return [
    ...metadata,
    '# A merge of models',
    '',
    `Made with Merganser${recipe.form === 'mergekit' ? ', from a recipe in mergekit’s form' : `: \`${show(recipe.merge, recipe.source).replaceAll('`', '')}\``}.`,
    '',
    '## Models',
    ...models,
    ...(methods.length > 0 ? ['', '## Methods', ...methods] : []),
    '',
    '## Recipe',
    'It gives the same bytes again from the same models; the SHA-256 of their headers are in the metadata of the weights.',
    '',
    fenced(recipeText(recipe)),
    '',
  ].join('\n')
}

/** In a fence longer than any in the text. */
function fenced(text: string): string {
  const longest = [...text.matchAll(/`+/g)].reduce((most, [run]) => Math.max(most, run.length), 2)
  const fence = '`'.repeat(longest + 1)
  return `${fence}yaml\n${text.trimEnd()}\n${fence}`
}

const escaped = (text: string): string => text.replaceAll(/[*_[\]<>`\\]/g, c => `\\${c}`)
