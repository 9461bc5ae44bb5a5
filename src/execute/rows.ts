import type { Engine } from '../kernels/kernels.ts'
import type { MemoryMap } from '../plan/budget.ts'
import type { Stage } from '../plan/program.ts'
import { GROUP } from './code/parameters.ts'
import { computeVector, type Known, keptRows } from './folds.ts'
import { PIECE, pieceAt } from './select.ts'

/** What looks at the rows and columns of a chunk, between the stages of a pass. */
export interface RowOps {
  /** Fills the buffers of a stage: the numbers of rows or columns, for each element. The chunk begins with element `from` of the tensor. */
  spread(known: Known, map: MemoryMap, stage: Stage, n: number, from: number): void
  /** Likewise for pieces of a sample from the `first` on, in a pass that needs no row as a whole. */
  spreadPieces(known: Known, map: MemoryMap, stage: Stage, n: number, first: number): void
  /** What a stage ends in: row ops on its results, then arithmetic on the numbers of rows. */
  finish(known: Known, map: MemoryMap, stage: Stage, n: number): void
  /** The sums of the columns of a chunk at `of`, which is a block where rows matter. */
  sumColumns(known: Known, map: MemoryMap, of: number, n: number): Float64Array
  /** Of the rows of a chunk, in a slot. */
  numbersOf(known: Known, map: MemoryMap, slot: number, n: number): Float64Array
}

export function createRowOps({ kernels, memory, heap }: Engine): RowOps {
  return { spread, spreadPieces, finish, sumColumns, numbersOf }

  function vector(at: number, length: number): Float64Array {
    return new Float64Array(memory.buffer, heap + at, length)
  }

  function spread(known: Known, map: MemoryMap, { spreads }: Stage, n: number, from: number): void {
    const columns = known.rows?.columns ?? 0
    const rows = n / columns
    for (const { buffer, from: kind, slot } of spreads) {
      const to = heap + map.buffers[buffer]!
      if (kind === 'columns') {
        vector(map.columns[slot]!, columns).set(known.columnValues[slot]!)
        kernels.spread_columns(to, heap + map.columns[slot]!, rows, columns)
        continue
      }
      if (kind === 'kept') vector(map.rows[slot]!, rows).set(keptRows(known, slot, from / columns, rows))
      kernels.spread_rows(to, heap + map.rows[slot]!, rows, columns)
    }
    for (const at of map.buffers) clearEnd(memory, heap + at, n, 4)
  }

  function spreadPieces(known: Known, map: MemoryMap, { spreads }: Stage, n: number, first: number): void {
    const columns = known.rows?.columns ?? 0
    for (const { buffer, from: kind, slot } of spreads) {
      const to = new Float32Array(memory.buffer, heap + map.buffers[buffer]!, n)
      for (let i = 0; i < n; i += PIECE) {
        const at = pieceAt(first + i / PIECE, known.size)
        if (kind === 'columns') spreadPiece(to.subarray(i, i + PIECE), known.columnValues[slot]!, index => (at + index) % columns)
        else spreadPiece(to.subarray(i, i + PIECE), known.rowValues[slot]!, index => Math.floor((at + index) / columns))
      }
    }
  }

  function finish(known: Known, map: MemoryMap, { rowOps: ops, rows: arithmetic }: Stage, n: number): void {
    const columns = known.rows?.columns ?? 0
    const rows = n / columns
    for (const [i, { op, to }] of ops.entries()) {
      const of = heap + map.results[i]!
      if (op === 'row_rank') kernels.row_rank(heap + map.buffers[to]!, of, rows, columns, heap + map.ranks)
      else kernels[op](heap + map.rows[to]!, of, rows, columns)
    }
    const vectors = map.rows.map(at => vector(at, rows))
    for (const op of arithmetic) vectors[op.to]!.set(computeVector(op, rows, vectors, known.scalars, kernels))
  }

  function sumColumns(known: Known, map: MemoryMap, of: number, n: number): Float64Array {
    const columns = known.rows?.columns ?? 0
    const sums = vector(map.columns[0]!, columns).fill(0) // spread before the loop over elements, and free after it
    kernels.column_add(sums.byteOffset, of, n / columns, columns)
    return sums.slice()
  }

  function numbersOf(known: Known, map: MemoryMap, slot: number, n: number): Float64Array {
    return vector(map.rows[slot]!, n / (known.rows?.columns ?? 1)).slice()
  }
}

function spreadPiece(to: Float32Array, values: Float64Array, placeOf: (index: number) => number): void {
  for (let i = 0; i < PIECE; i++) to[i] = values[placeOf(i)]!
}

/** Zeros what a last, short group would read beyond the end. */
export function clearEnd(memory: WebAssembly.Memory, at: number, n: number, width: number): void {
  if (n % GROUP !== 0) new Uint8Array(memory.buffer, at + n * width, (GROUP - (n % GROUP)) * width).fill(0)
}
