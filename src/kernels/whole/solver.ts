import type { Engine } from '../kernels.ts'
import { type Matrix, matrixBytes, type Work } from '../matrix.ts'
import { type Sides, svd } from '../svd.ts'

type Pointer = number

/** What a solver is asked for: operands of one size, rows × cols, and how many. */
export interface Problem {
  readonly rows: number
  readonly cols: number
  readonly operands: number
}

/** A solver's wish: operand `operand` as f32, row by row, from `to`. It lies there when the solver goes on. */
export interface Request {
  readonly operand: number
  readonly to: Pointer
}

/** What a solver works with. `at` is where its memory begins, a multiple of 64; `numbers` are the op's, in its own order. */
export interface Desk extends Problem {
  readonly engine: Engine
  readonly at: Pointer
  readonly numbers: readonly number[]
}

/**
 * Computes a matrix from whole matrices of its size, each of which it asks for once, when it needs it. Yields requests, and between them the
 * floating-point operations just done, in pieces of less than a second. Gives where the result lies, f32, row by row, within its memory.
 */
export interface Solver {
  /** Memory from `at`, operands and result included. */
  bytes(problem: Problem): number
  /** About how many operations it yields. */
  operations(problem: Problem): number
  solve(desk: Desk): Generator<number | Request, Pointer, void>
}

/** Singular values, and columns that belong to them. */
export const rankOf = ({ rows, cols }: Pick<Problem, 'rows' | 'cols'>): number => Math.min(rows, cols)

/** Bytes of a matrix of the operands' size. */
export const operandBytes = ({ rows, cols }: Problem): number => matrixBytes(rows, cols)

const FLOAT64 = 2 ** -40 // share of a count that its product with a share may lose: 0.29·100 is 29, not 28.999…

/** ⌊share·whole⌋. */
export const countOf = (share: number, whole: number): number => Math.min(whole, Math.floor(share * whole * (1 + FLOAT64)))

/**
 * The k largest singular triplets, as `svd` gives them, but zeros throughout where a value is `least` or less, or counts as zero: what a matrix does
 * not have should not lean on others when bases are made orthogonal.
 */
export function* bestTriplets(engine: Engine, a: Matrix, k: number, { u, v }: Sides, scratch: Pointer, least = 0): Work<Float64Array> {
  const values = yield* svd(engine, a, k, { u, v }, scratch)
  if (!values.some(value => value <= least)) return values
  const kept = values.map(value => (value <= least ? 0 : 1))
  scaleColumns(engine, u, kept)
  scaleColumns(engine, v, kept)
  return values.map((value, i) => value * kept[i]!)
}

/** A·diag(factors) in place, each element rounded once to the precision of A, which lies row by row. */
export function scaleColumns({ memory }: Engine, a: Matrix, factors: ArrayLike<number>): void {
  const all = a.isWide ? new Float64Array(memory.buffer) : new Float32Array(memory.buffer)
  const first = a.at / all.BYTES_PER_ELEMENT
  for (let i = 0; i < a.rows; i++) {
    const row = all.subarray(first + i * a.rowStride, first + i * a.rowStride + a.cols)
    for (let j = 0; j < a.cols; j++) row[j] = row[j]! * factors[j]!
  }
}

/** ‖A‖, of an f32 matrix whose rows follow each other. */
export function lengthOf({ memory }: Engine, { at, rows, cols }: Matrix): number {
  let sum = 0
  for (const x of new Float32Array(memory.buffer, at, rows * cols)) sum += x * x
  return Math.sqrt(sum)
}

export const meanOf = (values: ArrayLike<number>): number => sumOf(values) / values.length

export function sumOf(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum
}
