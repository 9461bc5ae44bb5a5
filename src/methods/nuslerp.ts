import { type Tensor, where } from '../algebra/tensor.ts'
import { defineMethod, flag, perModel } from './method.ts'

const NEARLY_ZERO = 1e-6 // a sum of weights below this counts as equal weights; mergekit’s value
const LEAST_NORM = 1e-7 // what shorter vectors are divided by; mergekit’s value
const PARALLEL = 1 - 1e-7 // |cos ω| beyond which the rounding of float32 products hides the angle

/**
 * SLERP between two models, or between their task vectors: (sin((1 − t)ω)·v₀ + sin(tω)·v₁) ÷ sin ω with t = w₁ ÷ (w₀ + w₁).
 * Shoemake 1985, https://doi.org/10.1145/325334.325242; the variant is mergekit's.
 * Where |cos ω| is beyond 1 − 1e-7 the result is the straight line, which differs by less than float32 shows for parallel vectors; mergekit compares
 * sin ω with 1e-8, which the angle of two opposite vectors in float32 never reaches.
 * Without `nuslerp_flatten` there is an arc for each row, with `nuslerp_row_wise` for each column (mergekit's name for it); a tensor of one dimension
 * is one vector. Of more than two dimensions, all but the first are one here.
 */
export default defineMethod({
  summary: 'Interpolate two models or task vectors along the arc between them.',
  paper: 'https://doi.org/10.1145/325334.325242',
  about:
    'Shoemake 1985, in mergekit’s variant: weights instead of `t`, and with a base the arc between the two task vectors, which are far less parallel than the models are. For exactly two models of one base. For three or more use multislerp or karcher.',
  base: 'optional',
  models: { min: 2, max: 2 },
  params: {
    weight: perModel('Share of this model, divided by the sum of both.', { inExpression: 1 }),
    nuslerp_flatten: flag('Take the whole tensor for one vector.', true),
    nuslerp_row_wise: flag('When not flattened: an arc for each column of the matrix, not for each row.', false),
  },
  laws: { copies: true, single: 'takes exactly two models' },
  merge({ base, models: [first, second], shape }, { nuslerp_flatten, nuslerp_row_wise }) {
    const along = nuslerp_flatten ? 'sum' : nuslerp_row_wise && shape.length > 1 ? 'columnSum' : 'rowSum'
    const dot = (x: Tensor, y: Tensor): Tensor => x.mul(y)[along]()
    const total = first!.weight + second!.weight
    const t = Math.abs(total) < NEARLY_ZERO ? 0.5 : second!.weight / total
    const [a, b] = [first!.delta, second!.delta]
    const lengthOf = (x: Tensor): Tensor => dot(x, x).sqrt().max(LEAST_NORM)
    const cosine = dot(a, b).div(lengthOf(a).mul(lengthOf(b)))
    const isStraight = cosine.abs().gt(PARALLEL)
    const omega = cosine.acos()
    const sine = where(isStraight, 1, omega.sin())
    const shareOf = (s: number) => where(isStraight, s, omega.mul(s).sin().div(sine))
    return base.add(a.mul(shareOf(1 - t)).add(b.mul(shareOf(t))))
  },
})
