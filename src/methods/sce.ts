import { sum, Tensor, where } from '../algebra/tensor.ts'
import { votes } from './_consensus.ts'
import { ignored } from './_family.ts'
import { defineMethod, scalar } from './method.ts'

const NEARLY_ZERO = 1e-6 // a sum of weights or of squares below this is not divided by; mergekit’s value
const FLOAT64 = 2 ** -40 // share of a count that its product with select_topk may lose: 0.29·100 is 29, not 28.999…

/**
 * Select the coordinates in which the models differ most, calculate a weight for each task vector from its mean square, erase minority signs.
 * Wan et al. 2024, https://arxiv.org/abs/2408.07990
 * As in mergekit, select_topk counts only coordinates in which the models differ at all, and weights are equal where the mean squares add up to less
 * than 1e-6. Coordinates that tie with the last one selected are selected too. Where nothing is selected the base stays; mergekit writes tensors of
 * another shape then.
 */
export default defineMethod({
  summary: 'Select coordinates of high variance, weigh by mean square, erase minority signs.',
  paper: 'https://arxiv.org/abs/2408.07990',
  about:
    'Wan et al. 2024 (FuseChat). For several models of one base, without weights to choose: each tensor is weighted by how far it moved. A small `select_topk` keeps only what sets the models apart. With one model and `select_topk` below 1 nothing is left, for nothing varies.',
  base: 'required',
  models: { min: 1 },
  params: { select_topk: scalar('Share of the coordinates that is selected, of those in which the models differ.', { default: 1, min: 0, exclusiveMin: true, max: 1 }) },
  ignored,
  laws: { copies: true, single: true },
  merge({ base, models }, { select_topk }) {
    const deltas = models.map(m => m.delta)
    const selected = select_topk < 1 ? selectVarying(deltas, select_topk) : deltas
    const squares = selected.map(d => d.mul(d).mean())
    const total = sum(squares)
    const isUniform = Tensor.constant(NEARLY_ZERO).gt(total)
    const weights = squares.map(s => where(isUniform, 1 / models.length, s.div(where(isUniform, 1, total))))
    const agrees = votes(selected)
    const mixed = sum(selected.map((d, i) => where(agrees[i]!, d, 0).mul(weights[i]!)))
    const voted = sum(agrees.map((a, i) => where(a, weights[i]!, 0)))
    return base.add(mixed.div(voted.max(NEARLY_ZERO)))
  },
})

/** Sets to 0 all but the given share of the coordinates, those of largest variance over the tensors. */
function selectVarying(tensors: readonly Tensor[], share: number): readonly Tensor[] {
  if (tensors.length === 1) return tensors.map(t => t.mul(0))
  const apart = tensors.map((t, i) => (i === 0 ? Tensor.constant(0) : t.sub(tensors[0]!))) // exactly 0 where all agree; the variance is that of the tensors
  const mean = sum(apart).div(tensors.length)
  const variance = sum(apart.map(a => a.sub(mean)).map(a => a.mul(a))) // times their number, which changes no order
  const wanted = variance
    .gt(0)
    .sum()
    .mul(share * (1 + FLOAT64))
  const notNumber = Tensor.constant(0).div(Tensor.constant(0)) // nothing is at or above it
  const least = where(wanted.ge(1), variance.largest(wanted), notNumber)
  return tensors.map(t => where(variance.ge(least), t, 0))
}
