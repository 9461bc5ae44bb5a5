// What looks at whole rows, or adds up columns: matrices of f32, row by row without gaps, `rows` of `columns` numbers.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

/** The sum of each row in f64: eight lanes by column modulo 8, then the rest one by one. */
export function row_sum(d: usize, a: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++, d += 8) {
    let s0 = f64x2.splat(0), s1 = f64x2.splat(0), s2 = f64x2.splat(0), s3 = f64x2.splat(0)
    for (const end = a + (<usize>(columns & ~7) << 2); a < end; a += 32) {
      const x = v128.load(a)
      const y = v128.load(a, 16)
      s0 = f64x2.add(s0, f64x2.promote_low_f32x4(x))
      s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.shuffle<i32>(x, x, 2, 3, 2, 3)))
      s2 = f64x2.add(s2, f64x2.promote_low_f32x4(y))
      s3 = f64x2.add(s3, f64x2.promote_low_f32x4(v128.shuffle<i32>(y, y, 2, 3, 2, 3)))
    }
    const all = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3))
    let total = f64x2.extract_lane(all, 0) + f64x2.extract_lane(all, 1)
    for (let c = columns & ~7; c < columns; c++, a += 4) total += <f64>load<f32>(a)
    store<f64>(d, total)
  }
}

/** The largest of each row of finite numbers. */
export function row_max(d: usize, a: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++, d += 8) {
    let most = f32x4.splat(-f32.MAX_VALUE)
    for (const end = a + (<usize>(columns & ~3) << 2); a < end; a += 16) most = f32x4.max(most, v128.load(a))
    let top = max(max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)), max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)))
    for (let c = columns & ~3; c < columns; c++, a += 4) top = max(top, load<f32>(a))
    store<f64>(d, <f64>top)
  }
}

/** Adds each column of the rows to `d`, f64, from the first row to the last. */
export function column_add(d: usize, a: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    let to = d
    for (let c = 0; c < columns; c++, a += 4, to += 8) store<f64>(to, load<f64>(to) + <f64>load<f32>(a))
  }
}

/** Fills each row with its number, rounded to f32. */
export function spread_rows(d: usize, a: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++, a += 8) {
    const x = <f32>load<f64>(a)
    const all = f32x4.splat(x)
    for (const end = d + (<usize>(columns & ~3) << 2); d < end; d += 16) v128.store(d, all)
    for (let c = columns & ~3; c < columns; c++, d += 4) store<f32>(d, x)
  }
}

/** Fills each row with the numbers of the columns, rounded to f32. */
export function spread_columns(d: usize, a: usize, rows: i32, columns: i32): void {
  for (let c = 0; c < columns; c++) store<f32>(d + (<usize>c << 2), <f32>load<f64>(a + (<usize>c << 3)))
  for (let r = 1; r < rows; r++) memory.copy(d + <usize>r * (<usize>columns << 2), d, <usize>columns << 2)
}

/** 11 bits of a key: 2,048 counters and the words to sort stay in the L2 cache. */
const DIGIT: u32 = 11
const COUNTERS: usize = 2048 * 4
/**
 * Each element's place in its row in ascending order, as f32, from 0; equal elements by their index, NaN last. `d` may be `a`.
 * A radix sort of pairs of key and index, three digits of 11 bits; `scratch` has room for two pairs of u32 an element of a row, and the counters: plan/budget.ts.
 */
export function row_rank(d: usize, a: usize, rows: i32, columns: i32, scratch: usize): void {
  const counters = scratch
  const first = scratch + 3 * COUNTERS
  const second = first + (<usize>columns << 3)
  for (let r = 0; r < rows; r++, a += <usize>columns << 2, d += <usize>columns << 2) {
    memory.fill(counters, 0, 3 * COUNTERS)
    for (let c = 0; c < columns; c++) {
      const bits = load<u32>(a + (<usize>c << 2))
      const key = (bits & 0x7fffffff) > 0x7f800000 ? 0xffffffff : bits ^ (<u32>(<i32>bits >> 31) | 0x80000000)
      store<u32>(first + (<usize>c << 3), key)
      store<u32>(first + (<usize>c << 3), c, 4)
      count(counters + (<usize>(key & 2047) << 2))
      count(counters + COUNTERS + (<usize>((key >>> DIGIT) & 2047) << 2))
      count(counters + 2 * COUNTERS + (<usize>(key >>> (2 * DIGIT)) << 2))
    }
    let from = first
    let to = second
    for (let digit: u32 = 0; digit < 3; digit++) {
      const places = counters + <usize>digit * COUNTERS
      if (!startPlaces(places, columns)) continue // all alike in this digit
      const shift = digit * DIGIT
      for (let c = 0; c < columns; c++) {
        const pair = load<u64>(from + (<usize>c << 3))
        const place = places + (<usize>((<u32>pair >>> shift) & 2047) << 2)
        const at = load<u32>(place)
        store<u32>(place, at + 1)
        store<u64>(to + (<usize>at << 3), pair)
      }
      const swap = from
      from = to
      to = swap
    }
    for (let c = 0; c < columns; c++) store<f32>(d + (<usize>load<u32>(from + (<usize>c << 3), 4) << 2), <f32>c)
  }
}

@inline function count(at: usize): void { store<u32>(at, load<u32>(at) + 1) }

/** Turns counts into the places where each digit's elements begin; false if one digit has them all. */
function startPlaces(counts: usize, all: i32): bool {
  let sum: u32 = 0
  for (let i: usize = 0; i < COUNTERS; i += 4) {
    const own = load<u32>(counts + i)
    if (own == <u32>all) return false
    store<u32>(counts + i, sum)
    sum += own
  }
  return true
}
