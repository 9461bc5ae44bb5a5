import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Tensor, where } from '../src/algebra/tensor.ts'
import type { FloatDType } from '../src/dtype.ts'
import { type Bracket, createSelector, fromOrdered, isSingle, PIECE, piecesOf } from '../src/execute/select.ts'
import { compile } from '../src/plan/passes.ts'
import { BLOCK } from '../src/plan/tiling.ts'
import { type Cut, createMachine, type Ran } from './engine.ts'
import { decode, encode } from './floats.ts'
import { TINY, wordsFrom } from './values.ts'

const selector = createSelector()

/** In the order of their values, −0 below +0, and NaN above all: as Float32Array sorts. */
const bySorting = (values: Float32Array, rank: number): number => values.toSorted()[values.length - rank]!

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

const x = Tensor.source(0, [1])
const y = Tensor.source(1, [1])
const largest = (of: Tensor, k: number): Tensor => Tensor.of('largest', [of, Tensor.constant(k)], null, [])

/** The ranks that programs below ask for, as constants to be replaced: a program serves all of them. */
const [K1, K2] = [1001, 1002] as const
const one = (dtype: FloatDType) => compile(where(x.ge(largest(x, K1)), x, 0), [dtype], dtype)

const CUTS: readonly Cut[] = [{}, { tiling: { chunk: 256 } }, { tiling: { chunk: 1024 }, range: 65_536 }, { range: 65_536 }, { tiling: { chunk: 16_384 }, range: 131_072 }]

/** Runs the same ranks under every cut; gives whether the fallback was reached, for each. */
async function check(name: string, values: Float32Array, ranks: readonly number[], dtype: FloatDType = 'F32', cuts = CUTS): Promise<readonly boolean[][]> {
  const input = encode(dtype, values)
  const own = Float32Array.from(decode(dtype, input))
  const sorted = own.toSorted()
  const reached: boolean[][] = []
  for (const cut of cuts) {
    const machine = createMachine(one(dtype), cut.tiling)
    const counted: boolean[] = []
    for (const rank of ranks) {
      const { folded, steps } = await machine.run(values.length, [input], { ...cut, constants: new Map([[K1, rank]]) })
      const want = sorted[values.length - rank]! + 0 // a selected zero has no sign
      if (!Object.is(folded[0], want)) expect({ name, cut, rank, got: folded[0] }).toEqual({ name, cut, rank, got: want })
      counted.push(steps.includes('high'))
    }
    reached.push(counted)
  }
  return reached
}

const N = 200_003
const ranksOf = (n: number): readonly number[] => [1, 2, 100, Math.floor(n / 5), Math.floor(n / 2), Math.floor(0.9 * n), n - 1, n]
const noise = (n: number, seed: number): Float32Array => {
  const next = wordsFrom(seed)
  return Float32Array.from({ length: n }, () => (next() + next() + next() + next()) / 2 ** 33 - 1)
}

describe('a select in a program', () => {
  test.each(['F32', 'BF16', 'F16', 'F64', 'F8_E4M3'] as const)('of ordinary %s weights equals sorting under every cut, and counts nothing', async dtype => {
    const reached = await check(dtype, noise(N, 1), ranksOf(N), dtype, dtype === 'F32' || dtype === 'BF16' ? CUTS : CUTS.slice(0, 3))
    // With chunks of 256 elements a bracket overflows now and then: then all are counted, and the number is the same.
    expect(reached.filter((_, i) => CUTS[i]!.tiling?.chunk !== 256).flat()).not.toContain(true)
  })

  test('of a task vector that is mostly zeros, in steps of bf16', async () => {
    const bf16 = (v: Float32Array): Float32Array => Float32Array.from(decode('BF16', encode('BF16', v)))
    const next = wordsFrom(5)
    const base = bf16(noise(N, 2))
    const model = bf16(base.map(v => (next() % 10 < 7 ? v : v * (1 + ((next() % 5) - 2) / 128))))
    const delta = model.map((v, i) => v - base[i]!)
    const magnitudes = delta.map(Math.abs)
    expect(magnitudes.filter(v => v === 0).length / N).toBeGreaterThan(0.6)
    const reached = await check('magnitudes', magnitudes, ranksOf(N))
    expect(reached[0]).not.toContain(true) // a bracket of one number collects nothing
    await check('with signs', delta, ranksOf(N))
  })

  test.each([BLOCK - 1, BLOCK, BLOCK + 1])('of %i elements, where a sample begins to be one', async n => {
    const steps = new Set<string>()
    const machine = createMachine(one('F32'))
    const values = noise(n, 3)
    for (const rank of ranksOf(n)) {
      const ran = await machine.run(n, [encode('F32', values)], { constants: new Map([[K1, rank]]) })
      expect({ rank, got: ran.folded[0] }).toEqual({ rank, got: bySorting(values, rank) })
      for (const step of ran.steps.slice(0, -1)) steps.add(step) // the last pass writes
    }
    expect([...steps]).toEqual(n <= BLOCK ? ['sample'] : ['sample', 'pass'])
  })

  test('of small tensors equals sorting, at every rank', async () => {
    const machine = createMachine(one('F32'), { chunk: 64 })
    for (const n of [1, 2, 15, 16, 17, 63, 64, 65, 130, 1000]) {
      const values = noise(n, n)
      for (let rank = 1; rank <= n; rank += n > 100 ? 37 : 1) {
        const { folded } = await machine.run(n, [encode('F32', values)], { constants: new Map([[K1, rank]]), resident: rank % 2 === 0 })
        if (!Object.is(folded[0], bySorting(values, rank))) expect({ n, rank, got: folded[0] }).toEqual({ n, rank, got: bySorting(values, rank) })
      }
    }
  })
})

describe('data that deceives the sample', () => {
  const pieces = piecesOf(N)
  const isLooked = new Uint8Array(N)
  for (const at of pieces) isLooked.fill(1, at, at + PIECE)
  const spacing = pieces[2]! - pieces[1]!
  const DATA: Readonly<Record<string, Float32Array>> = {
    ascending: Float32Array.from({ length: N }, (_, i) => i),
    descending: Float32Array.from({ length: N }, (_, i) => -i),
    'one block of outliers': noise(N, 7).map((v, i) => (i >= 70_000 && i < 90_000 ? 1000 + v : v)),
    'periodic with the pieces': Float32Array.from({ length: N }, (_, i) => Math.fround((i % spacing) + Math.sin(i) / 8)),
    'large where nobody looks': noise(N, 8).map((v, i) => (isLooked[i] ? v : v + 10)),
    'one number where the sample looks, others elsewhere': noise(N, 9).map((v, i) => (isLooked[i] ? 0.5 : v)),
    'all equal': new Float32Array(N).fill(-0.25),
    'all equal but one': new Float32Array(N).fill(0).with(12_345, 1),
    'zeros of both signs': Float32Array.from({ length: N }, (_, i) => (i % 3 ? 0 : -0)),
    'infinities among them': noise(N, 10).map((v, i) => (i % 3 === 0 ? Infinity : i % 7 === 0 ? -Infinity : v)),
    'only infinities': Float32Array.from({ length: N }, (_, i) => (i % 2 ? Infinity : -Infinity)),
    'NaN among them': noise(N, 11).map((v, i) => (i % 4 === 0 ? Number.NaN : v)),
  }
  test.each(Object.keys(DATA))('equals sorting under every cut: %s', async name => {
    await check(name, DATA[name]!, ranksOf(N))
  })

  test('is counted where the bracket has missed', async () => {
    const missed = await check('missed', DATA['large where nobody looks']!, [Math.floor(N / 2)])
    expect(missed.flat()).not.toContain(false)
    const single = await check('single', DATA['one number where the sample looks, others elsewhere']!, [Math.floor(N / 5)])
    expect(single.flat()).not.toContain(false)
    const infinite = await check('infinite', DATA['only infinities']!, [1])
    expect(infinite.flat()).not.toContain(false)
  })

  test('is counted where a bracket holds more than there is room for', async () => {
    const values = noise(2 ** 20, 12)
    const cuts: readonly Cut[] = [{ tiling: { chunk: 256 } }, { tiling: { chunk: 256 }, range: 262_144 }, { tiling: { chunk: 16_384 } }]
    const reached = await check('overflowing', values, [2 ** 19], 'F32', cuts)
    expect(reached).toEqual([[true], [true], [false]])
  })

  // Arithmetic gives a NaN of either sign, by the processor: it must lie above all numbers in a bracket, and where all are counted.
  test('NaN of either sign and any payload counts as the largest, found by bracket or counted', async () => {
    const words = new Uint32Array(noise(N, 13).buffer)
    const nans = [0xffc00000, 0x7fc00000, 0xff812345, 0x7f800001]
    for (let i = 0; i < N; i += 5) words[i] = nans[(i / 5) % 4]!
    const values = new Float32Array(words.buffer)
    const sorted = values.toSorted()
    const count = Math.ceil(N / 5)
    const input = new Uint8Array(words.buffer)
    const counted = new Set<boolean>()
    for (const cut of [{}, { tiling: { chunk: 256 } }] as readonly Cut[]) {
      const machine = createMachine(one('F32'), cut.tiling)
      for (const rank of [1, count - 1, count, count + 1, count + 2, Math.floor(N / 2), N]) {
        const { folded, steps } = await machine.run(N, [input], { ...cut, constants: new Map([[K1, rank]]) })
        counted.add(steps.includes('high'))
        expect({ cut, rank, got: folded[0] }).toEqual({ cut, rank, got: rank <= count ? Number.NaN : sorted[N - rank] })
      }
    }
    expect([...counted].toSorted()).toEqual([false, true])
  })
})

describe('selects and sums of one pass', () => {
  const d = x.sub(y)
  const root = [largest(d, K1), largest(y.abs(), K2), d.sum(), largest(d.abs(), K1), x.gt(0).sum(), largest(d, K2)].reduce((all, t) => all.add(t), x)
  const compiled = compile(root, ['F32', 'F32'], 'F32')

  test.each([100, BLOCK, BLOCK + 1, N])('all have their own number, of %i elements', async n => {
    expect(compiled.program.passes.length).toBe(2)
    const [a, b] = [noise(n, 20).map(v => Math.round(v * 1024) / 1024), noise(n, 21).map(v => Math.round(v * 1024) / 1024)] // sums are exact
    const difference = a.map((v, i) => v - b[i]!)
    const [k1, k2] = [Math.ceil(n / 5), Math.ceil(0.7 * n)]
    const want = [
      bySorting(difference, k1),
      bySorting(b.map(Math.abs), k2),
      difference.reduce((total, v) => total + v, 0),
      bySorting(difference.map(Math.abs), k1),
      a.filter(v => v > 0).length,
      bySorting(difference, k2),
    ].map(v => v + 0)
    let first: Ran | null = null
    for (const cut of CUTS) {
      const ran = await createMachine(compiled, cut.tiling).run(n, [encode('F32', a), encode('F32', b)], {
        ...cut,
        constants: new Map([
          [K1, k1],
          [K2, k2],
        ]),
      })
      expect({ cut, folded: ran.folded }).toEqual({ cut, folded: want })
      first ??= ran
      expect(Buffer.from(ran.bytes).equals(Buffer.from(first.bytes))).toBe(true)
    }
  })

  test('when one bracket misses all are found, and sums stay', async () => {
    const isLooked = new Uint8Array(N)
    for (const at of piecesOf(N)) isLooked.fill(1, at, at + PIECE)
    const a = noise(N, 22).map((v, i) => (isLooked[i] ? v : v + 10))
    const b = new Float32Array(N).fill(0.5)
    const { folded, steps } = await createMachine(compiled).run(N, [encode('F32', a), encode('F32', b)], {
      constants: new Map([
        [K1, N / 2 - 0.5],
        [K2, N / 2 - 0.5],
      ]),
    })
    const difference = a.map((v, i) => v - b[i]!)
    const rank = N / 2 - 0.5
    expect(steps).toEqual(['sample', 'pass', 'high', 'low', 'pass'])
    expect([folded[0], folded[1], folded[3], folded[4]]).toEqual([bySorting(difference, rank), 0.5, bySorting(difference.map(Math.abs), rank), a.filter(v => v > 0).length])
  })

  test('a select of what an earlier select keeps takes a pass more', async () => {
    const kept = where(x.ge(largest(x, K1)), x, 0)
    const program = compile(kept.mul(largest(kept.mul(-1), K2)), ['F32'], 'F32')
    const values = noise(N, 23)
    const { folded, steps } = await createMachine(program).run(N, [encode('F32', values)], {
      constants: new Map([
        [K1, 50_000],
        [K2, 100],
      ]),
    })
    const threshold = bySorting(values, 50_000)
    expect(folded).toEqual([
      threshold,
      bySorting(
        values.map(v => (v >= threshold ? -v : -0)),
        100,
      ) + 0,
    ])
    expect(steps.filter(step => step === 'sample').length).toBe(2)
  })
})
