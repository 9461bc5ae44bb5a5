import { assert } from '../errors.ts'
import type { Engine } from './kernels.ts'

type Pointer = number

/**
 * A matrix in an engine's memory: element (i, j) lies at i·rowStride + j·colStride elements from `at`, in f64 where `isWide`, else f32.
 * One of the strides is 1, so a transposed matrix is another view of the same bytes.
 */
export interface Matrix {
  readonly at: Pointer
  readonly rows: number
  readonly cols: number
  readonly rowStride: number
  readonly colStride: number
  readonly isWide: boolean
}

/**
 * Work that takes long, in pieces of less than a second: yields the floating-point operations just done. Whoever drives it may count them,
 * and may stop; `finish` just runs it.
 */
export type Work<T = void> = Generator<number, T, void>

/** The kernels of linear algebra, in assembly/{gemm,dense,reflect,divide}.ts. Strides are in elements; `wide` is 1 for f64. */
export interface MatrixKernels {
  readonly gemm_scratch: () => number
  readonly gemm_f32: (...args: GemmArgs<[c: Pointer, ldc: number, a: Pointer, ars: number, acs: number, b: Pointer, brs: number, bcs: number]>) => void
  readonly gemm_f64: (
    ...args: GemmArgs<[c: Pointer, ldc: number, a: Pointer, ars: number, acs: number, wideA: number, b: Pointer, brs: number, bcs: number, wideB: number]>
  ) => void
  readonly copy_matrix: (
    ...args: [d: Pointer, drs: number, dcs: number, wideD: number, a: Pointer, ars: number, acs: number, wideA: number, rows: number, cols: number, by: number]
  ) => void
  readonly mirror: (a: Pointer, ld: number, wide: number, n: number) => void
  readonly unit_rows: (a: Pointer, ld: number, rows: number, cols: number, norms: Pointer, least: number) => void
  readonly largest_row: (a: Pointer, ld: number, rows: number, cols: number) => number
  readonly departure: (a: Pointer, ld: number, n: number) => number
  readonly identity: (a: Pointer, ld: number, wide: number, rows: number, cols: number) => void
  readonly gaussian: (a: Pointer, ld: number, rows: number, cols: number, first: number) => void
  readonly tridiagonal_panel: (a: Pointer, ld: number, from: number, to: number, panel: Pointer, ldp: number, d: Pointer, e: Pointer, tau: Pointer) => void
  readonly qr_panel: (p: Pointer, ldp: number, length: number, count: number, tau: Pointer, r: Pointer) => void
  readonly reflector_product: (t: Pointer, v: Pointer, ldv: number, length: number, count: number, tau: Pointer) => void
  readonly ql: (d: Pointer, e: Pointer, z: Pointer, ldz: number, m: number, work: Pointer) => void
  readonly sort: (order: Pointer, spare: Pointer, keys: Pointer, n: number) => void
  readonly merge_work: (room: number) => number
  readonly merge_deflate: (d: Pointer, z: Pointer, ldz: number, n1: number, n2: number, coupling: number, work: Pointer, room: number, gathered: Pointer) => void
  readonly merge_roots: (work: Pointer, room: number, from: number, to: number) => void
  readonly merge_weights: (d: Pointer, n: number, work: Pointer, room: number) => void
  readonly merge_rows: (rows: Pointer, ld: number, work: Pointer, room: number, from: number, to: number) => void
}
type GemmArgs<T extends unknown[]> = [...T, m: number, n: number, k: number, alpha: number, beta: number, scratch: Pointer]

/** Bytes of scratch for a product of any size: assembly/gemm.ts says what for. */
export const PRODUCT_SCRATCH_BYTES = 2 ** 16 + 2 ** 20 + 128

const PIECE = 8e9 // operations between two yields of a product: 0.2 s in f32, and not a second on a machine three times as slow
const CUT = { rows: 128, cols: 1024 } // multiples of the blocks that a product packs
const GRAM_ROWS = 256 // of a Gram product at once: what lies above its diagonal blocks is not computed

/** A matrix of `rows` × `cols`, row by row, `stride` elements apart. */
export function matrix(at: Pointer, rows: number, cols: number, { isWide = false, stride = cols }: { isWide?: boolean; stride?: number } = {}): Matrix {
  assert(stride >= cols && at % (isWide ? 8 : 4) === 0, 'a matrix has room for its rows, at a multiple of its element')
  return { at, rows, cols, rowStride: stride, colStride: 1, isWide }
}

/** The same bytes with rows and columns swapped. */
export function transposed({ at, rows, cols, rowStride, colStride, isWide }: Matrix): Matrix {
  return { at, rows: cols, cols: rows, rowStride: colStride, colStride: rowStride, isWide }
}

/** Rows [r0, r1) and columns [c0, c1) as a view. */
export function part(of: Matrix, r0: number, r1: number, c0 = 0, c1 = of.cols): Matrix {
  assert(0 <= r0 && r0 <= r1 && r1 <= of.rows && 0 <= c0 && c0 <= c1 && c1 <= of.cols, `rows ${r0}–${r1} and columns ${c0}–${c1} are within ${of.rows} × ${of.cols}`)
  return { ...of, at: of.at + (r0 * of.rowStride + c0 * of.colStride) * (of.isWide ? 8 : 4), rows: r1 - r0, cols: c1 - c0 }
}

/** Bytes of a matrix whose rows follow each other. */
export const matrixBytes = (rows: number, cols: number, isWide = false): number => rows * cols * (isWide ? 8 : 4)

/** d = by·a, each element rounded once; the way to transpose, and to convert between f32 and f64. */
export function copy({ kernels }: Engine, d: Matrix, a: Matrix, by = 1): void {
  assert(d.rows === a.rows && d.cols === a.cols, `a copy has the size of ${sizeOf(a)}, not ${sizeOf(d)}`)
  kernels.copy_matrix(d.at, d.rowStride, d.colStride, Number(d.isWide), a.at, a.rowStride, a.colStride, Number(a.isWide), a.rows, a.cols, by)
}

/**
 * C = alpha·A·B + beta·C, in the precision of C: f32 takes operands of f32, f64 takes either. C may not overlap A or B; with beta 0 it is not read.
 * Sums run over blocks of 512 products, so that an f32 element of k products is off by about √512 + √(k/512) roundings of its largest partial
 * sums (at worst 512 + k/512). No bit depends on sizes around it, transposition or place. Scratch: PRODUCT_SCRATCH_BYTES.
 */
export function* multiply(engine: Engine, c: Matrix, a: Matrix, b: Matrix, scratch: Pointer, { alpha = 1, beta = 0 }: { alpha?: number; beta?: number } = {}): Work {
  assert(a.cols === b.rows && c.rows === a.rows && c.cols === b.cols, `${sizeOf(a)} times ${sizeOf(b)} is not ${sizeOf(c)}`)
  assert(c.isWide || !(a.isWide || b.isWide), 'a product in f32 has operands of f32')
  if (c.colStride !== 1) return yield* multiply(engine, transposed(c), transposed(b), transposed(a), scratch, { alpha, beta })
  if (c.rows === 0 || c.cols === 0) return
  const k = Math.max(a.cols, 1)
  const rows = Math.min(c.rows, atLeastOne(PIECE / (2 * k * CUT.cols * CUT.rows)) * CUT.rows)
  const cols = atLeastOne(PIECE / (2 * k * rows * CUT.cols)) * CUT.cols
  for (let j = 0; j < c.cols; j += cols) {
    for (let i = 0; i < c.rows; i += rows) {
      const [toRow, toCol] = [Math.min(i + rows, c.rows), Math.min(j + cols, c.cols)]
      product(engine, part(c, i, toRow, j, toCol), part(a, i, toRow), part(b, 0, b.rows, j, toCol), alpha, beta, scratch)
      yield 2 * (toRow - i) * (toCol - j) * k
    }
  }
}

function product({ kernels }: Engine, c: Matrix, a: Matrix, b: Matrix, alpha: number, beta: number, scratch: Pointer): void {
  const sizes = [c.rows, c.cols, a.cols, alpha, beta, scratch] as const
  if (!c.isWide) kernels.gemm_f32(c.at, c.rowStride, a.at, a.rowStride, a.colStride, b.at, b.rowStride, b.colStride, ...sizes)
  else kernels.gemm_f64(c.at, c.rowStride, a.at, a.rowStride, a.colStride, Number(a.isWide), b.at, b.rowStride, b.colStride, Number(b.isWide), ...sizes)
}

/** C = A·Aᵀ, symmetric to the bit: half of it is computed. For AᵀA give `transposed(a)`. C row by row. Scratch: PRODUCT_SCRATCH_BYTES. */
export function* gram(engine: Engine, c: Matrix, a: Matrix, scratch: Pointer): Work {
  assert(c.rows === a.rows && c.colStride === 1, `the Gram matrix of ${sizeOf(a)} has ${a.rows} rows, row by row`)
  yield* addLower(engine, c, a, transposed(a), scratch, 1, 0)
  engine.kernels.mirror(c.at, c.rowStride, Number(c.isWide), c.rows)
}

/** The lower half of C = alpha·A·B + beta·C, and somewhat of the upper one. */
export function* addLower(engine: Engine, c: Matrix, a: Matrix, b: Matrix, scratch: Pointer, alpha: number, beta: number): Work {
  for (let i = 0; i < c.rows; i += GRAM_ROWS) {
    const to = Math.min(i + GRAM_ROWS, c.rows)
    yield* multiply(engine, part(c, i, to, 0, to), part(a, i, to), part(b, 0, b.rows, 0, to), scratch, { alpha, beta })
  }
}

/** Runs work to its end; `tell` hears the operations done so far. */
export function finish<T>(work: Work<T>, tell?: (operations: number) => void): T {
  let sum = 0
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
    tell?.((sum += value))
  }
}

/** Places parts of the given bytes one after another from `at`, a multiple of 8, at distances of a multiple of 64; `end` is where they end. */
export function lay<T extends string>(at: Pointer, parts: Readonly<Record<T, number>>): Readonly<Record<T | 'end', Pointer>> {
  assert(at % 8 === 0, 'scratch begins at a multiple of 8')
  let next = at
  const places: Record<string, Pointer> = {}
  for (const [name, bytes] of Object.entries<number>(parts)) {
    places[name] = next
    next += Math.ceil(bytes / 64) * 64
  }
  return { ...places, end: next } as Record<T | 'end', Pointer> // the names were those of `parts`
}

const sizeOf = ({ rows, cols }: Matrix): string => `${rows} × ${cols}`
const atLeastOne = (x: number): number => Math.max(1, Math.floor(x))
