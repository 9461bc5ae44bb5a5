import type { Code, Local } from './assembler.ts'
import type { Constants, Layout } from './vectors.ts'

/** What the state grows by from pair to pair: 2^32 over the golden ratio. Neighbours, rows and other round distances become far apart in every bit. */
export const STRIDE = 0x9e3779b9

/**
 * A counter-based generator: 16 random bits for an element depend on nothing but the key and the element's index, so any order, thread or resumption
 * gives the same numbers. A word of 32 bits serves two neighbours, the lower half the even one. It is splitmix32: the hash [16 21f0aaad 15 735a2d97 15]
 * (found by TheIronBorn with Chris Wellons' hash-prospector, https://github.com/skeeto/hash-prospector/issues/19) of `states`, which are key0 plus
 * STRIDE times the pair's index, with key1 entering after the first multiplication. Without the stride half of all keys show patterns at distances of
 * 2^11 to 2^14, which are the lengths of rows. A fraction of the cost of Philox4x32-7, which reaches the quality of BigCrush; a mask over weights needs
 * less. test/random_statistics.test.ts tests it.
 */
export function emitHash(code: Code, constants: Constants, states: Local, key1: Local): void {
  const x = code.local('v128')
  const shifted = (from: Local, bits: number): void => {
    code.get(from, from)
    code.i32(bits)
    code.emit('i32x4.shr_u', 'v128.xor')
  }
  shifted(states, 16)
  code.get(constants.word(0x21f0aaad))
  code.emit('i32x4.mul')
  code.get(key1)
  code.emit('v128.xor')
  code.set(x)
  shifted(x, 15)
  code.get(constants.word(0x735a2d97))
  code.emit('i32x4.mul')
  code.set(x)
  shifted(x, 15)
}

/** Pushes the 16 bits of each element of vector `vector`, from the words of its pair of vectors. */
export function emitHalves(code: Code, constants: Constants, layout: Layout, words: Local, vector: number): void {
  const isOdd = vector % 2 === 1
  const even = (): void => {
    code.get(words, constants.word(0xffff))
    code.emit('v128.and')
  }
  const odd = (): void => {
    code.get(words)
    code.i32(16)
    code.emit('i32x4.shr_u')
  }
  if (layout === 'plain' || !isOdd) even()
  if (layout === 'plain' || isOdd) odd()
  if (layout === 'plain') code.shuffle32(isOdd ? [2, 6, 3, 7] : [0, 4, 1, 5])
}

/** Pushes the least number of 16 random bits which, as a number of `emitUniform`, is not below the scalar `p`: to compare the bits as they are. */
export function emitThreshold(code: Code, constants: Constants, p: Local): void {
  code.get(p, constants.word(0x47800000)) // 2^16
  code.emit('f32x4.mul')
  code.get(constants.word(0x3f000000)) // 0.5
  code.emit('f32x4.sub', 'f32x4.ceil', 'i32x4.trunc_sat_f32x4_s')
}

/** Pushes as numbers what are 16 random bits: (0, 1), in steps of 2^-16 from 2^-17 on. Exact. */
export function emitUniform(code: Code, constants: Constants, bits: Local): void {
  code.get(bits)
  code.emit('f32x4.convert_i32x4_s')
  code.get(constants.word(0x37800000)) // 2^-16
  code.emit('f32x4.mul')
  code.get(constants.word(0x37000000)) // 2^-17
  code.emit('f32x4.add')
}
