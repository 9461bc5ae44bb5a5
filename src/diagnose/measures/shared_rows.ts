import { isNonzero, type Measure, ratio, total } from './measure.ts'

/**
 * Σ ‖τ_r‖² over the rows r that the other task has changed at all ÷ ‖τ‖². A row of a matrix is a neuron; of a tensor of one dimension each entry
 * belongs to another. Near 1 for full fine-tunes, which change everything; 0 means that the tasks have neurons of their own.
 */
export default {
  of: 'other',
  summary: 'Share of the task’s change that lies in rows (neurons) which the other task changes too.',
  source: null,
  folds({ delta, shape }, other) {
    const changed = isNonzero(other.delta)
    const isShared = shape.length < 2 ? changed : changed.rowMax()
    return { shared: delta.mul(delta).mul(isShared).sum(), delta: delta.dot(delta) }
  },
  value: parts => ratio(total(parts, 'shared'), total(parts, 'delta')),
} satisfies Measure
