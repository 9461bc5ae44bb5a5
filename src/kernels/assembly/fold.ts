// Folds: a strip adds to a state in memory. Sums keep eight f64 lanes, element i going to lane i mod 8 of its block, so that the way a block
// is cut into strips (at multiples of 8) does not change a bit. Counts are integers, whose order is free.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { binMask, magnitudeMask, signBit } from './_constants'

// What of each element is added: the element, its magnitude, or its product with another's. The product is rounded to f32 first, as mul would.
const PLAIN = 0, ABS = 1, DOT = 2

@inline function term(what: i32, a: usize, b: usize, mask: v128): v128 {
  if (what == ABS) return v128.and(v128.load(a), mask)
  if (what == DOT) return f32x4.mul(v128.load(a), v128.load(b))
  return v128.load(a)
}

/** Adds a strip to eight f64 lanes at `state`. */
@inline function accumulate(what: i32, state: usize, a: usize, b: usize, n: i32): void {
  const mask = magnitudeMask()
  let s0 = v128.load(state)
  let s1 = v128.load(state, 16)
  let s2 = v128.load(state, 32)
  let s3 = v128.load(state, 48)
  const end = a + (<usize>(n & ~7) << 2)
  for (; a < end; a += 32, b += 32) {
    const x = term(what, a, b, mask)
    const y = term(what, a + 16, b + 16, mask)
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(x))
    s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<i32>(x, x, 2, 3, 2, 3)))
    s2 = f64x2.add(s2, f64x2.promote_low_f32x4(y))
    s3 = f64x2.add(s3, f64x2.promote_low_f32x4(v128.shuffle<i32>(y, y, 2, 3, 2, 3)))
  }
  v128.store(state, s0)
  v128.store(state, s1, 16)
  v128.store(state, s2, 32)
  v128.store(state, s3, 48)
  for (let i = 0, left = n & 7; i < left; i++) {
    const lane = state + (<usize>i << 3)
    const x = load<f32>(a + (<usize>i << 2))
    const t = what == ABS ? abs<f32>(x) : what == DOT ? x * load<f32>(b + (<usize>i << 2)) : x
    store<f64>(lane, load<f64>(lane) + <f64>t)
  }
}
export function sum_add(state: usize, a: usize, n: i32): void { accumulate(PLAIN, state, a, 0, n) }
export function sum_abs(state: usize, a: usize, n: i32): void { accumulate(ABS, state, a, 0, n) }
export function sum_dot(state: usize, a: usize, b: usize, n: i32): void { accumulate(DOT, state, a, b, n) }

/** The block's sum from its lanes, which it clears for the next block. */
export function sum_take(state: usize): f64 {
  const low = f64x2.add(v128.load(state), v128.load(state, 16))
  const high = f64x2.add(v128.load(state, 32), v128.load(state, 48))
  const both = f64x2.add(low, high)
  memory.fill(state, 0, 64)
  return f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1)
}

// Floats in the order of their values, as unsigned integers: negative ones have all bits flipped, the others the sign bit.
@inline function ordered(bits: u32): u32 { return bits ^ (<u32>(<i32>bits >> 31) | 0x80000000) }

/**
 * First step of a radix select: counts the upper 16 bits of each element. There are two times 65,536 u32 counters, for even and odd elements:
 * equal neighbours (unchanged weights have a task vector of zeros) would wait for each other's count.
 */
export function count_high(counters: usize, a: usize, n: i32): void {
  const flip = signBit()
  const bins = binMask()
  const odd = counters + (65536 << 2)
  const end = a + (<usize>(n & ~3) << 2)
  for (; a < end; a += 16) {
    const bits = v128.load(a)
    const key = i32x4.shr_u(v128.xor(bits, v128.or(i32x4.shr_s(bits, 31), flip)), 14) // the bin times 4, and two bits to clear
    const at = v128.and(key, bins)
    count(counters + i32x4.extract_lane(at, 0))
    count(odd + i32x4.extract_lane(at, 1))
    count(counters + i32x4.extract_lane(at, 2))
    count(odd + i32x4.extract_lane(at, 3))
  }
  for (let i = 0, left = n & 3; i < left; i++) count(counters + (<usize>(ordered(load<u32>(a + (<usize>i << 2))) >>> 16) << 2))
}

@inline function count(at: usize): void {
  store<u32>(at, load<u32>(at) + 1)
}

/**
 * Second step: of the elements whose upper bits are `prefix`, counts the lower 16 in the first of the two sets of counters.
 * Differences of bf16 numbers mostly have lower bits of zero: those are counted four at a time.
 */
export function count_low(counters: usize, prefix: u32, a: usize, n: i32): void {
  const isNegative = prefix < 0x8000
  const upper = isNegative ? prefix ^ 0xffff : prefix ^ 0x8000 // as it stands in the float itself
  const flip: u32 = isNegative ? 0xffff : 0
  const wanted = i32x4.splat(<i32>upper)
  const round = i32x4.shl(wanted, 16)
  let rounds = i32x4.splat(0) // minus the count of elements with lower bits of zero
  const end = a + (<usize>(n & ~15) << 2)
  for (; a < end; a += 64) {
    const x = v128.load(a)
    const y = v128.load(a, 16)
    const z = v128.load(a, 32)
    const w = v128.load(a, 48)
    const roundX = i32x4.eq(x, round)
    const roundY = i32x4.eq(y, round)
    const roundZ = i32x4.eq(z, round)
    const roundW = i32x4.eq(w, round)
    rounds = i32x4.add(rounds, i32x4.add(i32x4.add(roundX, roundY), i32x4.add(roundZ, roundW)))
    const others = v128.or(
      v128.or(v128.andnot(i32x4.eq(i32x4.shr_u(x, 16), wanted), roundX), v128.andnot(i32x4.eq(i32x4.shr_u(y, 16), wanted), roundY)),
      v128.or(v128.andnot(i32x4.eq(i32x4.shr_u(z, 16), wanted), roundZ), v128.andnot(i32x4.eq(i32x4.shr_u(w, 16), wanted), roundW)),
    )
    if (v128.any_true(others)) for (let i: usize = 0; i < 64; i += 4) {
      const bits = load<u32>(a + i)
      if (bits & 0xffff) countOne(counters, upper, flip, bits)
    }
  }
  const zeros = i32x4.extract_lane(rounds, 0) + i32x4.extract_lane(rounds, 1) + i32x4.extract_lane(rounds, 2) + i32x4.extract_lane(rounds, 3)
  const zeroBin = counters + (<usize>flip << 2)
  store<u32>(zeroBin, load<u32>(zeroBin) - zeros)
  for (let i = 0, left = n & 15; i < left; i++) countOne(counters, upper, flip, load<u32>(a + (<usize>i << 2)))
}

@inline function countOne(counters: usize, upper: u32, flip: u32, bits: u32): void {
  if (bits >>> 16 == upper) count(counters + (<usize>((bits & 0xffff) ^ flip) << 2))
}
