import { sum } from '../algebra/tensor.ts'
import { lambda, trim } from './_family.ts'
import { keepLargest } from './_sparsify.ts'
import { defineMethod, perModel } from './method.ts'

/**
 * Localize-and-Stitch without data: keep the largest few entries of each task vector, and average them where they overlap.
 * He et al. 2024, https://arxiv.org/abs/2408.13656
 * The entries are chosen per tensor; the paper chooses over the whole model, which is `trim: global`. Entries that are zero take no part in an average.
 */
export default defineMethod({
  summary: 'Keep the largest few entries of each task vector, average overlaps.',
  paper: 'https://arxiv.org/abs/2408.13656',
  about:
    'He et al. 2024. For full fine-tunes, whose skill sits in few large entries: a twentieth of them merges with hardly any interference and at full strength. Less suited to LoRA and other task vectors whose skill is spread over all entries; raise `density` there or use task_arithmetic.',
  base: 'required',
  models: { min: 1 },
  params: {
    density: perModel('Share of the task vector’s entries that is kept, the largest ones.', { default: 0.05, min: 0, exclusiveMin: true, max: 1 }),
    lambda,
    trim,
  },
  laws: { copies: true, single: 'keeps the largest entries only' },
  merge({ base, models, everywhere }, { lambda, trim }) {
    const kept = models.map(m => keepLargest(m, false, trim === 'global' ? everywhere : null))
    const count = sum(kept.map(k => k.abs().gt(0)))
    return base.add(sum(kept).div(count.max(1)).mul(lambda))
  },
})
