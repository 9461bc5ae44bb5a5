import { combine } from './_consensus.ts'
import { ignored, lambda, normalize, weight } from './_family.ts'
import { defineMethod } from './method.ts'

/** θ₀ + lambda·Σ wᵢτᵢ. Ilharco et al. 2023, §2, https://arxiv.org/abs/2212.04089 */
export default defineMethod({
  summary: 'Add weighted task vectors to the base.',
  paper: 'https://arxiv.org/abs/2212.04089',
  about:
    'Ilharco et al. 2023. The first thing to try: addition of skills, negation (a negative weight takes a skill away), analogy. On LLM checkpoints found in the wild it is the method that most reliably gains. Less suited to many tasks at once, whose vectors add up to a step too long: lower `lambda` then.',
  base: 'required',
  models: { min: 1 },
  params: { weight, lambda, normalize: normalize(false) },
  ignored,
  laws: { copies: true, single: true },
  merge({ base, models }, { lambda, normalize }) {
    return base.add(combine(models, { consensus: false, normalize }).mul(lambda))
  },
})
