import { combine } from './_consensus.ts'
import { density, ignored, lambda, normalize, rescale, weight } from './_family.ts'
import { keepRandomly } from './_sparsify.ts'
import { defineMethod } from './method.ts'

/**
 * DARE: drop entries of each task vector at random, rescale the rest, add.
 * Yu et al. 2023, §3.2, https://arxiv.org/abs/2311.03099
 * Rescales by ‖δ‖₁ ÷ ‖kept‖₁, as mergekit; the paper divides by the density (`rescale: paper`).
 */
export default defineMethod({
  summary: 'Drop task-vector entries at random, rescale the rest, add.',
  paper: 'https://arxiv.org/abs/2311.03099',
  about:
    'Yu et al. 2023. For fine-tunes with small, redundant task vectors: half to nine tenths of the entries can go. Set `density`: without it nothing is dropped. It suits full fine-tunes with large task vectors less; those lose skill as entries go.',
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
    return base.add(combine(kept, { consensus: false, normalize }).mul(lambda))
  },
})
