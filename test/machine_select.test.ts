import { describe, expect, test } from 'vitest'
import { Tensor, where } from '../src/algebra/tensor.ts'
import type { FloatDType } from '../src/dtype.ts'
import { PIECE } from '../src/execute/select.ts'
import { compile } from '../src/plan/passes.ts'
import { BLOCK } from '../src/plan/tiling.ts'
import { type Cut, createMachine, type Ran } from './engine.ts'
import { decode, encode } from './floats.ts'
import { piecesOf } from './pieces.ts'
import { bySorting, wordsFrom } from './values.ts'

// The k-th largest of a tensor, found by a program through a bracket or, where that fails, by counting: always what sorting gives.

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
