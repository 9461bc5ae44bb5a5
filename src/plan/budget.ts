import { bytesOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { isSelect, type Program } from './program.ts'
import { BLOCK, type Tiling } from './tiling.ts'

/** Engine memory when nobody says otherwise. Node itself takes about 100 MB more. */
export const DEFAULT_MEMORY = 256 * 2 ** 20

/** Registers of 4 KB: those of most formulas fit the L1 cache together. */
const STRIP = 1024
const MIN_STRIP = 256 // below this the calls cost more than the arithmetic
const SLACK = 128 // per buffer: kernels round lengths up, buffers begin at multiples of 64
const COUNTERS = 2 * 65_536 * 4 // bytes of a radix select's counters
const OP_BYTES = 32 // of the interpreter
const WASM_LIMIT = 4 * 2 ** 30 - 2 ** 26 // a wasm32 memory ends at 4 GiB
const KERNEL_BYTES = 2 * 65_536 // the kernels' own tables, rounded up to pages

/** What the engine will hold at once, known before anything is read. */
export interface MemoryPlan {
  readonly budget: number
  readonly threads: number
  readonly tiling: Tiling
  /** WebAssembly memory of each thread. */
  readonly perThread: number
  readonly total: number
}

/** Bytes a thread needs to stream `program`, its inputs `chunk` elements at a time. */
export function bytesFor({ sources, output, registers, passes }: Program, { strip, chunk }: Tiling): number {
  const inputs = sources.reduce((sum, dtype) => sum + chunk * bytesOf(dtype) + SLACK, 0)
  const folds = passes.reduce(
    (most, pass) =>
      Math.max(
        most,
        pass.folds.reduce((sum, f) => sum + (isSelect(f) ? COUNTERS : 64), 0),
      ),
    0,
  )
  const ops = passes.reduce((most, pass) => Math.max(most, pass.strips.length + pass.folds.length + 1), 0) * OP_BYTES + SLACK
  return ops + registers * (strip * 4 + SLACK) + inputs + chunk * bytesOf(output) + SLACK + folds
}

export interface BudgetRequest {
  readonly memory: number
  readonly threads: number
  /** Fixed by tests of the law that tiling changes no byte. */
  readonly tiling?: Tiling | undefined
  readonly programs: readonly Program[]
}

/** Chooses strip and chunk so that every program fits; throws when even the smallest do not. */
export function planMemory({ memory, threads, tiling: fixed, programs }: BudgetRequest): MemoryPlan {
  const need = (tiling: Tiling): number => KERNEL_BYTES + programs.reduce((most, p) => Math.max(most, bytesFor(p, tiling)), 0)
  const share = Math.min(Math.floor(memory / threads), WASM_LIMIT)
  let tiling: Tiling = fixed ?? { strip: STRIP, chunk: BLOCK }
  while (!fixed && need(tiling) > share && (tiling.chunk > tiling.strip || tiling.strip > MIN_STRIP)) {
    tiling = tiling.chunk > tiling.strip ? { ...tiling, chunk: tiling.chunk / 2 } : { strip: tiling.strip / 2, chunk: tiling.chunk / 2 }
  }
  const least = need(tiling)
  if (least > share) {
    throw new MergeError(`a memory budget of ${Math.floor(memory / 1e5) / 10} MB is too small for this merge`, {
      where: `${threads} thread${threads === 1 ? '' : 's'} of ${Math.floor(share / 1e5) / 10} MB each`,
      fix: `set --memory to ${megabytes(least * threads)}MB or more${threads > 1 ? `, or --threads 1 with ${megabytes(least)}MB` : ''}`,
    })
  }
  return { budget: memory, threads, tiling, perThread: least, total: least * threads }
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e5) / 10
