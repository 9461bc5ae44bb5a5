import { describe, expect, test } from 'vitest'
import { differenceOf } from '../evaluate/bootstrap.ts'
import type { Score } from '../evaluate/evaluate.ts'
import { uniforms } from './_random.ts'
import { gainIntervalOf, noiseOf } from './noise.ts'

const score = (task: string, over: readonly number[], under: readonly number[] = over.map(() => 1)): Score => ({
  task,
  metric: 'accuracy',
  value: over.reduce((a, b) => a + b, 0) / under.reduce((a, b) => a + b, 0),
  interval: null,
  better: 'higher',
  unit: '%',
  weight: 1,
  counts: { over, under },
  isKnown: false,
})
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
const bestOf = (points: readonly (readonly Score[])[]): number =>
  points.reduce((best, scores, i) => (mean(scores.map(s => s.value)) > mean(points[best]!.map(s => s.value)) ? i : best), 0)

/** `count` models that each get an example right with a chance of their own. */
function models(chances: readonly number[], examples: number, random: () => number): readonly (readonly Score[])[] {
  return chances.map(chance =>
    ['a', 'b'].map(task =>
      score(
        task,
        Array.from({ length: examples }, () => Number(random() < chance)),
      ),
    ),
  )
}

describe('the noise of many points', () => {
  test('the best of 20 that are no better than the base passes as often as it may; uncorrected, it would pass several times as often', () => {
    const random = uniforms(1)
    let corrected = 0
    let naive = 0
    const SEARCHES = 60
    for (let i = 0; i < SEARCHES; i++) {
      const [base, ...points] = models(new Array(21).fill(0.7), 50, random)
      const best = bestOf(points)
      if (noiseOf(points, base!, best, mean)!.p <= 0.05) corrected++
      if (gainIntervalOf(points[best]!, base!, mean)!.low > 0) naive++
    }
    expect(corrected).toBeLessThanOrEqual(8) // 3 expected; 9 or more of 60 have a chance of 0.3 %
    expect(naive).toBeGreaterThan(8)
  })

  test('a real gain is one, and the points beside it are told from the best', () => {
    const [base, ...points] = models([0.6, 0.6, 0.62, 0.85, 0.84, 0.6], 200, uniforms(2))
    const noise = noiseOf(points, base!, 2, mean)!
    expect(noise).toMatchObject({ tried: 5, resamples: 1000 })
    expect(noise.p).toBeLessThan(0.01)
    expect(noise.level).toEqual([2, 3])
  })

  test('equal answers are level with the best, and certain', () => {
    const right = score('a', [1, 1, 1, 0, 1, 1])
    const wrong = score('a', [0, 0, 0, 0, 0, 0])
    expect(noiseOf([[right], [right], [wrong]], [wrong], 0, mean)!.level).toEqual([0, 1])
  })

  test('of one point against the base: the paired interval that evaluate shows', () => {
    const random = uniforms(3)
    const [base, other] = models([0.5, 0.7], 80, random).map(scores => [scores[0]!])
    const interval = gainIntervalOf(other!, base!, mean)!
    const shown = differenceOf(base![0]!.counts, other![0]!.counts, ratio => ratio)!
    expect(interval.low).toBeCloseTo(shown.low, 1) // other resamples
    expect(interval.high).toBeCloseTo(shown.high, 1)
  })

  test('where there is nothing to draw from, nothing is claimed', () => {
    const lone = score('a', [0.5])
    expect(noiseOf([[lone]], [lone], 0, mean)).toBe(null)
    const known = { ...score('a', [1, 0, 1]), counts: { over: [1, 0, 1], under: [1, 1, 1], halfWidth: 0.1 } }
    expect(noiseOf([[known]], [known], 0, mean)).toBe(null)
    expect(noiseOf([[score('a', [1, 0])]], [score('a', [1, 0, 1])], 0, mean)).toBe(null)
  })
})
