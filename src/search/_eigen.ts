const MAX_SWEEPS = 50 // of the dozens of variables that a search has, ten are enough
const SMALLEST = 1e-300 // keeps roots and quotients finite

/** Eigenvectors, as columns, and eigenvalues of a symmetric matrix, by Jacobi's rotations: accurate to the last digits, and fast enough for small ones. */
export function eigenOf(matrix: readonly (readonly number[])[]): { readonly vectors: readonly (readonly number[])[]; readonly values: readonly number[] } {
  const n = matrix.length
  const a = matrix.map(row => [...row])
  const vectors = a.map((_, i) => a.map((_, j) => Number(i === j)))
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let isDiagonal = true
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p]![q]!) <= Number.EPSILON * Math.sqrt(Math.abs(a[p]![p]! * a[q]![q]!))) continue
        isDiagonal = false
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * a[p]![q]!)
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1))
        const c = 1 / Math.hypot(t, 1)
        rotate(a, p, q, c, t * c)
        for (const row of vectors) [row[p], row[q]] = [c * row[p]! - t * c * row[q]!, t * c * row[p]! + c * row[q]!]
      }
    }
    if (isDiagonal) break
  }
  return { vectors, values: a.map((row, i) => Math.max(SMALLEST, row[i]!)) }
}

function rotate(a: number[][], p: number, q: number, c: number, s: number): void {
  for (const row of a) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!]
  const [up, low] = [a[p]!, a[q]!]
  for (let k = 0; k < a.length; k++) [up[k], low[k]] = [c * up[k]! - s * low[k]!, s * up[k]! + c * low[k]!]
}
