import { changesOf, epsilon } from './_ram.ts'
import { defineMethod } from './method.ts'

/**
 * Reinforced Agent Merging: a coordinate that one model changed keeps that change, one that several changed takes their mean.
 * Yuan et al. 2026, https://arxiv.org/abs/2601.13572
 */
export default defineMethod({
  summary: 'Keep changes that one model made alone, average those that several made.',
  paper: 'https://arxiv.org/abs/2601.13572',
  about:
    'Yuan et al. 2026. For models trained by reinforcement learning, whose task vectors are sparse and touch different coordinates: an average would shrink what only one of them learned. Less suited to full supervised fine-tunes, which change almost every coordinate: then it is their mean.',
  base: 'required',
  models: { min: 1 },
  params: { epsilon },
  laws: { copies: true, single: 'drops changes of up to epsilon' },
  merge({ base, models }, { epsilon }) {
    return base.add(changesOf(models, epsilon).mean)
  },
})
