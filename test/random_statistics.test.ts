import { beforeAll, describe, expect, test } from 'vitest'
import { randomKey, streamKey } from '../src/plan/random.ts'
import { hash, type Key, labelled, uniforms } from './generator.ts'

// The statistics of the random generator, on its reference: random.test.ts shows that the engine gives the same numbers.

const N = 2 ** 20
const tensorNumbers = (name: string, n: number, { seed = 0, label = 0 } = {}): Float32Array => labelled(n, randomKey(seed, name), label)

/** P(u < p): how many of the 65,536 numbers lie below; at most half a unit, 2^-17, from p itself. */
const shareBelow = (p: number): number => Math.min(65_536, Math.max(0, Math.ceil(Math.fround(p) * 65_536 - 0.5))) / 65_536

test('the share below p is p on the grid, and nearly p between', () => {
  for (const j of [0, 1, 2, 6554, 32_768, 65_535, 65_536]) {
    expect(shareBelow(j / 65_536)).toBe(j / 65_536)
    for (const rest of [0.1, 0.49, 0.51, 0.9]) if (j < 65_536) expect(Math.abs(shareBelow((j + rest) / 65_536) - (j + rest) / 65_536)).toBeLessThanOrEqual(2 ** -17)
  }
  const all = Float32Array.from({ length: 65_536 }, (_, h) => (h + 0.5) / 65_536)
  for (const p of [0, 1e-6, 2 ** -17, 0.1, 0.2, 1 / 3, 0.5, 0.9, 1 - 2 ** -17, 1])
    expect({ p, share: all.filter(v => v < Math.fround(p)).length / 65_536 }).toEqual({ p, share: shareBelow(p) })
})

// Every test below runs on fixed keys, so it passes always or never. A threshold of 5 standard deviations is passed by a perfect
// generator with probability 1 − 5.7e-7; some 1,200 values are looked at, so a sound generator fails any of them with probability 7e-4.
const SIGMAS = 5

/** How many standard deviations a chi-square statistic lies from its mean: the cube root is nearly normal (Wilson and Hilferty 1931). */
const chiSquareSigmas = (statistic: number, freedom: number): number => (Math.cbrt(statistic / freedom) - (1 - 2 / (9 * freedom))) / Math.sqrt(2 / (9 * freedom))

function chiSquare(values: Float32Array | Float64Array, bins: number): number {
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

  test('lie in (0, 1) and are odd multiples of 2^-17', () => {
    expect(u.every(v => v > 0 && v < 1 && (v * 2 ** 17) % 2 === 1)).toBe(true)
  })

  test('have mean ½ and variance 1/12', () => {
    const mean = u.reduce((t, v) => t + v, 0) / N
    const variance = u.reduce((t, v) => t + (v - 0.5) ** 2, 0) / N
    expect(Math.abs(mean - 0.5) * Math.sqrt(12 * N)).toBeLessThan(SIGMAS) // the mean of n has variance 1/(12n)
    expect(Math.abs(variance - 1 / 12) * Math.sqrt(180 * N)).toBeLessThan(SIGMAS) // (u − ½)² has variance 1/80 − 1/144 = 1/180
  })

  test.each([256, 65_536])('fill %i bins evenly', bins => {
    expect(Math.abs(chiSquareSigmas(chiSquare(u, bins), bins - 1))).toBeLessThan(SIGMAS) // too even is as wrong as too uneven
  })

  test.each([1, 2, 4, 16, 65_536])('do not follow from the number %i before', lag => {
    expect(Math.abs(correlationSigmas(u.subarray(lag), u.subarray(0, N - lag)))).toBeLessThan(SIGMAS)
  })

  // The correlation sees straight lines only; pairs in a grid of 16 × 16 see any pattern as coarse as that.
  // Widths of models are among the distances: without its stride the generator fails at them, for half of all keys.
  test.each([1, 2, 3, 4, 16, 768, 1024, 2048, 4096, 5120, 8192, 11_008, 14_336, 16_384, 65_536])('fill a grid evenly with pairs at distance %i', lag => {
    const pairs = Float32Array.from({ length: N - lag }, (_, i) => (Math.floor(u[i]! * 16) + u[i + lag]!) / 16)
    expect(Math.abs(chiSquareSigmas(chiSquare(pairs, 256), 255))).toBeLessThan(SIGMAS)
  })

  test('have each of their 16 bits set half of the time', () => {
    const ones = new Float64Array(16)
    for (const v of u) {
      const h = v * 65_536 - 0.5
      for (let b = 0; b < 16; b++) ones[b]! += (h >>> b) & 1
    }
    const sigmas = [...ones].map(count => (count - N / 2) / Math.sqrt(N / 4)) // binomial
    expect(sigmas.filter(s => Math.abs(s) >= SIGMAS)).toEqual([])
  })

  test('are independent of the neighbour with whom they share a word', () => {
    const [even, odd] = [0, 1].map(part => Float32Array.from({ length: N / 2 }, (_, i) => u[2 * i + part]!)) as [Float32Array, Float32Array]
    expect(Math.abs(correlationSigmas(even, odd))).toBeLessThan(SIGMAS)
    for (const cells of [4, 16, 256]) {
      const pairs = Float64Array.from(even, (v, i) => (Math.floor(v * cells) + odd[i]!) / cells)
      expect({ cells, isEven: Math.abs(chiSquareSigmas(chiSquare(pairs, cells ** 2), cells ** 2 - 1)) < SIGMAS }).toEqual({ cells, isEven: true })
    }
    const equal = even.filter((v, i) => v === odd[i]).length // one pair in 65,536: 8 of half a million
    expect(Math.abs(equal - N / 2 / 65_536)).toBeLessThan(SIGMAS * Math.sqrt(N / 2 / 65_536))
  })

  test('have no bit that follows a bit of the other half of its word, or of the word before', () => {
    const n = 2 ** 17
    const agree = new Float64Array(32 * 16)
    for (let i = 1; i <= n; i++) {
      const word = hash(i, key)
      const other = hash(i - 1, key)
      for (let a = 0; a < 16; a++) {
        const half = word ^ -((word >>> (16 + a)) & 1)
        const before = other ^ -((word >>> (16 + a)) & 1)
        for (let b = 0; b < 16; b++) {
          agree[32 * a + b]! += (half >>> b) & 1
          agree[32 * a + 16 + b]! += (before >>> b) & 1
        }
      }
    }
    const sigmas = [...agree].map(count => (count - n / 2) / Math.sqrt(n / 4)) // binomial
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

  test.each([2 ** -12, 0.001, 0.1, 0.2, 1 / 3, 0.5, 0.7, 0.9, 0.999])('keep a share of %d', density => {
    const kept = u.filter(v => v < Math.fround(density)).length // what keepRandomly asks
    const p = shareBelow(density)
    expect(Math.abs(kept - N * p) / Math.sqrt(N * p * (1 - p))).toBeLessThan(SIGMAS) // binomial
  })
})

test('of 16 tensors none has a pattern from one row to the next', () => {
  const n = 2 ** 19
  const sigmas: number[] = []
  for (let i = 0; i < 16; i++) {
    const u = tensorNumbers(`model.layers.${i}.self_attn.q_proj.weight`, n)
    for (const width of [2048, 4096, 8192, 11_008, 14_336]) {
      const cells = Float32Array.from({ length: n - width }, (_, j) => (Math.floor(u[j]! * 16) + u[j + width]!) / 16)
      sigmas.push(chiSquareSigmas(chiSquare(cells, 256), 255))
    }
  }
  expect(sigmas.filter(s => Math.abs(s) >= SIGMAS)).toEqual([])
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
    const both = u.filter((x, i) => x < Math.fround(density) && v[i]! < Math.fround(density)).length
    const p = shareBelow(density) ** 2
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
