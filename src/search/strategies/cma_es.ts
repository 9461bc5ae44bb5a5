import { createCmaEs, generationOf } from '../cma_es.ts'
import { keyOf, type Point, type Space } from '../space.ts'
import { refuseChoices, type Strategy } from './strategy.ts'

const SIGMA = 0.3 // of each range: the optimum is expected within it (Hansen's advice)
const FEWEST_GENERATIONS = 3 // of fewer nothing is learnt
const MAX_STALE = 5 // generations without a new point

export default {
  summary: 'CMA-ES over numbers (Hansen, 2016): learns which variables go together. Needs tens of evaluations a variable.',
  refuses(space, { evaluations }) {
    if (space.length < 2) return { what: 'CMA-ES needs several variables', fix: 'use the strategy line' }
    const fewest = FEWEST_GENERATIONS * generationOf(space.length)
    if (evaluations < fewest)
      return { what: `CMA-ES needs at least ${fewest} evaluations for ${space.length} numbers`, fix: 'allow more with --evaluations, or use the strategy random' }
    return refuseChoices(space, 'CMA-ES')
  },
  async run(space, ask, { evaluations, random }) {
    const strategy = createCmaEs({ mean: space.map(() => 0.5), sigma: SIGMA, random })
    const seen = new Set<string>()
    for (let stale = 0; stale < MAX_STALE; ) {
      const points = strategy.ask().map(x => pointAt(space, x))
      const before = seen.size
      for (const point of points) seen.add(keyOf(point))
      if (seen.size >= evaluations) break // a generation is tried whole, and one evaluation is kept for the mean
      const scores = await ask(points)
      if (!scores) return
      strategy.tell(scores.map(s => -s))
      stale = seen.size > before ? 0 : stale + 1
    }
    await ask([pointAt(space, strategy.mean())]) // known to be good by many scores, where the best point may have been lucky
  },
} satisfies Strategy

const pointAt = (space: Space, x: readonly number[]): Point => space.map(({ count }, i) => Math.round(reflected(x[i]!) * (count - 1)))

/** Into [0, 1], as between two mirrors: points beyond an end count as points before it, and the ends are met as often as they deserve. */
function reflected(x: number): number {
  const turn = Math.abs(x) % 2
  return turn > 1 ? 2 - turn : turn
}
