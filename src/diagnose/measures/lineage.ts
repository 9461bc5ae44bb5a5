import { type Measure, ratio, total } from './measure.ts'

/** cos(θ, θ₀) of the weights themselves: near 1 for a fine-tune of the base, near 0 for matrices of a network trained from another start. */
export default {
  of: 'task',
  summary: 'Cosine between the weights of the model and of the base.',
  source: null,
  folds: ({ base, model }) => ({ dot: model.dot(base), model: model.dot(model), base: base.dot(base) }),
  value: parts => ratio(total(parts, 'dot'), Math.sqrt(total(parts, 'model') * total(parts, 'base'))),
} satisfies Measure
