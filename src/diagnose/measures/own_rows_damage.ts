import { isNonzero, type Measure, ratio, total } from './measure.ts'

/** ‖Δ − τ‖² over the rows that the task has changed ÷ ‖τ‖². 0: the recipe leaves each of the task's neurons as its expert has it. 1 for the base. */
export default {
  of: 'task',
  summary: 'How far the recipe leaves the task’s own rows (neurons) from where its expert has them; 0 is there, 1 as far as the base.',
  source: null,
  folds({ delta, change, shape }) {
    if (!change) return null
    const off = change.sub(delta)
    const changed = isNonzero(delta)
    return {
      off: off
        .mul(off)
        .mul(shape.length < 2 ? changed : changed.rowMax())
        .sum(),
      delta: delta.dot(delta),
    }
  },
  value: parts => ratio(total(parts, 'off'), total(parts, 'delta')),
} satisfies Measure
