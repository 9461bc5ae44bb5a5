import type { NativeDType } from '../dtype.ts'
import type { Code, Local } from './assembler.ts'
import { type Constants, emitAbs, type Layout, SIGN } from './vectors.ts'

// Stored numbers to vectors of four float32 and back.

/** Reads the vectors of two stored numbers a word, or four of 32 bits: pushes vector `vector` of the group at `at`. */
export function emitLoad(code: Code, constants: Constants, dtype: NativeDType, layout: Layout, at: Local, vector: number): void {
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
export function emitStore(code: Code, constants: Constants, dtype: NativeDType, layout: Layout, at: Local, vector: number, pair: readonly [Local, Local]): void {
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
