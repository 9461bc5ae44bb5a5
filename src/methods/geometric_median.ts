import { Tensor, where } from '../algebra/tensor.ts'
import { refuse } from './_refuse.ts'
import { type Coefficients, combination, distancesOf, inner, invert, scale, stepsOf, times, total } from './_span.ts'
import { defineMethod, perModel, scalar } from './method.ts'

const SMOOTHING = 1e-6 // of the least distance of two models: none is ever counted as nearer, so that the median can come to lie on it

/**
 * The point m whose weighted distances Σ wᵢ‖θᵢ − m‖ are least, by Weiszfeld's iteration m ← Σ rᵢθᵢ ÷ Σ rᵢ, rᵢ = wᵢ ÷ ‖θᵢ − m‖, from the weighted mean.
 * Weiszfeld 1937; with smoothed distances Pillutla, Kakade and Harchaoui 2022, https://arxiv.org/abs/1912.13445
 * Per tensor: each has a median of its own.
 */
export default defineMethod({
  summary: 'Take the point nearest to all models, which outliers hardly move.',
  paper: 'https://arxiv.org/abs/1912.13445',
  about:
    'Weiszfeld 1937; smoothed by Pillutla et al. 2022. For three or more models of one base of which some may be bad: a model far from the others moves the median hardly more than one close by, where it drags a mean along. With two models it is the one of the larger weight, or their mean.',
  base: 'unused',
  models: { min: 1 },
  params: {
    weight: perModel('Multiplier of the distance to this model.', { default: 1, min: 0 }),
    max_iter: scalar('Iterations, rounded to a whole number; no more than 50 are made, for 10 models 20, for 20 models 6. 0 gives the weighted mean.', { default: 30, min: 0 }),
  },
  laws: { copies: true, single: true },
  merge({ models }, { max_iter }) {
    const tensors = models.map(m => m.tensor)
    const whole = models.reduce((t, m) => t + m.weight, 0)
    if (whole === 0) refuse('the weights of geometric_median are all 0', 'give at least one model a weight above 0')
    if (tensors.length === 1) return tensors[0]!
    const weights = models.map(m => Tensor.constant(m.weight / whole))
    const distances = distancesOf(tensors)
    const least = nearest(distances).mul(SMOOTHING ** 2)
    let median: Coefficients = weights
    for (let step = 0; step < stepsOf(max_iter, tensors.length); step++) {
      // ‖θᵢ − m‖² = (Dc)ᵢ − cᵀDc ÷ 2 for m = Σ cᵢθᵢ, Σ cᵢ = 1, and the matrix D of squared distances.
      const from = times(distances, median)
      const half = inner(median, from).div(2)
      const pull = from.map((f, i) => weights[i]!.div(f.sub(half).max(0).add(least).sqrt()))
      median = scale(pull, invert(total(pull)))
    }
    return combination(tensors, median)
  },
})

/** The least squared distance of two models that differ; 1 where all are equal, for there any number does. */
function nearest(distances: readonly Coefficients[]): Tensor {
  const pairs = distances.flatMap((row, i) => row.slice(i + 1))
  const largest = pairs.reduce<Tensor>((most, d) => most.max(d), Tensor.constant(0))
  const least = pairs.reduce<Tensor>((least, d) => where(d.gt(0), d, largest).min(least), largest)
  return where(least.gt(0), least, 1)
}
