import { type Measure, ratio, total } from './measure.ts'

/** ‖τ‖ ÷ ‖θ₀‖: how far a fine-tune has moved. */
export default {
  of: 'task',
  summary: 'Length of the task vector, as a multiple of the base’s.',
  source: null,
  folds: ({ base, delta }) => ({ delta: delta.dot(delta), base: base.dot(base) }),
  value: parts => ratio(Math.sqrt(total(parts, 'delta')), Math.sqrt(total(parts, 'base'))),
} satisfies Measure
