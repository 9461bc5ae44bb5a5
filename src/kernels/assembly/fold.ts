// Folds: a strip adds to a state in memory. Sums keep eight f64 lanes, element i going to lane i mod 8 of its block, so that the way a block
// is cut into strips (at multiples of 8) does not change a bit. Counts are integers, whose order is free.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

/** Adds a strip to eight f64 lanes at `state`. */
export function sum_add(state: usize, a: usize, n: i32): void {
  let s0 = v128.load(state)
  let s1 = v128.load(state, 16)
  let s2 = v128.load(state, 32)
  let s3 = v128.load(state, 48)
  const end = a + (<usize>(n & ~7) << 2)
  while (a < end) {
    const x = v128.load(a)
    const y = v128.load(a, 16)
    s0 = f64x2.add(s0, f64x2.promote_low_f32x4(x))
    s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<i32>(x, x, 2, 3, 2, 3)))
    s2 = f64x2.add(s2, f64x2.promote_low_f32x4(y))
    s3 = f64x2.add(s3, f64x2.promote_low_f32x4(v128.shuffle<i32>(y, y, 2, 3, 2, 3)))
    a += 32
  }
  v128.store(state, s0)
  v128.store(state, s1, 16)
  v128.store(state, s2, 32)
  v128.store(state, s3, 48)
  for (let i = 0, left = n & 7; i < left; i++) {
    const lane = state + (<usize>i << 3)
    store<f64>(lane, load<f64>(lane) + <f64>load<f32>(a + (<usize>i << 2)))
  }
}

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

/** First step of a radix select: counts the upper 16 bits of each element in 65,536 u32 counters. */
export function count_high(counters: usize, a: usize, n: i32): void {
  const end = a + (<usize>n << 2)
  for (; a < end; a += 4) {
    const at = counters + (<usize>(ordered(load<u32>(a)) >>> 16) << 2)
    store<u32>(at, load<u32>(at) + 1)
  }
}

/** Second step: of the elements whose upper bits are `prefix`, counts the lower 16. */
export function count_low(counters: usize, prefix: u32, a: usize, n: i32): void {
  const wanted = i32x4.splat(<i32>prefix)
  const flip = i32x4.splat(0x80000000)
  const end = a + (<usize>(n & ~3) << 2)
  for (; a < end; a += 16) {
    const bits = v128.load(a)
    const key = v128.xor(bits, v128.or(i32x4.shr_s(bits, 31), flip))
    if (v128.any_true(i32x4.eq(i32x4.shr_u(key, 16), wanted))) {
      count_one(counters, prefix, i32x4.extract_lane(key, 0))
      count_one(counters, prefix, i32x4.extract_lane(key, 1))
      count_one(counters, prefix, i32x4.extract_lane(key, 2))
      count_one(counters, prefix, i32x4.extract_lane(key, 3))
    }
  }
  for (let i = 0, left = n & 3; i < left; i++) count_one(counters, prefix, ordered(load<u32>(a + (<usize>i << 2))))
}

@inline function count_one(counters: usize, prefix: u32, key: u32): void {
  if (key >>> 16 != prefix) return
  const at = counters + (<usize>(key & 0xffff) << 2)
  store<u32>(at, load<u32>(at) + 1)
}
