import { type Checkpoint, open } from '../checkpoint/checkpoint.ts'
import { MergeError } from '../errors.ts'
import { faultAt } from '../recipe/locate.ts'
import type { Recipe } from '../recipe/recipe.ts'

/**
 * Opens every model of a recipe, from headers alone. Relative paths are looked up in `from`, by default the working folder.
 *
 * @example
 * const recipe = parse('0.5*a + 0.5*b', { models: { a: 'zoo/text/code', b: 'zoo/text/math' } })
 * const checkpoints = await openModels(recipe)
 * console.log(checkpoints.get('a').tensors.size)
 */
export async function openModels(recipe: Recipe, options: { readonly from?: readonly string[] } = {}): Promise<ReadonlyMap<string, Checkpoint>> {
  const opened = await Promise.all(Object.entries(recipe.models).map(async ([name, { path, at }]) => [name, await openModel(path, at)] as const))
  return new Map(opened)

  async function openModel(path: string, at: Recipe['models'][string]['at']): Promise<Checkpoint> {
    try {
      return await open(path, options)
    } catch (error) {
      if (!(error instanceof MergeError) || error.details.where || at === null) throw error
      throw faultAt(recipe.source, at, error.what, error.details.fix) // an error about the path belongs to the line that names it
    }
  }
}
