import { bytesOf, isFloat, isNative } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { isSelect, keptRowsOf, type Pass, type Program, wholesOf } from './program.ts'
import { BLOCK, chunkOf, type Rows, type Tiling } from './tiling.ts'

/** Engine memory when nobody says otherwise. Node itself takes about 100 MB more. */
export const DEFAULT_MEMORY = 256 * 2 ** 20

const MIN_CHUNK = 256 // below this the calls cost more than the arithmetic
const SLACK = 128 // per buffer: the code handles groups of 16 elements, buffers begin at multiples of 64
const COUNTERS = 2 * 65_536 * 4 // bytes of a radix select's counters
const COLLECT_CHUNKS = 8 // what a select may collect from its bracket, in chunks; more, and it counts instead
const RANK_COUNTERS = 16_384 * 4 // of a sort of one row: kernels/assembly/rows.ts
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
  /** Addresses, scalars and constants for the code of each stage, and of one more: execute/code/assemble.ts. */
  readonly parameters: readonly number[]
  readonly parameterBytes: number
  /** Per source: a chunk as stored, and where generated code does not read the dtype a chunk of float32. */
  readonly raw: readonly number[]
  readonly converted: readonly (number | null)[]
  /** A chunk of the output as stored, and as float32. */
  readonly stored: number
  readonly wide: number
  /** Per select of a pass, in order: room for `collected` float32. */
  readonly selects: readonly number[]
  readonly collected: number
  readonly counters: readonly number[]
  /** Per slot of the rows: float64, one for each row of a chunk. Per slot of the columns likewise, one for each column. */
  readonly rows: readonly number[]
  readonly columns: readonly number[]
  /** Per buffer a chunk of float32, and per result of a stage that row ops or sums of columns read. */
  readonly buffers: readonly number[]
  readonly results: readonly number[]
  readonly ranks: number
  /** Elements of a chunk. */
  readonly chunk: number
  readonly size: number
}

export function mapMemory(program: Program, tiling: Tiling, shape: Rows = null): MemoryMap {
  const { sources, output, scalars, passes } = program
  const chunk = chunkOf(shape, tiling)
  const columns = shape?.columns ?? 0
  let size = 0
  const take = (bytes: number): number => {
    const at = size
    size += Math.ceil(bytes / 64) * 64 + SLACK
    return at
  }
  const most = (of: (pass: Pass) => number): number => passes.reduce((max, pass) => Math.max(max, of(pass)), 0)
  const selects = most(p => p.folds.filter(isSelect).length)
  const ops = most(p => p.stages.reduce((sum, stage) => Math.max(sum, stage.ops.length), 0))
  const results = most(p => Math.max(p.folds.filter(f => f.kind === 'columns').length, ...p.stages.map(stage => stage.rowOps.length)))
  const parameterBytes = 4096 + 16 * (sources.length + scalars + program.buffers + 3 * ops + most(p => 3 * p.folds.length)) // a constant or two for each op
  const collected = COLLECT_CHUNKS * chunk
  const several = (count: number, bytes: number): number[] => Array.from({ length: count }, () => take(bytes))
  return {
    parameters: several(most(p => p.stages.length) + 1, parameterBytes),
    parameterBytes,
    raw: sources.map(dtype => take(chunk * bytesOf(dtype))),
    converted: sources.map(dtype => (isNative(dtype) || !isFloat(dtype) ? null : take(chunk * 4))),
    stored: take(chunk * bytesOf(output)),
    wide: take(chunk * 4),
    selects: several(selects, collected * 4),
    collected,
    counters: several(selects, COUNTERS),
    rows: several(program.rows, columns === 0 ? 0 : (chunk / columns) * 8),
    columns: several(program.columns, columns * 8),
    buffers: several(program.buffers, chunk * 4),
    results: several(results, chunk * 4),
    ranks: columns === 0 ? 0 : take(RANK_COUNTERS + 20 * columns),
    chunk,
    size,
  }
}

/** Bytes that a program takes but for whole matrices: buffers of its own passes and of those that give operands, and the numbers of rows that it keeps. */
export const mapBytes = (program: Program, tiling: Tiling, rows: Rows): number => bufferBytes(program, tiling, rows) + keptRowsOf(program).length * (rows?.rows ?? 0) * 8

const bufferBytes = (program: Program, tiling: Tiling, rows: Rows): number =>
  [program, ...wholesOf(program).flatMap(w => w.operands)].reduce((most, part) => Math.max(most, mapMemory(part, tiling, rows).size), 0)

/** A tensor that is worked on as a whole, and what that takes besides the buffers of its program. */
export interface WholeNeed {
  readonly tensor: string
  readonly shape: readonly number[]
  readonly bytes: number
}

export interface BudgetRequest {
  readonly memory: number
  /** As many as wanted: where matrices are worked on as wholes, fewer are planned if the memory is not enough for all. */
  readonly threads: number
  /** Fixed by tests of the law that tiling changes no byte. */
  readonly tiling?: Tiling | undefined
  /** Every program, with every kind of rows that it meets. */
  readonly needs: readonly { readonly program: Program; readonly rows: Rows; readonly whole: WholeNeed | null }[]
  /** For each task that looks at its inputs more than once, their bytes. */
  readonly rereading: readonly number[]
}

/** Chooses the chunk so that every program fits; throws when even the smallest does not. What is left keeps inputs between passes. */
export function planMemory({ memory, threads: wanted, tiling: fixed, needs, rereading }: BudgetRequest): MemoryPlan {
  const need = (tiling: Tiling): number => KERNEL_BYTES + needs.reduce((most, n) => Math.max(most, mapBytes(n.program, tiling, n.rows) + (n.whole?.bytes ?? 0)), 0)
  const whole = largestOf(needs)
  const threads = whole ? Math.max(1, Math.min(wanted, Math.floor(memory / need(fixed ?? { chunk: BLOCK })))) : wanted
  const share = Math.min(Math.floor(memory / threads), WASM_LIMIT)
  let tiling: Tiling = fixed ?? { chunk: BLOCK }
  while (!fixed && need(tiling) > share && tiling.chunk > MIN_CHUNK) tiling = { chunk: tiling.chunk / 2 }
  const least = need(tiling)
  if (least > share && whole && whole.bytes > share / 2) throw tooLarge(memory, whole, least)
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

function largestOf(needs: BudgetRequest['needs']): WholeNeed | null {
  return needs.reduce<WholeNeed | null>((most, { whole }) => (whole && whole.bytes > (most?.bytes ?? 0) ? whole : most), null)
}

/** A matrix that is worked on as a whole does not fit, even in a single thread. */
function tooLarge(memory: number, { tensor, shape }: WholeNeed, least: number): MergeError {
  const where = `${tensor} [${shape}], which is worked on as a whole`
  if (least > WASM_LIMIT) {
    const fix = `merge it by a method that works on elements: with \`rules: [{ tensors: '${tensor}', merge: EXPRESSION }]\` in Merganser’s own form`
    return new MergeError(`${megabytes(least)} MB are needed at once, and a thread has no more than ${megabytes(WASM_LIMIT)} MB`, { where, fix })
  }
  return new MergeError(`a memory budget of ${Math.floor(memory / 1e5) / 10} MB is too small for this merge`, { where, fix: `set --memory to ${megabytes(least)}MB or more` })
}

/** Bytes of a task's inputs, kept as they are stored. */
export const residentBytes = (program: Program, size: number): number => program.sources.reduce((sum, dtype) => sum + Math.ceil((size * bytesOf(dtype)) / 64) * 64 + SLACK, 0)

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e5) / 10
