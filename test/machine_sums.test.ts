import { describe, expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import type { FloatDType } from '../src/dtype.ts'
import { compile } from '../src/plan/passes.ts'
import { BLOCK } from '../src/plan/tiling.ts'
import { type Cut, createMachine, type Ran } from './engine.ts'
import { decode, encode } from './floats.ts'
import { labelled } from './generator.ts'
import { wordsFrom } from './values.ts'

const [x, y] = [0, 1].map(i => Tensor.source(i, [1])) as [Tensor, Tensor]
const KEY = [3, 4] as const

/** How sixteen neighbours lie in four vectors of four lanes: those of float32 in order; those of 16 bits apart, the even ones of eight before the odd. */
const ORDERS = {
  F32: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  BF16: [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15],
} as const

/** The documented order: the four vectors of a group are added in float32, and these sums in float64 in four lanes, which meet at the end of a block. */
function modelSum(values: ArrayLike<number>, order: readonly number[]): number {
  let total = 0
  for (let block = 0; block < values.length; block += BLOCK) {
    const lanes = [0, 0, 0, 0]
    for (let group = block; group < Math.min(values.length, block + BLOCK); group += 16) {
      for (let lane = 0; lane < 4; lane++) {
        const [a, b, c, d] = [0, 1, 2, 3].map(v => values[group + order[4 * v + lane]!] ?? 0) as [number, number, number, number] // nothing beyond the end
        lanes[lane]! += Math.fround(Math.fround(Math.fround(a + b) + c) + d)
      }
    }
    total += lanes[0]! + lanes[2]! + (lanes[1]! + lanes[3]!)
  }
  return total
}

/** Numbers of many sizes. */
function numbers(n: number, seed: number, dtype: FloatDType = 'F32'): Float32Array {
  const next = wordsFrom(seed)
  const values = Float32Array.from({ length: n }, () => (next() / 2 ** 32 - 0.5) * 2 ** ((next() % 20) - 10))
  return Float32Array.from(decode(dtype, encode(dtype, values)))
}

/** A program whose folds are these tensors' sums. */
const summing = (tensors: readonly Tensor[]): Tensor => tensors.map(t => t.sum()).reduce((all, sum) => all.add(sum), x)

const CUTS: readonly Cut[] = [
  {},
  { tiling: { chunk: 16 } },
  { tiling: { chunk: 64 }, resident: true },
  { tiling: { chunk: 1024 } },
  { tiling: { chunk: 65_536 }, range: 65_536 },
  { range: 131_072 },
]

describe.each(['F32', 'BF16'] as const)('sums of %s', (dtype: 'F32' | 'BF16') => {
  const order = ORDERS[dtype]
  const formulas: Readonly<Record<string, readonly [Tensor, (a: number, b: number, r: number) => number]>> = {
    numbers: [x, a => a],
    magnitudes: [x.abs(), a => Math.abs(a)],
    products: [x.mul(y), (a, b) => Math.fround(a * b)],
    differences: [x.sub(y), (a, b) => Math.fround(a - b)],
    'a mask': [x.gt(y), (a, b) => Number(a > b)],
    'random numbers': [Tensor.random('0', [1]), (_a, _b, r) => r],
  }
  // Six folds of one pass, in the order of the formulas.
  const compiled = compile(summing(Object.values(formulas).map(([t]) => t)), [dtype, dtype], dtype)
  const inputsOf = (...values: Float32Array[]): Uint8Array[] => values.map(v => encode(dtype, v))

  async function check(n: number, cuts: readonly Cut[]): Promise<void> {
    const [a, b, r] = [numbers(n, n, dtype), numbers(n, n + 1, dtype), labelled(n, KEY, 0)]
    const want = Object.values(formulas).map(([, apply]) =>
      modelSum(
        a.map((v, j) => apply(v, b[j]!, r[j]!)),
        order,
      ),
    )
    for (const cut of cuts) {
      const { folded } = await createMachine(compiled, cut.tiling).run(n, inputsOf(a, b), { ...cut, key: KEY })
      for (const [i, name] of Object.keys(formulas).entries()) if (!Object.is(folded[i], want[i])) expect({ n, cut, name, sum: folded[i] }).toEqual({ n, cut, name, sum: want[i] })
    }
  }

  test('are the documented order’s to the last bit of a float64, for every length up to five groups', async () => {
    for (let n = 1; n <= 80; n++) await check(n, [{ tiling: { chunk: 1024 } }])
  })

  test.each([100, 1000, 65_535, 65_536, 65_537, 200_003])('are the same bits however %i elements are cut', async n => {
    await check(
      n,
      CUTS.filter(cut => !cut.resident || n <= 4096),
    )
  })

  test('are exact where float32 can add four: integers below 2^21 in magnitude', async () => {
    const next = wordsFrom(5)
    const n = 100_001
    const values = Float32Array.from(
      decode(
        dtype,
        encode(
          dtype,
          Float32Array.from({ length: n }, () => (next() % 2 ** 22) - 2 ** 21),
        ),
      ),
    )
    const exact = values.reduce((total, v) => total + BigInt(v), 0n)
    const { folded } = await createMachine(compile(summing([x]), [dtype], dtype)).run(n, inputsOf(values))
    expect(BigInt(folded[0]!)).toBe(exact)
  })

  // Three roundings to float32 in a group, n/64 to float64 in a lane, two where lanes meet, one for each block.
  test('of numbers that cancel lose at most 3 roundings to float32, and those of float64, of the sum of magnitudes', async () => {
    const n = 131_072
    const values = numbers(n, 8, dtype).map((v, i) => (i % 3 ? v : -v))
    const scale = 2 ** 60 // every value is a multiple of 2^-60: exact as integers
    const exact = Number(values.reduce((total, v) => total + BigInt(v * scale), 0n)) / scale
    const magnitudes = values.reduce((total, v) => total + Math.abs(v), 0)
    const { folded } = await createMachine(compile(summing([x]), [dtype], dtype)).run(n, inputsOf(values))
    expect(Math.abs(folded[0]! - exact)).toBeLessThanOrEqual((3 * 2 ** -24 + (BLOCK / 16 + 4) * 2 ** -53) * magnitudes)
    expect(Math.abs(folded[0]! - exact)).toBeLessThanOrEqual(2 ** -24 * magnitudes) // in truth roundings cancel
  })

  test('carry infinities and NaN, from any place, and nothing from beyond the last element', async () => {
    const machine = createMachine(compile(summing([x.sub(1)]), [dtype], dtype), { chunk: 64 })
    const sum = async (values: number[]): Promise<number> => (await machine.run(values.length, inputsOf(Float32Array.from(values)))).folded[0]!
    for (let n = 1; n <= 40; n++) {
      const ones = Array<number>(n).fill(1)
      expect(await sum(ones)).toBe(0) // beyond them lie zeros, whose −1 must not count
      for (let at = 0; at < n; at++) {
        if (!Object.is(await sum(ones.with(at, Infinity)), Infinity)) expect({ n, at }).toBe('infinite')
        if (!Number.isNaN(await sum(ones.with(at, Number.NaN)))) expect({ n, at }).toBe('NaN')
      }
    }
    expect(await sum([-Infinity, 1, 1, 1, Infinity])).toBe(Number.NaN)
  })
})

test('dtypes that kernels convert are summed as float32 is', async () => {
  for (const dtype of ['F64', 'F8_E4M3', 'F8_E5M2'] as const) {
    const values = numbers(1003, 4, dtype)
    const { folded } = await createMachine(compile(summing([x, x.abs()]), [dtype], dtype)).run(1003, [encode(dtype, values)])
    expect({ dtype, folded }).toEqual({ dtype, folded: [modelSum(values, ORDERS.F32), modelSum(values.map(Math.abs), ORDERS.F32)] })
  }
})

// A pass of 16-bit inputs sums in one order whatever is written; one F32 input among them makes it the other.
test('the order follows from what is read', async () => {
  const [a, b] = [numbers(5000, 1, 'BF16'), numbers(5000, 2, 'BF16')]
  for (const [sources, output, order] of [
    [['BF16', 'BF16'], 'F32', ORDERS.BF16],
    [['BF16', 'F16'], 'BF16', ORDERS.BF16],
    [['BF16', 'F32'], 'BF16', ORDERS.F32],
    [['F32', 'BF16'], 'BF16', ORDERS.F32],
  ] as const) {
    const inputs = [encode(sources[0], a), encode(sources[1], b)]
    const second = decode(sources[1], inputs[1]!)
    const values = a.map((v, i) => v * second[i]!)
    const ran: Ran = await createMachine(compile(summing([x.mul(y)]), sources, output)).run(5000, inputs)
    expect({ sources, output, sum: ran.folded[0] }).toEqual({ sources, output, sum: modelSum(values, order) })
  }
})
