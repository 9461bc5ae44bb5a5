import { whole } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { mergeSpectrally, SCOPE } from './_spectral.ts'
import { defineMethod } from './method.ts'

/**
 * TSV-Merge: of each of N task vectors keep the best min(m, n)/N singular triplets, put them side by side, and make both sides orthogonal:
 * Δ = polar(U)·diag(σ)·polar(V)ᵀ. Gargiulo et al. 2024, section 4.2, https://arxiv.org/abs/2412.00081
 * One task vector is taken as it is, which is what its triplets add up to.
 */
export default defineMethod({
  summary: 'Give each task its best singular directions, and make them orthogonal.',
  paper: 'https://arxiv.org/abs/2412.00081',
  about: `Gargiulo et al. 2024. For several full fine-tunes whose task vectors interfere. The paper sets \`lambda\` to 1; on small models larger values, up to 2.5, have done better. ${SCOPE} Less suited to a pair, where plain task arithmetic often does as well.`,
  base: 'required',
  models: { min: 1 },
  params: { lambda },
  laws: { copies: true, single: true },
  merge(inputs, { lambda }) {
    return mergeSpectrally(inputs, lambda, deltas => (deltas.length === 1 ? deltas[0]! : whole('tsv', deltas)))
  },
})
