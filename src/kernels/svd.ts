import { assert } from '../errors.ts'
import { eigen, eigenOperations, eigenScratchBytes } from './eigen.ts'
import type { Engine } from './kernels.ts'
import { addLower, copy, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed, type Work } from './matrix.ts'

type Pointer = number

/** Where singular vectors go, as columns: u m × k, v n × k, f32. */
export interface Sides {
  readonly u: Matrix
  readonly v: Matrix
}

/**
 * Singular values up to this share of the largest are taken as zero: they are below what f32 elements, rounded at 2^-24 of their size, and
 * eigenvalues of a Gram matrix in f64, rounded at 2^-53 of the largest, can tell.
 */
export const RANK_TOLERANCE = 2 ** -22

const CHUNK = 256 // triplets at once

/** Bytes of scratch for `svd` and `eachTriplets` of m × n: three f64 squares of the smaller side, and 256 rows of the larger. */
export const svdScratchBytes = (m: number, n: number): number => layout(0, m, n).end

/** About how many operations `svd` yields. */
export const svdOperations = (m: number, n: number, k: number): number => {
  const [short, long] = [Math.min(m, n), Math.max(m, n)]
  return short * short * long + eigenOperations(short, k) + 2 * short * long * k
}

const layout = (at: Pointer, m: number, n: number) => {
  const [short, long] = [Math.min(m, n), Math.max(m, n)]
  return lay(at, {
    square: matrixBytes(short, short, true),
    chunk: matrixBytes(Math.min(CHUNK, short), long, true),
    norms: CHUNK * 8,
    product: PRODUCT_SCRATCH_BYTES,
    eigen: eigenScratchBytes(short),
  })
}

/**
 * The k largest singular triplets of an m × n f32 matrix, values descending (within rounding). By the eigenvectors of the smaller Gram matrix,
 * everything in f64 and rounded to f32 at the end. Squaring costs nothing here: f64 has more than twice the digits of f32.
 *
 * With s a value and S the largest: values have all digits of an f32 as far as they are not zero; u is orthonormal as f32 can be, v within about
 * 1e-16·(S/s)² beyond that: 1e-6 at s = 1e-5·S, 1e-4 at s = 1e-6·S at most. A triplet with s ≤ RANK_TOLERANCE·S gets s = 0 and zeros on the
 * longer side (on v where m ≤ n), while its column on the shorter side stays orthonormal to the others. Vectors of nearly equal values are some
 * basis of their common space. NaN or infinity in, NaN out.
 */
export function* svd(engine: Engine, a: Matrix, k: number, { u, v }: Sides, scratch: Pointer): Work<Float64Array> {
  assert(u.rows === a.rows && v.rows === a.cols && u.cols === k && v.cols === k, `${k} triplets of ${a.rows} × ${a.cols} have ${k} columns on each side`)
  if (a.rows > a.cols) return yield* svd(engine, transposed(a), k, { u: v, v: u }, scratch)
  return yield* eachTriplets(engine, a, k, scratch, (short, long, from) => {
    copy(engine, part(transposed(u), from, from + short.rows), short)
    copy(engine, part(transposed(v), from, from + short.rows), long)
    return null
  })
}

/**
 * The k largest triplets of m × n with m ≤ n, some at a time from the largest down: `take` gets their vectors as rows in f64, count × m and
 * count × n, and the index of the first. Gives the values. Used by `svd` and `polar`, and fit for any sum over triplets that need not all be held.
 */
export function* eachTriplets(engine: Engine, a: Matrix, k: number, scratch: Pointer, take: (short: Matrix, long: Matrix, from: number) => Work | null): Work<Float64Array> {
  const { rows: m, cols: n } = a
  assert(m <= n && k <= m && m > 0 && !a.isWide, `an f32 matrix of ${m} × ${n} has at most ${Math.min(m, n)} triplets, not ${k}`)
  const { square, chunk, norms, product, eigen: rest } = layout(scratch, m, n)
  const wide = { isWide: true }
  yield* addLower(engine, matrix(square, m, m, wide), a, transposed(a), product, 1, 0)
  const { values: squares, vectors } = yield* eigen(engine, matrix(square, m, m, wide), k, rest)
  const values = new Float64Array(k)
  const least = Math.sqrt(Math.max(squares[0] ?? 0, 0)) * RANK_TOLERANCE
  for (let from = 0; from < k; from += CHUNK) {
    const to = Math.min(from + CHUNK, k)
    const short = part(vectors, from, to)
    const long = matrix(chunk, to - from, n, wide)
    yield* multiply(engine, long, short, a, product)
    // Uᵀ·A has the values as lengths of its rows: more accurate for small ones than roots of eigenvalues.
    engine.kernels.unit_rows(chunk, n, to - from, n, norms, least)
    values.set(new Float64Array(engine.memory.buffer, norms, to - from), from)
    yield* take(short, long, from) ?? []
  }
  return values
}
