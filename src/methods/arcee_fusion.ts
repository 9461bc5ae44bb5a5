import { type Tensor, where } from '../algebra/tensor.ts'
import { quantile } from './_quantile.ts'
import { refuse } from './_refuse.ts'
import { defineMethod } from './method.ts'

/**
 * Takes from a model only the changes that matter: those of importance |δ|·KL at or above median + 1.5·(q₃ − q₁) of the tensor, where KL is the
 * divergence of the softmax of a row of the model from that of the base. Arcee AI 2024, https://www.arcee.ai; as mergekit has it.
 * Quantiles are exact; mergekit samples tensors of more than a million elements. mergekit adds 1e-8 to each probability, which changes the
 * divergence by less than float32 shows. Rows lie along the last dimension; a tensor of more dimensions has one for each index of the first.
 */
export default defineMethod({
  summary: 'Take over only the important changes of one model.',
  paper: 'https://www.arcee.ai',
  about:
    'Arcee AI 2024. To bring one model into another that was trained from it, changing as little as possible: in each tensor the few entries whose change stands out against the others are taken, all else stays. For exactly one model and its base. What was learnt by many small changes is left behind; for that use task_arithmetic.',
  base: 'required',
  models: { min: 1, max: 1 },
  params: {},
  laws: { copies: true, single: 'takes over a part of one model', deltas: 'compares the model with its base' },
  merge({ base, models: [only] }) {
    if (base.space === 'number') refuse('arcee_fusion compares a model with its base, and was given a task vector', 'write `arcee_fusion(model, base=base)`')
    const { tensor, delta } = only!
    const importance = delta.abs().mul(divergence(tensor, delta))
    const spread = quantile(importance, 0.75).sub(quantile(importance, 0.25))
    return base.add(where(importance.ge(quantile(importance, 0.5).add(spread.mul(1.5))), delta, 0))
  },
})

/**
 * KL(softmax(x) ‖ softmax(y)) of each row, with y = x − δ: Σ pδ − ln Σ exp(x) + ln Σ exp(y). The terms nearly cancel; as numbers of rows they are
 * float64.
 */
function divergence(x: Tensor, delta: Tensor): Tensor {
  const y = x.sub(delta)
  const [most, mostY] = [x.rowMax(), y.rowMax()]
  const grown = x.sub(most).exp()
  const total = grown.rowSum()
  const before = mostY.add(y.sub(mostY).exp().rowSum().log())
  return grown.mul(delta).rowSum().div(total).sub(most.add(total.log()).sub(before))
}
