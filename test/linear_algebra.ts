// Linear algebra in plain JavaScript doubles, to compare the kernels with: slow, short, and by other methods than theirs.

/** A matrix as rows of numbers. */
export type Rows = readonly (readonly number[])[]

export const build = (rows: number, cols: number, at: (i: number, j: number) => number): Rows =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: cols }, (_, j) => at(i, j)))
export const flip = (a: Rows): Rows => build(a[0]?.length ?? 0, a.length, (i, j) => a[j]![i]!)
export const times = (a: Rows, b: Rows): Rows => {
  const columns = flip(b)
  return a.map(row => columns.map(column => row.reduce((sum, x, i) => sum + x * column[i]!, 0)))
}
export const minus = (a: Rows, b: Rows): Rows => a.map((row, i) => row.map((x, j) => x - b[i]![j]!))
export const norm = (a: Rows): number => Math.sqrt(a.flat().reduce((sum, x) => sum + x * x, 0))
export const unit = (n: number): Rows => build(n, n, (i, j) => Number(i === j))
export const diagonal = (values: readonly number[]): Rows => build(values.length, values.length, (i, j) => (i === j ? values[i]! : 0))

/** Numbers in (−1, 1), the same for a seed (xorshift32). */
export function randoms(seed: number): () => number {
  let x = seed * 2_654_435_769 + 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x / 2 ** 31
  }
}

/** Singular values, descending, by rotating pairs of columns until all are orthogonal (Hestenes 1958): accurate for small ones too. And UVᵀ over those above `least`. */
export function hestenes(a: Rows, least = 0): { values: number[]; polar: Rows } {
  if (a.length < (a[0]?.length ?? 0)) {
    const { values, polar } = hestenes(flip(a), least)
    return { values, polar: flip(polar) }
  }
  const columns = flip(a).map(c => [...c])
  const n = columns.length
  const turned = unit(n).map(r => [...r])
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, e, i) => sum + e * y[i]!, 0)
  for (let sweep = 0, isMoving = true; isMoving && sweep < 60; sweep++) {
    isMoving = false
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const [x, y] = [columns[p]!, columns[q]!]
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)]
        if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy)) continue
        isMoving = true
        const z = (yy - xx) / (2 * xy)
        const t = Math.sign(z || 1) / (Math.abs(z) + Math.sqrt(1 + z * z))
        const c = 1 / Math.sqrt(1 + t * t)
        for (const [u, v] of [
          [x, y],
          [turned[p]!, turned[q]!],
        ] as const) {
          for (let i = 0; i < u.length; i++) [u[i], v[i]] = [c * u[i]! - t * c * v[i]!, t * c * u[i]! + c * v[i]!]
        }
      }
    }
  }
  const lengths = columns.map(c => Math.sqrt(dot(c, c)))
  const polar = build(a.length, n, (i, j) => lengths.reduce((sum, s, p) => (s > least ? sum + (columns[p]![i]! / s) * turned[p]![j]! : sum), 0))
  return { values: lengths.toSorted((x, y) => y - x), polar }
}

/** Eigenvalues of a symmetric matrix, descending, by Jacobi's rotations. */
export function jacobi(symmetric: Rows): number[] {
  const a = symmetric.map(r => [...r])
  const n = a.length
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const x = a[p]![q]!
        off += x * x
        if (x === 0) continue
        const z = (a[q]![q]! - a[p]![p]!) / (2 * x)
        const t = Math.sign(z || 1) / (Math.abs(z) + Math.sqrt(1 + z * z))
        const c = 1 / Math.sqrt(1 + t * t)
        const s = t * c
        for (let i = 0; i < n; i++) [a[i]![p], a[i]![q]] = [c * a[i]![p]! - s * a[i]![q]!, s * a[i]![p]! + c * a[i]![q]!]
        for (let i = 0; i < n; i++) [a[p]![i], a[q]![i]] = [c * a[p]![i]! - s * a[q]![i]!, s * a[p]![i]! + c * a[q]![i]!]
      }
    }
    if (off <= 1e-34 * norm(a) ** 2) break
  }
  return a.map((r, i) => r[i]!).toSorted((x, y) => y - x)
}
