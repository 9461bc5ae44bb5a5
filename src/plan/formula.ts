import { show } from '../algebra/show.ts'
import { MergeError } from '../errors.ts'
import { nearest } from '../recipe/locate.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { chooseDonor } from './donor.ts'
import { createLowering, type Input } from './lower.ts'
import type { OpenedModels } from './open_models.ts'

/**
 * The mathematics of one output tensor, as the engine will run it: shared terms have a line of their own.
 *
 * @example
 * const recipe = parse('base + ties(code - base, density=0.2)', { models: { base: 'zoo/text/base', code: 'zoo/text/code' } })
 * console.log(formulaOf(recipe, await openModels(recipe), 'lm_head.weight'))
 */
export function formulaOf(recipe: Recipe, checkpoints: OpenedModels, tensor: string): string {
  const donor = chooseDonor(recipe)
  const { names, lower } = createLowering(recipe, checkpoints, donor)
  const name = [...(checkpoints.get(donor)!.renamed ?? [])].find(([, own]) => own === tensor)?.[0] ?? tensor // the output has the donor's own names
  if (!names.includes(name)) {
    const near = nearest(tensor, names)
    throw new MergeError(`there is no tensor "${tensor}"`, { fix: near ? `did you mean "${near}"?` : 'list the tensors with `merganser inspect MODEL`' })
  }
  const nameOf = (input: Input): string => (input.tensor === name ? input.model : `${input.model}:${input.tensor}`)
  const lowered = lower(name)
  return lowered ? show(lowered.root, input => nameOf(lowered.inputs[input]!)) : 'dropped by a rule'
}
