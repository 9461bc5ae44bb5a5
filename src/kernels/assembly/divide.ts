// Eigenvalues and vectors of a symmetric tridiagonal matrix in f64 by divide and conquer: Cuppen 1981; Gu and Eisenstat 1995, "A divide-and-conquer
// algorithm for the symmetric tridiagonal eigenproblem", whose weights keep the vectors orthogonal. Vectors are rows.
// The caller walks the tree, from blocks of some rows (`ql`) up: two neighbours are merged by `merge_deflate`, `merge_roots`, `merge_weights`,
// `merge_rows` and two products of matrices.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { dot, get, getInt, rotate, scale, set, setInt } from './_vector'

const EPSILON: f64 = 1.1102230246251565e-16 // 2^-53

/** The implicit QL method (Wilkinson; EISPACK's tql2): d becomes the eigenvalues in no order, the m rows of z (the identity) the vectors. e[i] lies between i − 1 and i; `work` has room for m numbers. */
export function ql(d: usize, e: usize, z: usize, ldz: i32, m: i32, work: usize): void {
  const step = <usize>ldz << 3
  for (let i = 1; i < m; i++) set(work, i - 1, get(e, i))
  set(work, m - 1, 0)
  e = work
  for (let l = 0; l < m; l++) {
    for (let turn = 0; turn < 60; turn++) { // 2 are usual; what has not converged by then holds NaN
      let end = l
      for (; end < m - 1; end++) if (abs(get(e, end)) <= EPSILON * (abs(get(d, end)) + abs(get(d, end + 1)))) break
      if (end == l) break
      let g = (get(d, l + 1) - get(d, l)) / (2 * get(e, l))
      let r = sqrt(g * g + 1)
      g = get(d, end) - get(d, l) + get(e, l) / (g + (g < 0 ? -r : r))
      let s: f64 = 1
      let c: f64 = 1
      let p: f64 = 0
      let i = end - 1
      for (; i >= l; i--) {
        const f = s * get(e, i)
        const b = c * get(e, i)
        r = sqrt(f * f + g * g)
        set(e, i + 1, r)
        if (r == 0) {
          set(d, i + 1, get(d, i + 1) - p)
          break
        }
        s = f / r
        c = g / r
        g = get(d, i + 1) - p
        r = (get(d, i) - g) * s + 2 * c * b
        p = s * r
        set(d, i + 1, g + p)
        g = c * r - b
        rotate(z + step * (i + 1), z + step * i, c, s, m)
      }
      if (i < l) {
        set(d, l, get(d, l) - p)
        set(e, l, g)
      }
      set(e, end, 0)
    }
  }
}

// Arrays of `room` numbers, one after another in `work`, behind 64 bytes of counts.
const DL = 0 // poles: the eigenvalues of the halves that are not deflated, ascending
const ZL = 1 // their weights
const MU = 2 // roots, less the pole nearest to them
const ZH = 3 // Gu and Eisenstat's weights
const PD = 4 // poles in the order of the rows that are gathered
const PZ = 5 // weights likewise
const DD = 6 // deflated eigenvalues
const DS = 7 // all eigenvalues of the halves
const ORIGIN = 8 // i32: which pole is nearest
const ORDER = 9 // i32: pole of each gathered row
const ROW = 10 // i32: row of z of each pole
const KIND = 11 // i32: 1 the vector lives in the first half, 3 in the second, 2 in both
const SORTED = 12 // i32
const SPARE = 13 // i32
const DEFLATED = 14 // i32: rows of z that are deflated
const ARRAYS = 15

@inline function array(work: usize, room: i32, which: i32): usize { return work + 64 + ((<usize>room * which) << 3) }

/** Bytes of `work` for matrices up to `room`. */
export function merge_work(room: i32): usize { return 64 + ((<usize>room * ARRAYS) << 3) }

/** Indices of `keys` from the least up, by merging; `spare` has as much room. Equal keys stay in order. */
export function sort(order: usize, spare: usize, keys: usize, n: i32): void {
  for (let i = 0; i < n; i++) setInt(order, i, i)
  let from = order
  let to = spare
  for (let width = 1; width < n; width <<= 1) {
    for (let lo = 0; lo < n; lo += width << 1) {
      const mid = min(lo + width, n)
      const hi = min(mid + width, n)
      let i = lo
      let j = mid
      for (let k = lo; k < hi; k++) {
        const isLeft = i < mid && (j >= hi || !(get(keys, getInt(from, j)) < get(keys, getInt(from, i))))
        setInt(to, k, getInt(from, isLeft ? i++ : j++))
      }
    }
    const t = from
    from = to
    to = t
  }
  if (from != order) memory.copy(order, from, <usize>n << 2)
}

/**
 * Begins to merge two neighbours of n1 and n2 rows, whose eigenvalues are d and whose vectors are the blocks on the diagonal of z, joined by
 * `coupling`. Rotates equal eigenvalues apart and sets aside those which the coupling does not move. What is left, K poles, is written to `work`;
 * the vectors are gathered: k12 rows of n1 elements (kinds 1 and 2), k23 rows of n2 (kinds 2 and 3), n − K rows of n elements.
 * work holds, as i32: K, k12, k1 (the first gathered row that has a second half); as f64 at 16: ρ.
 */
export function merge_deflate(d: usize, z: usize, ldz: i32, n1: i32, n2: i32, coupling: f64, work: usize, room: i32, gathered: usize): void {
  const n = n1 + n2
  const step = <usize>ldz << 3
  const dl = array(work, room, DL)
  const zl = array(work, room, ZL)
  const all = array(work, room, DS)
  const z0 = array(work, room, MU) // the weights of all rows, until the roots come
  const row = array(work, room, ROW)
  const kind = array(work, room, KIND)
  const sorted = array(work, room, SORTED)
  const dd = array(work, room, DD)
  const deflated = array(work, room, DEFLATED)

  memory.copy(all, d, <usize>n << 3)
  let most: f64 = 0
  for (let i = 0; i < n; i++) {
    const x = get(z + step * i, i < n1 ? n1 - 1 : n1)
    set(z0, i, (i >= n1 && coupling < 0 ? -x : x) * 0.7071067811865476)
    most = max(most, abs(get(all, i)))
  }
  const rho = 2 * abs(coupling)
  const tolerance = 8 * EPSILON * (most + rho)
  sort(sorted, array(work, room, SPARE), all, n)

  let count = 0
  let aside = 0
  let last = -1 // row that waits for its neighbour, as the two may be one
  let lastKind = 0
  for (let k = 0; k < n; k++) {
    const i = getInt(sorted, k)
    if (rho * abs(get(z0, i)) <= tolerance) {
      setInt(deflated, aside, i)
      set(dd, aside++, get(all, i))
      continue
    }
    let kindHere = i < n1 ? 1 : 3
    if (last >= 0) {
      const zp = get(z0, last)
      const zi = get(z0, i)
      const r = sqrt(zp * zp + zi * zi)
      const c = zi / r
      const s = -zp / r
      const gap = get(all, i) - get(all, last)
      if (abs(gap * c * s) <= tolerance) {
        set(z0, i, r)
        if (kindHere != lastKind) kindHere = 2
        rotate(z + step * last, z + step * i, c, s, n)
        const dp = get(all, last)
        const di = get(all, i)
        setInt(deflated, aside, last)
        set(dd, aside++, dp * c * c + di * s * s)
        set(all, i, dp * s * s + di * c * c)
      } else {
        set(dl, count, get(all, last))
        set(zl, count, get(z0, last))
        setInt(kind, count, lastKind)
        setInt(row, count++, last)
      }
    }
    last = i
    lastKind = kindHere
  }
  if (last >= 0) {
    set(dl, count, get(all, last))
    set(zl, count, get(z0, last))
    setInt(kind, count, lastKind)
    setInt(row, count++, last)
  }

  const order = array(work, room, ORDER)
  const pd = array(work, room, PD)
  let p = 0
  let k1 = 0
  let k12 = 0
  for (let want = 1; want <= 3; want++) {
    for (let i = 0; i < count; i++) {
      if (getInt(kind, i) != want) continue
      setInt(order, p, i)
      set(pd, p++, get(dl, i))
    }
    if (want == 1) k1 = p
    if (want == 2) k12 = p
  }
  setInt(work, 0, count)
  setInt(work, 1, k12)
  setInt(work, 2, k1)
  set(work, 2, rho)

  const left = <usize>n1 << 3
  const right = <usize>n2 << 3
  for (p = 0; p < k12; p++, gathered += left) memory.copy(gathered, z + step * getInt(row, getInt(order, p)), left)
  for (p = k1; p < count; p++, gathered += right) memory.copy(gathered, z + step * getInt(row, getInt(order, p)) + left, right)
  for (p = 0; p < aside; p++, gathered += left + right) memory.copy(gathered, z + step * getInt(deflated, p), left + right)
}

let SUM: f64 = 0 // results of `evaluate`: of the terms z²/(δ − x) and of their derivatives z²/(δ − x)²
let SLOPE: f64 = 0

@inline function evaluate(dl: usize, zl: usize, from: i32, to: i32, origin: f64, x: f64): void {
  const o = f64x2.splat(origin)
  const at = f64x2.splat(x)
  let s = f64x2.splat(0)
  let t = s
  let i = from
  for (; i + 2 <= to; i += 2) {
    const z = v128.load(zl + (<usize>i << 3))
    const q = f64x2.div(z, f64x2.sub(f64x2.sub(v128.load(dl + (<usize>i << 3)), o), at))
    s = f64x2.add(s, f64x2.mul(z, q))
    t = f64x2.add(t, f64x2.mul(q, q))
  }
  let sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1)
  let slope = f64x2.extract_lane(t, 0) + f64x2.extract_lane(t, 1)
  if (i < to) {
    const z = get(zl, i)
    const q = z / (get(dl, i) - origin - x)
    sum += z * q
    slope += q * q
  }
  SUM = sum
  SLOPE = slope
}
function terms(dl: usize, zl: usize, from: i32, to: i32, origin: f64, x: f64): void { evaluate(dl, zl, from, to, origin, x) }

/**
 * The roots [from, to) of 1 + ρ·Σ z²/(d − λ) = 0, each between its pole and the next: rational interpolation by the two poles around it ("the
 * middle way", Li 1993, LAPACK working note 89) within a bracket that only shrinks. A root is held as its distance from the nearest pole, so
 * that differences to all poles are accurate.
 */
export function merge_roots(work: usize, room: i32, from: i32, to: i32): void {
  const n = getInt(work, 0)
  const rho = get(work, 2)
  const dl = array(work, room, DL)
  const zl = array(work, room, ZL)
  for (let j = from; j < to; j++) {
    const isLast = j == n - 1
    let nearest = j
    let low: f64 = 0
    let high: f64 = 0
    let x: f64 = 0
    if (isLast) {
      const z = get(zl, j)
      low = 0
      high = rho * dot(zl, zl, n) * (1 + 4 * EPSILON)
      x = n == 1 ? rho * z * z : min(rho * z * z, high)
    } else {
      const gap = get(dl, j + 1) - get(dl, j)
      const half = 0.5 * gap
      const z1 = get(zl, j) * get(zl, j)
      const z2 = get(zl, j + 1) * get(zl, j + 1)
      terms(dl, zl, 0, j, get(dl, j), half)
      let c = 1 / rho + SUM
      terms(dl, zl, j + 2, n, get(dl, j), half)
      c += SUM
      // The other poles' terms as a constant leave a quadratic equation: where it starts.
      if (c + z1 / -half + z2 / half >= 0) {
        high = half
        const a = c * gap + z1 + z2
        const b = z1 * gap
        const root = sqrt(abs(a * a - 4 * b * c))
        x = a > 0 ? (2 * b) / (a + root) : (a - root) / (2 * c)
      } else {
        nearest = j + 1
        low = -half
        const a = c * gap - z1 - z2
        const b = z2 * gap
        const root = sqrt(abs(a * a + 4 * b * c))
        x = a < 0 ? (2 * b) / (a - root) : -(a + root) / (2 * c)
      }
      if (!(x > low && x < high)) x = 0.5 * (low + high)
    }
    if (n > 1) x = solve(dl, zl, n, j, nearest, 1 / rho, low, high, x)
    set(array(work, room, MU), j, x)
    setInt(array(work, room, ORIGIN), j, nearest)
  }
}

@inline function solve(dl: usize, zl: usize, n: i32, j: i32, nearest: i32, constant: f64, low: f64, high: f64, x: f64): f64 {
  const origin = get(dl, nearest)
  const first = j == n - 1 ? j - 1 : j // the poles of the interpolation: this one and the next
  for (let turn = 0; turn < 100; turn++) {
    terms(dl, zl, 0, first + 1, origin, x)
    const below = SUM
    const slopeBelow = SLOPE
    terms(dl, zl, first + 1, n, origin, x)
    const above = SUM
    const slope = slopeBelow + SLOPE
    const f = constant + below + above
    if (abs(f) <= EPSILON * (4 * (constant + abs(below) + abs(above)) + abs(x) * slope)) break
    if (f < 0) low = x
    else high = x
    const d1 = get(dl, first) - origin - x
    const d2 = get(dl, first + 1) - origin - x
    const c = f - d1 * slopeBelow - d2 * SLOPE
    const a = (d1 + d2) * f - d1 * d2 * slope
    const b = d1 * d2 * f
    const root = sqrt(abs(a * a - 4 * b * c))
    // Between the poles the smaller root is the wanted one; beyond the last pole the other branch.
    let next = x + (j == n - 1 ? (a >= 0 ? (a + root) / (2 * c) : (2 * b) / (a - root)) : a <= 0 ? (a - root) / (2 * c) : (2 * b) / (a + root))
    if (!(next > low && next < high) || turn % 8 == 7) next = 0.5 * (low + high)
    if (next == low || next == high) break
    x = next
  }
  return x
}

/** The weights for which the computed roots are exact, and the eigenvalues: the K roots ascending, then the deflated ones. */
export function merge_weights(d: usize, n: i32, work: usize, room: i32): void {
  const count = getInt(work, 0)
  const dl = array(work, room, DL)
  const zh = array(work, room, ZH)
  for (let i = 0; i < count; i++) set(zh, i, 1)
  for (let j = 0; j < count; j++) {
    const mu = get(array(work, room, MU), j)
    const origin = get(dl, getInt(array(work, room, ORIGIN), j))
    const pole = get(dl, j)
    factors(zh, dl, 0, j, origin, mu, pole)
    factors(zh, dl, j + 1, count, origin, mu, pole)
    set(zh, j, get(zh, j) * (origin - pole + mu))
    set(d, j, origin + mu)
  }
  memory.copy(d + (<usize>count << 3), array(work, room, DD), <usize>(n - count) << 3)
  const zl = array(work, room, ZL)
  for (let p = 0; p < count; p++) {
    const i = getInt(array(work, room, ORDER), p)
    const z = sqrt(abs(get(zh, i)))
    set(array(work, room, PZ), p, get(zl, i) < 0 ? -z : z)
  }
}

@inline function factors(zh: usize, dl: usize, from: i32, to: i32, origin: f64, mu: f64, pole: f64): void {
  const o = f64x2.splat(origin)
  const m = f64x2.splat(mu)
  const q = f64x2.splat(pole)
  let i = from
  for (; i + 2 <= to; i += 2) {
    const at = <usize>i << 3
    const d = v128.load(dl + at)
    v128.store(zh + at, f64x2.mul(v128.load(zh + at), f64x2.div(f64x2.add(f64x2.sub(o, d), m), f64x2.sub(q, d))))
  }
  if (i < to) set(zh, i, get(zh, i) * ((origin - get(dl, i) + mu) / (pole - get(dl, i))))
}

/** Vectors of the roots [from, to) in terms of the gathered rows: K numbers each, to be multiplied with these. */
export function merge_rows(rows: usize, ld: i32, work: usize, room: i32, from: i32, to: i32): void {
  const count = getInt(work, 0)
  const dl = array(work, room, DL)
  const pd = array(work, room, PD)
  const pz = array(work, room, PZ)
  for (let j = from; j < to; j++, rows += <usize>ld << 3) {
    const mu = get(array(work, room, MU), j)
    const origin = get(dl, getInt(array(work, room, ORIGIN), j))
    const o = f64x2.splat(origin)
    const m = f64x2.splat(mu)
    let p = 0
    for (; p + 2 <= count; p += 2) {
      const at = <usize>p << 3
      v128.store(rows + at, f64x2.div(v128.load(pz + at), f64x2.sub(f64x2.sub(v128.load(pd + at), o), m)))
    }
    if (p < count) set(rows, p, get(pz, p) / (get(pd, p) - origin - mu))
    scale(rows, 1 / sqrt(dot(rows, rows, count)), count)
  }
}
