import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Bracket, createSelector, fromOrdered, isSingle, PIECE } from '../src/execute/select.ts'
import { BLOCK } from '../src/plan/tiling.ts'
import { piecesOf } from './pieces.ts'
import { bySorting, TINY, wordsFrom } from './values.ts'

// The search among numbers in memory. Selects of programs are tested in machine_select.test.ts.

const selector = createSelector()

const float = fc.float({ noNaN: true })
const list = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(of, { minLength: 1, maxLength: 300 })
const KINDS: Readonly<Record<string, fc.Arbitrary<number[]>>> = {
  'any floats, infinities and subnormals among them': list(float),
  'NaN among them': list(fc.oneof(float, fc.constant(Number.NaN))),
  'negative numbers': list(float).map(a => a.map(v => -Math.abs(v))),
  'equal numbers': fc.tuple(float, fc.integer({ min: 1, max: 300 })).map(([v, n]) => Array<number>(n).fill(v)),
  'zeros of both signs and their neighbours': list(fc.constantFrom(0, -0, TINY, -TINY)),
  infinities: list(fc.constantFrom(Infinity, -Infinity, 1, -1)),
  'few numbers, many ties': list(fc.integer({ min: -3, max: 3 }).map(i => i / 8)),
  'neighbours in float32': list(fc.integer({ min: -100, max: 100 })).map(a => a.map(i => Math.fround(1 + i * 2 ** -23))),
}

describe('kthLargest', () => {
  test.each(Object.keys(KINDS))('equals sorting at one rank and at two: %s', kind => {
    fc.assert(
      fc.property(KINDS[kind]!, fc.nat(), fc.nat(), (numbers, first, second) => {
        const values = Float32Array.from(numbers)
        const ranks = [(first % values.length) + 1, (second % values.length) + 1].toSorted((a, b) => a - b)
        expect(selector.kthLargest(values, [ranks[0]!])).toEqual([bySorting(values, ranks[0]!)])
        expect(selector.kthLargest(values, ranks)).toEqual(ranks.map(rank => bySorting(values, rank)))
      }),
      { seed: 2, numRuns: 200 },
    )
  })

  test('equals sorting at ranks far apart, near, and equal, among 100,000 random bit patterns', () => {
    const next = wordsFrom(6)
    const n = 100_000
    const values = new Float32Array(Uint32Array.from({ length: n }, next).buffer)
    const sorted = values.toSorted()
    const pairs = [
      [1, n],
      [1, 1],
      [1, 2],
      [n, n],
      [500, 501],
      [n / 2, n / 2 + 300],
      [2000, n - 2000],
      [n / 4, n / 2],
    ]
    for (const ranks of pairs) expect(selector.kthLargest(values, ranks)).toEqual(ranks.map(rank => sorted[n - rank]))
    for (let rank = 1; rank <= n; rank += 997) if (!Object.is(selector.kthLargest(values, [rank])[0], sorted[n - rank])) expect(rank).toBe('like sorting')
  })

  test('takes every NaN for one and the same, whatever its sign and payload', () => {
    const values = new Float32Array(Uint32Array.of(0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0xff800000, 0x7f800000, 0x3f800000).buffer)
    const big = new Float32Array(700).map((_, i) => (i % 7 === 0 ? Number.NaN : i % 7 === 1 ? Infinity : 1))
    new Uint32Array(big.buffer)[0] = 0xffc00001
    expect([1, 2, 3, 4, 5, 6, 7].map(rank => selector.kthLargest(values, [rank])[0])).toEqual([NaN, NaN, NaN, NaN, Infinity, 1, -Infinity])
    expect([100, 101, 200, 201].map(rank => selector.kthLargest(big, [rank])[0])).toEqual([NaN, Infinity, Infinity, 1])
  })

  test('within a bracket equals sorting', () => {
    const next = wordsFrom(3)
    const values = Float32Array.from({ length: 5000 }, () => 1 + (next() % 4096) * 2 ** -16)
    for (const rank of [1, 2, 100, 2500, 5000]) expect(selector.kthLargest(values, [rank], [1, 1.0625])).toEqual([bySorting(values, rank)])
    const zeros = Float32Array.from({ length: 200 }, (_, i) => (i % 2 ? -0 : i % 4 ? 0 : -TINY))
    for (const rank of [1, 50, 51, 150, 151, 200]) expect(selector.kthLargest(zeros, [rank], [-TINY, TINY])).toEqual([bySorting(zeros, rank)])
  })

  test('leaves what it searches as it was', () => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i))
    const before = values.slice()
    selector.kthLargest(values, [1, 1000])
    expect(values).toEqual(before)
  })

  test('a rank beyond the elements is a broken promise, not a wrong number', () => {
    expect(() => selector.kthLargest(Float32Array.of(1, 2), [3])).toThrow('rank 3 lies within 2 elements')
    expect(() => selector.kthLargest(Float32Array.of(1, 2), [0])).toThrow('rank 0 lies within 2 elements')
  })
})

describe('bracketOf', () => {
  test('gives a bracket that holds the rank of what a fair sample is of', () => {
    const next = wordsFrom(11)
    let [held, asked, narrow] = [0, 0, 0]
    for (let trial = 0; trial < 20; trial++) {
      const size = 200_000
      const values = Float32Array.from({ length: size }, () => Math.fround((next() / 2 ** 32 - 0.5) ** 3))
      const sample = values.filter((_, i) => i % 32 === trial)
      const sorted = values.toSorted()
      for (const share of [0, 0.0001, 0.01, 0.2, 0.5, 0.8, 0.99, 1]) {
        const rank = Math.max(1, Math.round(share * size))
        const [low, high] = selector.bracketOf(sample, rank, size)
        const wanted = sorted[size - rank]!
        asked++
        if (low <= wanted && wanted < high) held++
        if (values.filter(v => v >= low && v < high).length < size / 10) narrow++
      }
    }
    expect({ held, narrow }).toEqual({ held: asked, narrow: asked })
  })

  test('has no ends where the rank is near the first or the last', () => {
    const sample = Float32Array.from({ length: 1000 }, (_, i) => i)
    expect(selector.bracketOf(sample, 1, 32_000)[1]).toBe(Infinity)
    expect(selector.bracketOf(sample, 32_000, 32_000)[0]).toBe(-Infinity)
  })

  test('of equal numbers holds that one number only', () => {
    for (const value of [0, -0, 1, -1, TINY, -TINY, 2 ** 100]) {
      const bracket = selector.bracketOf(new Float32Array(1000).fill(value), 16_000, 32_000)
      expect({ value, bracket, isSingle: isSingle(bracket) }).toEqual({ value, bracket: [value, expect.anything()], isSingle: true })
      expect(bracket[1]).toBeGreaterThan(value === 0 ? 0 : value)
    }
  })

  test.each([
    [[1, 1 + 2 ** -23], true],
    [[1, 1 + 2 ** -22], false],
    [[0, TINY], true],
    [[-0, TINY], true],
    [[-TINY, -0], true],
    [[-TINY, TINY], false],
    [[3.4028234663852886e38, Infinity], true],
    [[-Infinity, -3.4028234663852886e38], true],
    [[-Infinity, Infinity], false],
    [[Infinity, Infinity], true], // nothing: whatever is sought in it is missed
  ] as const)('isSingle(%o) is %o', (bracket, is) => expect(isSingle(bracket as Bracket)).toBe(is))
})

test('bits in the order of values name their float', () => {
  expect([0, 0x007fffff, 0x7fffffff, 0x80000000, 0xbf800000, 0xff800000].map(fromOrdered)).toEqual([NaN, -Infinity, -0, 0, 1, Infinity])
})

describe('pieces of a sample', () => {
  test.each([BLOCK + 1, 100_000, 2 ** 20, 2 ** 25 + 12_345, 2 ** 31])('of %i elements lie within them, apart, and at groups', size => {
    const pieces = piecesOf(size)
    expect(pieces.every(at => at >= 0 && at + PIECE <= size && at % 16 === 0)).toBe(true)
    expect(pieces.every((at, i) => i === 0 || at >= pieces[i - 1]! + PIECE)).toBe(true)
    expect([pieces[0], pieces.at(-1)! >= size - PIECE - 16]).toEqual([0, true])
    expect(pieces.length * PIECE).toBeGreaterThan(Math.min(2 ** 20, size / 32) - PIECE)
  })
})
