import { combine } from './_consensus.ts'
import { density, ignored, lambda, normalize, rescale, trim, weight } from './_family.ts'
import { keepLargest } from './_sparsify.ts'
import { defineMethod } from './method.ts'

/**
 * TIES: trim each task vector to its largest entries, elect one sign per coordinate by weighted mass,
 * then average the entries that agree with it.
 *
 * Yadav et al. 2023, Algorithm 1, https://arxiv.org/abs/2306.01708
 * Trims per tensor, as mergekit does; the paper trims per model, which is `trim: global`.
 */
export default defineMethod({
  summary: 'Trim task vectors, elect a sign per coordinate, average what agrees.',
  paper: 'https://arxiv.org/abs/2306.01708',
  about:
    'Yadav et al. 2023. For three or more models whose task vectors disagree in sign. Set `density` (0.2 in the paper): without it nothing is trimmed. With one or two models, plain task arithmetic often does as well.',
  base: 'required',
  models: { min: 1 },
  params: {
    weight,
    density: density('density is 1: nothing is trimmed; the paper uses 0.2'),
    lambda,
    normalize: normalize(true),
    rescale: rescale(false),
    trim,
  },
  ignored,
  laws: { copies: true, single: true },
  merge({ base, models, everywhere }, { lambda, normalize, rescale, trim }) {
    const reach = trim === 'global' ? everywhere : null
    const trimmed = models.map(m => ({ delta: keepLargest(m, rescale as boolean | 'paper', reach), weight: m.weight }))
    return base.add(combine(trimmed, { consensus: true, normalize }).mul(lambda))
  },
})
