// Stored dtypes to arrays of f32 and back. Every load gives the largest magnitude it saw, as the bits of |x| in f32, so that a NaN or an
// infinity (bits from 0x7f800000 up) is noticed at no extra trip; every store gives that of what it was handed, which tells what overflows.
// Arrays have room up to a multiple of 16 elements.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { exponentStep, f16Exponent, f16Infinity, f16Limit, f16Magic, f16Nan, f16Rebias, f16Round, f16Sign, f16Smallest, infinity, lowestBit, magnitudeMask, ones15, signBit } from './_constants'

const MAGNITUDE: i32 = 0x7fffffff

@inline function largest(v: v128): u32 {
  const a = max<u32>(i32x4.extract_lane(v, 0), i32x4.extract_lane(v, 1))
  const b = max<u32>(i32x4.extract_lane(v, 2), i32x4.extract_lane(v, 3))
  return max<u32>(a, b)
}

/** The largest |x| of an array of f32, as bits. */
export function check_f32(a: usize, n: i32): u32 {
  const mask = magnitudeMask()
  let most = i32x4.splat(0)
  const end = a + (<usize>(n & ~7) << 2)
  for (; a < end; a += 32) {
    most = i32x4.max_u(most, v128.and(v128.load(a), mask))
    most = i32x4.max_u(most, v128.and(v128.load(a, 16), mask))
  }
  let top = largest(most)
  for (let i = 0, left = n & 7; i < left; i++) top = max(top, load<u32>(a + (<usize>i << 2)) & MAGNITUDE)
  return top
}

export function load_f32(d: usize, a: usize, n: i32): u32 {
  memory.copy(d, a, <usize>n << 2)
  return check_f32(d, n)
}

export function load_bf16(d: usize, a: usize, n: i32): u32 {
  const mask = magnitudeMask()
  let most = i32x4.splat(0)
  let other = i32x4.splat(0)
  const end = a + (<usize>(n & ~15) << 1)
  for (; a < end; a += 32, d += 64) {
    const raw = v128.load(a)
    const next = v128.load(a, 16)
    const x = i32x4.shl(i32x4.extend_low_i16x8_u(raw), 16)
    const y = i32x4.shl(i32x4.extend_high_i16x8_u(raw), 16)
    const z = i32x4.shl(i32x4.extend_low_i16x8_u(next), 16)
    const w = i32x4.shl(i32x4.extend_high_i16x8_u(next), 16)
    v128.store(d, x)
    v128.store(d, y, 16)
    v128.store(d, z, 32)
    v128.store(d, w, 48)
    most = i32x4.max_u(most, i32x4.max_u(v128.and(x, mask), v128.and(y, mask)))
    other = i32x4.max_u(other, i32x4.max_u(v128.and(z, mask), v128.and(w, mask)))
  }
  let top = max(largest(most), largest(other))
  for (let i = 0, left = n & 15; i < left; i++) {
    const bits = <u32>load<u16>(a + (<usize>i << 1)) << 16
    store<u32>(d + (<usize>i << 2), bits)
    top = max(top, bits & MAGNITUDE)
  }
  return top
}

// Fabian Giesen's half_to_float: rebias by integer addition, subnormals by one exact float subtraction.
@inline function widen_f16(h: v128): v128 {
  const exponent = f16Exponent()
  const sign = v128.and(h, f16Sign())
  let o = i32x4.shl(v128.xor(h, sign), 13)
  const e = v128.and(o, exponent)
  o = i32x4.add(o, f16Rebias())
  const special = i32x4.add(o, f16Rebias())
  const tiny = f32x4.sub(i32x4.add(o, exponentStep()), f16Smallest())
  o = v128.bitselect(special, o, i32x4.eq(e, exponent))
  o = v128.bitselect(tiny, o, i32x4.eq(e, i32x4.splat(0)))
  return v128.or(o, i32x4.shl(sign, 16))
}

export function load_f16(d: usize, a: usize, n: i32): u32 {
  const mask = magnitudeMask()
  let most = i32x4.splat(0)
  const end = a + (<usize>(n & ~7) << 1)
  for (; a < end; a += 16, d += 32) {
    const raw = v128.load(a)
    const x = widen_f16(i32x4.extend_low_i16x8_u(raw))
    const y = widen_f16(i32x4.extend_high_i16x8_u(raw))
    v128.store(d, x)
    v128.store(d, y, 16)
    most = i32x4.max_u(most, i32x4.max_u(v128.and(x, mask), v128.and(y, mask)))
  }
  let top = largest(most)
  for (let i = 0, left = n & 7; i < left; i++) {
    const bits = <u32>i32x4.extract_lane(widen_f16(i32x4.splat(load<u16>(a + (<usize>i << 1)))), 0)
    store<u32>(d + (<usize>i << 2), bits)
    top = max(top, bits & MAGNITUDE)
  }
  return top
}

export function load_f64(d: usize, a: usize, n: i32): u32 {
  const from = d
  for (let i = 0; i < n; i++, a += 8, d += 4) store<f32>(d, <f32>load<f64>(a))
  return check_f32(from, n)
}

// FP8 (Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433). E4M3 has no infinity: only the all-ones magnitude is NaN.
function widen_f8(byte: u32, mantissa: u32, bias: i32, ieee: bool): u32 {
  const sign = (byte & 0x80) << 24
  const magnitude = byte & 0x7f
  const e = <i32>(magnitude >>> mantissa)
  const m = magnitude & ((1 << mantissa) - 1)
  const top = <i32>(0x7f >>> mantissa)
  if (ieee && e == top) return sign | 0x7f800000 | (m << (23 - mantissa))
  if (!ieee && magnitude == 0x7f) return sign | 0x7fc00000
  if (e == 0) return sign | reinterpret<u32>(<f32>m * reinterpret<f32>((127 + 1 - bias - mantissa) << 23))
  return sign | (<u32>(e - bias + 127) << 23) | (m << (23 - mantissa))
}

const E4M3 = memory.data(1024)
const E5M2 = memory.data(1024)

/** Fills the tables for FP8. Called once, after the memory is there. */
export function prepare(): void {
  for (let b: u32 = 0; b < 256; b++) {
    store<u32>(E4M3 + (<usize>b << 2), widen_f8(b, 3, 7, false))
    store<u32>(E5M2 + (<usize>b << 2), widen_f8(b, 2, 15, true))
  }
}

@inline function load_f8(table: usize, d: usize, a: usize, n: i32): u32 {
  let top: u32 = 0
  for (let i = 0; i < n; i++, d += 4) {
    const bits = load<u32>(table + (<usize>load<u8>(a + i) << 2))
    store<u32>(d, bits)
    top = max(top, bits & MAGNITUDE)
  }
  return top
}
export function load_f8_e4m3(d: usize, a: usize, n: i32): u32 { return load_f8(E4M3, d, a, n) }
export function load_f8_e5m2(d: usize, a: usize, n: i32): u32 { return load_f8(E5M2, d, a, n) }

export function store_f32(d: usize, a: usize, n: i32): u32 {
  memory.copy(d, a, <usize>n << 2)
  return check_f32(d, n)
}

export function store_f64(d: usize, a: usize, n: i32): u32 {
  const top = check_f32(a, n)
  for (let i = 0; i < n; i++, a += 4, d += 8) store<f64>(d, <f64>load<f32>(a))
  return top
}

// Round to nearest even by adding half a unit, less one if the last kept bit is even.
@inline function round_bf16(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), lowestBit())
  return i32x4.shr_u(i32x4.add(i32x4.add(x, ones15()), odd), 16)
}
// The same, and a NaN keeps its upper payload, made quiet.
@inline function narrow_bf16(x: v128): v128 {
  return v128.bitselect(v128.or(i32x4.shr_u(x, 16), i32x4.splat(0x40)), round_bf16(x), f32x4.ne(x, x))
}

export function store_bf16(d: usize, a: usize, n: i32): u32 {
  const mask = magnitudeMask()
  let most = i32x4.splat(0)
  let other = i32x4.splat(0)
  const from = a
  const end = a + (<usize>(n & ~15) << 2)
  for (; a < end; a += 64, d += 32) {
    const x = v128.load(a)
    const y = v128.load(a, 16)
    const z = v128.load(a, 32)
    const w = v128.load(a, 48)
    v128.store(d, i16x8.narrow_i32x4_u(round_bf16(x), round_bf16(y)))
    v128.store(d, i16x8.narrow_i32x4_u(round_bf16(z), round_bf16(w)), 16)
    most = i32x4.max_u(most, i32x4.max_u(v128.and(x, mask), v128.and(y, mask)))
    other = i32x4.max_u(other, i32x4.max_u(v128.and(z, mask), v128.and(w, mask)))
  }
  let top = max(largest(most), largest(other))
  if (top > 0x7f800000) { // rounding may have carried a NaN away: once more, with care
    d -= (<usize>(n & ~15) << 1)
    for (a = from; a < end; a += 32, d += 16) v128.store(d, i16x8.narrow_i32x4_u(narrow_bf16(v128.load(a)), narrow_bf16(v128.load(a, 16))))
  }
  for (let i = 0, left = n & 15; i < left; i++) {
    const x = load<u32>(a + (<usize>i << 2))
    store<u16>(d + (<usize>i << 1), <u16>i32x4.extract_lane(narrow_bf16(i32x4.splat(x)), 0))
    top = max(top, x & MAGNITUDE)
  }
  return top
}

// Fabian Giesen's float_to_half, round to nearest even: subnormals let a float addition do the rounding.
@inline function narrow_f16(x: v128): v128 {
  const sign = v128.and(x, signBit())
  const f = v128.xor(x, sign)
  const magic = f16Magic()
  const tiny = i32x4.sub(f32x4.add(f, magic), magic)
  const odd = v128.and(i32x4.shr_u(f, 13), lowestBit())
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(f, f16Round()), odd), 13)
  const huge = v128.bitselect(f16Nan(), f16Infinity(), i32x4.gt_s(f, infinity()))
  let o = v128.bitselect(tiny, normal, i32x4.lt_s(f, f16Smallest()))
  o = v128.bitselect(huge, o, i32x4.ge_s(f, f16Limit()))
  return v128.or(o, i32x4.shr_u(sign, 16))
}

export function store_f16(d: usize, a: usize, n: i32): u32 {
  const top = check_f32(a, n)
  const end = a + (<usize>(n & ~7) << 2)
  for (; a < end; a += 32, d += 16) v128.store(d, i16x8.narrow_i32x4_u(narrow_f16(v128.load(a)), narrow_f16(v128.load(a, 16))))
  for (let i = 0, left = n & 7; i < left; i++) {
    store<u16>(d + (<usize>i << 1), <u16>i32x4.extract_lane(narrow_f16(i32x4.splat(load<u32>(a + (<usize>i << 2)))), 0))
  }
  return top
}

// What rounds beyond the largest value becomes NaN in E4M3, which has no infinity, and infinity in E5M2: an overflow should not look healthy.
@inline function narrow_f8(x: u32, mantissa: u32, bias: i32, overflow: u32, nan: u32): u32 {
  const sign = (x >>> 24) & 0x80
  const f = x & MAGNITUDE
  if (f > 0x7f800000) return sign | nan
  const smallest = <u32>(127 + 1 - bias) << 23 // the least normal value of the target
  if (f < smallest) {
    const magic = <u32>(127 + 1 - bias + (23 - <i32>mantissa)) << 23 // its last bit weighs as much as the target's last subnormal bit
    return sign | (reinterpret<u32>(reinterpret<f32>(f) + reinterpret<f32>(magic)) - magic)
  }
  const shift = 23 - mantissa
  const odd = (f >>> shift) & 1
  const rounded = (f - (<u32>(127 - bias) << 23) + (1 << (shift - 1)) - 1 + odd) >>> shift
  return sign | (rounded >= overflow ? overflow : rounded)
}

export function store_f8_e4m3(d: usize, a: usize, n: i32): u32 {
  for (let i = 0; i < n; i++) store<u8>(d + i, <u8>narrow_f8(load<u32>(a + (<usize>i << 2)), 3, 7, 0x7f, 0x7f))
  return check_f32(a, n)
}
export function store_f8_e5m2(d: usize, a: usize, n: i32): u32 {
  for (let i = 0; i < n; i++) store<u8>(d + i, <u8>narrow_f8(load<u32>(a + (<usize>i << 2)), 2, 15, 0x7c, 0x7f))
  return check_f32(a, n)
}

/** Where free memory begins: the caller lays out everything beyond. */
export function heap(): usize { return __heap_base }
