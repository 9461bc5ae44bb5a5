import { singles } from './greedy.ts'
import { refuseChoices, type Strategy } from './strategy.ts'

const TEMPERATURES = [4, 2, 1, 0.5, 0.25] // in standard deviations of the scores

/**
 * LM-Cocktail: S. Xiao et al. (2023), https://arxiv.org/abs/2311.13534: weights that are a softmax of how well each model does alone on a few examples
 * (equation 2, with the loss as score). The paper fixes the temperature; here five are tried, and the data decide.
 */
export default {
  summary: 'LM-Cocktail: every variable at its highest value alone; then weights that are a softmax of these scores, at five temperatures.',
  refuses: space =>
    space.length < 2 ? { what: 'a cocktail needs several variables', fix: 'give each model a weight of its own, such as { range: [0, 1] }' } : refuseChoices(space, 'a cocktail'),
  async run(space, ask) {
    const scores = await ask(singles(space))
    if (!scores) return
    const mean = scores.reduce((a, b) => a + b, 0) / scores.length
    const deviation = Math.sqrt(scores.reduce((sum, s) => sum + (s - mean) ** 2, 0) / scores.length) || 1 // equal scores: equal weights
    await ask(
      TEMPERATURES.map(temperature => {
        const powers = scores.map(s => Math.exp((s - mean) / (deviation * temperature)))
        const total = powers.reduce((a, b) => a + b, 0)
        return space.map(({ count }, i) => Math.round((powers[i]! / total) * (count - 1)))
      }),
    )
  },
} satisfies Strategy
