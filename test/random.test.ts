import { beforeAll, describe, expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import { createEngine } from '../src/kernels/kernels.ts'
import { randomKey, streamKey } from '../src/plan/random.ts'
import { run } from './engine.ts'

// The generator is keyed triple32: Chris Wellons' hash of 32 bits, triple32 (https://github.com/skeeto/hash-prospector), of the element's index plus
// key0, with key1 entering after the first multiplication. Key0 and key1 come from recipe seed, tensor name, label, and the upper bits of the index
// (plan/random.ts). A number is the upper 24 bits of the hash, divided by 2^24: in [0, 1), and exact in float32.

const N = 2 ** 20
const { kernels, memory, heap } = createEngine(4 * N + 4096)

type Key = readonly [number, number]

function triple32(index: number, [key0, key1]: Key): number {
  let x = (index + key0) >>> 0
  x ^= x >>> 17
  x = Math.imul(x, 0xed5ad4bb) ^ key1
  x ^= x >>> 11
  x = Math.imul(x, 0xac4c1b51)
  x ^= x >>> 15
  x = Math.imul(x, 0x31848bab)
  x ^= x >>> 14
  return x >>> 0
}

/** `n` numbers from element `first` on, a multiple of 16. */
function uniforms(n: number, key: Key = [1, 2], first = 0): Float32Array {
  kernels.random(heap, n, first, ...key)
  return new Float32Array(memory.buffer, heap, n).slice()
}
const tensorNumbers = (name: string, n: number, { seed = 0, label = 0 } = {}): Float32Array => uniforms(n, streamKey(randomKey(seed, name), label, 0))

describe('keyed triple32', () => {
  // What the published C gives (hash-prospector, compiled with gcc); key 0, 0 leaves the hash as it is.
  test.each([
    [0, 0x00000000],
    [1, 0x042741d6],
    [2, 0xf1dfe8e9],
    [0xffffffff, 0x127f588f],
  ])('the hash of %i is known', (index, answer) => expect(triple32(index, [0, 0])).toBe(answer))

  test.each([
    ['plain', [0, 0], 0],
    ['with a key', [0xdeadbeef, 0x00c0ffee], 0],
    ['from the middle', [1, 0xffffffff], 1_000_000 * 16],
    ['where index and key pass 2^32', [0xfffffff0, 7], 0],
    ['at the end of the 32 bits', [3, 5], 2 ** 32 - 64],
  ] as const)('each element is the hash of its index: %s', (_, key, first) => {
    const want = Array.from({ length: 64 }, (_, i) => (triple32(first + i, key) >>> 8) / 2 ** 24)
    expect([...uniforms(64, key, first)]).toEqual(want)
  })

  test('a strip that begins anywhere has the numbers of the whole', () => {
    const whole = uniforms(4096)
    const strips = [
      [0, 1],
      [16, 17],
      [48, 256],
      [1600, 1000],
      [4080, 16],
    ] as const
    for (const [first, n] of strips) expect({ first, n, got: [...uniforms(n, [1, 2], first)] }).toEqual({ first, n, got: [...whole.subarray(first, first + n)] })
  })

  test('a tensor has the same numbers however the engine cuts it', async () => {
    const formula = Tensor.random('0', [200_003])
    const whole = await run(formula, [], { key: [5, 6] })
    for (const cut of [{ tiling: { chunk: 64 } }, { tiling: { chunk: 4096 }, range: 65_536 }, { range: 131_072 }]) {
      expect(Buffer.from((await run(formula, [], { key: [5, 6], ...cut })).buffer).equals(Buffer.from(whole.buffer))).toBe(true)
    }
    expect([...whole.subarray(0, 1000)]).toEqual([...uniforms(1000, streamKey([5, 6], 0, 0))])
  })

  test('a key changes every 2^32 elements, where the index of the generator begins anew', () => {
    const key = randomKey(0, 'w')
    expect(streamKey(key, 3, 2 ** 32 - 16)).toEqual(streamKey(key, 3, 0))
    const later = [2 ** 32, 2 ** 33, 2 ** 40].map(at => streamKey(key, 3, at).join())
    expect(new Set([streamKey(key, 3, 0).join(), ...later]).size).toBe(4)
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

const KEYS: readonly Key[] = [[0, 0], streamKey(randomKey(0, 'model.layers.0.mlp.up_proj.weight'), 0, 0), streamKey(randomKey(42, 'lm_head.weight'), 1, 0)]

describe.each(KEYS.map(key => [key.join(', '), key] as const))('a million numbers of key %s', (_, key) => {
  let u: Float32Array = new Float32Array(0)
  beforeAll(() => {
    u = uniforms(N, key)
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

  // The correlation sees straight lines only; pairs in a grid of 16 × 16 see any pattern as coarse as that.
  test.each([1, 2, 3, 4, 16, 4096, 65_536])('fill a grid evenly with pairs at distance %i', lag => {
    const pairs = Float32Array.from({ length: N - lag }, (_, i) => (Math.floor(u[i]! * 16) + u[i + lag]!) / 16)
    expect(Math.abs(chiSquareSigmas(chiSquare(pairs, 256), 255))).toBeLessThan(SIGMAS)
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
  const pairwise = (streams: readonly Float32Array[]): number[] => streams.flatMap((u, i) => streams.slice(i + 1).map(v => Math.abs(correlationSigmas(u, v))))

  test('labels', () => {
    const streams = [0, 1, 2, 3, 7].map(label => tensorNumbers('model.norm.weight', N, { label }))
    expect(Math.max(...pairwise(streams))).toBeLessThan(SIGMAS)
  })

  test('tensor names that differ in one letter, and seeds that differ by one', () => {
    const names = ['layers.0.weight', 'layers.1.weight', 'layers.2.weight', 'layers.0.weighu', 'a', 'b']
    const streams = [...names.map(name => tensorNumbers(name, N)), ...[1, 2].map(seed => tensorNumbers('layers.0.weight', N, { seed }))]
    expect(Math.max(...pairwise(streams))).toBeLessThan(SIGMAS)
  })

  // Of 19,900 normal numbers one lies beyond 6 with probability 4e-5.
  test('200 tensors of 1,024 elements, each with each', () => {
    const streams = Array.from({ length: 200 }, (_, i) => tensorNumbers(`model.layers.${i}.mlp.up_proj.weight`, 1024))
    expect(Math.max(...pairwise(streams))).toBeLessThan(6)
  })

  // Binomial: what DARE asks of two models' masks.
  test.each([0.1, 0.5])('two labels both keep an element as often as chance does at density %d', density => {
    const [u, v] = [0, 1].map(label => tensorNumbers('model.embed_tokens.weight', N, { label })) as [Float32Array, Float32Array]
    const both = u.filter((x, i) => x < density && v[i]! < density).length
    const p = density ** 2
    expect(Math.abs(both - N * p) / Math.sqrt(N * p * (1 - p))).toBeLessThan(SIGMAS)
  })

  // What would show if keys were alike is a pattern over the tensors, not within one.
  const names = Array.from({ length: 100_000 }, (_, i) => `model.layers.${i % 250}.experts.${Math.floor(i / 250)}.weight`)
  test('the first elements of 100,000 tensors are uniform, and not correlated from one tensor to the next', () => {
    const first = Float32Array.from(names, name => tensorNumbers(name, 1)[0]!)
    expect(Math.abs(chiSquareSigmas(chiSquare(first, 256), 255))).toBeLessThan(SIGMAS)
    for (const lag of [1, 250]) expect(Math.abs(correlationSigmas(first.subarray(lag), first.subarray(0, -lag)))).toBeLessThan(SIGMAS)
  })

  test('no two of 100,000 tensors and three labels share a key: of 64-bit keys, two would once in 400 million models', () => {
    const keys = names.flatMap(name => [0, 1, 2].map(label => streamKey(randomKey(0, name), label, 0).join()))
    expect(new Set(keys).size).toBe(keys.length)
  })

  test('a key depends on seed and name, and on nothing else', () => {
    expect(randomKey(0, 'w')).toEqual(randomKey(0, 'w'))
    expect(randomKey(0, 'w')).not.toEqual(randomKey(1, 'w'))
    expect(randomKey(1, '2w')).not.toEqual(randomKey(12, 'w')) // the parts are kept apart
    for (const word of [...randomKey(7, 'é'), ...streamKey(randomKey(7, 'é'), 5, 0)]) expect(word).toBe(word >>> 0)
  })
})
