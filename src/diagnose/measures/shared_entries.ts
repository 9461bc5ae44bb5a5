import { isNonzero, type Measure, ratio, total } from './measure.ts'

/** Jaccard index of the supports: entries changed by both ÷ entries changed by either. */
export default {
  of: 'pair',
  summary: 'Of the entries that either task has changed, the share that both have.',
  source: null,
  folds(a, b) {
    const [own, other] = [isNonzero(a.delta), isNonzero(b.delta)]
    return { both: own.mul(other).sum(), either: own.max(other).sum() }
  },
  value: parts => ratio(total(parts, 'both'), total(parts, 'either')),
} satisfies Measure
