import { rowsOf, Tensor, where } from '../algebra/tensor.ts'
import { sizeOf } from '../dtype.ts'
import type { Everywhere } from './method.ts'

/** How much of ‖δ‖₁ is given back after entries were dropped: nothing, all of it (mergekit), or 1/density (the DARE paper). */
export type Rescale = boolean | 'paper'

const NEARLY_ZERO = 1e-7 // norms below this are not divided by, as in mergekit

/** What an entry is compared with: those of its tensor, or of its whole model. */
export type Reach = Everywhere | null

/**
 * Keeps the ⌊density·n⌋ largest entries in magnitude, at least one, of the n of a tensor or of the whole model of that index. Entries that tie with
 * the smallest one kept are kept too.
 */
export function keepLargest({ delta, density, index }: { readonly delta: Tensor; readonly density: number; readonly index: number }, rescale: Rescale, everywhere: Reach): Tensor {
  const size = sizeOf(delta.shape)
  if (density >= 1 || size === 0) return delta
  const magnitude = delta.abs()
  if (everywhere) {
    const kept = where(magnitude.ge(everywhere.largest(`trim ${index}`, magnitude, density)), delta, 0)
    const total = (label: string, of: Tensor): Tensor => everywhere.sum(`${label} ${index}`, of)
    return restore(delta, kept, density, rescale, total)
  }
  const count = Math.max(1, Math.floor(density * size))
  return restore(delta, where(magnitude.ge(magnitude.largest(count)), delta, 0), density, rescale)
}

/**
 * Drops the ⌊gamma·n⌋ largest entries in magnitude, and as many of the smallest as leave ⌊density·n⌋; fewer large ones where density + gamma > 1.
 * Entries that tie with the largest or the smallest one kept are kept too. Nothing is left of a tensor with density·n < 1.
 */
export function dropOutliers(delta: Tensor, density: number, gamma: number, rescale: Rescale): Tensor {
  const size = sizeOf(delta.shape)
  if (density >= 1 || size === 0) return delta
  const kept = Math.floor(density * size)
  const top = Math.min(Math.floor(gamma * size), size - kept)
  if (kept === 0) return delta.mul(0)
  const magnitude = delta.abs()
  const atMost = top === 0 ? delta : where(magnitude.largest(top + 1).ge(magnitude), delta, 0) // mergekit erases the whole vector when top is 0
  const trimmed = top + kept === size ? atMost : where(magnitude.ge(magnitude.largest(top + kept)), atMost, 0)
  return restore(delta, trimmed, density, rescale)
}

/** Keeps each entry with probability `density`. */
export function keepRandomly(delta: Tensor, density: number, uniform: Tensor, rescale: Rescale): Tensor {
  return density >= 1 ? delta : restore(delta, where(uniform.lt(density), delta, 0), density, rescale)
}

/**
 * Keeps each entry with a probability that grows with its magnitude's place in its row: density − epsilon for the smallest, density + epsilon for the
 * largest. The only entry of a row is kept with probability `density`.
 */
export function keepByRank(delta: Tensor, density: number, epsilon: number, uniform: Tensor, rescale: Rescale): Tensor {
  const { columns } = rowsOf(delta.shape)
  if (density >= 1 || columns === 0) return delta
  const place =
    columns === 1
      ? Tensor.constant(0.5)
      : delta
          .abs()
          .rowRank()
          .div(columns - 1)
  const probability = place.mul(2 * epsilon).add(density - epsilon)
  return restore(delta, where(uniform.lt(probability), delta, 0), density, rescale) // beyond 0 and 1 it is never and always
}

/** Multiplies what was kept so that it weighs as much as before. */
function restore(delta: Tensor, kept: Tensor, density: number, rescale: Rescale, total = (_: string, of: Tensor): Tensor => of.sum()): Tensor {
  if (rescale === 'paper') return kept.div(density)
  if (!rescale) return kept
  const before = total('before', delta.abs())
  const after = total('after', kept.abs())
  const usable = before.ge(NEARLY_ZERO).mul(after.ge(NEARLY_ZERO))
  return kept.mul(where(usable, before.div(where(usable, after, 1)), Tensor.constant(1)))
}
