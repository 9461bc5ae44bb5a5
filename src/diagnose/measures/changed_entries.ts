import { sizeOf } from '../../dtype.ts'
import { isNonzero, type Measure, ratio, total } from './measure.ts'

/** The support of τ. */
export default {
  of: 'task',
  summary: 'Share of entries that the task has changed.',
  source: null,
  folds: ({ delta }) => ({ changed: isNonzero(delta).sum() }),
  value: parts =>
    ratio(
      total(parts, 'changed'),
      parts.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    ),
} satisfies Measure
