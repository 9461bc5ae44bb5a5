import type { Code, Local } from './assembler.ts'
import type { Constants } from './vectors.ts'

// Exponential and logarithm of four float32 at once, after Stephen Moshier's Cephes library (single precision): within 2 units of the last place, and
// the same on every machine.

/** Bits of a float32, for constants. */
function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!
}

const INTEGERS = 1.5 * 2 ** 23 // added to a small whole number it leaves that in the last bits: fewer instructions than a conversion, which cares for NaN
const LN2_HIGH = 0.693359375
const LN2_LOW = -2.1219444e-4
const EXP = [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 0.166666655, 0.50000001201]
const LOG = [7.0376836292e-2, -0.115146103, 0.1167699874, -0.1242014085, 0.1424932279, -0.1666805767, 0.2000071477, -0.24999994, 0.3333333117]

export function emitExp(code: Code, constants: Constants, x: Local): void {
  const number = (value: number): Local => constants.word(bitsOf(value))
  const [n, r, half, whole] = [code.local('v128'), code.local('v128'), code.local('v128'), code.local('v128')]
  // Beyond these ends the result is infinity or 0 all the same.
  code.get(x, number(90))
  code.emit('f32x4.pmin') // a NaN stays one
  code.get(number(-105))
  code.emit('f32x4.pmax')
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
  code.get(n, number(INTEGERS))
  code.emit('f32x4.add')
  code.get(number(INTEGERS))
  code.emit('i32x4.sub')
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
