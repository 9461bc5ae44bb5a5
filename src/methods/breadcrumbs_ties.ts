import { combine } from './_consensus.ts'
import { density, gamma, ignored, lambda, normalize, rescale, weight } from './_family.ts'
import { dropOutliers } from './_sparsify.ts'
import { defineMethod } from './method.ts'

/**
 * Model Breadcrumbs' masks, then TIES's sign election.
 * Davari and Belilovsky 2023, https://arxiv.org/abs/2312.06795; Yadav et al. 2023, Algorithm 1, https://arxiv.org/abs/2306.01708
 * Where ⌊gamma·n⌋ is 0 no outlier is dropped; mergekit erases the whole vector there.
 */
export default defineMethod({
  summary: 'Drop outliers and small entries of each task vector, elect a sign per coordinate.',
  paper: 'https://arxiv.org/abs/2312.06795',
  about:
    'Davari and Belilovsky 2023 with the sign election of Yadav et al. 2023. For several models whose task vectors have outliers and disagree in sign. Set `density`: without it nothing is dropped. `normalize` is off by default, so weights add up as in task arithmetic.',
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
    return base.add(combine(between, { consensus: true, normalize }).mul(lambda))
  },
})
