import { assert } from '../errors.ts'
import type { Engine } from './kernels.ts'
import { lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, transposed, type Work } from './matrix.ts'
import { qr, qrScratchBytes } from './qr.ts'
import { type Sides, svd, svdScratchBytes } from './svd.ts'

type Pointer = number

/** More vectors than asked for, and passes that sharpen them. */
export interface Sketch {
  /** Default 16. */
  readonly oversample?: number
  /** Default 2. */
  readonly passes?: number
}

/** Bytes of scratch for `randomSvd` with k triplets of m × n. */
export const randomSvdScratchBytes = (m: number, n: number, k: number, { oversample = 16 }: Sketch = {}): number => layout(0, m, n, width(m, n, k, oversample)).end

const width = (m: number, n: number, k: number, oversample: number): number => Math.min(k + oversample, m, n)

const layout = (at: Pointer, m: number, n: number, l: number) =>
  lay(at, {
    left: matrixBytes(m, l),
    leftBasis: matrixBytes(m, l),
    right: matrixBytes(n, l),
    rightBasis: matrixBytes(n, l),
    turned: matrixBytes(l, l),
    product: PRODUCT_SCRATCH_BYTES,
    rest: Math.max(qrScratchBytes(m, l), qrScratchBytes(n, l), svdScratchBytes(l, n)),
  })

/**
 * About the k largest singular triplets, for k far below both sides: subspace iteration from a fixed random matrix (Halko, Martinsson, Tropp 2011,
 * "Finding structure with randomness", algorithms 4.4 and 5.1), in f32, the same bits every time. Values are never above the true ones (but for
 * rounding), and fall short most near the kth. With p more vectors than k and q passes, what is left of A beyond their space has in expectation a norm of at most
 * (1 + √(k/(p − 1)) + e·√(k + p)/p·√(min(m, n) − k))^(1/(2q + 1)) times the (k + 1)th value (their corollary 10.10): 3.2 times for 1024 of 4096
 * by default, a bound that is far off: where values fall as 1/√i it is below 1.1 times. Rounding is that of f32, 1e-7 of the largest value.
 * 4·m·n·(k + p)·(q + 1) operations and some for QR: half the time of `svd` for a quarter of all triplets, less for fewer.
 */
export function* randomSvd(engine: Engine, a: Matrix, k: number, { u, v }: Sides, scratch: Pointer, { oversample = 16, passes = 2 }: Sketch = {}): Work<Float64Array> {
  const { rows: m, cols: n } = a
  const l = width(m, n, k, oversample)
  assert(k <= l && u.rows === m && v.rows === n && u.cols === k && v.cols === k, `${k} triplets of ${m} × ${n} have ${k} columns on each side`)
  const places = layout(scratch, m, n, l)
  const { product, rest } = places
  const [left, leftBasis] = [matrix(places.left, m, l), matrix(places.leftBasis, m, l)]
  const [right, rightBasis] = [matrix(places.right, n, l), matrix(places.rightBasis, n, l)]
  engine.kernels.gaussian(rightBasis.at, l, n, l, 0)
  for (let pass = 0; ; pass++) {
    yield* multiply(engine, left, a, rightBasis, product)
    yield* qr(engine, left, leftBasis, null, rest)
    yield* multiply(engine, right, transposed(a), leftBasis, product)
    if (pass === passes) break
    yield* qr(engine, right, rightBasis, null, rest)
  }
  // A is about Q·(QᵀA): the triplets of the small matrix, whose transpose `right` is, are those of A but for Q.
  const turned = matrix(places.turned, l, k)
  const values = yield* svd(engine, transposed(right), k, { u: turned, v }, rest)
  yield* multiply(engine, u, leftBasis, turned, product)
  return values
}
