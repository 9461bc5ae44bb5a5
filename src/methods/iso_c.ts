import { sum, whole } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { mergeSpectrally, SCOPE } from './_spectral.ts'
import { defineMethod } from './method.ts'

/**
 * Iso-C: of the sum of all task vectors U·diag(σ)·Vᵀ keep the directions, and make their singular values equal: Δ = mean(σ)·U·Vᵀ.
 * Marczak et al. 2025, section 4, https://arxiv.org/abs/2502.04959
 * Directions that no task vector has (all but a few, where the models were LoRAs) stay at nothing: a library’s U·Vᵀ has arbitrary ones there.
 */
export default defineMethod({
  summary: 'Add task vectors, and give all directions of the sum the same strength.',
  paper: 'https://arxiv.org/abs/2502.04959',
  about: `Marczak et al. 2025. For several full fine-tunes of one base, so that tasks with small task vectors are heard as well as those with large ones. Raise \`lambda\` with their number: 1.3 to 1.5 for 8 tasks in the paper. ${SCOPE} Less suited to a single model, whose spectrum it flattens.`,
  base: 'required',
  models: { min: 1 },
  params: { lambda },
  laws: { copies: true, single: 'gives all singular values their mean' },
  merge(inputs, { lambda }) {
    return mergeSpectrally(inputs, lambda, deltas => whole('isotropic', [sum(deltas)]))
  },
})
