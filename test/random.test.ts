import { beforeAll, describe, expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import { createEngine, PHILOX_ROUNDS } from '../src/kernels/kernels.ts'
import { randomKey } from '../src/plan/random.ts'
import { run } from './engine.ts'

// The generator is Philox4x32 with 7 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Counter: 64 bits of position, the label, 0. Key: 64 bits from recipe seed and tensor name (plan/random.ts).
// An element is the upper 24 bits of its word, divided by 2^24: in [0, 1), and exact in float32.

const N = 2 ** 20
const { kernels, memory, heap } = createEngine(4 * N + 4096)

type Words = readonly [number, number, number, number]
const hex = (word: number): string => word.toString(16).padStart(8, '0')
const words = (text: string): number[] => text.split(' ').map(w => Number.parseInt(w, 16))

function philox(counter: Words, key: readonly [number, number], rounds: number): number[] {
  const state = new Uint32Array(memory.buffer, heap, 6)
  state.set([...counter, ...key])
  kernels.philox(heap, rounds)
  return [...state.subarray(0, 4)]
}

/** `n` numbers from element `from`·16 on. */
function uniforms(n: number, { key = [1, 2] as readonly [number, number], label = 0, group = 0 } = {}): Float32Array {
  kernels.random(heap, n, group, label, key[0], key[1], PHILOX_ROUNDS)
  return new Float32Array(memory.buffer, heap, n).slice()
}

describe('Philox4x32', () => {
  // From Random123's tests/kat_vectors: rounds, counter, key, answer. The second are all ones, the third digits of π.
  test.each([
    [7, '00000000 00000000 00000000 00000000', '00000000 00000000', '5f6fb709 0d893f64 4f121f81 4f730a48'],
    [7, 'ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '5207ddc2 45165e59 4d8ee751 8c52f662'],
    [7, '243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', '4dfccaba 190a87f0 c47362ba b6b5242a'],
    [10, '00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [10, 'ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [10, '243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('%i rounds of counter %s, key %s give %s', (rounds, counter, key, answer) => {
    const got = philox(words(counter) as unknown as Words, words(key) as unknown as [number, number], rounds)
    expect(got.map(hex).join(' ')).toBe(answer)
  })

  test('runs 7 rounds', () => expect(PHILOX_ROUNDS).toBe(7))

  // Element 16g + 4w + c is word w of the counter 4g + c.
  test.each([
    ['at the start', 0],
    ['where the low word of the counter carries', 2 ** 30 - 1],
    ['far beyond any tensor', 2 ** 48 + 12_345],
  ])('each element is one word of one block, %s', (_, group) => {
    const [key, label, n] = [[0xdeadbeef, 0x00c0ffee] as const, 0x80000001, 64]
    const got = uniforms(n, { key, label, group })
    const want = Array.from({ length: n }, (_, i) => {
      const counter = BigInt(group + Math.floor(i / 16)) * 4n + BigInt(i % 4)
      const block = philox([Number(counter & 0xffffffffn), Number(counter >> 32n), label, 0], key, 7)
      return Math.floor(block[Math.floor((i % 16) / 4)]! / 256) / 2 ** 24
    })
    expect([...got]).toEqual(want)
  })

  test('a strip that begins anywhere has the numbers of the whole', () => {
    const whole = uniforms(4096)
    for (const [group, n] of [
      [0, 1],
      [1, 17],
      [3, 256],
      [100, 1000],
      [255, 16],
    ] as const) {
      expect({ group, n, got: [...uniforms(n, { group })] }).toEqual({ group, n, got: [...whole.subarray(16 * group, 16 * group + n)] })
    }
  })

  test('a tensor has the same numbers however the engine cuts it', async () => {
    const formula = Tensor.random('0', [200_003])
    const whole = await run(formula, [], { key: [5, 6] })
    for (const cut of [{ tiling: { strip: 16, chunk: 64 } }, { tiling: { strip: 256, chunk: 4096 }, range: 65_536 }, { range: 131_072 }]) {
      expect(Buffer.from((await run(formula, [], { key: [5, 6], ...cut })).buffer).equals(Buffer.from(whole.buffer))).toBe(true)
    }
    expect([...whole.subarray(0, 1000)]).toEqual([...uniforms(1000, { key: [5, 6] })])
  })
})

// Every test below runs on fixed keys, so it passes always or never. A threshold of 5 standard deviations is passed by a perfect
// generator with probability 1 − 5.7e-7; some 150 values are looked at, so a sound generator fails any of them with probability 1e-4.
const SIGMAS = 5

/** How many standard deviations a chi-square statistic lies from its mean: the cube root is nearly normal (Wilson and Hilferty 1931). */
const chiSquareSigmas = (statistic: number, freedom: number): number => (Math.cbrt(statistic / freedom) - (1 - 2 / (9 * freedom))) / Math.sqrt(2 / (9 * freedom))

function chiSquare(values: Float32Array, bins: number): number {
  const counts = new Float64Array(bins)
  for (const v of values) counts[Math.floor(v * bins)]! += 1
  const expected = values.length / bins
  return counts.reduce((total, c) => total + (c - expected) ** 2 / expected, 0)
}

/** Correlation of two uniform series, in standard deviations: the mean of 12(u − ½)(v − ½) has variance 1/n where they are independent. */
function correlationSigmas(u: Float32Array, v: Float32Array): number {
  let total = 0
  for (const [i, x] of u.entries()) total += 12 * (x - 0.5) * (v[i]! - 0.5)
  return total / Math.sqrt(u.length)
}

const KEYS = [[0, 0], randomKey(0, 'model.layers.0.mlp.up_proj.weight'), randomKey(42, 'lm_head.weight')] as const

describe.each(KEYS)('a million numbers of key %i, %i', (...key) => {
  let u: Float32Array = new Float32Array(0)
  beforeAll(() => {
    u = uniforms(N, { key })
  })

  test('lie in [0, 1) and use all 24 bits', () => {
    expect(u.every(v => v >= 0 && v < 1 && Number.isInteger(v * 2 ** 24))).toBe(true)
  })

  test('have mean ½ and variance 1/12', () => {
    const mean = u.reduce((t, v) => t + v, 0) / N
    const variance = u.reduce((t, v) => t + (v - 0.5) ** 2, 0) / N
    expect(Math.abs(mean - 0.5) * Math.sqrt(12 * N)).toBeLessThan(SIGMAS) // the mean of n has variance 1/(12n)
    expect(Math.abs(variance - 1 / 12) * Math.sqrt(180 * N)).toBeLessThan(SIGMAS) // (u − ½)² has variance 1/80 − 1/144 = 1/180
  })

  test('fill 256 bins evenly', () => {
    expect(Math.abs(chiSquareSigmas(chiSquare(u, 256), 255))).toBeLessThan(SIGMAS) // too even is as wrong as too uneven
  })

  test.each([1, 2, 4, 16, 65_536])('do not follow from the number %i before', lag => {
    expect(Math.abs(correlationSigmas(u.subarray(lag), u.subarray(0, N - lag)))).toBeLessThan(SIGMAS)
  })

  test('have each of their 24 bits set half of the time', () => {
    const ones = new Float64Array(24)
    for (const v of u) {
      const bits = v * 2 ** 24
      for (let b = 0; b < 24; b++) ones[b]! += (bits >>> b) & 1
    }
    const sigmas = [...ones].map(count => (count - N / 2) / Math.sqrt(N / 4)) // binomial
    expect(sigmas.filter(s => Math.abs(s) >= SIGMAS)).toEqual([])
  })

  test('rise above and fall below ½ as often as chance does', () => {
    let runs = 1
    let above = 0
    for (const [i, v] of u.entries()) {
      above += Number(v >= 0.5)
      if (i > 0 && v >= 0.5 !== u[i - 1]! >= 0.5) runs++
    }
    const expected = 1 + (2 * above * (N - above)) / N // Wald and Wolfowitz 1940
    const deviation = Math.sqrt(((expected - 1) * (expected - 2)) / (N - 1))
    expect(Math.abs(runs - expected) / deviation).toBeLessThan(SIGMAS)
  })

  test.each([0.001, 0.1, 0.2, 0.5, 0.9, 0.999])('keep a share of %d', density => {
    const kept = u.filter(v => v < Math.fround(density)).length // what keepRandomly asks
    expect(Math.abs(kept - N * density) / Math.sqrt(N * density * (1 - density))).toBeLessThan(SIGMAS) // binomial
  })
})

describe('streams do not know of each other', () => {
  const key = randomKey(1, 'model.norm.weight')
  test('labels', () => {
    const streams = [0, 1, 2, 3, 7].map(label => uniforms(N, { key, label }))
    for (const [i, u] of streams.entries()) for (const v of streams.slice(i + 1)) expect(Math.abs(correlationSigmas(u, v))).toBeLessThan(SIGMAS)
  })

  test('tensor names that differ in one letter, and seeds that differ by one', () => {
    const names = ['layers.0.weight', 'layers.1.weight', 'layers.2.weight', 'layers.0.weighu', 'a', 'b']
    const streams = [...names.map(name => randomKey(0, name)), randomKey(1, 'layers.0.weight'), randomKey(2, 'layers.0.weight')].map(k => uniforms(N, { key: k }))
    for (const [i, u] of streams.entries()) for (const v of streams.slice(i + 1)) expect(Math.abs(correlationSigmas(u, v))).toBeLessThan(SIGMAS)
  })

  // The names of 100,000 small tensors: what would show if keys were alike is a pattern over the tensors, not within one.
  const names = Array.from({ length: 100_000 }, (_, i) => `model.layers.${i % 250}.experts.${Math.floor(i / 250)}.weight`)
  test('the first elements of 100,000 tensors are uniform, and not correlated from one tensor to the next', () => {
    const first = Float32Array.from(names, name => uniforms(1, { key: randomKey(0, name) })[0]!)
    expect(Math.abs(chiSquareSigmas(chiSquare(first, 256), 255))).toBeLessThan(SIGMAS)
    for (const lag of [1, 250]) expect(Math.abs(correlationSigmas(first.subarray(lag), first.subarray(0, -lag)))).toBeLessThan(SIGMAS)
  })

  test('no two of 100,000 tensors share a key: chance would let two do so once in 4 billion models', () => {
    expect(new Set(names.map(name => randomKey(0, name).join())).size).toBe(names.length)
  })

  test('a key depends on seed and name, and on nothing else', () => {
    expect(randomKey(0, 'w')).toEqual(randomKey(0, 'w'))
    expect(randomKey(0, 'w')).not.toEqual(randomKey(1, 'w'))
    expect(randomKey(1, '2w')).not.toEqual(randomKey(12, 'w')) // the parts are kept apart
    for (const word of randomKey(7, 'é')) expect(word).toBe(word >>> 0)
  })
})
