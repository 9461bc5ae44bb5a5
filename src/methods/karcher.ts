import { sum, Tensor, where } from '../algebra/tensor.ts'
import { add, CANCELLED, type Coefficients, combination, gramOf, inner, invert, scale, times } from './_span.ts'
import { defineMethod, scalar } from './method.ts'

const MOST_ITERATIONS = 50 // by then a mean that converges has done so
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
    max_iter: scalar('Gradient steps at most, rounded to a whole number; more than 50 count as 50.', { default: 10, min: 0 }),
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
    const shares = scale(directed, invert(sum(directed)))
    let mean = start(cosines, shares, directed, tol)
    let isMoving: Tensor = Tensor.constant(1)
    for (let step = 0; step < Math.min(Math.round(max_iter), MOST_ITERATIONS); step++) {
      const { next, length } = move(cosines, shares, mean)
      isMoving = isMoving.mul(length.ge(tol))
      mean = { at: choose(isMoving, next.at, mean.at), cosines: choose(isMoving, next.cosines, mean.cosines) }
    }
    const meanLength = sum(lengths).div(lengths.length)
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
  const mean = unit({ at: shares, cosines: times(cosines, shares) })
  let isFirst: Tensor = Tensor.constant(1)
  const first = directed.map(d => {
    const chosen = isFirst.mul(d)
    isFirst = isFirst.sub(chosen)
    return chosen
  })
  const hasMean = mean.length.gt(Math.max(tol, CANCELLED))
  return { at: choose(hasMean, mean.at, first), cosines: choose(hasMean, mean.cosines, times(cosines, first)) }
}

/** One step along the mean of the directions to the unit vectors, each as long as the angle to it. */
function move(cosines: readonly Coefficients[], shares: Coefficients, from: Point): { readonly next: Point; readonly length: Tensor } {
  const pull = shares.map((share, i) => {
    const angle = from.cosines[i]!.acos()
    const sine = angle.sin()
    const isAlong = sine.eq(0) // angle ÷ sine goes to 1
    return share.mul(where(isAlong, 1, angle.div(where(isAlong, 1, sine)))).mul(from.cosines[i]!.gt(OPPOSITE))
  })
  const away = inner(pull, from.cosines).mul(-1) // Σ pullᵢ(uᵢ − cosᵢ·u)
  const tangent = { at: add(pull, scale(from.at, away)), cosines: add(times(cosines, pull), scale(from.cosines, away)) }
  const length = inner(tangent.at, tangent.cosines).max(0).sqrt()
  const isStill = length.eq(0)
  const share = where(isStill, 1, length.sin().div(where(isStill, 1, length)))
  const to = (x: Coefficients, t: Coefficients): Coefficients => add(scale(x, length.cos()), scale(t, share))
  return { next: unit({ at: to(from.at, tangent.at), cosines: to(from.cosines, tangent.cosines) }), length }
}

/** The point in the same direction on the sphere, and how far from the centre it was. */
function unit({ at, cosines }: Point): Point & { readonly length: Tensor } {
  const length = inner(at, cosines).max(0).sqrt()
  const inverse = invert(length)
  return { at: scale(at, inverse), cosines: scale(cosines, inverse), length }
}

const choose = (test: Tensor, yes: Coefficients, no: Coefficients): Coefficients => yes.map((y, i) => where(test, y, no[i]!))
