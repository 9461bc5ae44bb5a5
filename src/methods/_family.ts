import { choice, flag, perModel, scalar } from './method.ts'

/** The parameters that all methods of the task-arithmetic family share, worded once. */
export const weight = perModel('Multiplier of this model’s task vector.', { inExpression: 1 })
export const lambda = scalar('Multiplier of the merged task vector.', { default: 1 })
export const density = (unsetNote: string) => perModel('Share of the task vector’s entries that is kept.', { default: 1, min: 0, exclusiveMin: true, max: 1, unsetNote })
export const gamma = perModel('Share of the task vector’s entries, the largest ones, that is dropped as outliers when density is below 1.', { default: 0.01, min: 0, max: 1 })
export const epsilon = perModel('Half of the span of keeping probabilities: density − epsilon for the smallest entry of a row, density + epsilon for the largest.', {
  default: 0.15,
  min: 0,
  max: 1,
})
export const normalize = (fallback: boolean) => flag('Divide by the sum of the weights that took part.', fallback)
export const rescale = (fallback: boolean) =>
  choice('After dropping entries, restore the task vector’s L1 norm (`true`), divide by the density (`paper`), or neither (`false`).', [true, false, 'paper'], fallback)
export const trim = choice('Where an entry’s size is compared: within its `tensor`, or with all of its model’s (`global`).', ['tensor', 'global'], 'tensor')
export const ignored = ['int8_mask'] as const

/** Said in the plan where density ± epsilon reaches beyond what a probability can be. */
export function remarkOnEpsilon(models: readonly Readonly<Record<string, number>>[]): readonly string[] {
  const odd = models.find(m => m['density'] !== undefined && m['density'] < 1 && (m['density'] - (m['epsilon'] ?? 0) < 0 || m['density'] + (m['epsilon'] ?? 0) > 1))
  if (!odd) return []
  return [`density ${odd['density']} ± epsilon ${odd['epsilon']} reaches beyond 0 to 1: entries beyond are always dropped or always kept`]
}
