import { allPoints, keyOf, type Point, type Space, sizeOf } from '../space.ts'

const MAX_SHUFFLED = 100_000 // points that are listed; of more, draws hardly ever meet

/** `count` different points at random; all, in random order, where there are no more. */
export function randomPoints(space: Space, count: number, random: () => number): readonly Point[] {
  if (sizeOf(space) <= MAX_SHUFFLED) {
    const points = [...allPoints(space)]
    const taken = Math.min(count, points.length)
    for (let i = 0; i < taken; i++) {
      const other = i + Math.floor(random() * (points.length - i))
      ;[points[i], points[other]] = [points[other]!, points[i]!]
    }
    return points.slice(0, taken)
  }
  const points = new Map<string, Point>()
  while (points.size < count) {
    const point = space.map(c => Math.floor(random() * c.count))
    points.set(keyOf(point), point)
  }
  return [...points.values()]
}
