import { type Measure, total } from './measure.ts'

/** ‖τ‖. */
export default {
  of: 'task',
  summary: 'Length of the task vector.',
  source: null,
  folds: ({ delta }) => ({ delta: delta.dot(delta) }),
  value: parts => Math.sqrt(total(parts, 'delta')),
} satisfies Measure
