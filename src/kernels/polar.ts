// Polar factors, of which TSV-M is made: it stacks the best triplets of N models side by side and makes both stacks orthogonal again.
// For matrices of m × n, m ≤ n, with k = m/N triplets of each model, one memory holds
//   A        m × n   f32   a model's task vector, read when its turn comes; afterwards the polar factor of V, n × m
//   U        m × m   f32   the stacked left sides, k columns of each model, as `svd` writes them there
//   V        n × m   f32   the right sides; afterwards the result, m × n
//   left     m × m   f32   the polar factor of U, whose columns are then multiplied by the values
//   scratch  polarScratchBytes(n, m): three f64 squares of m, 256 rows of n numbers in f64 and f32, and little else
// For 4096 × 14336 and four models: 235 + 67 + 235 + 67 + 466 MB = 1.07 GB of the 4 GB of a memory. By `bench/matrix.mjs --large` (48 billion
// multiplications and additions a second at best) one thread takes 31 s for the triplets of a model, 35 and 72 s for the polar factors and 12 s for the
// product: 242 s. A matrix of 4096 × 4096 takes about 150 s. Threads work on other tensors.

import { assert } from '../errors.ts'
import type { Engine } from './kernels.ts'
import { copy, gram, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, transposed, type Work } from './matrix.ts'
import { eachTriplets, svdOperations, svdScratchBytes } from './svd.ts'

type Pointer = number

const CHUNK = 256 // triplets that eachTriplets gives at once

/** Bytes of scratch for `polar` of m × n. */
export const polarScratchBytes = (m: number, n: number): number => layout(0, m, n).end

/** About how many operations `polar` yields. */
export const polarOperations = (m: number, n: number): number => svdOperations(m, n, Math.min(m, n)) + 2 * m * n * Math.min(m, n)

const layout = (at: Pointer, m: number, n: number) =>
  lay(at, {
    short: matrixBytes(CHUNK, Math.min(m, n)),
    long: matrixBytes(CHUNK, Math.max(m, n)),
    product: PRODUCT_SCRATCH_BYTES,
    svd: svdScratchBytes(m, n),
  })

/**
 * The polar factor U·Vᵀ of an m × n f32 matrix A = U·S·Vᵀ: the matrix with orthonormal rows (or columns) nearest to A (Higham 1986). Gives the
 * singular values. A sum over triplets by the eigenvectors of the smaller Gram matrix, in f64: the same as A·(AᵀA)^(−1/2), without its loss where A
 * is ill-conditioned. Where A lacks rank (values up to RANK_TOLERANCE of the largest count as zero) it is the partial isometry on the
 * range of A: orthonormal there, zero on what A maps to zero; a zero matrix gives zeros. `out` may not overlap A.
 */
export function* polar(engine: Engine, a: Matrix, out: Matrix, scratch: Pointer): Work<Float64Array> {
  assert(out.rows === a.rows && out.cols === a.cols && !out.isWide, 'a polar factor has the size of its matrix')
  if (a.rows > a.cols) return yield* polar(engine, transposed(a), transposed(out), scratch)
  const places = layout(scratch, a.rows, a.cols)
  return yield* eachTriplets(engine, a, a.rows, places.svd, function* (short, long, from) {
    const u = matrix(places.short, short.rows, short.cols)
    const v = matrix(places.long, long.rows, long.cols)
    copy(engine, u, short)
    copy(engine, v, long)
    yield* multiply(engine, out, transposed(u), v, places.product, { beta: from === 0 ? 0 : 1 })
  })
}

/** How a Newton–Schulz iteration went: how far XXᵀ was from the identity (Frobenius norm) before the last step. */
export interface Convergence {
  readonly steps: number
  readonly departure: number
  readonly isConverged: boolean
}

// A singular value 1 + e has the departure 2e at least, and a step leaves 1.5·e² of e: 1e-7 is left after the last, the rounding of f32.
const SETTLED = 5e-4

/** Bytes of scratch for `newtonSchulz` of m × n: two more matrices and an f64 square of the smaller side. */
export const newtonSchulzScratchBytes = (m: number, n: number): number => newtonLayout(0, m, n).end

const newtonLayout = (at: Pointer, m: number, n: number) =>
  lay(at, { square: matrixBytes(Math.min(m, n), Math.min(m, n), true), one: matrixBytes(m, n), two: matrixBytes(m, n), product: PRODUCT_SCRATCH_BYTES })

/**
 * The polar factor by Newton–Schulz, X ← 1.5·X − 0.5·X·Xᵀ·X (Björck and Bowie 1971), in f32 and by products only. A is first divided by a bound of
 * its largest singular value, the root of the largest row sum of its Gram matrix. A small value s grows by half a step, so that it takes about
 * 5.7·log10(S/s) + 5 steps of 3·m²·n operations (m the smaller side): less than `polar` takes only where A is near to orthogonal. What A maps to
 * zero stays zero but for rounding, which grows alike: not for matrices that lack rank. Says when `maxSteps` did not suffice.
 */
export function* newtonSchulz(engine: Engine, a: Matrix, out: Matrix, scratch: Pointer, maxSteps = 30): Work<Convergence> {
  assert(out.rows === a.rows && out.cols === a.cols && !a.isWide && !out.isWide, 'a polar factor has the size of its matrix, in f32')
  if (a.rows > a.cols) return yield* newtonSchulz(engine, transposed(a), transposed(out), scratch, maxSteps)
  const { kernels } = engine
  const { rows: m, cols: n } = a
  const { square, one, two, product } = newtonLayout(scratch, m, n)
  yield* gram(engine, matrix(square, m, m, { isWide: true }), a, product)
  const bound = Math.sqrt(kernels.largest_row(square, m, m, m))
  const g = matrix(square, m, m)
  let [x, next] = [matrix(one, m, n), matrix(two, m, n)]
  copy(engine, x, a, bound === 0 ? 0 : 1 / bound)
  let departure = Number.POSITIVE_INFINITY
  let steps = 0
  while (steps < maxSteps && !(departure <= SETTLED)) {
    yield* gram(engine, g, x, product)
    departure = Math.sqrt(kernels.departure(square, m, m))
    copy(engine, next, x)
    yield* multiply(engine, next, g, x, product, { alpha: -0.5, beta: 1.5 })
    ;[x, next] = [next, x]
    steps++
  }
  copy(engine, out, x)
  return { steps, departure, isConverged: departure <= SETTLED }
}
