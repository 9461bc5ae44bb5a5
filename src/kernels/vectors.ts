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

/** Bits of a float32, for constants. */
function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!
}

// Exponential and logarithm after Stephen Moshier's Cephes library (single precision): within 2 units of the last place, and the same on every machine.
const LN2_HIGH = 0.693359375
const LN2_LOW = -2.1219444e-4
const EXP = [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 0.166666655, 0.50000001201]
const LOG = [7.0376836292e-2, -0.115146103, 0.1167699874, -0.1242014085, 0.1424932279, -0.1666805767, 0.2000071477, -0.24999994, 0.3333333117]

export function emitExp(code: Code, constants: Constants, x: Local): void {
  const number = (value: number): Local => constants.word(bitsOf(value))
  const [n, r, half, whole] = [code.local('v128'), code.local('v128'), code.local('v128'), code.local('v128')]
  // Beyond these ends the result is infinity or 0 all the same.
  code.get(x, number(90))
  code.emit('f32x4.min')
  code.get(number(-105))
  code.emit('f32x4.max')
  code.tee(r)
  code.get(number(Math.LOG2E))
  code.emit('f32x4.mul', 'f32x4.nearest')
  code.set(n)
  code.get(r, n, number(LN2_HIGH))
  code.emit('f32x4.mul', 'f32x4.sub')
  code.get(n, number(LN2_LOW))
  code.emit('f32x4.mul', 'f32x4.sub')
  code.set(r)
  emitPolynomial(code, EXP.map(number), r)
  code.get(r, r)
  code.emit('f32x4.mul', 'f32x4.mul')
  code.get(r)
  code.emit('f32x4.add')
  code.get(number(1))
  code.emit('f32x4.add')
  // Times 2^n in two steps, as 2^n itself may be out of range where the result is not.
  code.get(n)
  code.emit('i32x4.trunc_sat_f32x4_s')
  code.tee(whole)
  code.i32(1)
  code.emit('i32x4.shr_s')
  code.set(half)
  for (const part of ['half', 'rest'] as const) {
    if (part === 'half') code.get(half)
    else {
      code.get(whole, half)
      code.emit('i32x4.sub')
    }
    code.get(constants.word(127))
    code.emit('i32x4.add')
    code.i32(23)
    code.emit('i32x4.shl', 'f32x4.mul')
  }
}

export function emitLog(code: Code, constants: Constants, x: Local): void {
  const number = (value: number): Local => constants.word(bitsOf(value))
  const [scaled, isTiny, e, m, z, isSmall, y] = Array.from({ length: 7 }, () => code.local('v128')) as [Local, Local, Local, Local, Local, Local, Local]
  // Subnormal numbers are scaled up first.
  code.get(x, number(2 ** -126))
  code.emit('f32x4.lt')
  code.set(isTiny)
  code.get(x, number(2 ** 23))
  code.emit('f32x4.mul')
  code.get(x, isTiny)
  code.emit('v128.bitselect')
  code.set(scaled)
  // x = m · 2^e, m in [1/2, 1)
  code.get(scaled)
  code.i32(23)
  code.emit('i32x4.shr_u')
  code.get(constants.word(126))
  code.emit('i32x4.sub')
  code.get(isTiny, constants.word(23))
  code.emit('v128.and', 'i32x4.sub', 'f32x4.convert_i32x4_s')
  code.set(e)
  code.get(scaled, constants.word(0x007fffff))
  code.emit('v128.and')
  code.get(constants.word(0x3f000000))
  code.emit('v128.or')
  code.set(m)
  // m in [√½, √2), less 1
  code.get(m, number(Math.SQRT1_2))
  code.emit('f32x4.lt')
  code.set(isSmall)
  code.get(e, isSmall, number(1))
  code.emit('v128.and', 'f32x4.sub')
  code.set(e)
  code.get(m, m, isSmall)
  code.emit('v128.and', 'f32x4.add')
  code.get(number(1))
  code.emit('f32x4.sub')
  code.set(m)
  code.get(m, m)
  code.emit('f32x4.mul')
  code.set(z)
  emitPolynomial(code, LOG.map(number), m)
  code.get(m, z)
  code.emit('f32x4.mul', 'f32x4.mul')
  code.get(e, number(LN2_LOW))
  code.emit('f32x4.mul', 'f32x4.add')
  code.get(z, number(0.5))
  code.emit('f32x4.mul', 'f32x4.sub')
  code.get(m)
  code.emit('f32x4.add')
  code.get(e, number(LN2_HIGH))
  code.emit('f32x4.mul', 'f32x4.add')
  code.set(y)
  // 0 gives −infinity, a negative number NaN; infinity and NaN stay.
  const isOutside = code.local('v128')
  code.get(number(Number.NEGATIVE_INFINITY), y, x, number(0))
  code.emit('f32x4.eq', 'v128.bitselect')
  code.set(y)
  code.get(x, number(0))
  code.emit('f32x4.lt')
  code.set(isOutside)
  code.get(constants.word(0x7fc00000), y, isOutside)
  code.emit('v128.bitselect')
  code.set(y)
  code.get(y, x, x, number(Number.POSITIVE_INFINITY))
  code.emit('f32x4.lt', 'v128.bitselect')
}

/** Pushes the polynomial, its highest coefficient first. */
function emitPolynomial(code: Code, coefficients: readonly Local[], x: Local): void {
  code.get(coefficients[0]!)
  for (const coefficient of coefficients.slice(1)) {
    code.get(x)
    code.emit('f32x4.mul')
    code.get(coefficient)
    code.emit('f32x4.add')
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
