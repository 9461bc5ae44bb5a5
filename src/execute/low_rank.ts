import type { LowRankFile, LowRankTensor, Stored } from '../bytes/low_rank.ts'
import type { Locator, Reader } from '../bytes/source.ts'
import { bytesOf, type FloatDType } from '../dtype.ts'
import { assert } from '../errors.ts'
import { createEngine } from '../kernels/kernels.ts'
import { LOW_RANK_STRIP, mapLowRank } from '../plan/low_rank.ts'
import { createFiller, type Filler } from './sparse.ts'

/**
 * Readers of files that lie nowhere (bytes/low_rank.ts), for one thread, over one memory as plan/low_rank.ts lays it out.
 * An element is W + scale·Σ l·r: the products are summed in float32 in the order of the rank (over 512, in blocks of that many),
 * so no bit depends on where a read begins or ends.
 */
export function createLowRankReaders(files: readonly LowRankFile[], openReader: (locator: Locator) => Reader, module?: WebAssembly.Module): (file: LowRankFile) => Reader {
  const map = mapLowRank(files)
  const { kernels, memory, heap, load } = createEngine(map.size, module)
  assert(kernels.gemm_scratch() <= map.raw - map.scratch, 'a product has the scratch that the plan counted')
  const floats = (at: number, n: number): Float32Array => new Float32Array(memory.buffer, heap + at, n)
  const bytes = (at: number, n: number): Uint8Array => new Uint8Array(memory.buffer, heap + at, n)
  return file => readerOf(file, map.rights[files.indexOf(file)]!)

  function readerOf({ files: locators, tensors }: LowRankFile, right: number): Reader {
    const readers: Reader[] = []
    let loaded: LowRankTensor | null = null
    let filler: Filler | null = null
    let lengths: { readonly wanted: Float32Array; readonly own: Float64Array } | null = null // of the rows of the loaded tensor
    return { read, close }

    function read(target: Uint8Array, at: number): void {
      const tensor = tensors[indexAt(tensors, at)]!
      assert(at >= tensor.start && at + target.byteLength <= tensor.end, 'a read keeps to one tensor')
      if (tensor.sparse) {
        filler ??= createFiller(fill, load, { memory, at: heap + map.raw, to: heap + map.sum })
        filler.fill(tensor.sparse, target, (at - tensor.start) / 4)
        return
      }
      if (!tensor.base && !tensor.product) {
        target.fill(0)
        return
      }
      prepare(tensor)
      const { columns, product } = tensor
      const first = (at - tensor.start) / 4
      const end = first + target.byteLength / 4
      for (let element = first; element < end; ) {
        const row = Math.floor(element / columns)
        const column = element - row * columns
        const rows = column > 0 ? 0 : Math.min(Math.floor((end - element) / columns), rowsAtOnce(tensor)) // whole ones
        const width = rows > 0 ? columns : Math.min(columns - column, end - element, LOW_RANK_STRIP)
        const n = Math.max(rows, 1) * width
        if (product?.lengths) measure(tensor, row, Math.max(rows, 1))
        compute(tensor, row, Math.max(rows, 1), column, width)
        if (product?.lengths) stretch(row, Math.max(rows, 1), width)
        target.set(bytes(map.sum, n * 4), (element - first) * 4)
        element += n
      }
    }

    /** Rows [row, row + rows) of columns [column, column + width), into the strip of sums. */
    function compute({ base, product, rows: height, columns }: LowRankTensor, row: number, rows: number, column: number, width: number): void {
      if (base) fetch(base, map.sum, row * columns + column, rows * width)
      else floats(map.sum, rows * width).fill(0)
      if (!product) return
      const { rank, scale, left, right: factor } = product
      if (left.isTransposed) fetchColumns(left, rank, height, row, rows)
      else fetch(left, map.left, row * rank, rows * rank)
      const [ars, acs] = left.isTransposed ? [1, rows] : [rank, 1]
      const [brs, bcs] = factor.isTransposed ? [1, rank] : [columns, 1]
      const at = heap + right + column * bcs * 4
      kernels.gemm_f32(heap + map.sum, width, heap + map.left, ars, acs, at, brs, bcs, rows, width, rank, scale, 1, heap + map.scratch)
    }

    /** Loads what every row of a tensor needs. */
    function prepare(tensor: LowRankTensor): void {
      if (loaded === tensor) return
      loaded = null
      lengths = null
      const { product, rows, columns } = tensor
      if (product) {
        for (let from = 0, n = 0; from < product.rank * columns; from += n) {
          n = Math.min(LOW_RANK_STRIP, product.rank * columns - from)
          fetch(product.right, right + from * 4, from, n)
        }
        if (product.lengths) {
          const wanted = new Float32Array(rows)
          for (let from = 0, n = 0; from < rows; from += n) {
            n = Math.min(LOW_RANK_STRIP, rows - from)
            fetch(product.lengths, map.sum, from, n)
            wanted.set(floats(map.sum, n), from)
          }
          lengths = { wanted, own: new Float64Array(rows).fill(Number.NaN) }
        }
      }
      loaded = tensor
    }

    /** The lengths of rows before they are stretched: float64, from the first column to the last. */
    function measure(tensor: LowRankTensor, row: number, rows: number): void {
      const { columns } = tensor
      const { own } = lengths!
      for (let r = row; r < row + rows; r++) {
        if (!Number.isNaN(own[r]!)) continue
        let squares = 0
        for (let column = 0, width = 0; column < columns; column += width) {
          width = Math.min(LOW_RANK_STRIP, columns - column)
          compute(tensor, r, 1, column, width)
          for (const x of floats(map.sum, width)) squares += x * x
        }
        own[r] = Math.sqrt(squares)
      }
    }

    function stretch(row: number, rows: number, width: number): void {
      for (let r = 0; r < rows; r++) {
        const by = Math.fround(lengths!.wanted[row + r]! / lengths!.own[row + r]!)
        const sums = floats(map.sum + r * width * 4, width)
        for (let i = 0; i < width; i++) sums[i]! *= by
      }
    }

    /** Elements [from, from + n) of a part, as float32 at `to`. */
    function fetch(part: Stored, to: number, from: number, n: number): void {
      const dtype = part.dtype as FloatDType // others take no adapter: checkpoint/adapter.ts
      fill(part, bytes(map.raw, n * bytesOf(dtype)), from)
      load[dtype](heap + to, heap + map.raw, n)
    }

    /** Columns [from, from + n) of a part of `rank` × `width`, side by side in the place of L. */
    function fetchColumns(part: Stored, rank: number, width: number, from: number, n: number): void {
      const dtype = part.dtype as FloatDType
      const size = n * bytesOf(dtype)
      for (let k = 0; k < rank; k++) fill(part, bytes(map.raw + k * size, size), k * width + from)
      load[dtype](heap + map.left, heap + map.raw, rank * n)
    }

    function fill({ file, at, dtype }: Stored, target: Uint8Array, from: number): void {
      readers[file] ??= openReader(locators[file]!)
      const waiting = readers[file].read(target, at + from * bytesOf(dtype))
      assert(!waiting, 'files are read at once')
    }

    function close(): void {
      for (const reader of readers) reader?.close() // those never used are holes
      readers.length = 0
      loaded = null
    }
  }

  /** Whole rows that a strip has room for, and their part of L; 0 where a row is longer. */
  function rowsAtOnce({ columns, product }: LowRankTensor): number {
    return Math.min(Math.floor(LOW_RANK_STRIP / columns), product ? Math.floor(map.leftRoom / product.rank) : LOW_RANK_STRIP)
  }
}

/** The last tensor that starts at `at` or before. */
function indexAt(tensors: readonly LowRankTensor[], at: number): number {
  let low = 0
  let high = tensors.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (tensors[middle]!.start <= at) low = middle
    else high = middle - 1
  }
  return low
}
