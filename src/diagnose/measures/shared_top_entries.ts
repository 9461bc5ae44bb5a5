import type { Tensor } from '../../algebra/tensor.ts'
import { sizeOf } from '../../dtype.ts'
import { isNonzero, type Measure, ratio, total } from './measure.ts'

const TOP = 0.2 // as TIES trims

/** Jaccard index of the largest fifth of each task vector's entries, tensor by tensor; 1/9 by chance. */
export default {
  of: 'pair',
  summary: 'The same of the largest 20 % of each tensor’s changes.',
  source: 'https://arxiv.org/abs/2306.01708',
  folds(a, b) {
    const [own, other] = [top(a.delta), top(b.delta)]
    return { both: own.mul(other).sum(), either: own.max(other).sum() }
  },
  value: parts => ratio(total(parts, 'both'), total(parts, 'either')),
} satisfies Measure

function top(delta: Tensor): Tensor {
  const size = delta.abs()
  return size.ge(size.largest(Math.max(1, Math.floor(TOP * sizeOf(delta.shape))))).mul(isNonzero(delta))
}
