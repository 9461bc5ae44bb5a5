import { Tensor } from '../algebra/tensor.ts'
import { defineMethod, scalar } from './method.ts'

const LEAST_DISTANCE = 1e-6 // what equal entries count as apart; mergekit’s value

/**
 * θ₀ + w·τ with w = t ÷ |τ|, at most 1: entries up to t apart become the model’s, farther ones move by t.
 * alchemonaut 2024, https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001
 */
export default defineMethod({
  summary: 'Move each entry of the base towards the model by at most t.',
  paper: 'https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001',
  about:
    'alchemonaut 2024. To give a strong base a light touch of another model: every entry moves by at most `t`, so entries that are close are taken over and distant ones hardly change. Choose `t` by the size of the differences, such as 0.0001 to 0.01. To take over a skill whole use task_arithmetic; most of a large task vector is cut off here.',
  base: 'required',
  models: { min: 1, max: 1 },
  params: { t: scalar('The farthest that an entry moves. 0 gives the base.', { min: 0 }) },
  laws: { copies: true, single: 'moves no entry by more than t' },
  merge({ base, models: [only] }, { t }) {
    const { delta } = only!
    return base.add(delta.mul(Tensor.constant(t).div(delta.abs().max(LEAST_DISTANCE)).min(1)))
  },
})
