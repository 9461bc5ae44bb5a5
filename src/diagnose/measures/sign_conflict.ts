import { type Measure, ratio, total } from './measure.ts'

/** Of the entries that both have changed, those changed in opposite directions; ½ by chance. Signs are multiplied, for products underflow. */
export default {
  of: 'pair',
  summary: 'Share of the entries that both tasks have changed whose signs differ.',
  source: 'https://arxiv.org/abs/2306.01708',
  folds(a, b) {
    const product = a.delta.sign().mul(b.delta.sign())
    return { conflicts: product.lt(0).sum(), both: product.abs().sum() }
  },
  value: parts => ratio(total(parts, 'conflicts'), total(parts, 'both')),
} satisfies Measure
