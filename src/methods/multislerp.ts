import { sum, where } from '../algebra/tensor.ts'
import { refuse } from './_refuse.ts'
import { CANCELLED, combination, gramOf, inner, invert, scale, times } from './_span.ts'
import { defineMethod, flag, perModel, scalar } from './method.ts'

const NEARLY_ZERO = 1e-8 // of the sum of magnitudes: what rounding leaves of weights that cancel

/**
 * The direction of the weighted mean of unit vectors uᵢ = xᵢ ÷ (‖xᵢ‖ + eps), times the weighted mean length Σ wᵢ‖xᵢ‖; with a base x are task vectors.
 * Goddard 2025, https://goddard.blog/posts/multislerp-wow-what-a-cool-idea
 * The post then moves from the mean's direction m along T = Σ wᵢ(uᵢ − (uᵢ·m)m). That is 0: Σ wᵢuᵢ is a multiple of m. So it is left out.
 * Where the unit vectors cancel (their mean is shorter than eps, or than 2^-12 of the summed magnitudes of the weights, which cannot be told from 0)
 * the result is Σ wᵢxᵢ; mergekit does so for two models and stops for more.
 */
export default defineMethod({
  summary: 'Average directions and lengths of models or task vectors apart.',
  paper: 'https://goddard.blog/posts/multislerp-wow-what-a-cool-idea',
  about:
    'Goddard 2025. SLERP for any number of models, and with a base for their task vectors: a plain average of vectors that point apart is shorter than each of them, this one keeps the mean length. With task vectors that is a stronger step than an average; for models without a base, which are nearly parallel, it is nearly `linear`.',
  base: 'optional',
  models: { min: 1 },
  params: {
    weight: perModel('Share of this model.', { inExpression: 1 }),
    normalize_weights: flag('Divide the weights by their sum.', true),
    eps: scalar('Added to each length before dividing by it; a mean shorter than this has no direction.', { default: 1e-8, min: 0 }),
  },
  laws: { copies: true, single: true },
  merge({ base, models }, { normalize_weights, eps }) {
    if (models.length === 1) return models[0]!.tensor // whatever its weight, as mergekit
    const weights = normalize_weights ? normalize(models.map(m => m.weight)) : models.map(m => m.weight)
    const vectors = models.map(m => m.delta)
    const gram = gramOf(vectors)
    const lengths = gram.map((row, i) => row[i]!.sqrt())
    const mean = lengths.map((length, i) => invert(length.add(eps)).mul(weights[i]!))
    const meanLength = inner(mean, times(gram, mean)).max(0).sqrt()
    const isDirected = meanLength.gt(Math.max(eps, CANCELLED * magnitudeOf(weights)))
    const total = sum(lengths.map((length, i) => length.mul(weights[i]!)))
    const along = scale(mean, total.div(where(isDirected, meanLength, 1)))
    const coefficients = along.map((c, i) => where(isDirected, c, weights[i]!))
    return base.add(combination(vectors, coefficients))
  },
})

function normalize(weights: readonly number[]): readonly number[] {
  const total = weights.reduce((t, w) => t + w, 0)
  if (Math.abs(total) <= NEARLY_ZERO * magnitudeOf(weights)) {
    refuse('the weights of multislerp add up to 0, and are divided by their sum', 'change a weight, or set normalize_weights to false')
  }
  return weights.map(w => w / total)
}

const magnitudeOf = (weights: readonly number[]): number => weights.reduce((t, w) => t + Math.abs(w), 0)
