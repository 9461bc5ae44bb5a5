import { sizeOf } from '../../dtype.ts'
import { type Measure, total } from './measure.ts'

/** How many elements are NaN or infinite: x − x is 0 for all others. */
export default {
  of: 'model',
  summary: 'Number of values that are not finite.',
  source: null,
  folds: model => ({ finite: model.sub(model).eq(0).sum() }),
  value: parts => parts.reduce((sum, { shape }) => sum + sizeOf(shape), 0) - total(parts, 'finite'),
} satisfies Measure
