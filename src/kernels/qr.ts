import { assert } from '../errors.ts'
import type { Engine } from './kernels.ts'
import { copy, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed, type Work } from './matrix.ts'

type Pointer = number

const PANEL = 32 // columns that are factorized between two products

/** Bytes of scratch for the QR factorization of m × n. */
export const qrScratchBytes = (m: number, n: number): number => layout(0, m, n).end

const layout = (at: Pointer, m: number, n: number) =>
  lay(at, {
    panel: matrixBytes(PANEL, m, true),
    corner: PANEL * PANEL * 8,
    tau: PANEL * 8,
    products: matrixBytes(Math.ceil(n / PANEL) * PANEL, PANEL), // T of each panel
    times: matrixBytes(PANEL, n),
    again: matrixBytes(PANEL, n),
    product: PRODUCT_SCRATCH_BYTES,
  })

/**
 * A = Q·R for m × n with m ≥ n, in f32: Q m × n with orthonormal columns, R n × n upper triangular (its diagonal of either sign) or null when
 * nobody needs it. A is destroyed. Blocked Householder reflections (Schreiber and Van Loan 1989), panels in f64: ‖QᵀQ − I‖ and ‖A − QR‖/‖A‖
 * are some 1e-6, also where A lacks rank, as the missing columns of Q are filled up. 2·m·n² operations for R, as many for Q.
 */
export function* qr(engine: Engine, a: Matrix, q: Matrix, r: Matrix | null, scratch: Pointer): Work {
  const { rows: m, cols: n } = a
  assert(m >= n && q.rows === m && q.cols === n && !a.isWide && !q.isWide, 'QR takes a tall f32 matrix and gives one of its size')
  assert(r === null || (r.rows === n && r.cols === n && r.colStride === 1), 'R is square, row by row')
  const { kernels } = engine
  const places = layout(scratch, m, n)
  const { panel, corner, tau, products } = places
  if (r) kernels.identity(r.at, r.rowStride, 0, n, n) // zeros below the diagonal
  for (let j = 0; j < n; j += PANEL) {
    const to = Math.min(j + PANEL, n)
    const size = to - j
    const p = matrix(panel, size, m - j, { isWide: true })
    const columns = part(a, j, m, j, to)
    copy(engine, p, transposed(columns))
    kernels.qr_panel(panel, m - j, m - j, size, tau, corner)
    if (r) {
      copy(engine, part(r, j, to, j, to), matrix(corner, size, size, { isWide: true }))
      if (j > 0) copy(engine, part(r, 0, j, j, to), part(a, 0, j, j, to))
    }
    copy(engine, transposed(columns), p)
    kernels.reflector_product(corner, panel, m - j, m - j, size, tau)
    const t = matrix(products + matrixBytes(j, PANEL), size, size)
    copy(engine, t, matrix(corner, size, size, { isWide: true }))
    yield 4 * size * size * (m - j)
    yield* reflect(engine, part(a, j, m, to, n), columns, transposed(t), places)
  }
  // Q is the product of all reflections, on the first n columns of the identity: the last panel first, which touches the fewest.
  kernels.identity(q.at, q.rowStride, 0, m, n)
  for (let j = Math.floor((n - 1) / PANEL) * PANEL; j >= 0; j -= PANEL) {
    const to = Math.min(j + PANEL, n)
    yield* reflect(engine, part(q, j, m, j, n), part(a, j, m, j, to), matrix(products + matrixBytes(j, PANEL), to - j, to - j), places)
  }
}

/** C ← (I − V·T·Vᵀ)·C */
function* reflect(engine: Engine, c: Matrix, v: Matrix, t: Matrix, { times, again, product }: ReturnType<typeof layout>): Work {
  if (c.cols === 0) return
  const vc = matrix(times, v.cols, c.cols)
  const tvc = matrix(again, v.cols, c.cols)
  yield* multiply(engine, vc, transposed(v), c, product)
  yield* multiply(engine, tvc, t, vc, product)
  yield* multiply(engine, c, v, tvc, product, { alpha: -1, beta: 1 })
}
