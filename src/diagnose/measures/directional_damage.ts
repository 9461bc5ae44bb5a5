import { errorOf, lengthsAlong, lengthsOf, ratioOf } from './_directions.ts'
import type { Measure } from './measure.ts'

/**
 * R = ‖(Δ − τ)τᵀ‖²_F ÷ ‖ττᵀ‖²_F over matrices, by random directions: what the recipe at hand adds that is not the task's own, in the directions of
 * inputs that the task's change listens to. 0 keeps all of it; 1 is as much damage as leaving the task out.
 */
export default {
  of: 'task',
  isCostly: true,
  summary: 'Directional damage R of the recipe: what it makes of the inputs that the task’s change listens to; 0 keeps the task, 1 is as bad as leaving it out.',
  source: null,
  folds(task) {
    if (!task.change) return null
    const [off, own] = [lengthsAlong(task, task.change.sub(task.delta), 'off'), lengthsAlong(task, task.delta, 'own')]
    return off && own && { ...off, ...own }
  },
  value: parts => ratioOf(lengthsOf(parts, 'off'), lengthsOf(parts, 'own')),
  error: parts => errorOf(lengthsOf(parts, 'off'), lengthsOf(parts, 'own')),
} satisfies Measure
