import type { Code, Local } from './assembler.ts'

// Elementwise ops as instructions on vectors of four float32. Each op is rounded to float32, so that joining them in one loop
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

export const SIGN = 0x80000000
const MAGNITUDE = 0x7fffffff
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
