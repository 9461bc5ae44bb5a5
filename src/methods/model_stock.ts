import { sum, where } from '../algebra/tensor.ts'
import { gramOf } from './_span.ts'
import { defineMethod, flag } from './method.ts'

const NEARLY_ZERO = 1e-6 // products of lengths below this are not divided by, as in mergekit; nor is 1 + (N − 1)·cos

/**
 * Interpolates between the base and the mean of N models: t = N·cos ÷ (1 + (N − 1)·cos) with cos the mean cosine between two task vectors.
 * Jang et al. 2024, §4, https://arxiv.org/abs/2403.19522
 * One angle for each tensor, or each row, the mean over all pairs, as in mergekit. Where 1 + (N − 1)·cos is 0 (opposite task vectors) the base stays.
 */
export default defineMethod({
  summary: 'Average the models, then go back towards the base as far as they disagree.',
  paper: 'https://arxiv.org/abs/2403.19522',
  about:
    'Jang et al. 2024. For two or more fine-tunes of one base on the same task (other seeds, other hyperparameters): the angle between their task vectors tells how much of them is noise, so nothing needs tuning. Not for models with different skills: their task vectors are almost orthogonal, and the base is nearly all that stays.',
  base: 'required',
  models: { min: 2 },
  params: { filter_wise: flag('One angle for each row, as in the paper’s filter-wise variant, instead of each tensor.', false) },
  laws: { copies: true, single: 'takes two or more models' },
  merge({ base, models }, { filter_wise }) {
    const deltas = models.map(m => m.delta)
    const gram = gramOf(deltas, filter_wise ? 'rowSum' : 'sum')
    const lengths = gram.map((row, i) => row[i]!.sqrt())
    const cosines = lengths.flatMap((a, i) => lengths.slice(i + 1).map((b, k) => gram[i]![i + 1 + k]!.div(a.mul(b).max(NEARLY_ZERO)).max(-1).min(1)))
    const cosine = sum(cosines).div(cosines.length)
    const n = models.length
    const divisor = cosine.mul(n - 1).add(1)
    const isOpposite = divisor.abs().lt(NEARLY_ZERO)
    const t = where(isOpposite, 0, cosine.mul(n).div(where(isOpposite, 1, divisor)))
    return base.add(sum(deltas).mul(t.div(n)))
  },
})
