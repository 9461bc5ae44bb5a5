import type { FloatDType } from '../dtype.ts'
import { WASM } from './_wasm.ts'
import type { MatrixKernels } from './matrix.ts'

type Pointer = number
type ByRows = (d: Pointer, a: Pointer, rows: number, columns: number) => void
type Convert = (d: Pointer, a: Pointer, n: number) => number

/** The kernels written in AssemblyScript, over one linear memory. Buffers have room up to a multiple of 16 elements. */
export interface Kernels extends MatrixKernels {
  /** Functions of one number in f64, the same bits on every machine (musl's, compiled in). */
  readonly sin: (x: number) => number
  readonly acos: (x: number) => number
  readonly exp: (x: number) => number
  readonly log: (x: number) => number
  /** See assembly/rows.ts. Numbers of rows and columns are f64, elements f32. */
  readonly row_sum: ByRows
  readonly row_max: ByRows
  readonly row_rank: (d: Pointer, a: Pointer, rows: number, columns: number, scratch: Pointer) => void
  readonly column_add: ByRows
  readonly spread_rows: ByRows
  readonly spread_columns: ByRows
  readonly count_high: (counters: Pointer, a: Pointer, n: number) => void
  readonly count_low: (counters: Pointer, prefix: number, a: Pointer, n: number) => void
  readonly count_keys: (counters: Pointer, a: Pointer, n: number, least: number, shift: number) => void
  readonly copy_pieces: (d: Pointer, a: Pointer, width: number, size: number, pieces: number, first: number, end: number) => void
  readonly gather_keys: (d: Pointer, a: Pointer, n: number, least: number, shift: number, lowest: number, highest: number) => number
  readonly check_f32: (a: Pointer, n: number) => number
  readonly prepare: () => void
  readonly heap: () => Pointer
}

export interface Engine {
  readonly kernels: Kernels
  readonly memory: WebAssembly.Memory
  /** First free byte, a multiple of 64. */
  readonly heap: Pointer
  readonly load: Readonly<Record<FloatDType, Convert>>
  readonly store: Readonly<Record<FloatDType, Convert>>
}

/** Bits of |x| in f32 from which on a value is infinite or NaN: what `load` gives back is compared with it. */
export const NONFINITE = 0x7f800000

/** Bytes of the counters of a radix select: two sets of 65,536. */
export const COUNTERS_BYTES = 2 * 65_536 * 4

/** The kernels as text: equal for versions whose kernels are equal. */
export { WASM as KERNELS } from './_wasm.ts'

const PAGE = 65_536 // bytes of a WebAssembly page
let compiled: WebAssembly.Module | null = null // compiled once a thread: 9 KB, and every engine of the thread shares it

/** The compiled kernels: to be handed to threads, which then share their machine code and its optimisation. */
export function compileKernels(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(decodeBase64(WASM))
  return compiled
}

/** Kernels over a fresh memory with at least `bytes` free beyond the kernels' own. Throws RangeError when the machine has not that much. */
export function createEngine(bytes: number, module: WebAssembly.Module = compileKernels()): Engine {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((bytes + 2 * PAGE) / PAGE) })
  // The exports of ./assembly, whose signatures are the ones above: test/kernels.test.ts calls each of them.
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels & Record<string, Convert>
  exports.prepare()
  const convert = (way: 'load' | 'store'): Record<FloatDType, Convert> => ({
    F64: exports[`${way}_f64`]!,
    F32: exports[`${way}_f32`]!,
    F16: exports[`${way}_f16`]!,
    BF16: exports[`${way}_bf16`]!,
    F8_E4M3: exports[`${way}_f8_e4m3`]!,
    F8_E5M2: exports[`${way}_f8_e5m2`]!,
  })
  return { kernels: exports, memory, heap: Math.ceil(exports.heap() / 64) * 64, load: convert('load'), store: convert('store') }
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), c => c.charCodeAt(0))
}
