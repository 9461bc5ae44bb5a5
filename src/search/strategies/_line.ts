import type { Point, Space } from '../space.ts'
import { type Ask, indexOfBest } from './strategy.ts'

const FIRST = 5 // points over the whole range: one more than a curve of one hill needs, and two workers share them

/**
 * The best value of one coordinate, the others staying as in `from`: a few values over the whole range, then both sides of the best one, ever closer,
 * to the last step. Finds the top of a curve with one hill. All values of a choice. Null when no more may be tried.
 */
export async function searchLine(space: Space, from: Point, index: number, ask: Ask): Promise<{ readonly point: Point; readonly score: number } | null> {
  const { kind, count } = space[index]!
  const at = (i: number): Point => from.map((old, c) => (c === index ? i : old))
  const known = new Map<number, number>()
  const best = (): number => [...known.keys()][indexOfBest([...known.values()])]!
  const tryAll = async (places: readonly number[]): Promise<boolean> => {
    const fresh = [...new Set(places)].filter(i => i >= 0 && i < count && !known.has(i))
    const scores = fresh.length === 0 ? [] : await ask(fresh.map(at))
    if (!scores) return false
    for (const [i, place] of fresh.entries()) known.set(place, scores[i]!)
    return true
  }
  const isAll = kind === 'choice' || count <= FIRST
  const first = isAll ? Array.from({ length: count }, (_, i) => i) : Array.from({ length: FIRST }, (_, i) => Math.round((i * (count - 1)) / (FIRST - 1)))
  if (!(await tryAll([from[index]!, ...first]))) return null
  for (let gap = Math.ceil((count - 1) / (FIRST - 1)); !isAll && gap > 1; ) {
    gap = Math.ceil(gap / 2)
    if (!(await tryAll([best() - gap, best() + gap]))) return null
  }
  return { point: at(best()), score: known.get(best())! }
}
