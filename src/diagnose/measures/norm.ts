import { type Measure, ratio, total } from './measure.ts'

/** ‖τ‖. */
export default {
  of: 'task',
  summary: 'Length of the task vector.',
  source: null,
  folds: ({ delta }) => ({ delta: delta.dot(delta) }),
  value: parts => ratio(Math.sqrt(total(parts, 'delta')), 1),
} satisfies Measure
