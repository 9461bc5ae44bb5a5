import { streamKey } from '../src/plan/random.ts'

export type Key = readonly [number, number]

/**
 * The random generator, written to be read: splitmix32, that is Chris Wellons' two rounds of multiplying and shifting with the constants
 * [16 21f0aaad 15 735a2d97 15] (https://github.com/skeeto/hash-prospector/issues/19), of key0 plus 0x9e3779b9 times the pair's index;
 * key1 enters after the first multiplication.
 */
export function hash(pair: number, [key0, key1]: Key): number {
  let x = (key0 + Math.imul(pair, 0x9e3779b9)) >>> 0
  x ^= x >>> 16
  x = Math.imul(x, 0x21f0aaad) ^ key1
  x ^= x >>> 15
  x = Math.imul(x, 0x735a2d97)
  x ^= x >>> 15
  return x >>> 0
}

/** The 16 bits of an element: even ones have the lower half of their pair's word. */
export const bits = (index: number, key: Key): number => (index % 2 === 0 ? hash(index / 2, key) & 0xffff : hash((index - 1) / 2, key) >>> 16)

/** `n` random numbers of a stream, from element `first` on: h + ½ units of 2^-16, for 16 random bits h. */
export const uniforms = (n: number, key: Key, first = 0): Float32Array => Float32Array.from({ length: n }, (_, i) => (bits(first + i, key) + 0.5) / 65_536)

/** A tensor's random numbers for a label. */
export const labelled = (n: number, tensor: Key, label: number): Float32Array => uniforms(n, streamKey(tensor, label, 0))
