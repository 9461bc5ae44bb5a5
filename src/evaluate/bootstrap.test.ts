import fc from 'fast-check'
import { expect, test } from 'vitest'
import { differenceOf, intervalOf, meanIntervalOf, ratioOf } from './bootstrap.ts'

const hits = (right: number, n: number) => ({ over: Array.from({ length: n }, (_, i) => (i < right ? 1 : 0)), under: new Array<number>(n).fill(1) })
const same = (x: number): number => x

test('the interval of an accuracy is that of the normal approximation, nearly', () => {
  for (const [right, n] of [
    [834, 1000],
    [50, 100],
    [270, 300],
  ] as const) {
    const p = right / n
    const half = 1.96 * Math.sqrt((p * (1 - p)) / n)
    const { low, high } = intervalOf(hits(right, n), same)!
    expect(Math.abs(low - (p - half))).toBeLessThan(0.15 * half)
    expect(Math.abs(high - (p + half))).toBeLessThan(0.15 * half)
  }
})

test('it is the same every time, and holds the score', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 })), { minLength: 2, maxLength: 40 }), pairs => {
      const counts = { over: pairs.map(([a]) => a), under: pairs.map(([, b]) => b) }
      const interval = intervalOf(counts, same)!
      expect(intervalOf(counts, same)).toEqual(interval)
      expect(interval.low).toBeLessThanOrEqual(ratioOf(counts) + 1e-12)
      expect(interval.high).toBeGreaterThanOrEqual(ratioOf(counts) - 1e-12)
    }),
    { numRuns: 40 },
  )
})

test('one example has no interval; a known standard error gives one', () => {
  expect(intervalOf({ over: [1], under: [1] }, same)).toBeNull()
  expect(intervalOf({ over: [0.4], under: [1], halfWidth: 0.1 }, same)).toEqual({ low: 0.30000000000000004, high: 0.5 })
})

test('differences are paired: the same answers differ by nothing, and three more right of a thousand by little', () => {
  expect(differenceOf(hits(500, 1000), hits(500, 1000), same)).toEqual({ low: 0, high: 0 })
  const { low, high } = differenceOf(hits(500, 1000), hits(503, 1000), same)!
  expect(low).toBeGreaterThanOrEqual(0)
  expect(high).toBeLessThan(0.008) // unpaired it would be 0.05
  expect(differenceOf(hits(1, 3), hits(1, 4), same)).toBeNull()
})

test('the mean of two tasks is surer than either', () => {
  const task = { counts: hits(50, 100), weight: 1, score: same }
  const width = ({ low, high }: { low: number; high: number }) => high - low
  expect(width(meanIntervalOf([task, task])!) / width(intervalOf(task.counts, same)!)).toBeCloseTo(Math.SQRT1_2, 1)
  expect(meanIntervalOf([task, { ...task, weight: 0 }])).toEqual(intervalOf(task.counts, same))
})
