import { type Checkpoint, exists, open, readSidecar } from '../checkpoint/checkpoint.ts'
import { openTokenizer, readTokenizer, type Tokenizer } from '../checkpoint/tokenizer.ts'
import { MergeError } from '../errors.ts'
import { faultAt, nearest } from '../recipe/locate.ts'
import type { ModelRef, Recipe } from '../recipe/recipe.ts'
import { referenceText } from '../recipe/references.ts'
import { chooseDonor } from './donor.ts'

/** The models of a recipe by name, and what else the plan wants to know of them. */
export interface Models extends ReadonlyMap<string, Checkpoint> {
  /** Where the recipe speaks of tokens: of its models, and of a source that is none of them, by name; null where one has none. */
  readonly tokenizers: ReadonlyMap<string, Tokenizer | null>
  /** generation_config.json of the model that gives it, where its ids may move. */
  readonly generationText: string | null
}

/** Models opened by hand will do where the recipe does not speak of tokens. */
export type OpenedModels = ReadonlyMap<string, Checkpoint> & Partial<Pick<Models, 'tokenizers' | 'generationText'>>

interface Options {
  readonly from?: readonly string[]
}

/**
 * Opens every model of a recipe, from headers alone, and the tokenizers that it asks for. Relative paths are looked up in `from`, by default the working folder.
 *
 * @example
 * const recipe = parse('0.5*a + 0.5*b', { models: { a: 'zoo/text/code', b: 'zoo/text/math' } })
 * const checkpoints = await openModels(recipe)
 * console.log(checkpoints.get('a').tensors.size)
 */
export async function openModels(recipe: Recipe, options: Options = {}): Promise<Models> {
  const opened = await Promise.all(Object.entries(recipe.models).map(async ([name, reference]) => [name, await at(reference, path => open(path, options))] as const))
  const models = new Map(opened)
  const tokenizers = await Promise.all([
    ...tokenizersWanted(recipe).map(async name => [name, await readTokenizer(models.get(name)!)] as const),
    ...foreignSource(recipe).map(async ({ model, reference }) => [model, await at(reference, path => openTokenizer(path, options))] as const),
  ])
  const generation = recipe.tokenizer ? models.get(chooseDonor(recipe))!.sidecars.find(s => s.name === 'generation_config.json') : undefined
  return Object.assign(models, { tokenizers: new Map(tokenizers), generationText: generation ? await readSidecar(generation.path) : null })

  async function at<T>(reference: ModelRef, read: (path: string) => Promise<T>): Promise<T> {
    try {
      return await read(await pathOf(reference, options))
    } catch (error) {
      if (!(error instanceof MergeError) || error.details.where || reference.at === null) throw error
      const stage = nearest(referenceText(reference), recipe.stages)
      const fix = stage ? `did you mean "${stage}", the name of another document?` : error.details.fix
      throw faultAt(recipe.source, reference.at, error.what, fix) // an error about the path belongs to the line that names it
    }
  }
}

/** The models whose tokenizers take part in the choice of the vocabulary, or of the chat template. */
function tokenizersWanted(recipe: Recipe): readonly string[] {
  if (recipe.tokenizer || recipe.chatTemplate?.kind === 'auto') return Object.keys(recipe.models)
  return recipe.chatTemplate ? [recipe.output.tokenizerFrom ?? chooseDonor(recipe)] : []
}

/** The tokenizer's source where it is not merged. */
function foreignSource({ tokenizer, models }: Recipe): readonly { readonly model: string; readonly reference: ModelRef }[] {
  const source = tokenizer?.source
  return source?.kind === 'model' && !Object.hasOwn(models, source.model) ? [source] : []
}

/** The path that a reference leads to. A path that exists as it is written goes before revisions and adapters: `me@corp/a`, `c++/b`. */
async function pathOf(reference: ModelRef, options: Options): Promise<string> {
  const { text, path, revision, lora } = reference
  if (revision === null && lora === null) return path
  if (text !== null && (await exists(text, options))) return text
  if (lora !== null) {
    throw new MergeError(`${referenceText(reference)}: adapters such as ${lora.path} are not read in this version of Merganser yet`, {
      fix: 'bake the adapter into the model, and name the folder of the result',
    })
  }
  if (await exists(path, options)) {
    throw new MergeError(`${path} is a local path, and has no revision ${revision}`, { fix: `write \`${path}\` alone` })
  }
  throw new MergeError(`no file or folder "${referenceText(reference)}"; revision ${revision} of ${path} must be downloaded first`, {
    fix: `run \`hf download ${path} --revision ${revision} --local-dir DIR\`, and write DIR here`,
  })
}
