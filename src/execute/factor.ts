import { bytesOf, type FloatDType } from '../dtype.ts'
import { assert, MergeError } from '../errors.ts'
import { createEngine, type Engine } from '../kernels/kernels.ts'
import { copy, finish, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, transposed } from '../kernels/matrix.ts'
import { randomSvd, randomSvdScratchBytes } from '../kernels/random_svd.ts'
import { svd, svdScratchBytes } from '../kernels/svd.ts'
import { lengthOf, scaleColumns } from '../kernels/whole/solver.ts'

/** A matrix and the rank that it is cut to: at most its smaller side. */
export interface Cut {
  readonly rows: number
  readonly columns: number
  readonly rank: number
}

/** L·R, rows × rank and rank × columns, each with the roots of the singular values. */
export interface Factors {
  readonly left: Matrix
  readonly right: Matrix
  /** Descending. */
  readonly values: Float64Array
  /** ‖Δ‖², and ‖Δ − L·R‖² of the factors as they are written. */
  readonly energy: number
  readonly lost: number
}

/** Of the smaller side. */
export const EXACT_SIDE = 1024 // up to here all of a matrix's triplets take seconds
const SKETCH_SHARE = 4 // a sketch pays where it has fewer vectors than a quarter of the smaller side
const OVERSAMPLE = 16

/** Whether a matrix is cut by a random sketch: its largest values are then a little too small, and never too large. */
export const isSketched = ({ rows, columns, rank }: Cut): boolean => Math.min(rows, columns) > EXACT_SIDE && (rank + OVERSAMPLE) * SKETCH_SHARE <= Math.min(rows, columns)

const layout = (at: number, cut: Cut) => {
  const { rows, columns, rank } = cut
  return lay(at, {
    operand: matrixBytes(rows, columns),
    left: matrixBytes(rows, rank),
    right: matrixBytes(columns, rank),
    factor: matrixBytes(columns, rank),
    turned: matrixBytes(Math.max(rows, columns), rank),
    stored: 64 + 8 * rank * Math.max(rows, columns),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: isSketched(cut) ? randomSvdScratchBytes(rows, columns, rank) : svdScratchBytes(rows, columns),
  })
}

const MAX_BYTES = 4 * 2 ** 30 - 2 ** 26 // a wasm32 memory ends at 4 GiB

/** Whether a matrix can be cut within an engine's memory. */
export const isCuttable = (cut: Cut): boolean => layout(0, cut).end <= MAX_BYTES

/** An engine that cuts any of the matrices; all work on the same memory from `heap` on. Throws where one is too large. */
export function factorEngine(cuts: readonly Cut[]): Engine {
  const large = cuts.find(cut => !isCuttable(cut))
  if (large) {
    const what = `a matrix of ${large.rows} × ${large.columns} takes ${Math.ceil(layout(0, large).end / 1e6)} MB at once, and a thread has no more than ${Math.floor(MAX_BYTES / 1e6)} MB`
    throw new MergeError(what, { fix: 'combine the adapters in core space (--by core), where no matrix is whole' })
  }
  return createEngine(cuts.reduce((most, cut) => Math.max(most, layout(0, cut).end), 0))
}

/** Where a matrix must lie to be cut. */
export const operandOf = ({ heap }: Engine, cut: Cut): Matrix => matrix(layout(heap, cut).operand, cut.rows, cut.columns)

/**
 * The best product of that rank, of the matrix that lies in its place, rounded to `dtype`. The matrix is left with what the factors lack.
 * Values and factors of nothing are zeros.
 */
export function factor(engine: Engine, cut: Cut, dtype: FloatDType): Factors {
  const { rows, columns, rank } = cut
  const places = layout(engine.heap, cut)
  const operand = operandOf(engine, cut)
  const [u, v] = [matrix(places.left, rows, rank), matrix(places.right, columns, rank)]
  const energy = lengthOf(engine, operand) ** 2
  const values = finish(isSketched(cut) ? randomSvd(engine, operand, rank, { u, v }, places.scratch) : svd(engine, operand, rank, { u, v }, places.scratch))
  assert(values.length === rank, 'there is a value for each column')
  const roots = values.map(Math.sqrt)
  scaleColumns(engine, u, roots)
  scaleColumns(engine, v, roots)
  const right = matrix(places.factor, rank, columns)
  copy(engine, right, transposed(v))
  for (const side of [u, right]) round(engine, side, dtype, places.stored)
  finish(multiply(engine, operand, u, right, places.product, { alpha: -1, beta: 1 }))
  return { left: u, right, values, energy, lost: lengthOf(engine, operand) ** 2 }
}

/** The singular values of a matrix in its place, the largest `cut.rank` of them, and its energy. */
export function spectrum(engine: Engine, cut: Cut): { readonly values: Float64Array; readonly energy: number } {
  const { rows, columns, rank } = cut
  const places = layout(engine.heap, cut)
  const operand = operandOf(engine, cut)
  const sides = { u: matrix(places.left, rows, rank), v: matrix(places.right, columns, rank) }
  const energy = lengthOf(engine, operand) ** 2
  return { energy, values: finish(isSketched(cut) ? randomSvd(engine, operand, rank, sides, places.scratch) : svd(engine, operand, rank, sides, places.scratch)) }
}

/** The elements of a factor, or of its transpose, as they are written: row by row, in `dtype`. */
export function writtenOf(engine: Engine, cut: Cut, side: Matrix, dtype: FloatDType): Uint8Array {
  const { stored, turned } = layout(engine.heap, cut)
  const n = side.rows * side.cols
  const lying = matrix(turned, side.rows, side.cols)
  copy(engine, lying, side)
  engine.store[dtype](stored, lying.at, n)
  return new Uint8Array(engine.memory.buffer, stored, n * bytesOf(dtype)).slice()
}

function round({ load, store }: Engine, { at, rows, cols }: Matrix, dtype: FloatDType, scratch: number): void {
  if (dtype === 'F32') return
  store[dtype](scratch, at, rows * cols)
  load[dtype](at, scratch, rows * cols)
}
