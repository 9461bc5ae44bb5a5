// What matrices need besides products: copies between f32 and f64 in any order, norms, and a fixed random matrix.
// Strides and leading dimensions are in elements; `wide` tells f64 (1) from f32 (0).

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { dot, get, scale, set } from './_vector'

const TILE = 16 // rows and columns that are copied together: 16 cache lines of each side

@inline function convert<S, T>(d: usize, drs: usize, dcs: usize, a: usize, ars: usize, acs: usize, rows: i32, cols: i32, by: f64): void {
  for (let i0 = 0; i0 < rows; i0 += TILE) {
    const i1 = min(i0 + TILE, rows)
    for (let j0 = 0; j0 < cols; j0 += TILE) {
      const j1 = min(j0 + TILE, cols)
      for (let i = i0; i < i1; i++) {
        let to = d + drs * i + dcs * j0
        let from = a + ars * i + acs * j0
        for (let j = j0; j < j1; j++, to += dcs, from += acs) store<T>(to, <T>(<f64>load<S>(from) * by))
      }
    }
  }
}

/** d = by·a: also converts, and transposes where the strides are swapped. */
export function copy_matrix(d: usize, drs: i32, dcs: i32, wideD: i32, a: usize, ars: i32, acs: i32, wideA: i32, rows: i32, cols: i32, by: f64): void {
  const sd = 2 + wideD
  const sa = 2 + wideA
  const dr = <usize>drs << sd
  const dc = <usize>dcs << sd
  const ar = <usize>ars << sa
  const ac = <usize>acs << sa
  if (wideD) {
    if (wideA) convert<f64, f64>(d, dr, dc, a, ar, ac, rows, cols, by)
    else convert<f32, f64>(d, dr, dc, a, ar, ac, rows, cols, by)
  } else if (wideA) convert<f64, f32>(d, dr, dc, a, ar, ac, rows, cols, by)
  else convert<f32, f32>(d, dr, dc, a, ar, ac, rows, cols, by)
}

/** The lower half of a square matrix over its upper one. */
export function mirror(a: usize, ld: i32, wide: i32, n: i32): void {
  for (let i = 0; i < n; i += TILE) {
    const some = min(TILE, n - i)
    copy_matrix(at(a, ld, wide, 0, i), ld, 1, wide, at(a, ld, wide, i, 0), 1, ld, wide, i, some, 1)
    for (let r = 0; r < some; r++) copy_matrix(at(a, ld, wide, i, i + r), ld, 1, wide, at(a, ld, wide, i + r, i), 1, ld, wide, r, 1, 1)
  }
}
@inline function at(a: usize, ld: i32, wide: i32, i: i32, j: i32): usize { return a + ((<usize>i * ld + j) << (2 + wide)) }

/** Rows of f64 to unit length; their lengths to `norms`. A row not longer than `least` becomes zeros, its length 0. */
export function unit_rows(a: usize, ld: i32, rows: i32, cols: i32, norms: usize, least: f64): void {
  for (let i = 0; i < rows; i++, a += <usize>ld << 3) {
    const norm = sqrt(dot(a, a, cols))
    const isZero = norm <= least // false of NaN
    set(norms, i, isZero ? 0 : norm)
    if (isZero) memory.fill(a, 0, <usize>cols << 3)
    else scale(a, 1 / norm, cols)
  }
}

/** The largest sum of magnitudes of a row: no singular value of a square symmetric matrix is larger. */
export function largest_row(a: usize, ld: i32, rows: i32, cols: i32): f64 {
  let most: f64 = 0
  for (let i = 0; i < rows; i++, a += <usize>ld << 3) {
    let sum: f64 = 0
    for (let j = 0; j < cols; j++) sum += abs(get(a, j))
    most = max(most, sum)
  }
  return most
}

/** ‖A − I‖² (Frobenius) of a square f32 matrix. */
export function departure(a: usize, ld: i32, n: i32): f64 {
  let sum: f64 = 0
  for (let i = 0; i < n; i++, a += <usize>ld << 2) {
    let s: f64 = 0
    for (let j = 0; j < n; j++) {
      const x = <f64>load<f32>(a + (<usize>j << 2)) - <f64>(i == j)
      s += x * x
    }
    sum += s
  }
  return sum
}

/** Ones on the diagonal, zeros elsewhere. */
export function identity(a: usize, ld: i32, wide: i32, rows: i32, cols: i32): void {
  for (let i = 0; i < rows; i++, a += <usize>ld << (2 + wide)) {
    memory.fill(a, 0, <usize>cols << (2 + wide))
    if (i >= cols) continue
    if (wide) set(a, i, 1)
    else store<f32>(a + (<usize>i << 2), 1)
  }
}

@inline function hash(x: u32): u32 { // Wellons' triple32, https://github.com/skeeto/hash-prospector
  x = (x ^ (x >>> 17)) * 0xed5ad4bb
  x = (x ^ (x >>> 11)) * 0xac4c1b51
  x = (x ^ (x >>> 15)) * 0x31848bab
  return x ^ (x >>> 14)
}

/** Nearly Gaussian numbers of f32, the same everywhere: element i is the sum of eight hashed bytes of i, less its mean; its deviation is 1. */
export function gaussian(a: usize, ld: i32, rows: i32, cols: i32, first: u32): void {
  for (let i = 0; i < rows; i++, a += <usize>ld << 2) {
    for (let j = 0; j < cols; j++) {
      const x = hash(first + 2 * (i * cols + j))
      const y = hash(first + 2 * (i * cols + j) + 1)
      store<f32>(a + (<usize>j << 2), (<f32>(bytesOf(x) + bytesOf(y)) - 1020) * 0.0047841962)
    }
  }
}
@inline function bytesOf(x: u32): u32 { return (x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24) }
