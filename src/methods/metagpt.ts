import { sum, where } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { defineMethod } from './method.ts'

/**
 * Task arithmetic whose weights are wᵢ = ‖τᵢ‖² ÷ Σⱼ‖τⱼ‖², norms being those of whole models: where losses are quadratic and task vectors orthogonal,
 * no other weights lose less on average. Where no model differs from the base, neither does the result.
 * Zhou et al. 2024, Eq. 14, https://arxiv.org/abs/2406.11385
 */
export default defineMethod({
  summary: 'Add task vectors, each weighted by its share of the squared norms.',
  paper: 'https://arxiv.org/abs/2406.11385',
  about:
    'Zhou et al. 2024 (MetaGPT). Task arithmetic without a weight to choose: no data and no search, one more pass over the models. The weights add up to 1, so with many models of one size it is nearly their average: raise `lambda` then, or choose one on held-out data.',
  base: 'required',
  models: { min: 1 },
  params: { lambda },
  laws: { copies: true, single: true },
  merge({ base, models, everywhere }, { lambda }) {
    const norms = models.map(m => everywhere.sum(`norm ${m.index}`, m.delta.mul(m.delta)))
    const total = sum(norms)
    const weights = norms.map(n => n.div(where(total.eq(0), 1, total)))
    return base.add(sum(models.map((m, i) => m.delta.mul(weights[i]!))).mul(lambda))
  },
})
