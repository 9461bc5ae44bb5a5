import { Tensor, where } from '../algebra/tensor.ts'
import { add, CANCELLED, type Coefficients, combination, gramOf, inner, invert, scale, stepsOf, times, total } from './_span.ts'
import { defineMethod, scalar } from './method.ts'

const SMALL = 1e-9 // a tangent shorter than this is none: it may be divided by this instead of its length
const OPPOSITE = -1 + 5e-9 // cosine of an angle within 1e-4 of π, where float32 leaves no direction to go

/**
 * The Riemannian mean of the models' directions on the sphere, by gradient steps u ← exp_u(mean of log_u(uᵢ)), times their mean length.
 * Karcher 1977, https://doi.org/10.1002/cpa.3160300502; for models Wang et al. 2026, https://arxiv.org/abs/2603.04972
 * As in mergekit, tensors not longer than tol have no direction, but count in the mean length. A step shorter than tol is the end.
 * A model opposite to the mean, from which no direction leads to it, is left out of the step; mergekit divides by a rounding error there.
 */
export default defineMethod({
  summary: 'Average directions on the sphere, and lengths apart.',
  paper: 'https://arxiv.org/abs/2603.04972',
  about:
    'Karcher 1977; for models Wang et al. 2026. For two or more models of equal worth that are far apart, whose plain average would be shorter than each of them. There are no weights: use multislerp for those. Fine-tunes of one base are nearly parallel, and then it is nearly `linear` with equal weights.',
  base: 'unused',
  models: { min: 1 },
  params: {
    max_iter: scalar('Gradient steps at most, rounded to a whole number; no more than 50 are made, for 10 models 20, for 20 models 6.', { default: 10, min: 0 }),
    tol: scalar('Angle in radians below which a step is the last; and the length below which a tensor has no direction.', { default: 1e-5, min: 0, max: 0.01 }),
  },
  laws: { copies: true, single: true },
  merge({ models }, { max_iter, tol }) {
    const tensors = models.map(m => m.tensor)
    if (tensors.length === 1) return tensors[0]!
    const gram = gramOf(tensors)
    const lengths = gram.map((row, i) => row[i]!.sqrt())
    const directed = lengths.map(length => length.gt(tol))
    const inverse = lengths.map((length, i) => where(directed[i]!, invert(length), 0))
    const cosines = gram.map((row, i) => row.map((g, j) => g.mul(inverse[i]!.mul(inverse[j]!))))
    const shares = scale(directed, invert(total(directed)))
    let mean = start(cosines, shares, directed, tol)
    let isMoving: Tensor = Tensor.constant(1)
    for (let step = 0; step < stepsOf(max_iter, tensors.length); step++) {
      const { along, length } = directionOf(cosines, shares, mean)
      isMoving = isMoving.mul(length.ge(tol)) // the step shorter than tol is not made, nor any after it
      mean = move(mean, along, length, isMoving)
    }
    const meanLength = total(lengths).div(lengths.length)
    return combination(
      tensors,
      mean.at.map((c, i) => c.mul(inverse[i]!).mul(meanLength)),
    )
  },
})

/** A point on the sphere: its coefficients over the unit vectors, and its cosine with each of them. */
interface Point {
  readonly at: Coefficients
  readonly cosines: Coefficients
}

/** The mean of the unit vectors, put on the sphere; the first of them where they cancel. */
function start(cosines: readonly Coefficients[], shares: Coefficients, directed: Coefficients, tol: number): Point {
  const mean = times(cosines, shares)
  const length = inner(shares, mean).max(0).sqrt()
  const inverse = invert(length)
  const hasMean = length.gt(Math.max(tol, CANCELLED))
  let isFirst: Tensor = Tensor.constant(1)
  const first = directed.map(d => {
    const chosen = isFirst.mul(d)
    isFirst = isFirst.sub(chosen)
    return chosen
  })
  return { at: choose(hasMean, scale(shares, inverse), first), cosines: choose(hasMean, scale(mean, inverse), times(cosines, first)) }
}

/** The mean of the tangents at a point that lead to the unit vectors, each as long as the angle to it. */
function directionOf(cosines: readonly Coefficients[], shares: Coefficients, { at, cosines: own }: Point): { readonly along: Point; readonly length: Tensor } {
  const pull = shares.map((share, i) => {
    const angle = own[i]!.acos()
    return share.mul(angle.div(angle.sin().max(SMALL))).mul(own[i]!.gt(OPPOSITE))
  })
  const back = inner(pull, own).mul(-1) // Σ pullᵢ(uᵢ − cosᵢ·u)
  const along = { at: add(pull, scale(at, back)), cosines: add(times(cosines, pull), scale(own, back)) }
  return { along, length: inner(along.at, along.cosines).max(0).sqrt() }
}

/** The point at the end of the great circle that begins at `from`; where `isMoving` is 0, `from` itself. */
function move(from: Point, along: Point, length: Tensor, isMoving: Tensor): Point {
  const stay = length.mul(isMoving).cos()
  const go = length.sin().div(length.max(SMALL)).mul(isMoving)
  return { at: add(scale(from.at, stay), scale(along.at, go)), cosines: add(scale(from.cosines, stay), scale(along.cosines, go)) }
}

const choose = (test: Tensor, yes: Coefficients, no: Coefficients): Coefficients => yes.map((y, i) => where(test, y, no[i]!))
