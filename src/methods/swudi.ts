import { sum, whole } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { mergeSpectrally, SCOPE } from './_spectral.ts'
import { defineMethod, scalar } from './method.ts'

const RATE = 300 // how soon the gate of a direction opens with its eigenvalue; the paper's

/**
 * The closed form of WUDI: with wᵢ = 1/‖τᵢ‖², C = Σ wᵢτᵢᵀτᵢ = QΛQᵀ, D = Σ wᵢτᵢτᵢᵀτᵢ and Θ = Στᵢ, and g = 1 − exp(−300λ) on the largest
 * eigenvalues, else 0: Δ = Θ − (ΘQ∘g)Qᵀ + (DQ∘g/Λ)Qᵀ. https://arxiv.org/abs/2606.07289
 * In place of the steps of an optimizer.
 */
export default defineMethod({
  summary: 'Find, in closed form, the task vector that disturbs the inputs of each task least.',
  paper: 'https://arxiv.org/abs/2606.07289',
  about: `The closed form (2026) of WUDI-Merging. For several full fine-tunes of one base, as a better sum of task vectors that needs no data. \`share\` 0.65 is meant for vision models, 0.85 for language models. ${SCOPE} Its input side is a matrix’s columns, as nn.Linear stores them; GPT-2 stores its matrices the other way round. It takes more memory than the other spectral methods where columns are many: three f64 squares of their number, or of the rows of all task vectors together if those are fewer.`,
  base: 'required',
  models: { min: 1 },
  params: {
    share: scalar('Share of the input directions, the strongest, in which tasks are kept apart; in the others task vectors are added.', { default: 0.65, min: 0, max: 1 }),
    lambda,
  },
  laws: { copies: true, single: 'opens a gate for each direction, which is never quite open' },
  merge(inputs, { share, lambda }) {
    return mergeSpectrally(inputs, lambda, deltas => whole('wudi', [sum(deltas), ...deltas], [share, RATE]))
  },
})
