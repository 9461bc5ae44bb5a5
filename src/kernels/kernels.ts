import type { FloatDType } from '../dtype.ts'
import { WASM } from './_wasm.ts'
import type { MatrixKernels } from './matrix.ts'

type Pointer = number
type VV = (d: Pointer, a: Pointer, b: Pointer, n: number) => void
type VS = (d: Pointer, a: Pointer, s: number, n: number) => void
type SV = (d: Pointer, s: number, b: Pointer, n: number) => void
type V = (d: Pointer, a: Pointer, n: number) => void
type Convert = (d: Pointer, a: Pointer, n: number) => number

/**
 * The WebAssembly kernels over one linear memory. Strips are float32, 16-byte aligned, with room for a multiple of 16 elements.
 * A suffix names the operands: v a strip, s a scalar.
 */
export interface Kernels extends MatrixKernels {
  readonly add_vv: VV
  readonly add_vs: VS
  readonly sub_vv: VV
  readonly sub_vs: VS
  readonly sub_sv: SV
  readonly mul_vv: VV
  readonly mul_vs: VS
  readonly div_vv: VV
  readonly div_vs: VS
  readonly div_sv: SV
  readonly max_vv: VV
  readonly max_vs: VS
  readonly min_vv: VV
  readonly min_vs: VS
  readonly ge_vv: VV
  readonly ge_vs: VS
  readonly ge_sv: SV
  readonly gt_vv: VV
  readonly gt_vs: VS
  readonly gt_sv: SV
  readonly eq_vv: VV
  readonly eq_vs: VS
  readonly where_vv: (d: Pointer, c: Pointer, a: Pointer, b: Pointer, n: number) => void
  readonly where_vs: (d: Pointer, c: Pointer, a: Pointer, s: number, n: number) => void
  readonly where_sv: (d: Pointer, c: Pointer, s: number, b: Pointer, n: number) => void
  readonly where_ss: (d: Pointer, c: Pointer, s: number, r: number, n: number) => void
  readonly addmul_vvs: (d: Pointer, a: Pointer, b: Pointer, s: number, n: number) => void
  readonly absdiff_vv: VV
  readonly keeplarge_vs: VS
  readonly keepbelow_svv: (d: Pointer, s: number, a: Pointer, b: Pointer, n: number) => void
  readonly signeq_vv: VV
  readonly abs_v: V
  readonly sign_v: V
  readonly sqrt_v: V
  readonly sin_v: V
  readonly acos_v: V
  /** Scalar functions in f64, the same bits on every machine (musl's, compiled in). */
  readonly sin: (x: number) => number
  readonly acos: (x: number) => number
  readonly sum_add: (state: Pointer, a: Pointer, n: number) => void
  readonly sum_take: (state: Pointer) => number
  readonly count_high: (counters: Pointer, a: Pointer, n: number) => void
  readonly count_low: (counters: Pointer, prefix: number, a: Pointer, n: number) => void
  readonly sum_abs: (state: Pointer, a: Pointer, n: number) => void
  readonly sum_dot: (state: Pointer, a: Pointer, b: Pointer, n: number) => void
  readonly random: (d: Pointer, n: number, first: number, key0: number, key1: number) => void
  readonly check_f32: (a: Pointer, n: number) => number
  /** The interpreter: `count` ops at `program` over `n` elements, `strip` at a time. See assembly/machine.ts for the words of an op. */
  readonly run: (program: Pointer, count: number, n: number, strip: number) => void
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
  /** The interpreter's opcodes by kernel name; `load_bf16` and the like included. */
  readonly opcodes: Readonly<Record<string, number>>
}

/** Bits of |x| in f32 from which on a value is infinite or NaN: what `load` gives back is compared with it. */
export const NONFINITE = 0x7f800000

/** Bits of |x| in f32 from which on a value, rounded to the format, is infinite or NaN: what `store` gives back is compared with it. */
export const OVERFLOWING: Readonly<Record<FloatDType, number>> = {
  F64: NONFINITE,
  F32: NONFINITE,
  BF16: 0x7f7f8000, // half a unit beyond the largest value: a tie, which goes to the even neighbour, infinity
  F16: 0x477ff000, // 65520, likewise
  F8_E4M3: 0x43e80001, // just above 464: the tie goes to 448
  F8_E5M2: 0x47700000, // 61440: the tie goes to infinity
}

/** Bytes of the counters of a radix select: two sets of 65,536. */
export const COUNTERS_BYTES = 2 * 65_536 * 4

/** Bytes of an op of the interpreter. */
export const OP_BYTES = 32

const PAGE = 65_536 // bytes of a WebAssembly page
let compiled: WebAssembly.Module | null = null // compiled once a thread: 16 KB, and every engine of the thread shares it

/** The compiled kernels: to be handed to threads, which then share their machine code and its optimisation. */
export function compileKernels(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(decodeBase64(WASM))
  return compiled
}

/** Kernels over a fresh memory with at least `bytes` free beyond the kernels' own. Throws RangeError when the machine has not that much. */
export function createEngine(bytes: number, module: WebAssembly.Module = compileKernels()): Engine {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((bytes + 2 * PAGE) / PAGE) })
  // The exports of ./assembly, whose signatures are the ones above: test/kernels.test.ts calls each of them.
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels & Record<string, Convert> & Record<string, WebAssembly.Global>
  exports.prepare()
  const convert = (way: 'load' | 'store'): Record<FloatDType, Convert> => ({
    F64: exports[`${way}_f64`]!,
    F32: exports[`${way}_f32`]!,
    F16: exports[`${way}_f16`]!,
    BF16: exports[`${way}_bf16`]!,
    F8_E4M3: exports[`${way}_f8_e4m3`]!,
    F8_E5M2: exports[`${way}_f8_e5m2`]!,
  })
  const opcodes = Object.fromEntries(
    Object.entries(exports as Readonly<Record<string, unknown>>).flatMap(([name, value]) =>
      value instanceof WebAssembly.Global ? [[name.replace('op_', ''), Number(value.value)]] : [],
    ),
  )
  return { kernels: exports, opcodes, memory, heap: Math.ceil(exports.heap() / 64) * 64, load: convert('load'), store: convert('store') }
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), c => c.charCodeAt(0))
}
