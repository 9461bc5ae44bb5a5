import { combine } from './_consensus.ts'
import { density, epsilon, ignored, lambda, normalize, remarkOnEpsilon, rescale, weight } from './_family.ts'
import { keepByRank } from './_sparsify.ts'
import { defineMethod } from './method.ts'

/**
 * MAGPRUNE’s random dropping by rank, then TIES’s sign election.
 * Deep et al. 2024, §3, https://arxiv.org/abs/2406.11617
 * Ranks along the last dimension, as mergekit does for matrices; a tensor of more dimensions is ranked for each index of the first. Rescales by
 * ‖δ‖₁ ÷ ‖kept‖₁, as mergekit; the paper divides by the keeping probability. Where density ± epsilon leaves [0, 1] the probability is 0 or 1;
 * mergekit stops there.
 */
export default defineMethod({
  summary: 'Drop mostly small task-vector entries, elect a sign per coordinate.',
  paper: 'https://arxiv.org/abs/2406.11617',
  about:
    'Deep et al. 2024. DARE that spares large entries: what to drop is drawn by rank of magnitude in each row. For several models whose task vectors disagree in sign. Set `density`: without it nothing is dropped. Where task vectors are small and even, dare_ties does the same with less work.',
  base: 'required',
  models: { min: 1 },
  params: {
    weight,
    density: density('density is 1: nothing is dropped; 0.5 is usual'),
    epsilon,
    lambda,
    normalize: normalize(true),
    rescale: rescale(true),
  },
  ignored,
  laws: { copies: true, single: true },
  remarks: remarkOnEpsilon,
  merge({ base, models, random }, { lambda, normalize, rescale }) {
    const kept = models.map(m => ({ delta: keepByRank(m.delta, m.density, m.epsilon, random(m.index), rescale as boolean | 'paper'), weight: m.weight }))
    return base.add(combine(kept, { consensus: true, normalize }).mul(lambda))
  },
})
