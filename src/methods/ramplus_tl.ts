import { sum, where } from '../algebra/tensor.ts'
import { changesOf, epsilon } from './_ram.ts'
import { defineMethod, scalar } from './method.ts'

/**
 * RAM whose lone changes are amplified, the more of a model's changes are shared with others: times 1 + r·min(shared ÷ alone, alpha).
 * Yuan et al. 2026, https://arxiv.org/abs/2601.13572
 * The two are counted per tensor (`tl`: tensor-local), as in mergekit.
 */
export default defineMethod({
  summary: 'As ram, with the changes that one model made alone amplified.',
  paper: 'https://arxiv.org/abs/2601.13572',
  about:
    'Yuan et al. 2026. For models trained by reinforcement learning whose changes overlap in part: averaging the shared part weakens each model, and the amplified rest makes up for it. Where task vectors hardly overlap it is ram; where they overlap everywhere there is nothing to amplify.',
  base: 'required',
  models: { min: 1 },
  params: {
    r: scalar('How much of the overlap the amplification makes up for.', { default: 0.1, min: 0 }),
    alpha: scalar('The largest overlap that counts, as shared changes per lone change.', { default: 0.2, min: 0 }),
    epsilon,
  },
  laws: { copies: true, single: 'drops changes of up to epsilon' },
  merge({ base, models }, { r, alpha, epsilon }) {
    const { active, kept, count, mean } = changesOf(models, epsilon)
    const isAlone = count.eq(1)
    const amplified = kept.map((change, i) => {
      const changed = active[i]!.sum()
      const alone = active[i]!.mul(isAlone).sum()
      const overlap = changed.sub(alone).div(alone.max(1)) // with none alone there is nothing to amplify
      return change.mul(overlap.min(alpha).mul(r).add(1))
    })
    return base.add(where(isAlone, sum(amplified), mean))
  },
})
