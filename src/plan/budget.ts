import { bytesOf, type DType, isFloat } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { isSelect, type Pass, type Program } from './program.ts'
import { BLOCK, type Tiling } from './tiling.ts'

/** Engine memory when nobody says otherwise. Node itself takes about 100 MB more. */
export const DEFAULT_MEMORY = 256 * 2 ** 20

const MIN_CHUNK = 256 // below this the calls cost more than the arithmetic
const SLACK = 128 // per buffer: the code handles groups of 16 elements, buffers begin at multiples of 64
const COUNTERS = 2 * 65_536 * 4 // bytes of a radix select's counters
const COLLECT_CHUNKS = 8 // what a select may collect from its bracket, in chunks; more, and it counts instead
const WASM_LIMIT = 4 * 2 ** 30 - 2 ** 26 // a wasm32 memory ends at 4 GiB
const KERNEL_BYTES = 2 * 65_536 // the kernels' own tables, rounded up to pages
const RESIDENT = 64 * 2 ** 20 // bytes of inputs that a thread keeps between passes: beyond this reading again is as fast

/** What the engine will hold at once, known before anything is read. */
export interface MemoryPlan {
  readonly budget: number
  readonly threads: number
  readonly tiling: Tiling
  /** WebAssembly memory of each thread. */
  readonly perThread: number
  /** Of it, for inputs that stay in memory between passes. */
  readonly resident: number
  readonly total: number
}

/** Where a program's buffers lie in a thread's memory: offsets in bytes from its first free one. */
export interface MemoryMap {
  /** Addresses, scalars and constants for the code: execute/assemble.ts. */
  readonly parameters: number
  /** Per source: a chunk as stored, and where generated code does not read the dtype a chunk of float32. */
  readonly raw: readonly number[]
  readonly converted: readonly (number | null)[]
  /** A chunk of the output as stored, and as float32. */
  readonly stored: number
  readonly wide: number
  /** Per select of a pass, in order: room for `collected` float32. */
  readonly selects: readonly number[]
  readonly collected: number
  readonly counters: number
  readonly size: number
}

export function mapMemory({ sources, output, scalars, passes }: Program, { chunk }: Tiling): MemoryMap {
  let size = 0
  const take = (bytes: number): number => {
    const at = size
    size += Math.ceil(bytes / 64) * 64 + SLACK
    return at
  }
  const most = (of: (pass: Pass) => number): number => passes.reduce((max, pass) => Math.max(max, of(pass)), 0)
  const selects = most(p => p.folds.filter(isSelect).length)
  const collected = COLLECT_CHUNKS * chunk
  return {
    parameters: take(4096 + 16 * (sources.length + scalars + most(p => p.ops.length) + most(p => 2 * p.folds.length))), // a constant or two for each op
    raw: sources.map(dtype => take(chunk * bytesOf(dtype))),
    converted: sources.map(dtype => (isNative(dtype) ? null : take(chunk * 4))),
    stored: take(chunk * bytesOf(output)),
    wide: take(chunk * 4),
    selects: Array.from({ length: selects }, () => take(collected * 4)),
    collected,
    counters: selects > 0 ? take(COUNTERS) : 0,
    size,
  }
}

/** The dtypes that generated code reads and writes; others are converted to float32 before and after. */
export const isNative = (dtype: DType): boolean => dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' || !isFloat(dtype)

export interface BudgetRequest {
  readonly memory: number
  readonly threads: number
  /** Fixed by tests of the law that tiling changes no byte. */
  readonly tiling?: Tiling | undefined
  readonly programs: readonly Program[]
  /** For each task that looks at its inputs more than once, their bytes. */
  readonly rereading: readonly number[]
}

/** Chooses the chunk so that every program fits; throws when even the smallest does not. What is left keeps inputs between passes. */
export function planMemory({ memory, threads, tiling: fixed, programs, rereading }: BudgetRequest): MemoryPlan {
  const need = (tiling: Tiling): number => KERNEL_BYTES + programs.reduce((most, p) => Math.max(most, mapMemory(p, tiling).size), 0)
  const share = Math.min(Math.floor(memory / threads), WASM_LIMIT)
  let tiling: Tiling = fixed ?? { chunk: BLOCK }
  while (!fixed && need(tiling) > share && tiling.chunk > MIN_CHUNK) tiling = { chunk: tiling.chunk / 2 }
  const least = need(tiling)
  if (least > share) {
    throw new MergeError(`a memory budget of ${Math.floor(memory / 1e5) / 10} MB is too small for this merge`, {
      where: `${threads} thread${threads === 1 ? '' : 's'} of ${Math.floor(share / 1e5) / 10} MB each`,
      fix: `set --memory to ${megabytes(least * threads)}MB or more${threads > 1 ? `, or --threads 1 with ${megabytes(least)}MB` : ''}`,
    })
  }
  const room = Math.min(RESIDENT, share - least)
  const resident = rereading.reduce((most, bytes) => (bytes <= room ? Math.max(most, bytes) : most), 0)
  return { budget: memory, threads, tiling, perThread: least + resident, resident, total: (least + resident) * threads }
}

/** Bytes of a task's inputs, kept as they are stored. */
export const residentBytes = (program: Program, size: number): number => program.sources.reduce((sum, dtype) => sum + Math.ceil((size * bytesOf(dtype)) / 64) * 64 + SLACK, 0)

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e5) / 10
