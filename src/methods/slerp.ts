import { where } from '../algebra/tensor.ts'
import { defineMethod, scalar } from './method.ts'

const NEARLY_PARALLEL = 0.9995 // |cos ω| beyond which sin ω is too small to divide by; mergekit’s value
const NEARLY_ZERO = 1e-8 // norms below this are not divided by; mergekit’s value

/** Moves from one model to another along the arc between their directions. Shoemake 1985, https://doi.org/10.1145/325334.325242 */
export default defineMethod({
  summary: 'Interpolate two models along the arc between them.',
  paper: 'https://doi.org/10.1145/325334.325242',
  about:
    'Shoemake 1985. For exactly two models of one base, when neither should dominate; keeps the length of the weights where a straight average shortens them. Fine-tunes of one base are nearly parallel, and then the arc is the straight line (cosine above 0.9995).',
  base: 'first',
  models: { min: 2, max: 2 },
  params: { t: scalar('0 gives the base (the first model), 1 gives the other.', { usual: [0, 1] }) },
  laws: { copies: true, single: 'takes exactly two models' },
  merge({ models: [first, second] }, { t }) {
    const a = first!.tensor
    const b = second!.tensor
    const normA = a.norm()
    const normB = b.norm()
    const lengthA = where(normA.gt(NEARLY_ZERO), normA, 1)
    const lengthB = where(normB.gt(NEARLY_ZERO), normB, 1)
    const cosine = a.dot(b).div(lengthA.mul(lengthB)) // mergekit sums products of the unit vectors; the same but for rounding
    const omega = cosine.acos()
    const parallel = cosine.abs().gt(NEARLY_PARALLEL)
    const sine = where(parallel, 1, omega.sin())
    const shareA = where(
      parallel,
      1 - t,
      omega
        .mul(1 - t)
        .sin()
        .div(sine),
    )
    const shareB = where(parallel, t, omega.mul(t).sin().div(sine))
    return a.mul(shareA).add(b.mul(shareB))
  },
})
