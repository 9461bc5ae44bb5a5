import { statPath } from '../bytes/file.ts'
import { sha256 } from '../bytes/hash.ts'
import type { Begun, Sink } from '../bytes/sink.ts'
import { isModelFile } from '../checkpoint/checkpoint.ts'
import { bytesOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { headerOf } from '../formats/safetensors.ts'
import { createEngine, KERNELS } from '../kernels/kernels.ts'
import { SOLVERS_VERSION } from '../kernels/whole/solvers.ts'
import { bytesGathered, bytesKept } from '../plan/gathered.ts'
import type { InputFile, Plan, Task } from '../plan/plan.ts'
import { type Program, readsOf, wholesOf } from '../plan/program.ts'
import { passesOf } from '../plan/survey.ts'
import { BLOCK, blockOf } from '../plan/tiling.ts'
import { operationsOf } from '../plan/whole.ts'
import { assembleStage } from './code/assemble.ts'
import { knownOf, type Partials, runPass, type Step } from './folds.ts'
import { createPool, type Pool } from './pool.ts'
import { createSelector } from './select.ts'
import { fill, findEverywhere } from './survey.ts'
import { type Nonfinite, startOf, type UnitResult } from './units.ts'

/** Tensors, bytes, and floating-point operations on whole matrices. */
interface Counts {
  readonly tensors: number
  readonly read: number
  readonly written: number
  readonly operations: number
}

/** What happens while a plan runs, in order. Counts go up to the totals of `start`. */
export type Event =
  | ({
      readonly kind: 'start'
      readonly resumed: number
      /** Tensors that an unfinished run had written, and that are written anew as nobody asked to go on with it. */
      readonly discarded: number
    } & Counts)
  | ({ readonly kind: 'progress' } & Counts)
  | ({ readonly kind: 'nonfinite' } & Nonfinite)
  | ({ readonly kind: 'done'; readonly output: string; readonly files: readonly string[]; readonly seconds: number } & Counts)

export interface ExecuteOptions {
  /** Write NaN and infinities as they come, with an event for each tensor, instead of stopping at the first. */
  readonly allowNonfinite?: boolean | undefined
  /** Stops between units; what is finished stays for `resume`. */
  readonly signal?: AbortSignal | undefined
}

const NOTHING: UnitResult = { finished: [], partials: [], read: 0, written: 0, operations: 0, nonfinite: [] }
const UNIT_ELEMENTS = 64 * BLOCK // a message's worth of work: some 10 ms, many thousand times the cost of the message
const UNIT_TENSORS = 512 // of small tensors in one message
const LOCAL_ELEMENTS = 256 * BLOCK // up to here one thread does all passes of a tensor, and threads share larger ones
export const INLINE_BYTES = 4_000_000 // below this, threads take longer to start than the work takes
const INLINE_OPERATIONS = 1e9 // likewise

/**
 * Runs a plan into a sink, and tells what happens. The output appears under its name only when complete; what is left by an error can be resumed.
 * Throws MergeError for I/O failures, and for values that are not finite unless they are allowed.
 *
 * @example
 * const recipe = parse('base + 0.5*(code - base)', { models: { base: 'zoo/text/base', code: 'zoo/text/code' } })
 * for await (const event of execute(plan(recipe, await openModels(recipe)), folderSink('out'))) {
 *   if (event.kind === 'done') console.log(event.written, 'bytes')
 * }
 */
export async function* execute(plan: Plan, sink: Sink, { allowNonfinite = false, signal }: ExecuteOptions = {}): AsyncGenerator<Event, void, void> {
  const begun = performance.now()
  const { finished, discarded, locators, found } = await sink.begin({
    bytes: plan.totals.disk,
    fingerprint: await fingerprintOf(plan, allowNonfinite),
    inputs: pathsRead(plan),
    files: plan.outputs.map(({ name, size }) => ({ name, size })),
    isOfModel: file => isModelFile(file) || plan.companions.some(c => c.name === file),
  })
  const total = { tensors: plan.tasks.length - finished.size, ...workLeft(plan, finished, found !== null) }
  const { inputs, programs, rowMaps, memory } = plan
  const isSmall = (total.read + total.written < INLINE_BYTES && total.operations < INLINE_OPERATIONS) || locators.some(l => 'memory' in l)
  const queue = createQueue<UnitResult>()
  const pool = createPool(
    { inputs: inputs.map(({ locator, name, model }) => ({ locator, name, model })), outputs: locators, programs, rowMaps, memory },
    isSmall ? 0 : memory.threads,
    operations => queue.push({ ...NOTHING, operations }),
  )
  const count = { tensors: 0, read: 0, written: 0, operations: 0 }
  let keep = true
  let isComplete = false
  const left = new Set<string>()
  try {
    yield { kind: 'start', ...total, resumed: finished.size, discarded } // inside: who stops listening here gives up the merge too
    for (const file of plan.outputs) await sink.write(file.name, 0, headerOf(file.tensors, file.metadata).header)
    void schedule(plan, { finished, found }, pool, sink, result => queue.push(result)).then(queue.end, queue.fail)
    for await (const result of queue.all()) {
      if (result.nonfinite.length > 0 && !allowNonfinite) {
        keep = false // no resumption mends an input
        throw nonfiniteError(result.nonfinite[0]!)
      }
      for (const finding of result.nonfinite) yield { kind: 'nonfinite', ...finding }
      if (result.finished.length > 0) sink.record(result.finished)
      count.tensors += result.finished.length
      count.read += result.read
      count.written += result.written
      count.operations += result.operations
      yield { kind: 'progress', ...count }
      if (signal?.aborted) throw new MergeError('the merge was stopped', { where: sink.name, fix: 'run the same command with --resume to go on' })
    }
    for (const companion of plan.companions) {
      if ('text' in companion) await sink.write(companion.name, 0, new TextEncoder().encode(companion.text))
      else if (!(await sink.copy(companion.name, companion.path))) left.add(companion.name)
    }
    await pool.close()
    keep = false // what was read from a file that has changed is neither of its two states
    await refuseChanged(plan)
    keep = true
    await sink.finish()
    isComplete = true
  } finally {
    if (!isComplete) {
      await pool.close()
      await sink.abandon(keep)
    }
  }
  const files = [...plan.outputs.map(o => o.name), ...plan.companions.map(c => c.name).filter(name => !left.has(name))]
  yield { kind: 'done', output: sink.name, files, ...count, seconds: (performance.now() - begun) / 1000 }
}

/** The folders of the models, and each file read: a link may lead anywhere. */
export function pathsRead({ inputs, companions }: Plan): string[] {
  const files = [...inputs.flatMap(({ locator }) => ('file' in locator ? [locator.file] : [])), ...companions.flatMap(c => ('path' in c ? [c.path] : []))]
  return [...new Set([...inputs.map(i => i.modelPath), ...files])]
}

/** An input that somebody has written to meanwhile may have been read half old and half new. */
export async function refuseChanged({ inputs }: Pick<Plan, 'inputs'>): Promise<void> {
  for (const { name, model, locator, version } of inputs) {
    if (!('file' in locator) || (await statPath(locator.file, name))?.version === version) continue
    throw new MergeError(`${name} of ${model} has changed while it was read`, { where: locator.file, fix: 'let nothing else write to the inputs, and start again' })
  }
}

/**
 * Finds what tensors must know of each other, then hands all unfinished tasks to the pool: whole matrices one by one, those that take longest
 * first; other large ones in ranges, small ones by the dozen.
 */
async function schedule(plan: Plan, { finished, found }: Omit<Begun, 'discarded'>, pool: Pool, sink: Sink, done: (result: UnitResult) => void): Promise<void> {
  const values = found ?? (await findEverywhere(plan, pool, done))
  if (found === null && values.length > 0) sink.recordFound(values)
  const waiting: Promise<void>[] = []
  let batch: { id: number; task: Task }[] = []
  let elements = 0
  const flush = (): void => {
    if (batch.length > 0) waiting.push(pool.submit({ kind: 'whole', tasks: batch }).then(done))
    batch = []
    elements = 0
  }
  const { programs } = plan
  const left = [...plan.tasks.entries()].flatMap(([id, task]) =>
    finished.has(id) ? [] : [{ id, task: fill(task, values), operations: operationsOf(programs[task.program]!, task.shape) }],
  )
  for (const { id, task } of left.filter(l => l.operations > 0).sort((a, b) => b.operations - a.operations))
    waiting.push(pool.submit({ kind: 'whole', tasks: [{ id, task }] }).then(done))
  for (const { id, task, operations } of left) {
    if (operations > 0) continue
    const passes = programs[task.program]!.passes.length
    if (task.size > (passes > 1 ? LOCAL_ELEMENTS : UNIT_ELEMENTS)) {
      waiting.push(shared(plan, id, task, pool, done))
      continue
    }
    batch.push({ id, task })
    elements += task.size
    if (elements >= UNIT_ELEMENTS / 2 || batch.length >= UNIT_TENSORS) flush()
  }
  flush()
  await Promise.all(waiting)
}

/** One large tensor, its passes one after the other, the ranges of each pass spread over the pool. */
async function shared(plan: Plan, id: number, task: Task, pool: Pool, done: (result: UnitResult) => void): Promise<void> {
  const program = plan.programs[task.program]!
  const known = startOf(program, task)
  const helpers = { kernels: createEngine(0).kernels, selector: createSelector() }
  for (const [p, pass] of program.passes.entries()) {
    const take = (step: Step): Promise<readonly Partials[]> => {
      const ranges = step.kind === 'sample' ? [[0, task.size] as const] : rangesOf(task.size, blockOf(known.rows))
      return Promise.all(
        ranges.map(async ([start, end]) => {
          const result = await pool.submit({ kind: 'range', id, task, pass: p, step, start, end, known: knownOf(known, start, end) }, p > 0 || step.kind !== 'pass')
          done(result)
          return result.partials
        }),
      )
    }
    await runPass(pass, known, helpers, take)
  }
  done({ ...NOTHING, finished: [id] })
}

function rangesOf(size: number, block: number): readonly (readonly [start: number, end: number])[] {
  const length = Math.max(1, Math.floor(UNIT_ELEMENTS / block)) * block
  return Array.from({ length: Math.ceil(size / length) }, (_, i) => [i * length, Math.min(size, (i + 1) * length)])
}

function workLeft(plan: Plan, finished: ReadonlySet<number>, isSurveyed: boolean): { read: number; written: number; operations: number } {
  let read = 0
  let written = 0
  let operations = 0
  for (const round of isSurveyed ? [] : plan.survey.rounds) for (const task of round.tasks) read += passesOf(round) * bytesIn(plan, task)
  for (const [id, task] of plan.tasks.entries()) {
    if (finished.has(id)) continue
    read += bytesIn(plan, task) + (task.kept ? bytesKept(plan.rowMaps[task.kept.map]!, task.kept) : 0)
    written += task.size * bytesOf(plan.programs[task.program]!.output)
    operations += operationsOf(plan.programs[task.program]!, task.shape)
  }
  return { read, written, operations }
}

/** Bytes of what a task reads, once. */
function bytesIn({ programs, rowMaps }: Plan, task: Omit<Task, 'output'>): number {
  const { copy, sources } = programs[task.program]!
  const read = copy ? [0] : [...new Set(readsOf(programs[task.program]!))].filter(i => i < task.sources.length) // what the program makes itself is not read
  return read.reduce((sum, i) => {
    const { rows } = task.sources[i]!
    return sum + (rows ? bytesGathered(rowMaps[rows.map]!, rows).rows : task.size * bytesOf(sources[i]!))
  }, 0)
}

/** What a value that no merge should meet is told as. */
export function nonfiniteError({ tensor, model, index, value }: Nonfinite): MergeError {
  const where = `${tensor}[${index.join(', ')}]`
  const name = Number.isNaN(value) ? 'NaN' : value > 0 ? 'infinity' : '-infinity'
  if (model !== null && Number.isFinite(value)) {
    return new MergeError(`${model} contains ${value}, and merges are computed in float32, which ends at 3.4e38`, {
      where,
      fix: 'take the tensor unchanged from one model, or pass --allow-nonfinite to merge it as infinity',
    })
  }
  if (model !== null) return new MergeError(`${model} contains ${name}`, { where, fix: 'use an undamaged copy of the model, or pass --allow-nonfinite to merge all the same' })
  const what = Number.isFinite(value) ? `the value ${value} is too large for the output's dtype` : `the merge gives ${name}`
  const wider = Number.isFinite(value) && Math.abs(value) < 3e38 ? 'write a wider dtype (bf16 or f32) or lower the weights' : 'lower the weights'
  return new MergeError(what, { where, fix: `${wider}, or pass --allow-nonfinite to write it all the same` })
}

/**
 * Equal for plans that write the same bytes from the same inputs; memory, threads and tiling do not matter.
 * `identify` says which inputs are the same: by default those that no one has touched since their headers were read.
 */
export async function fingerprintOf(
  { recipe, inputs, outputs, programs, tasks, survey, rowMaps, companions }: Plan,
  allowNonfinite: boolean,
  identify: (input: InputFile) => readonly (string | number)[] = i => [i.name, i.size, i.version, i.headerHash],
): Promise<string> {
  const { notes: _, source: __, ...formula } = recipe
  const rows = await Promise.all(
    rowMaps.flatMap(({ own, fillStart, fillModel, fillRow, isPadding, hasToken }) =>
      [...own, fillStart, fillModel, fillRow, isPadding, hasToken].map(({ buffer }) => sha256(new Uint8Array(buffer))),
    ),
  )
  const identity = {
    formula,
    allowNonfinite,
    engine: await sha256(engineOf(programs)),
    inputs: inputs.map(identify),
    outputs,
    tasks,
    survey,
    rows,
    companions: companions.map(c => c.name),
  }
  return sha256(new TextEncoder().encode(JSON.stringify(identity)))
}

/** The code that computes the output: another version of Merganser may give other bytes for the same plan. */
function engineOf(programs: readonly Program[]): Uint8Array<ArrayBuffer> {
  const wholes = programs.flatMap(wholesOf)
  const all = [...programs, ...wholes.flatMap(w => w.operands)]
  const solvers = wholes.length > 0 ? [SOLVERS_VERSION, ...wholes.map(w => w.op)] : []
  const stages = all.flatMap(program => program.passes.flatMap((pass, p) => pass.stages.map((_, stage) => assembleStage(program, p, stage, 'main').bytes)))
  return new TextEncoder().encode([KERNELS, ...solvers, ...stages.map(bytes => bytes.join())].join('\n'))
}

/** Lets a loop wait for what callbacks push. */
function createQueue<T>() {
  const items: T[] = []
  let wake: () => void = () => {}
  let state: { readonly error: unknown } | 'open' | 'ended' = 'open'
  const change = (): void => wake()
  return {
    push(item: T): void {
      items.push(item)
      change()
    },
    end(): void {
      state = 'ended'
      change()
    },
    fail(error: unknown): void {
      state = { error }
      change()
    },
    async *all(): AsyncGenerator<T, void, void> {
      for (;;) {
        while (items.length > 0) yield items.shift()!
        if (state === 'ended') return
        if (state !== 'open') throw state.error
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
  }
}
