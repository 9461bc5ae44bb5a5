// A counter-based generator: element i's number depends on nothing but the key and i, so any order, thread or resumption gives the same numbers.
// Keyed triple32: Chris Wellons' integer hash triple32 (three multiplications; measured bias 0.0208, near the ideal of a random function,
// https://github.com/skeeto/hash-prospector) of index + key0, with key1 entering after the first multiplication.
// Four lanes at a time it costs a third of Philox4x32-7, which reaches the quality of BigCrush; a mask over weights needs less.
// As a hash of a 32-bit index it draws without replacement: over 2^32 elements each number comes once, and no mask can tell.
// test/random.test.ts tests its statistics.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { step, triple32, unitStep } from './_constants'

@inline function hash(counter: v128, key1: v128, m0: v128, m1: v128, m2: v128): v128 {
  let x = v128.xor(counter, i32x4.shr_u(counter, 17))
  x = v128.xor(i32x4.mul(x, m0), key1)
  x = v128.xor(x, i32x4.shr_u(x, 11))
  x = i32x4.mul(x, m1)
  x = v128.xor(x, i32x4.shr_u(x, 15))
  x = i32x4.mul(x, m2)
  return v128.xor(x, i32x4.shr_u(x, 14))
}

// The upper 24 bits as a float in [0, 1): exact.
@inline function unit(x: v128, scale: v128): v128 { return f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(x, 8)), scale) }

/** Fills `n` elements with uniform numbers in [0, 1) for the element indices from `first` on, a multiple of 16. */
export function random(d: usize, n: i32, first: u32, key0: u32, key1: u32): void {
  const end = d + (<usize>n << 2)
  const key = i32x4.splat(key1)
  const m0 = triple32(0)
  const m1 = triple32(1)
  const m2 = triple32(2)
  const scale = unitStep()
  const by4 = step(0)
  const by8 = step(1)
  const by12 = step(2)
  const by16 = step(3)
  let counter = i32x4.add(i32x4.splat(first + key0), i32x4(0, 1, 2, 3))
  for (; d < end; d += 64) {
    v128.store(d, unit(hash(counter, key, m0, m1, m2), scale))
    v128.store(d, unit(hash(i32x4.add(counter, by4), key, m0, m1, m2), scale), 16)
    v128.store(d, unit(hash(i32x4.add(counter, by8), key, m0, m1, m2), scale), 32)
    v128.store(d, unit(hash(i32x4.add(counter, by12), key, m0, m1, m2), scale), 48)
    counter = i32x4.add(counter, by16)
  }
}
