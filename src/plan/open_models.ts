import { type Checkpoint, exists, open } from '../checkpoint/checkpoint.ts'
import { MergeError } from '../errors.ts'
import { faultAt, nearest } from '../recipe/locate.ts'
import type { ModelRef, Recipe } from '../recipe/recipe.ts'
import { referenceText } from '../recipe/references.ts'

interface Options {
  readonly from?: readonly string[]
}

/**
 * Opens every model of a recipe, from headers alone. Relative paths are looked up in `from`, by default the working folder.
 *
 * @example
 * const recipe = parse('0.5*a + 0.5*b', { models: { a: 'zoo/text/code', b: 'zoo/text/math' } })
 * const checkpoints = await openModels(recipe)
 * console.log(checkpoints.get('a').tensors.size)
 */
export async function openModels(recipe: Recipe, options: Options = {}): Promise<ReadonlyMap<string, Checkpoint>> {
  const opened = await Promise.all(Object.entries(recipe.models).map(async ([name, reference]) => [name, await openModel(reference)] as const))
  return new Map(opened)

  async function openModel(reference: ModelRef): Promise<Checkpoint> {
    try {
      return await open(await pathOf(reference, options), options)
    } catch (error) {
      if (!(error instanceof MergeError) || error.details.where || reference.at === null) throw error
      const stage = nearest(referenceText(reference), recipe.stages)
      const fix = stage ? `did you mean "${stage}", the name of another document?` : error.details.fix
      throw faultAt(recipe.source, reference.at, error.what, fix) // an error about the path belongs to the line that names it
    }
  }
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
