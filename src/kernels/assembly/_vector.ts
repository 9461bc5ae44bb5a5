// Loops over adjacent f64 numbers, from which the factorizations are made. Sums keep four lanes in a fixed order.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

export function dot(a: usize, b: usize, n: i32): f64 {
  let s = f64x2.splat(0)
  let t = s
  const end = a + (<usize>(n & ~3) << 3)
  for (; a < end; a += 32, b += 32) {
    s = f64x2.add(s, f64x2.mul(v128.load(a), v128.load(b)))
    t = f64x2.add(t, f64x2.mul(v128.load(a, 16), v128.load(b, 16)))
  }
  s = f64x2.add(s, t)
  let sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1)
  for (let i = n & 3; i > 0; i--, a += 8, b += 8) sum += load<f64>(a) * load<f64>(b)
  return sum
}

/** y += s·x */
export function axpy(y: usize, x: usize, s: f64, n: i32): void {
  const by = f64x2.splat(s)
  const end = y + (<usize>(n & ~3) << 3)
  for (; y < end; y += 32, x += 32) {
    v128.store(y, f64x2.add(v128.load(y), f64x2.mul(by, v128.load(x))))
    v128.store(y, f64x2.add(v128.load(y, 16), f64x2.mul(by, v128.load(x, 16))), 16)
  }
  for (let i = n & 3; i > 0; i--, y += 8, x += 8) store<f64>(y, load<f64>(y) + s * load<f64>(x))
}

/** x *= s */
export function scale(x: usize, s: f64, n: i32): void {
  const by = f64x2.splat(s)
  const end = x + (<usize>(n & ~1) << 3)
  for (; x < end; x += 16) v128.store(x, f64x2.mul(by, v128.load(x)))
  if (n & 1) store<f64>(x, load<f64>(x) * s)
}

/** The rotation x, y ← c·x + s·y, c·y − s·x. */
export function rotate(x: usize, y: usize, c: f64, s: f64, n: i32): void {
  const cos = f64x2.splat(c)
  const sin = f64x2.splat(s)
  const end = x + (<usize>(n & ~1) << 3)
  for (; x < end; x += 16, y += 16) {
    const p = v128.load(x)
    const q = v128.load(y)
    v128.store(x, f64x2.add(f64x2.mul(cos, p), f64x2.mul(sin, q)))
    v128.store(y, f64x2.sub(f64x2.mul(cos, q), f64x2.mul(sin, p)))
  }
  if (n & 1) {
    const p = load<f64>(x)
    const q = load<f64>(y)
    store<f64>(x, c * p + s * q)
    store<f64>(y, c * q - s * p)
  }
}

// Element i of an array of f64 or i32.
@inline export function get(a: usize, i: i32): f64 { return load<f64>(a + (<usize>i << 3)) }
@inline export function set(a: usize, i: i32, x: f64): void { store<f64>(a + (<usize>i << 3), x) }
@inline export function getInt(a: usize, i: i32): i32 { return load<i32>(a + (<usize>i << 2)) }
@inline export function setInt(a: usize, i: i32, x: i32): void { store<i32>(a + (<usize>i << 2), x) }
