import { type Measure, ratio, total } from './measure.ts'

/** Σ_r ‖a_r‖·‖b_r‖ ÷ (‖a‖·‖b‖) over rows r of matrices: 1 where both spread their change over the neurons in the same proportions, 0 where none is shared. */
export default {
  of: 'pair',
  summary: 'How alike the two tasks spread their change over rows (neurons) of matrices.',
  source: null,
  folds(a, b) {
    if (a.shape.length < 2) return null
    const [own, other] = [a.delta.mul(a.delta), b.delta.mul(b.delta)]
    const relative = other.rowSum().div(own.rowSum().max(TINY)).sqrt()
    return { shared: own.mul(relative).sum(), a: own.sum(), b: other.sum() }
  },
  value: parts => ratio(total(parts, 'shared'), Math.sqrt(total(parts, 'a') * total(parts, 'b'))),
} satisfies Measure

const TINY = 1e-30 // rows that have not changed count nothing, whatever they are divided by
