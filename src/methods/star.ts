import { whole } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { mergeSpectrally, SCOPE } from './_spectral.ts'
import { defineMethod, scalar } from './method.ts'

/**
 * STAR: of each task vector keep the fewest of the largest singular values that hold the share eta of its nuclear norm, scale them to that norm again,
 * and average. Lee et al. 2025, section 3, https://arxiv.org/abs/2502.10339
 */
export default defineMethod({
  summary: 'Keep the strongest singular directions of each task vector, rescale, average.',
  paper: 'https://arxiv.org/abs/2502.10339',
  about: `Lee et al. 2025. For language models of one base: by the paper, what is cut off is mostly noise, so that more models can be averaged before they disturb each other. ${SCOPE} Less suited to LoRA, whose few directions are all needed: raise \`eta\` there.`,
  base: 'required',
  models: { min: 1 },
  params: {
    eta: scalar('Share of a task vector’s nuclear norm, the sum of its singular values, that is kept before rescaling.', { default: 0.4, min: 0, exclusiveMin: true, max: 1 }),
    lambda,
  },
  laws: { copies: true, single: 'keeps the largest singular values only' },
  merge(inputs, { eta, lambda }) {
    return mergeSpectrally(inputs, lambda, deltas => whole('low_rank', deltas, [eta]).div(deltas.length))
  },
})
