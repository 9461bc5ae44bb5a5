import { combine } from './_consensus.ts'
import { density, ignored, lambda, normalize, rescale, weight } from './_family.ts'
import { keepRandomly } from './_sparsify.ts'
import { defineMethod } from './method.ts'

/**
 * DARE's random dropping, then TIES's sign election.
 * Yu et al. 2023, §3.2, https://arxiv.org/abs/2311.03099; Yadav et al. 2023, Algorithm 1, https://arxiv.org/abs/2306.01708
 * Rescales by ‖δ‖₁ ÷ ‖kept‖₁, as mergekit; the paper divides by the density (`rescale: paper`).
 */
export default defineMethod({
  summary: 'Drop task-vector entries at random, rescale, elect a sign per coordinate.',
  paper: 'https://arxiv.org/abs/2311.03099',
  about:
    'Yu et al. 2023 with the sign election of Yadav et al. 2023. For several models with redundant task vectors that disagree in sign. Set `density`: without it nothing is dropped. `normalize` is off by default, so weights add up as in task arithmetic.',
  base: 'required',
  models: { min: 1 },
  params: {
    weight,
    density: density('density is 1: nothing is dropped; 0.1 to 0.5 is usual'),
    lambda,
    normalize: normalize(false),
    rescale: rescale(true),
  },
  ignored,
  laws: { copies: true, single: true },
  merge({ base, models, random }, { lambda, normalize, rescale }) {
    const kept = models.map(m => ({ delta: keepRandomly(m.delta, m.density, random(m.index), rescale as boolean | 'paper'), weight: m.weight }))
    return base.add(combine(kept, { consensus: true, normalize }).mul(lambda))
  },
})
