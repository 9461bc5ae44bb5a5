import type { Tensor } from '../../algebra/tensor.ts'
import { type Part, ratio, type TaskView, total } from './measure.ts'

// ‖Xτᵀ‖²_F without a product of matrices: for a random z of independent signs, E ‖X(τᵀz)‖² = ‖Xτᵀ‖²_F (Hutchinson 1989; for matrix products Avron and
// Toledo 2011, https://doi.org/10.1145/1944345.1944349). τᵀz is a sum of columns and X(τᵀz) one of rows, so all of it streams.

/** How many random directions: enough for a standard error of some percent over the matrices of a model, and each costs two passes. */
const DIRECTIONS = 8

/** For each direction, the squared length of what `x` makes of it. Matrices only; null for tensors of one dimension, which no input goes through. */
export function lengthsAlong({ delta, shape, random }: TaskView, x: Tensor, name: string): Record<string, Tensor> | null {
  if (shape.length < 2) return null
  const lengths = Array.from({ length: DIRECTIONS }, (_, d): [string, Tensor] => {
    const signs = random(`direction ${d}`).sub(0.5).rowSum().sign() // one for each row, by the sign of a symmetric number
    const direction = delta.mul(signs).columnSum()
    const along = x.mul(direction)
    return [`${name}${d}`, along.mul(along.rowSum()).sum()] // Σ_r (Σ_c x·v)²
  })
  return Object.fromEntries(lengths)
}

/** Of the sums called `name0`, `name1`, …, all over `parts`. */
export const lengthsOf = (parts: readonly Part[], name: string): readonly number[] => Array.from({ length: DIRECTIONS }, (_, d) => total(parts, `${name}${d}`))

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** The ratio of two estimates that were made in the same directions. */
export const ratioOf = (above: readonly number[], below: readonly number[]): number | null => ratio(sum(above), sum(below))

/** Its standard error, by the jackknife: how much it varies when each direction is left out. */
export function errorOf(above: readonly number[], below: readonly number[]): number | null {
  const without = above.map((a, d) => (sum(above) - a) / (sum(below) - below[d]!))
  const mean = sum(without) / without.length
  const error = Math.sqrt(((without.length - 1) / without.length) * sum(without.map(w => (w - mean) ** 2)))
  return Number.isFinite(error) ? error : null
}
