import { sum, type Tensor, where } from '../algebra/tensor.ts'
import { lambda, trim } from './_family.ts'
import { tanh } from './_hyperbolic.ts'
import { largestShare } from './_quantile.ts'
import { defineMethod, perModel } from './method.ts'

const CLIPPED = 1e-4 // the share of entries at either end whose size is clipped; the authors'
const LEAST = 1e-12 // scores that add up to less are not divided by; the authors'

/**
 * PCB-Merging: scores each entry by how large it is within its task (exp(N·a²), with a its clipped magnitude from 0 to 1) and by how much it agrees
 * with the others (tanh(τᵢ·Στⱼ)), keeps the share `density` of best scores, and averages task vectors with what the scores exceed the last one by:
 * Σ sᵢτᵢ ÷ Σ sᵢ.
 * Du et al. 2024, §3.2, https://arxiv.org/abs/2410.02396
 * After the authors' code (github.com/duguodong7/pcb-merging): the paper's text has softmax for exp and for tanh. They score whole models, which is
 * `trim: global`.
 */
export default defineMethod({
  summary: 'Average task vectors by scores of size and agreement, the best kept.',
  paper: 'https://arxiv.org/abs/2410.02396',
  about:
    'Du et al. 2024 (PCB-Merging). For three or more fine-tunes that compete for the same entries: an entry counts that is large in its task and pulls where the others pull. The paper scores whole models (`trim: global`), for four more passes over them; per tensor, small ones (fewer than 2/density entries) keep the base. What an entry competes by is tanh of it times the sum of all, as in the authors’ code. Raise `lambda` where many tasks are merged, since averages are shorter than sums.',
  base: 'required',
  models: { min: 2 },
  params: {
    density: perModel('Share of this model’s entries that takes part, those of the best scores.', { default: 0.1, min: 0, exclusiveMin: true, max: 1 }),
    lambda: { ...lambda, default: 1.2 },
    trim: { ...trim, doc: 'Where entries and scores are compared: within each `tensor`, or over the whole model (`global`).' },
  },
  laws: { copies: true, single: 'takes two or more models' },
  merge({ base, models, everywhere }, { lambda, trim }) {
    const ranked = (label: string, of: Tensor, share: number): Tensor => (trim === 'global' ? everywhere.largest(label, of, share) : largestShare(of, share))
    const total = sum(models.map(m => m.delta))
    const scored = models.map(m => {
      const size = m.delta.abs()
      const [low, high] = [ranked(`low ${m.index}`, size, 1 - CLIPPED), ranked(`high ${m.index}`, size, CLIPPED)]
      const clipped = size.max(low).min(high)
      const place = between(clipped, low, high)
      const score = place
        .mul(place)
        .mul(models.length)
        .exp()
        .mul(tanh(m.delta.mul(total)))
      const [last, best] = [ranked(`last ${m.index}`, score, m.density), ranked(`best ${m.index}`, score, 0)]
      return { delta: clipped.mul(m.delta.sign()), score: between(score.max(last), last, best) }
    })
    const mixed = sum(scored.map(s => s.delta.mul(s.score)))
    return base.add(mixed.div(sum(scored.map(s => s.score)).max(LEAST)).mul(lambda))
  },
})

/** 0 at `low` and 1 at `high`; 0 throughout where the two are one. */
const between = (x: Tensor, low: Tensor, high: Tensor): Tensor => {
  const span = high.sub(low)
  return x.sub(low).div(where(span.gt(0), span, 1))
}
