// Householder reflections H = I − τ·v·vᵀ in f64: panels of a tridiagonalization and of a QR factorization. Everything outside a panel is a
// product, which gemm does. Vectors are rows of adjacent elements; leading dimensions are in elements.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { axpy, dot, get, scale, set } from './_vector'

let TAU: f64 = 0 // the second result of `reflect`

/**
 * Turns x, whose element `pivot` is its first or last, into v with v[pivot] = 1, so that H·x = β·(unit vector of the pivot). Gives β and sets TAU.
 * `rest` is where the other n − 1 elements begin.
 */
@inline function reflect(pivot: usize, rest: usize, n: i32): f64 {
  const alpha = load<f64>(pivot)
  const others = dot(rest, rest, n - 1)
  store<f64>(pivot, 1)
  if (others == 0) {
    TAU = 0
    return alpha
  }
  const norm = sqrt(alpha * alpha + others)
  const beta = alpha > 0 ? -norm : norm
  TAU = (beta - alpha) / beta
  scale(rest, 1 / (alpha - beta), n - 1)
  return beta
}

/** y = A·v of a symmetric A by its lower half, each element of which is read once: the step that waits for memory. */
function symmetricTimes(y: usize, a: usize, ld: usize, v: usize, n: i32): void {
  memory.fill(y, 0, <usize>n << 3)
  let r = 0
  for (; r + 4 <= n; r += 4, a += ld << 2) {
    const a0 = a
    const a1 = a0 + ld
    const a2 = a1 + ld
    const a3 = a2 + ld
    const v0 = get(v, r)
    const v1 = get(v, r + 1)
    const v2 = get(v, r + 2)
    const v3 = get(v, r + 3)
    const x0 = f64x2.splat(v0)
    const x1 = f64x2.splat(v1)
    const x2 = f64x2.splat(v2)
    const x3 = f64x2.splat(v3)
    let s0 = f64x2.splat(0)
    let s1 = s0
    let s2 = s0
    let s3 = s0
    const end = <usize>r << 3
    for (let i: usize = 0; i < end; i += 16) {
      const x = v128.load(v + i)
      let t = v128.load(y + i)
      const b0 = v128.load(a0 + i)
      s0 = f64x2.add(s0, f64x2.mul(b0, x))
      t = f64x2.add(t, f64x2.mul(b0, x0))
      const b1 = v128.load(a1 + i)
      s1 = f64x2.add(s1, f64x2.mul(b1, x))
      t = f64x2.add(t, f64x2.mul(b1, x1))
      const b2 = v128.load(a2 + i)
      s2 = f64x2.add(s2, f64x2.mul(b2, x))
      t = f64x2.add(t, f64x2.mul(b2, x2))
      const b3 = v128.load(a3 + i)
      s3 = f64x2.add(s3, f64x2.mul(b3, x))
      t = f64x2.add(t, f64x2.mul(b3, x3))
      v128.store(y + i, t)
    }
    const a10 = get(a1, r)
    const a20 = get(a2, r)
    const a21 = get(a2, r + 1)
    const a30 = get(a3, r)
    const a31 = get(a3, r + 1)
    const a32 = get(a3, r + 2)
    set(y, r, sumOf(s0) + get(a0, r) * v0 + a10 * v1 + a20 * v2 + a30 * v3)
    set(y, r + 1, sumOf(s1) + a10 * v0 + get(a1, r + 1) * v1 + a21 * v2 + a31 * v3)
    set(y, r + 2, sumOf(s2) + a20 * v0 + a21 * v1 + get(a2, r + 2) * v2 + a32 * v3)
    set(y, r + 3, sumOf(s3) + a30 * v0 + a31 * v1 + a32 * v2 + get(a3, r + 3) * v3)
  }
  for (; r < n; r++, a += ld) {
    const s = dot(a, v, r)
    axpy(y, a, get(v, r), r)
    set(y, r, s + get(a, r) * get(v, r))
  }
}
@inline function sumOf(s: v128): f64 { return f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1) }

/**
 * Rows [from, to) of a symmetric matrix by its lower half, from the last row up: A = Q·T·Qᵀ with Q = H[n−1]···H[1]. H[i] acts on the indices
 * below i; its v replaces the row i (v[i − 1] = 1, zeros from i on). d[i] and e[i] (between i − 1 and i) are the tridiagonal matrix.
 * The rows above are left as they are: A[0:from, 0:from] −= VᵀW + WᵀV is yet to be done, with [V; W; V] the 3·(to − from) rows of `panel`.
 * As LAPACK's dlatrd (Dongarra, Sorensen, Hammarling 1989, "Block reduction of matrices to condensed forms").
 */
export function tridiagonal_panel(a: usize, lda: i32, from: i32, to: i32, panel: usize, ldp: i32, d: usize, e: usize, tau: usize): void {
  const ld = <usize>lda << 3
  const step = <usize>ldp << 3
  const count = to - from
  const ws = panel + step * count
  const again = ws + step * count
  for (let i = to - 1; i >= from; i--) {
    const row = a + ld * i
    const done = to - 1 - i
    for (let j = 0; j < done; j++) {
      const v = panel + step * j
      const w = ws + step * j
      axpy(row, w, -get(v, i), i + 1)
      axpy(row, v, -get(w, i), i + 1)
    }
    set(d, i, get(row, i))
    if (i == 0) {
      set(e, 0, 0)
      set(tau, 0, 0)
      memory.fill(row, 0, <usize>lda << 3)
      return
    }
    set(e, i, reflect(row + (<usize>(i - 1) << 3), row, i))
    const t = TAU
    set(tau, i, t)
    memory.fill(row + (<usize>i << 3), 0, <usize>(lda - i) << 3)
    const w = ws + step * done
    symmetricTimes(w, a, ld, row, i)
    for (let j = 0; j < done; j++) {
      const vj = panel + step * j
      const wj = ws + step * j
      const s = dot(wj, row, i)
      const u = dot(vj, row, i)
      axpy(w, vj, -s, i)
      axpy(w, wj, -u, i)
    }
    scale(w, t, i)
    axpy(w, row, -0.5 * t * dot(w, row, i), i)
    memory.copy(panel + step * done, row, <usize>i << 3)
    memory.copy(again + step * done, row, <usize>i << 3)
  }
}

/**
 * QR of a panel of `count` columns, which lie as rows of `length` elements in p: they become V (unit lower trapezoidal), r (count × count, row by
 * row) becomes R.
 */
export function qr_panel(p: usize, ldp: i32, length: i32, count: i32, tau: usize, r: usize): void {
  const step = <usize>ldp << 3
  memory.fill(r, 0, <usize>(count * count) << 3)
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 3
    const v = p + step * i + at
    const left = length - i
    for (let j = 0; j < i; j++) set(r, j * count + i, get(p + step * i, j))
    memory.fill(p + step * i, 0, at)
    set(r, i * count + i, reflect(v, v + 8, left))
    const t = TAU
    set(tau, i, t)
    for (let j = i + 1; j < count; j++) {
      const x = p + step * j + at
      axpy(x, v, -t * dot(v, x, left), left)
    }
  }
}

/** The upper triangular T of H[0]·H[1]···H[count − 1] = I − Vᵀ·T·V, for the rows of V: Schreiber and Van Loan 1989. T is count × count. */
export function reflector_product(t: usize, v: usize, ldv: i32, length: i32, count: i32, tau: usize): void {
  const step = <usize>ldv << 3
  memory.fill(t, 0, <usize>(count * count) << 3)
  for (let i = 0; i < count; i++) {
    const ti = get(tau, i)
    const column = t + (<usize>i << 3)
    for (let j = 0; j < i; j++) set(column, j * count, -ti * dot(v + step * j, v + step * i, length))
    // T[0:i, i] ← T[0:i, 0:i]·(that), from the top down: each needs only those below it.
    for (let j = 0; j < i; j++) {
      let s: f64 = 0
      for (let k = j; k < i; k++) s += get(t, j * count + k) * get(column, k * count)
      set(column, j * count, s)
    }
    set(column, i * count, ti)
  }
}
