import { Tensor } from '../algebra/tensor.ts'
import { sizeOf } from '../dtype.ts'

/** The element of `x` at place ⌊share·(n − 1)⌋ in ascending order, 0 ≤ share ≤ 1: exact, and never between two elements. Costs a pass. */
export function quantile(x: Tensor, share: number): Tensor {
  const size = sizeOf(x.shape)
  if (size === 0) return Tensor.constant(0)
  return x.largest(size - Math.floor(share * (size - 1)))
}

/** The ⌊share·n⌋-th largest element, at least the first: what `Everywhere.largest` is of a whole model. Costs a pass. */
export const largestShare = (x: Tensor, share: number): Tensor => x.largest(Math.max(1, Math.floor(share * sizeOf(x.shape))))
