import { elementAt, type Layout } from '../../kernels/vectors.ts'

// What generated code and those who call it agree on.

/**
 * What becomes of a stage's results. `main`: output in its dtype, sums, and selects by bracket; the operands of row ops and of sums of columns in
 * float32. `wide`: the output in float32. `taps`: the operands of selects, in float32.
 */
export type Variant = 'main' | 'wide' | 'taps'

/** Elements that the code handles at a time. */
export const GROUP = 16

/** Byte offsets into the block of parameters that the functions of a pass read. Addresses and numbers are 32-bit words. */
export interface ParameterLayout {
  /** Addresses, per source, per buffer, and per result that is stored. */
  readonly sources: number
  readonly buffers: number
  readonly outputs: number
  /** Written: not 0 when a source, or at last the output, held something that is not finite or overflows. */
  readonly flags: number
  /** float32, one for each scalar of the program. */
  readonly scalars: number
  /** Per random stream: the state of the first pair of elements, and the second word of its key. */
  readonly streams: number
  /** Per sum four float64 lanes, per select: four counts of what lies below the bracket's end, four of what lies below its beginning, where to collect, and both ends. */
  readonly folds: number
  readonly size: number
}

/** Bytes of a fold's state. */
export const FOLD_BYTES = 48
/** Within a select's state. */
export const SELECT = { belowHigh: 0, belowLow: 16, to: 32, low: 36, high: 40 } as const

/** Functions of single numbers that the code calls. */
export const EACH = ['sin', 'acos'] as const

/** The four vectors of the masks of a short group. */
export function masksFor(order: Layout, n: number): Int32Array {
  return Int32Array.from({ length: GROUP }, (_, i) => (elementAt(order, i >> 2, i & 3) < n ? -1 : 0))
}
