import { combine } from './_consensus.ts'
import { density, gamma, ignored, lambda, normalize, rescale, weight } from './_family.ts'
import { dropOutliers } from './_sparsify.ts'
import { defineMethod } from './method.ts'

/**
 * Model Breadcrumbs: mask the largest and the smallest entries of each task vector, add what is between.
 * Davari and Belilovsky 2023, https://arxiv.org/abs/2312.06795
 * The shares are counted per tensor, as in mergekit. Where ⌊gamma·n⌋ is 0 no outlier is dropped; mergekit erases the whole vector there.
 */
export default defineMethod({
  summary: 'Drop outliers and small entries of each task vector, add the rest.',
  paper: 'https://arxiv.org/abs/2312.06795',
  about:
    'Davari and Belilovsky 2023. For many task vectors at once, whose few very large entries disturb each other and whose many small ones are noise. Set `density`: without it nothing is dropped, outliers neither. Less suited to one or two models, where plain task arithmetic keeps more of each.',
  base: 'required',
  models: { min: 1 },
  params: {
    weight,
    density: density('density is 1: nothing is dropped, outliers neither; set it below 1'),
    gamma,
    lambda,
    normalize: normalize(false),
    rescale: rescale(false),
  },
  ignored,
  laws: { copies: true, single: true },
  merge({ base, models }, { lambda, normalize, rescale }) {
    const between = models.map(m => ({ delta: dropOutliers(m.delta, m.density, m.gamma, rescale as boolean | 'paper'), weight: m.weight }))
    return base.add(combine(between, { consensus: false, normalize }).mul(lambda))
  },
})
