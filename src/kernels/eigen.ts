import { assert } from '../errors.ts'
import type { Engine } from './kernels.ts'
import { addLower, copy, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed, type Work } from './matrix.ts'

type Pointer = number

/** The largest eigenvalues, descending, and their vectors as rows of an f64 matrix, which lies within the scratch until that is used again. */
export interface Eigen {
  readonly values: Float64Array
  readonly vectors: Matrix
}

const PANEL = 32 // rows of a tridiagonalization between two products
const BLOCK = 64 // reflections that are applied as one product
const LEAF = 32 // rows of a block that QL solves
const CHUNK = 256 // rows of a merge at once

/** Bytes of scratch for an n × n matrix, besides the matrix itself: two more of its size, and some rows. */
export const eigenScratchBytes = (n: number): number => layout(0, n).end

/** Bytes of what assembly/divide.ts notes of a merge: 15 numbers for each row. */
export const mergeWorkBytes = (n: number): number => 64 + 15 * 8 * n

/** About how many operations `eigen` yields: to tridiagonalize 4/3·n³, to find the vectors of the halves 1/3·n³, then n² and 2·n² for each wanted. */
export const eigenOperations = (n: number, count: number): number => (5 / 3) * n ** 3 + 3 * n * n * count

const layout = (at: Pointer, n: number) =>
  lay(at, {
    vectors: matrixBytes(n, n, true),
    gathered: matrixBytes(n, n, true),
    rows: matrixBytes(Math.max(CHUNK, 2 * BLOCK), n, true),
    panel: matrixBytes(3 * PANEL, n, true),
    d: n * 8,
    e: n * 8,
    tau: n * 8,
    small: BLOCK * BLOCK * 8,
    work: mergeWorkBytes(n),
    product: PRODUCT_SCRATCH_BYTES,
  })
type Layout = ReturnType<typeof layout>

/**
 * The `count` largest eigenvalues of a symmetric f64 matrix A (its lower half is read, all of it destroyed) and their vectors: blocked Householder
 * tridiagonalization (Dongarra, Sorensen, Hammarling 1989), divide and conquer (Cuppen 1981; Gu and Eisenstat 1995), and the reflections
 * applied back as products. All in f64: eigenvalues are off by some 1e-15 of the largest, whatever their own size; vectors are orthogonal
 * within some 1e-14, though each is defined only as far as its eigenvalue stands apart from the others. NaN gives NaN.
 * The products of matrix and vector in the first step (2/3·n³ operations on n³/6 numbers) run at the speed of memory, all else at that of `multiply`.
 */
export function* eigen(engine: Engine, a: Matrix, count: number, scratch: Pointer): Work<Eigen> {
  const n = a.rows
  assert(
    a.isWide && a.cols === n && a.rowStride === n && a.colStride === 1 && count <= n && n > 0,
    'eigenvectors are those of a square f64 matrix, row by row, and no more of them',
  )
  const places = layout(scratch, n)
  yield* tridiagonalize(engine, a, places)
  yield* conquer(engine, n, count, places)
  const { values, vectors } = takeLargest(engine, n, count, places)
  yield* turnBack(engine, vectors, a, places)
  return { values, vectors }
}

function* tridiagonalize(engine: Engine, a: Matrix, { panel, d, e, tau, product }: Layout): Work {
  const n = a.rows
  for (let to = n; to > 0; to -= PANEL) {
    const from = Math.max(to - PANEL, 0)
    engine.kernels.tridiagonal_panel(a.at, a.rowStride, from, to, panel, n, d, e, tau)
    yield 2 * (to - from) * to * to
    const rows = to - from
    const vwv = matrix(panel, 3 * rows, from, { isWide: true, stride: n }) // [V; W; V]: VᵀW + WᵀV is [V; W]ᵀ·[W; V]
    yield* addLower(engine, part(a, 0, from, 0, from), transposed(part(vwv, 0, 2 * rows)), part(vwv, rows, 3 * rows), product, -1, 1)
  }
}

/** Vectors of the tridiagonal matrix, as rows of `vectors` in the order of `d`: all of the halves', of the whole only the `count` largest. */
function* conquer(engine: Engine, n: number, count: number, places: Layout): Work {
  const { memory, kernels } = engine
  const { vectors, d, e, work } = places
  const z = matrix(vectors, n, n, { isWide: true })
  kernels.identity(vectors, n, 1, n, n)
  const tree = split(0, n)
  const diagonal = new Float64Array(memory.buffer, d, n)
  const coupling = new Float64Array(memory.buffer, e, n)
  for (const { at, mid } of tree) {
    if (mid === 0) continue
    const joint = Math.abs(coupling[at + mid]!)
    diagonal[at + mid - 1]! -= joint
    diagonal[at + mid]! -= joint
  }
  for (const { at, size, mid } of tree) {
    if (mid === 0) {
      kernels.ql(d + at * 8, e + at * 8, part(z, at, at + size, at, at + size).at, n, size, work)
      yield 6 * size ** 3
    } else yield* merge(engine, part(z, at, at + size, at, at + size), d + at * 8, mid, coupling[at + mid]!, size === n ? count : size, n, places)
  }
}

/** The blocks of a halving, children before their parents; a leaf has mid 0. */
function split(at: number, size: number): readonly { readonly at: number; readonly size: number; readonly mid: number }[] {
  if (size <= LEAF) return [{ at, size, mid: 0 }]
  const mid = size >> 1
  return [...split(at, mid), ...split(at + mid, size - mid), { at, size, mid }]
}

function* merge(engine: Engine, z: Matrix, d: Pointer, n1: number, coupling: number, wanted: number, room: number, { gathered, rows, work, product }: Layout): Work {
  const { kernels, memory } = engine
  const n = z.rows
  const n2 = n - n1
  kernels.merge_deflate(d, z.at, z.rowStride, n1, n2, coupling, work, room, gathered)
  const [roots = 0, k12 = 0, k1 = 0] = new Int32Array(memory.buffer, work, 3)
  for (let j = 0; j < roots; j += CHUNK) {
    const to = Math.min(j + CHUNK, roots)
    kernels.merge_roots(work, room, j, to)
    yield 40 * (to - j) * roots
  }
  kernels.merge_weights(d, n, work, room)
  const wide = { isWide: true }
  const top = matrix(gathered, k12, n1, wide)
  const bottom = matrix(top.at + matrixBytes(k12, n1, true), roots - k1, n2, wide)
  const aside = matrix(bottom.at + matrixBytes(roots - k1, n2, true), n - roots, n, wide)
  for (let j = Math.max(0, roots - wanted); j < roots; j += CHUNK) {
    const to = Math.min(j + CHUNK, roots)
    kernels.merge_rows(rows, roots, work, room, j, to)
    const inner = matrix(rows, to - j, roots, wide)
    yield* multiply(engine, part(z, j, to, 0, n1), part(inner, 0, to - j, 0, k12), top, product)
    yield* multiply(engine, part(z, j, to, n1, n), part(inner, 0, to - j, k1, roots), bottom, product)
  }
  copy(engine, part(z, roots, n), aside)
}

/** The rows of the largest eigenvalues, in their order, to where the gathered rows were. */
function takeLargest({ kernels, memory }: Engine, n: number, count: number, { vectors, gathered, d, work }: Layout): Eigen {
  kernels.sort(work, work + n * 4, d, n)
  const order = new Int32Array(memory.buffer, work, n).slice(n - count).reverse()
  const eigenvalues = new Float64Array(memory.buffer, d, n)
  const from = new Float64Array(memory.buffer, vectors, n * n)
  const to = new Float64Array(memory.buffer, gathered, n * count)
  order.forEach((row, i) => {
    to.set(from.subarray(row * n, row * n + n), i * n)
  })
  return { values: Float64Array.from(order, row => eigenvalues[row]!), vectors: matrix(gathered, count, n, { isWide: true }) }
}

/** Rows zᵀ ← (Q·z)ᵀ, with Q = H[n−1]···H[1] in the rows of A: row times H[1] first. */
function* turnBack(engine: Engine, z: Matrix, a: Matrix, { rows, small, tau, vectors, product }: Layout): Work {
  const n = a.rows
  for (let from = 1; from < n; from += BLOCK) {
    const to = Math.min(from + BLOCK, n)
    const v = part(a, from, to, 0, to - 1)
    const size = to - from
    engine.kernels.reflector_product(small, v.at, v.rowStride, v.cols, size, tau + from * 8)
    const wide = { isWide: true }
    const zv = matrix(rows, z.rows, size, wide)
    const zvt = matrix(vectors, z.rows, size, wide) // the vectors of the tridiagonal matrix have been taken
    yield* multiply(engine, zv, part(z, 0, z.rows, 0, to - 1), transposed(v), product)
    yield* multiply(engine, zvt, zv, matrix(small, size, size, wide), product)
    yield* multiply(engine, part(z, 0, z.rows, 0, to - 1), zvt, v, product, { alpha: -1, beta: 1 })
  }
}
