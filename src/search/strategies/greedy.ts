import type { Point, Space } from '../space.ts'
import type { Strategy } from './strategy.ts'

/** Each variable at the highest of its values alone, the others at the lowest. */
export const singles = (space: Space): readonly Point[] => space.map((_, high) => space.map(({ count }, i) => (i === high ? count - 1 : 0)))

/**
 * Greedy soup: M. Wortsman et al., "Model soups" (2022), recipe 1, https://arxiv.org/abs/2203.05482, where the variables are the weights 0 or 1 of models
 * in an average. A model stays if the score does not fall.
 */
export default {
  summary: 'Greedy soup: every variable at its highest value alone; then, from the best on, each joins if the score does not fall.',
  refuses: space => (space.length < 2 ? { what: 'a greedy soup needs several variables', fix: 'give each model a weight of its own, with the choices 0 and 1' } : null),
  async run(space, ask) {
    const alone = singles(space)
    const scores = await ask(alone)
    if (!scores) return
    const [first, ...others] = alone.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b)
    let soup = alone[first!]!
    let score = scores[first!]!
    for (const next of others) {
      const larger = soup.map((old, i) => (i === next ? space[i]!.count - 1 : old))
      const answer = await ask([larger])
      if (!answer) return
      if (answer[0]! < score) continue
      soup = larger
      score = answer[0]!
    }
  },
} satisfies Strategy
