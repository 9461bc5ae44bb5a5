import { bytesOf, type FloatDType } from '../src/dtype.ts'
import { decode } from './floats.ts'

// Numbers that arithmetic gets wrong first, and the comparison that the tests of the engine share.

/** The least float32. */
export const TINY = 2 ** -149
export const SPECIAL: readonly number[] = [
  ...[0, -0, 1, -1, 0.1, -0.3, TINY, -TINY, 2 ** -126 - TINY, 2 ** -126, 2 ** 24 - 1],
  ...[3.4028234663852886e38, -3.4028234663852886e38, Infinity, -Infinity, NaN],
].map(Math.fround)

export const bitsOf = (x: number): number => new Uint32Array(Float32Array.of(x).buffer)[0]!

/** xorshift32: the same words in every run. */
export function wordsFrom(seed: number): () => number {
  let x = seed || 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 0
  }
}

/** `n` pairs: first every special value with every other, then random bit patterns. */
export function pairs(n: number, seed: number): { a: Float32Array; b: Float32Array } {
  const next = wordsFrom(seed)
  const a = new Float32Array(n)
  const b = new Float32Array(n)
  for (let i = 0; i < n; i++) {
    const j = i + seed
    const isSpecial = n < 500 || i < 256
    a[i] = isSpecial ? SPECIAL[j % 16]! : new Float32Array(Uint32Array.of(next()).buffer)[0]!
    b[i] = isSpecial ? SPECIAL[Math.floor(j / 16) % 16]! : new Float32Array(Uint32Array.of(next()).buffer)[0]!
  }
  return { a, b }
}

/** What is wrong, for at most five elements whose bits as float32 differ; NaNs of any payload are equal, as no part of the engine looks at payloads. */
export function differences(got: ArrayLike<number>, want: ArrayLike<number>): string[] {
  if (got.length !== want.length) return [`${got.length} elements instead of ${want.length}`]
  const wrong: string[] = []
  for (let i = 0; i < got.length && wrong.length < 5; i++) {
    const expected = Math.fround(want[i]!)
    if (!Object.is(got[i], expected)) wrong.push(`[${i}]: ${Object.is(got[i], -0) ? '-0' : got[i]} instead of ${Object.is(expected, -0) ? '-0' : expected}`)
  }
  return wrong
}

/** All bit patterns of a narrow dtype, as bytes. */
export const allPatterns = (dtype: FloatDType): Uint8Array =>
  bytesOf(dtype) === 1 ? Uint8Array.from({ length: 256 }, (_, i) => i) : new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, i) => i).buffer)

/** Float32 values that are hard for `dtype`: each midpoint between neighbours and its own neighbours, random bits, and the edges. */
export function hardFor(dtype: FloatDType): Float32Array {
  const values = decode(dtype, allPatterns(dtype)).filter(v => v >= 0 && Number.isFinite(v)) // ascending
  const hard: number[] = []
  for (const [i, v] of values.entries()) {
    const middle = Math.fround((v + (values[i + 1] ?? v + (v - values[i - 1]!))) / 2)
    const bits = bitsOf(middle)
    hard.push(v, middle, ...new Float32Array(Uint32Array.of(bits - 1, bits + 1).buffer))
  }
  const next = wordsFrom(77)
  for (let i = 0; i < 30_000; i++) hard.push(new Float32Array(Uint32Array.of(next()).buffer)[0]!)
  const largest = values.at(-1)!
  // Most random bit patterns overflow or vanish in a narrow format: these do not.
  for (let i = 0; i < 30_000; i++) hard.push(Math.fround((next() / 2 ** 32) * 2 ** -(next() % 24) * largest))
  return Float32Array.from([...SPECIAL, ...hard.map((v, i) => ((i >> 2) % 2 ? v : -v))]) // the four around a midpoint have one sign
}

/** The element of descending rank `rank`, from 1, in the order of values: −0 below +0, and NaN above all, as Float32Array sorts. */
export const bySorting = (values: Float32Array, rank: number): number => values.toSorted()[values.length - rank]!
