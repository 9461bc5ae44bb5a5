// Philox4x32-7 of Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, https://doi.org/10.1145/2063384.2063405.
// Counter-based: element i's number depends on nothing but the key and i, so any order, thread or resumption gives the same numbers.
// Seven rounds are the fewest which the authors found to pass BigCrush.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

const M0: u32 = 0xd2511f53
const M1: u32 = 0xcd9e8d57
const W0: u32 = 0x9e3779b9
const W1: u32 = 0xbb67ae85

@inline function low(a: v128, b: v128): v128 { return v128.shuffle<i32>(a, b, 0, 2, 4, 6) }
@inline function high(a: v128, b: v128): v128 { return v128.shuffle<i32>(a, b, 1, 3, 5, 7) }
// The upper 24 bits as a float in [0, 1): exact.
@inline function unit(x: v128): v128 { return f32x4.mul(f32x4.convert_i32x4_u(i32x4.shr_u(x, 8)), f32x4.splat(5.9604644775390625e-8)) }

/**
 * Fills `n` elements from element `group`·16 on. Four counters run side by side; word w of counter c in a group is its element 4w + c.
 * The counter is (4·group + c) in its low two words, then `label` and 0; the key is (key0, key1).
 */
export function random(d: usize, n: i32, group: f64, label: u32, key0: u32, key1: u32, rounds: i32): void {
  const end = d + (<usize>n << 2)
  let counter = <u64>group << 2
  const m0 = i32x4.splat(M0)
  const m1 = i32x4.splat(M1)
  while (d < end) {
    let c0 = i32x4.add(i32x4.splat(<i32>counter), i32x4(0, 1, 2, 3)) // counter is a multiple of 4: no carry inside the vector
    let c1 = i32x4.splat(<i32>(counter >>> 32))
    let c2 = i32x4.splat(label)
    let c3 = i32x4.splat(0)
    let k0 = key0
    let k1 = key1
    for (let r = 0; r < rounds; r++) {
      const a0 = i64x2.extmul_low_i32x4_u(c0, m0)
      const a1 = i64x2.extmul_high_i32x4_u(c0, m0)
      const b0 = i64x2.extmul_low_i32x4_u(c2, m1)
      const b1 = i64x2.extmul_high_i32x4_u(c2, m1)
      c0 = v128.xor(v128.xor(high(b0, b1), c1), i32x4.splat(k0))
      c1 = low(b0, b1)
      c2 = v128.xor(v128.xor(high(a0, a1), c3), i32x4.splat(k1))
      c3 = low(a0, a1)
      k0 += W0
      k1 += W1
    }
    v128.store(d, unit(c0))
    v128.store(d, unit(c1), 16)
    v128.store(d, unit(c2), 32)
    v128.store(d, unit(c3), 48)
    d += 64
    counter += 4
  }
}

/** One Philox4x32 block, for the known-answer tests: four words of counter at `at` become the output; the key follows at `at` + 16. */
export function philox(at: usize, rounds: i32): void {
  let c0 = load<u32>(at)
  let c1 = load<u32>(at, 4)
  let c2 = load<u32>(at, 8)
  let c3 = load<u32>(at, 12)
  let k0 = load<u32>(at, 16)
  let k1 = load<u32>(at, 20)
  for (let r = 0; r < rounds; r++) {
    const a = <u64>M0 * <u64>c0
    const b = <u64>M1 * <u64>c2
    c0 = <u32>(b >>> 32) ^ c1 ^ k0
    c1 = <u32>b
    c2 = <u32>(a >>> 32) ^ c3 ^ k1
    c3 = <u32>a
    k0 += W0
    k1 += W1
  }
  store<u32>(at, c0)
  store<u32>(at, c1, 4)
  store<u32>(at, c2, 8)
  store<u32>(at, c3, 12)
}
