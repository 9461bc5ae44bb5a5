import { sizeOf } from '../../dtype.ts'
import { type Measure, ratio, total } from './measure.ts'

/** 1 for two copies of one model. */
export default {
  of: 'pair',
  summary: 'Share of entries that are equal in both models.',
  source: null,
  folds: (a, b) => ({ equal: a.model.eq(b.model).sum() }),
  value: parts =>
    ratio(
      total(parts, 'equal'),
      parts.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    ),
} satisfies Measure
