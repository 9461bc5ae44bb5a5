import { sum } from '../algebra/tensor.ts'
import { defineMethod, flag, perModel } from './method.ts'

/**
 * Σ wᵢθᵢ, divided by Σ wᵢ unless told otherwise.
 * Wortsman et al. 2022, https://arxiv.org/abs/2203.05482 (model soups)
 */
export default defineMethod({
  summary: 'Average the models by weight.',
  paper: 'https://arxiv.org/abs/2203.05482',
  about:
    'Wortsman et al. 2022. For fine-tunes of one base on similar data (model soups), and for checkpoints of one run. For models with different skills task arithmetic keeps more of each: an average halves every task vector.',
  base: 'unused',
  models: { min: 1 },
  params: {
    weight: perModel('Multiplier of this model.', { inExpression: 1 }),
    normalize: flag('Divide by the sum of the weights.', true),
  },
  mass: (models, { normalize }) => (normalize ? 1 : models.reduce((total, m) => total + m.weight, 0)),
  laws: { copies: true, single: true },
  merge({ models }, { normalize }) {
    const total = models.reduce((t, m) => t + m.weight, 0)
    const mixed = sum(models.map(m => m.tensor.mul(m.weight)))
    return normalize ? mixed.div(total) : mixed // a zero total was refused by the plan
  },
})
