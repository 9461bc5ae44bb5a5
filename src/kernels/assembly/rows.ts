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

/** The largest of each row of finite numbers; a zero has no sign. `pmax` is one instruction, `max` several. */
export function row_max(d: usize, a: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++, d += 8) {
    let most = f32x4.splat(-f32.MAX_VALUE), other = most
    for (const end = a + (<usize>(columns & ~7) << 2); a < end; a += 32) {
      most = f32x4.pmax(most, v128.load(a))
      other = f32x4.pmax(other, v128.load(a, 16))
    }
    most = f32x4.pmax(most, other)
    let top = max(max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)), max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)))
    for (let c = columns & ~7; c < columns; c++, a += 4) top = max(top, load<f32>(a))
    store<f64>(d, <f64>top + 0)
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

/**
 * Each element's place in its row in ascending order, as f32, from 0; equal elements by their index, NaN last. `d` may be `a`.
 * Elements are dealt to as many buckets as make few of them share one, and what is not in order then is put there one by one, which is exact whatever
 * the buckets were. Where they fit the row so ill that this would take long, it is sorted by digits.
 * `scratch` has room for two pairs of u32 an element of a row, a word more, and the counters: plan/budget.ts.
 */
export function row_rank(d: usize, a: usize, rows: i32, columns: i32, scratch: usize): void {
  const buckets: u32 = min(MOST_BUCKETS, 1 << (32 - clz(columns - 1)))
  const pairs = scratch + COUNTERS
  const places = pairs + (<usize>columns << 4)
  for (let r = 0; r < rows; r++, a += <usize>columns << 2, d += <usize>columns << 2) {
    const isOrdered = dealOut(a, columns, buckets, scratch, places)
    startPlaces(scratch, buckets)
    for (let c = 0; c < columns; c++) {
      const bits = load<u32>(a + (<usize>c << 2))
      const key = (bits & 0x7fffffff) > 0x7f800000 ? 0xffffffff : bits ^ (<u32>(<i32>bits >> 31) | 0x80000000)
      const place = scratch + (<usize>load<u32>(places + (<usize>c << 2)) << 2)
      const at = load<u32>(place)
      store<u32>(place, at + 1)
      store<u64>(pairs + (<usize>at << 3), (<u64>key << 32) | <u64>c)
      store<f32>(d + (<usize>c << 2), <f32>at)
    }
    if (!isOrdered || !insert(d, pairs, columns)) sortByDigits(d, pairs, columns, scratch)
  }
}

const MOST_BUCKETS: u32 = 16384 // counters that stay in the L2 cache
const COUNTERS: usize = 16384 * 4

/** Writes the bucket of each element of a row to `places`, and counts them. False, with all in one, where there is a NaN or an infinity. */
function dealOut(a: usize, columns: i32, buckets: u32, counters: usize, places: usize): bool {
  memory.fill(counters, 0, <usize>buckets << 2)
  let low = f32x4.splat(f32.MAX_VALUE), high = f32x4.splat(-f32.MAX_VALUE), odd = i32x4.splat(0)
  const whole = columns & ~3
  for (let c = 0; c < whole; c += 4) {
    const x = v128.load(a + (<usize>c << 2))
    low = f32x4.pmin(low, x)
    high = f32x4.pmax(high, x)
    odd = v128.or(odd, f32x4.ne(f32x4.sub(x, x), f32x4.splat(0)))
  }
  let least = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)))
  let most = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)))
  let isFinite = !v128.any_true(odd)
  for (let c = whole; c < columns; c++) {
    const x = load<f32>(a + (<usize>c << 2))
    if (x - x != 0) isFinite = false
    least = min(least, x)
    most = max(most, x)
  }
  if (!isFinite) {
    memory.fill(places, 0, <usize>columns << 2)
    return false
  }
  const scale = <f32>(buckets - 1) / sqrt<f32>(most - least)
  const last = i32x4.splat(buckets - 1)
  for (let c = 0; c < whole; c += 4) {
    const bucket = bucketsOf(v128.load(a + (<usize>c << 2)), least, scale, last)
    v128.store(places + (<usize>c << 2), bucket)
    count(counters, i32x4.extract_lane(bucket, 0))
    count(counters, i32x4.extract_lane(bucket, 1))
    count(counters, i32x4.extract_lane(bucket, 2))
    count(counters, i32x4.extract_lane(bucket, 3))
  }
  for (let c = whole; c < columns; c++) {
    const bucket = i32x4.extract_lane(bucketsOf(v128.load32_splat(a + (<usize>c << 2)), least, scale, last), 0)
    store<u32>(places + (<usize>c << 2), bucket)
    count(counters, bucket)
  }
  return true
}

/** By the root of the distance from the least: magnitudes are dense near 0, and few are large. All operations keep the order, as they round. */
@inline function bucketsOf(x: v128, least: f32, scale: f32, last: v128): v128 {
  const apart = f32x4.sqrt(f32x4.sub(x, f32x4.splat(least)))
  return i32x4.min_u(i32x4.trunc_sat_f32x4_u(f32x4.mul(apart, f32x4.splat(scale))), last)
}

@inline function count(counters: usize, bucket: u32): void {
  const at = counters + (<usize>bucket << 2)
  store<u32>(at, load<u32>(at) + 1)
}

/** Turns counts into the places where each one's elements begin. */
function startPlaces(counts: usize, length: u32): void {
  let sum: u32 = 0
  for (const end = counts + (<usize>length << 2); counts < end; counts += 4) {
    const own = load<u32>(counts)
    store<u32>(counts, sum)
    sum += own
  }
}

const MOVES = 2 // an element, on average: beyond them sorting by digits is faster

/** Puts pairs of index and key in order that nearly are, with their ranks. False if that takes too long; they are all there then, and equal keys in order. */
function insert(d: usize, pairs: usize, columns: i32): bool {
  let moves = MOVES * columns
  let before = load<u64>(pairs)
  const end = pairs + (<usize>columns << 3)
  for (let from = pairs + 8; from < end; from += 8) {
    const pair = load<u64>(from)
    if (pair >= before) {
      before = pair
      continue
    }
    let to = from
    do {
      store<u64>(to, before)
      store<f32>(d + (<usize>(<u32>before) << 2), <f32>(<u32>((to - pairs) >> 3)))
      to -= 8
      if (to == pairs) break
      before = load<u64>(to - 8)
    } while (before > pair)
    store<u64>(to, pair)
    store<f32>(d + (<usize>(<u32>pair) << 2), <f32>(<u32>((to - pairs) >> 3)))
    before = load<u64>(from)
    moves -= <i32>((from - to) >> 3)
    if (moves < 0) return false
  }
  return true
}

/** A radix sort of pairs of index and key, three digits of 11 bits; room for as many pairs follows them. */
function sortByDigits(d: usize, pairs: usize, columns: i32, counters: usize): void {
  let from = pairs
  let to = pairs + (<usize>columns << 3)
  for (let shift: u64 = 32; shift < 64; shift += 11) {
    memory.fill(counters, 0, 2048 * 4)
    for (let c = 0; c < columns; c++) count(counters, <u32>(load<u64>(from + (<usize>c << 3)) >> shift) & 2047)
    startPlaces(counters, 2048)
    for (let c = 0; c < columns; c++) {
      const pair = load<u64>(from + (<usize>c << 3))
      const place = counters + (<usize>(<u32>(pair >> shift) & 2047) << 2)
      const at = load<u32>(place)
      store<u32>(place, at + 1)
      store<u64>(to + (<usize>at << 3), pair)
    }
    const swap = from
    from = to
    to = swap
  }
  for (let c = 0; c < columns; c++) store<f32>(d + (<usize>load<u32>(from + (<usize>c << 3)) << 2), <f32>c)
}
