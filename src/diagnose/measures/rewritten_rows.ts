import { type Measure, ratio, total } from './measure.ts'

/**
 * Of the change of a task, the part in rows of matrices that it and the other task both rewrite: where each has moved by at least half the length of
 * the base's row. Such two moves together are as long as the row was, so they, and no longer the base, may decide when the neuron fires; and what each
 * expert does with it is not the sum. No sign need conflict for that, and no entry be shared.
 */
export default {
  of: 'other',
  summary: 'Share of the task’s change that lies in rows (neurons) which both tasks move by half their length or more.',
  source: null,
  folds({ base, delta, shape }, other) {
    if (shape.length < 2) return null
    const own = delta.mul(delta)
    const [a, b, limit] = [own.rowSum(), other.delta.mul(other.delta).rowSum(), base.mul(base).rowSum().div(4)]
    const smaller = a.min(b)
    return { rewritten: own.mul(smaller.ge(limit).mul(smaller.gt(0))).sum(), delta: own.sum() }
  },
  value: parts => ratio(total(parts, 'rewritten'), total(parts, 'delta')),
} satisfies Measure
