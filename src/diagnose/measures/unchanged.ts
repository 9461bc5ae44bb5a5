import { isNonzero, type Measure, ratio } from './measure.ts'

/** Of the tensors, those that are equal to the base's in every element. */
export default {
  of: 'task',
  summary: 'Share of tensors that the task has left as they are in the base.',
  source: null,
  folds: ({ delta }) => ({ changed: isNonzero(delta).sum() }),
  value: parts => ratio(parts.filter(({ sums }) => sums['changed'] === 0).length, parts.length),
} satisfies Measure
