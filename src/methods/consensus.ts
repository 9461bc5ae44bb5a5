import { sum, where } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { defineMethod, perModel } from './method.ts'

const AGREEING = 2 // tasks that must need a coordinate for it to stay; the paper's

/**
 * Consensus Merging: of the sum of all task vectors, keep the coordinates that at least two tasks need, by their TALL masks |τᵢ| > thresholdᵢ·|Στⱼ − τᵢ|.
 * Wang et al. 2024, https://arxiv.org/abs/2405.07813
 * The comparison is strict, so a task does not need a coordinate that no model changed.
 */
export default defineMethod({
  summary: 'Add task vectors, and keep the coordinates that at least two tasks need.',
  paper: 'https://arxiv.org/abs/2405.07813',
  about:
    'Wang et al. 2024. For many tasks at once (the paper merges 8 to 20), where coordinates that only one task or none needs disturb the others. Lower `lambda` with the number of tasks, as in task arithmetic. With two models it keeps only what both changed, which costs single skills.',
  base: 'required',
  models: { min: 2 },
  params: {
    threshold: perModel('How large this task’s entry must be, in units of the sum of the others, for the task to need it.', { default: 0.4, min: 0 }),
    lambda,
  },
  laws: { copies: true, single: 'takes two or more models' },
  merge({ base, models }, { lambda }) {
    const total = sum(models.map(m => m.delta))
    const needed = sum(models.map(m => m.delta.abs().gt(total.sub(m.delta).abs().mul(m.threshold))))
    return base.add(where(needed.ge(AGREEING), total, 0).mul(lambda))
  },
})
