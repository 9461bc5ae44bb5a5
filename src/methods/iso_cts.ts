import { sum, whole } from '../algebra/tensor.ts'
import { lambda } from './_family.ts'
import { mergeSpectrally, SCOPE } from './_spectral.ts'
import { defineMethod, scalar } from './method.ts'

/**
 * Iso-CTS: the best directions of the sum of all task vectors make a common space, each task adds its best directions outside of it; both sides are made
 * orthogonal, and all singular values become their mean. Marczak et al. 2025, section 5, https://arxiv.org/abs/2502.04959
 * What does not divide by the tasks goes to the common space, so that there are min(m, n) directions in all.
 */
export default defineMethod({
  summary: 'Equal strength for directions common to the tasks, and some of each task’s own.',
  paper: 'https://arxiv.org/abs/2502.04959',
  about: `Marczak et al. 2025. As iso_c, and for many tasks (the paper merges up to 20), of which some have directions that drown in the sum. ${SCOPE} It takes several times as long as iso_c, which is enough for few models.`,
  base: 'required',
  models: { min: 1 },
  params: {
    common_space_fraction: scalar('Share of the directions that are those of the sum.', { default: 0.8, min: 0, max: 1 }),
    lambda,
  },
  laws: { copies: true, single: 'gives all singular values their mean' },
  merge(inputs, { common_space_fraction, lambda }) {
    return mergeSpectrally(inputs, lambda, deltas => whole('common_space', [sum(deltas), ...deltas], [common_space_fraction]))
  },
})
