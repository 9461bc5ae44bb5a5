import type { Code, Local } from './assembler.ts'

// Elementwise ops and conversions as instructions on vectors of four float32. Each op is rounded to float32, so that joining them in one loop
// changes no bit.

/**
 * How the sixteen elements of a group lie in four vectors. `plain`: in order. `paired`: as 16-bit numbers come apart with a shift and a mask,
 * the even ones of eight in one vector, the odd ones in the next; three instructions where `plain` takes four.
 */
export type Layout = 'plain' | 'paired'

/** The element of a group that lies in lane `lane` of vector `vector`. */
export const elementAt = (layout: Layout, vector: number, lane: number): number => (layout === 'plain' ? 4 * vector + lane : 8 * (vector >> 1) + 2 * lane + (vector & 1))

/** Constant vectors that stay in registers: V8 would build a literal anew at every use. */
export interface Constants {
  /** All lanes are the word. */
  word(bits: number): Local
  lanes(words: readonly [number, number, number, number]): Local
}

const SIGN = 0x80000000
export const MAGNITUDE = 0x7fffffff
const ONE = 0x3f800000

/** Pushes the mask as numbers: 1 where it is set, else 0. */
export function emitOnes(code: Code, constants: Constants, mask: Local): void {
  code.get(mask, constants.word(ONE))
  code.emit('v128.and')
}

export function emitAbs(code: Code, constants: Constants, x: Local): void {
  code.get(x, constants.word(MAGNITUDE))
  code.emit('v128.and')
}

/** −1, 0 or 1. */
export function emitSign(code: Code, constants: Constants, x: Local): void {
  const [zero, one] = [constants.word(0), constants.word(ONE)]
  code.get(x, zero)
  code.emit('f32x4.gt')
  code.get(one)
  code.emit('v128.and')
  code.get(x, zero)
  code.emit('f32x4.lt')
  code.get(one)
  code.emit('v128.and', 'f32x4.sub')
}

/** A function of one number, lane by lane in float64, rounded once. */
export function emitEach(code: Code, imported: number, x: Local): void {
  code.get(x)
  for (let lane = 0; lane < 4; lane++) {
    code.get(x)
    code.extractF32(lane)
    code.emit('f64.promote_f32')
    code.call(imported)
    code.emit('f32.demote_f64')
    code.replaceF32(lane)
  }
}

/** Reads the vectors of two stored numbers a word, or four of 32 bits: pushes vector `vector` of the group at `at`. */
export function emitLoad(code: Code, constants: Constants, dtype: 'F32' | 'F16' | 'BF16', layout: Layout, at: Local, vector: number): void {
  if (dtype === 'F32') {
    code.get(at)
    code.memory('v128.load', 16 * vector)
    return
  }
  code.get(at)
  if (layout === 'plain') code.memory('v128.load16x4_u', 8 * vector)
  else code.memory('v128.load', 16 * (vector >> 1))
  const isUpper = layout === 'paired' && vector % 2 === 1
  if (dtype === 'BF16') {
    if (isUpper) {
      code.get(constants.word(0xffff0000))
      code.emit('v128.and')
    } else {
      code.i32(16)
      code.emit('i32x4.shl')
    }
    return
  }
  if (isUpper) {
    code.i32(16)
    code.emit('i32x4.shr_u')
  } else if (layout === 'paired') {
    code.get(constants.word(0xffff))
    code.emit('v128.and')
  }
  emitWidenF16(code, constants)
}

// Fabian Giesen's half_to_float: rebias by integer addition, subnormals by one exact float subtraction.
function emitWidenF16(code: Code, constants: Constants): void {
  const [h, o, e, tiny] = [code.local('v128'), code.local('v128'), code.local('v128'), code.local('v128')]
  const exponent = constants.word(0x0f800000)
  const rebias = constants.word((127 - 15) << 23)
  code.tee(h)
  code.get(constants.word(0x7fff))
  code.emit('v128.and')
  code.i32(13)
  code.emit('i32x4.shl')
  code.tee(o)
  code.get(exponent)
  code.emit('v128.and')
  code.set(e)
  code.get(o, rebias)
  code.emit('i32x4.add')
  code.tee(o)
  code.get(constants.word(1 << 23))
  code.emit('i32x4.add')
  code.get(constants.word(0x38800000)) // 2^-14, the least normal f16
  code.emit('f32x4.sub')
  code.set(tiny)
  code.get(tiny, o, rebias)
  code.emit('i32x4.add') // infinity and NaN
  code.get(o, e, exponent)
  code.emit('i32x4.eq', 'v128.bitselect')
  code.get(e, constants.word(0))
  code.emit('i32x4.eq', 'v128.bitselect')
  code.get(h)
  code.i32(16)
  code.emit('i32x4.shl')
  code.get(constants.word(SIGN))
  code.emit('v128.and', 'v128.or')
}

/** Stores the pair of vectors `vector` and `vector + 1` of the group at `at`, rounded to nearest even. A NaN may turn into a number: the caller looks for it. */
export function emitStore(code: Code, constants: Constants, dtype: 'F32' | 'F16' | 'BF16', layout: Layout, at: Local, vector: number, pair: readonly [Local, Local]): void {
  if (dtype === 'F32') {
    for (const [i, x] of pair.entries()) {
      code.get(at, x)
      code.memory('v128.store', 16 * (vector + i))
    }
    return
  }
  const narrow = dtype === 'BF16' ? emitRoundBf16 : emitNarrowF16
  code.get(at)
  narrow(code, constants, pair[0])
  if (dtype === 'BF16') {
    code.i32(16)
    code.emit('i32x4.shr_u')
  }
  narrow(code, constants, pair[1])
  if (layout === 'plain') {
    if (dtype === 'BF16') {
      code.i32(16)
      code.emit('i32x4.shr_u')
    }
    code.emit('i16x8.narrow_i32x4_u')
  } else if (dtype === 'BF16') {
    code.get(constants.word(0xffff0000))
    code.emit('v128.and', 'v128.or')
  } else {
    code.i32(16)
    code.emit('i32x4.shl', 'v128.or')
  }
  code.memory('v128.store', 8 * vector)
}

/** The rounded number in the upper half of each lane: half a unit is added, less one if the last kept bit is even. */
function emitRoundBf16(code: Code, constants: Constants, x: Local): void {
  code.get(x)
  code.i32(16)
  code.emit('i32x4.shr_u')
  code.get(constants.word(1))
  code.emit('v128.and')
  code.get(x, constants.word(0x7fff))
  code.emit('i32x4.add', 'i32x4.add')
}

// Fabian Giesen's float_to_half, round to nearest even: subnormals let a float addition do the rounding.
function emitNarrowF16(code: Code, constants: Constants, x: Local): void {
  const [f, o] = [code.local('v128'), code.local('v128')]
  const magic = constants.word(0x3f000000) // 0.5: its last bit weighs as much as f16's last subnormal bit
  emitAbs(code, constants, x)
  code.tee(f)
  code.get(magic)
  code.emit('f32x4.add')
  code.get(magic)
  code.emit('i32x4.sub')
  code.get(f, constants.word(((15 - 127) << 23) + 0xfff))
  code.emit('i32x4.add')
  code.get(f)
  code.i32(13)
  code.emit('i32x4.shr_u')
  code.get(constants.word(1))
  code.emit('v128.and', 'i32x4.add')
  code.i32(13)
  code.emit('i32x4.shr_u')
  code.get(f, constants.word(0x38800000)) // 2^-14, the least normal f16
  code.emit('i32x4.lt_s', 'v128.bitselect')
  code.set(o)
  code.get(constants.word(0x7c00), o, f, constants.word(0x47800000)) // 2^16: from here on f16 overflows
  code.emit('i32x4.ge_s', 'v128.bitselect')
  code.get(x)
  code.i32(16)
  code.emit('i32x4.shr_u')
  code.get(constants.word(0x8000))
  code.emit('v128.and', 'v128.or')
}

/** What the state grows by from pair to pair: 2^32 over the golden ratio. Neighbours, rows and other round distances become far apart in every bit. */
export const STRIDE = 0x9e3779b9

/**
 * A counter-based generator: 16 random bits for an element depend on nothing but the key and the element's index, so any order, thread or resumption
 * gives the same numbers. A word of 32 bits serves two neighbours, the lower half the even one. It is splitmix32: the hash [16 21f0aaad 15 735a2d97 15]
 * (found by TheIronBorn with Chris Wellons' hash-prospector, https://github.com/skeeto/hash-prospector/issues/19) of `states`, which are key0 plus
 * STRIDE times the pair's index, with key1 entering after the first multiplication. Without the stride half of all keys show patterns at distances of
 * 2^11 to 2^14, which are the lengths of rows. A fraction of the cost of Philox4x32-7, which reaches the quality of BigCrush; a mask over weights needs
 * less. test/random.test.ts tests its statistics.
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
