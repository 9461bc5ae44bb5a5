import type { Point } from '../space.ts'
import { randomPoints } from './_points.ts'
import type { Strategy } from './strategy.ts'

const SMALLEST_SHARE = 1 / 16 // of the data: less tells little of a model
const LAST = 4 // points that are tried on all data: the choice between the best should not rest on a part of it

/**
 * Successive halving (Karnin, Koren and Somekh, 2013; Jamieson and Talwalkar, 2016): many points on little data, the better half on twice as much,
 * until the last few see all. What `evaluations` bounds is the data read: n points on 1/16, n/2 on 1/8, … cost about n·5/16 whole evaluations.
 */
export default {
  summary: 'Points at random on a part of the data, the better half again on twice as much, until the last four see all of it.',
  refuses: () => null,
  async run(space, ask, { evaluations, random }) {
    let points = randomPoints(space, evaluations, random)
    for (let share = shareFor(points.length); share < 1; share *= 2) {
      const scores = await ask(points, share)
      if (!scores) return
      points = betterHalf(points, scores)
    }
    await ask(points)
  },
} satisfies Strategy

/** Halved as often as there are halvings to come. */
function shareFor(count: number): number {
  let share = 1
  for (let left = count; left > LAST && share > SMALLEST_SHARE; left = Math.ceil(left / 2)) share /= 2
  return share
}

function betterHalf(points: readonly Point[], scores: readonly number[]): readonly Point[] {
  const order = points.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b)
  return order.slice(0, Math.ceil(points.length / 2)).map(i => points[i]!)
}
