// Counts for a radix select, when a bracket has failed: by the upper 16 bits of each element, then by the lower ones. The order of counting is free.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { binMask, quietNan, signBit } from './_constants'

// Every NaN counts as the same, above all numbers, as in a search among few: the sign that arithmetic gives it differs between processors.
@inline function plainNan(x: v128, nan: v128): v128 { return v128.bitselect(nan, x, f32x4.ne(x, x)) }
@inline function plain(bits: u32): u32 { return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits }

// Floats in the order of their values, as unsigned integers: negative ones have all bits flipped, the others the sign bit.
@inline function ordered(bits: u32): u32 { return bits ^ (<u32>(<i32>bits >> 31) | 0x80000000) }

/**
 * First step of a radix select: counts the upper 16 bits of each element. There are two times 65,536 u32 counters, for even and odd elements:
 * equal neighbours (unchanged weights have a task vector of zeros) would wait for each other's count.
 */
export function count_high(counters: usize, a: usize, n: i32): void {
  const flip = signBit()
  const bins = binMask()
  const nan = quietNan()
  const odd = counters + (65536 << 2)
  const end = a + (<usize>(n & ~3) << 2)
  for (; a < end; a += 16) {
    const bits = plainNan(v128.load(a), nan)
    const key = i32x4.shr_u(v128.xor(bits, v128.or(i32x4.shr_s(bits, 31), flip)), 14) // the bin times 4, and two bits to clear
    const at = v128.and(key, bins)
    count(counters + i32x4.extract_lane(at, 0))
    count(odd + i32x4.extract_lane(at, 1))
    count(counters + i32x4.extract_lane(at, 2))
    count(odd + i32x4.extract_lane(at, 3))
  }
  for (let i = 0, left = n & 3; i < left; i++) count(counters + (<usize>(ordered(plain(load<u32>(a + (<usize>i << 2)))) >>> 16) << 2))
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
  const nan = quietNan()
  let rounds = i32x4.splat(0) // minus the count of elements with lower bits of zero
  const end = a + (<usize>(n & ~15) << 2)
  for (; a < end; a += 64) {
    const x = plainNan(v128.load(a), nan)
    const y = plainNan(v128.load(a, 16), nan)
    const z = plainNan(v128.load(a, 32), nan)
    const w = plainNan(v128.load(a, 48), nan)
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
      const bits = plain(load<u32>(a + i))
      if (bits & 0xffff) countOne(counters, upper, flip, bits)
    }
  }
  const zeros = i32x4.extract_lane(rounds, 0) + i32x4.extract_lane(rounds, 1) + i32x4.extract_lane(rounds, 2) + i32x4.extract_lane(rounds, 3)
  const zeroBin = counters + (<usize>flip << 2)
  store<u32>(zeroBin, load<u32>(zeroBin) - zeros)
  for (let i = 0, left = n & 15; i < left; i++) countOne(counters, upper, flip, plain(load<u32>(a + (<usize>i << 2))))
}

@inline function countOne(counters: usize, upper: u32, flip: u32, bits: u32): void {
  if (bits >>> 16 == upper) count(counters + (<usize>((bits & 0xffff) ^ flip) << 2))
}

// For the search of the k-th largest among few numbers: by keys, which are the bits of a float in the order of values as a signed integer.

@inline function keyOf(bits: i32): i32 {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc00000 // every NaN is the same, and above all
  return bits ^ ((bits >> 31) & 0x7fffffff)
}

/** Counts keys by (key − least) >> shift, which must lie in [0, 4096). Two sets of counters, for even and odd elements. */
export function count_keys(counters: usize, a: usize, n: i32, least: i32, shift: i32): void {
  const odd = counters + (4096 << 2)
  const end = a + (<usize>(n & ~1) << 2)
  for (; a < end; a += 8) {
    count(counters + (<usize>(<u32>(keyOf(load<i32>(a)) - least) >>> shift) << 2))
    count(odd + (<usize>(<u32>(keyOf(load<i32>(a, 4)) - least) >>> shift) << 2))
  }
  if (n & 1) count(counters + (<usize>(<u32>(keyOf(load<i32>(a)) - least) >>> shift) << 2))
}

/** Moves what was counted in [lowest, highest] to `d`, which may be `a`; gives how many there are. */
export function gather_keys(d: usize, a: usize, n: i32, least: i32, shift: i32, lowest: u32, highest: u32): i32 {
  const from = d
  const width = highest - lowest
  for (const end = a + (<usize>n << 2); a < end; a += 4) {
    const bits = load<i32>(a)
    store<i32>(d, bits)
    d += <usize>((<u32>(keyOf(bits) - least) >>> shift) - lowest <= width) << 2 // no branch: nobody could predict it
  }
  return <i32>((d - from) >>> 2)
}

/** Copies pieces [first, end) of the sample of `size` elements of `width` bytes at `a` side by side. A piece has 64 elements: see execute/select.ts. */
export function copy_pieces(d: usize, a: usize, width: i32, size: f64, pieces: f64, first: i32, end: i32): void {
  const bytes = <usize>width << 6
  for (let piece = first; piece < end; piece++) {
    const from = a + <usize>(Math.floor((<f64>piece * (size - 64)) / Math.max(1, pieces - 1) / 16) * 16) * <usize>width
    for (let i: usize = 0; i < bytes; i += 64, d += 64) {
      v128.store(d, v128.load(from + i))
      v128.store(d, v128.load(from + i, 16), 16)
      v128.store(d, v128.load(from + i, 32), 32)
      v128.store(d, v128.load(from + i, 48), 48)
    }
  }
}
