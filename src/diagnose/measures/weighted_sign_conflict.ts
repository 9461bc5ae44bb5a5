import { type Measure, ratio, total } from './measure.ts'

/** As sign_conflict, each entry by the smaller of the two changes: what would cancel; ½ by chance. */
export default {
  of: 'pair',
  summary: 'The same, each entry weighted by the smaller of the two changes.',
  source: null,
  folds(a, b) {
    const smaller = a.delta.abs().min(b.delta.abs())
    return { conflicts: smaller.mul(a.delta.sign().mul(b.delta.sign()).lt(0)).sum(), both: smaller.sum() }
  },
  value: parts => ratio(total(parts, 'conflicts'), total(parts, 'both')),
} satisfies Measure
