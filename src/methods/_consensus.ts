import { sum, type Tensor, where } from '../algebra/tensor.ts'

/** A task vector after sparsification, with the weight of its model. */
export interface Weighted {
  readonly delta: Tensor
  readonly weight: number
}

interface Combination {
  /** Keep only entries whose sign agrees with the sign of the weighted sum (TIES, step 2). */
  readonly consensus: boolean
  /** Divide by the weight that took part in each entry. */
  readonly normalize: boolean
}

const NEARLY_ZERO = 1e-8 // a divisor smaller than this counts as 1, as in mergekit

/** Σ wᵢδᵢ, by sign consensus or plainly, normalised or not. Yadav et al. 2023, §3, https://arxiv.org/abs/2306.01708 */
export function combine(vectors: readonly Weighted[], { consensus, normalize }: Combination): Tensor {
  const weighted = vectors.map(v => v.delta.mul(v.weight))
  if (!consensus) {
    const total = vectors.reduce((t, v) => t + v.weight, 0)
    return normalize && Math.abs(total) >= NEARLY_ZERO ? sum(weighted).div(total) : sum(weighted)
  }
  const agrees = votes(weighted)
  const mixed = sum(weighted.map((d, i) => where(agrees[i]!, d, 0)))
  if (!normalize) return mixed
  const voted = sum(agrees.map((a, i) => where(a, vectors[i]!.weight, 0)))
  return mixed.div(where(voted.eq(0), 1, voted))
}

/** For each tensor, 1 where its entry has the sign of the sum of all entries (+ if that is 0), else 0. A zero never votes. */
export function votes(tensors: readonly Tensor[]): readonly Tensor[] {
  const direction = where(sum(tensors).ge(0), 1, -1)
  return tensors.map(t => t.mul(direction).gt(0))
}
