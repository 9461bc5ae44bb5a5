import type { Sink } from '../bytes/sink.ts'
import { isModelFile } from '../checkpoint/checkpoint.ts'
import { bytesOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { headerOf } from '../formats/safetensors.ts'
import { createEngine, KERNELS } from '../kernels/kernels.ts'
import { bytesGathered, bytesKept } from '../plan/gathered.ts'
import type { Plan, Task } from '../plan/plan.ts'
import type { Program } from '../plan/program.ts'
import { BLOCK, blockOf } from '../plan/tiling.ts'
import { assembleStage } from './code/assemble.ts'
import { type Partials, runPass, type Step } from './folds.ts'
import { createPool, type Pool } from './pool.ts'
import { createSelector } from './select.ts'
import { type Nonfinite, startOf, type UnitResult } from './units.ts'

/** What happens while a plan runs, in order. Bytes and tensors count up to the totals of `start`. */
export type Event =
  | { readonly kind: 'start'; readonly tensors: number; readonly read: number; readonly written: number; readonly resumed: number }
  | { readonly kind: 'progress'; readonly tensors: number; readonly read: number; readonly written: number }
  | ({ readonly kind: 'nonfinite' } & Nonfinite)
  | {
      readonly kind: 'done'
      readonly output: string
      readonly files: readonly string[]
      readonly tensors: number
      readonly read: number
      readonly written: number
      readonly seconds: number
    }

export interface ExecuteOptions {
  /** Write NaN and infinities as they come, with an event for each tensor, instead of stopping at the first. */
  readonly allowNonfinite?: boolean | undefined
  /** Stops between units; what is finished stays for `resume`. */
  readonly signal?: AbortSignal | undefined
}

const UNIT_ELEMENTS = 64 * BLOCK // a message's worth of work: some 10 ms, many thousand times the cost of the message
const UNIT_TENSORS = 512 // of small tensors in one message
const LOCAL_ELEMENTS = 256 * BLOCK // up to here one thread does all passes of a tensor, and threads share larger ones
export const INLINE_BYTES = 4_000_000 // below this, threads take longer to start than the work takes

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
  const { finished, locators } = await sink.begin({
    bytes: plan.totals.disk,
    fingerprint: await fingerprintOf(plan, allowNonfinite),
    inputs: pathsRead(plan),
    files: plan.outputs.map(({ name, size }) => ({ name, size })),
    isOfModel: file => isModelFile(file) || plan.companions.some(c => c.name === file),
  })
  const total = { tensors: plan.tasks.length - finished.size, ...bytesLeft(plan, finished) }
  const { inputs, programs, rowMaps, memory } = plan
  const isSmall = total.read + total.written < INLINE_BYTES || locators.some(l => 'memory' in l)
  const pool = createPool(
    { inputs: inputs.map(({ locator, name, model }) => ({ locator, name, model })), outputs: locators, programs, rowMaps, memory },
    isSmall ? 0 : memory.threads,
  )
  const queue = createQueue<UnitResult>()
  const count = { tensors: 0, read: 0, written: 0 }
  let keep = true
  let isComplete = false
  try {
    yield { kind: 'start', ...total, resumed: finished.size } // inside: who stops listening here gives up the merge too
    for (const file of plan.outputs) await sink.write(file.name, 0, headerOf(file.tensors, file.metadata).header)
    void schedule(plan, finished, pool, result => queue.push(result)).then(queue.end, queue.fail)
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
      yield { kind: 'progress', ...count }
      if (signal?.aborted) throw new MergeError('the merge was stopped', { where: sink.name, fix: 'run the same command with --resume to go on' })
    }
    for (const companion of plan.companions) {
      if ('text' in companion) await sink.write(companion.name, 0, new TextEncoder().encode(companion.text))
      else await sink.copy(companion.name, companion.path)
    }
    await pool.close()
    await sink.finish()
    isComplete = true
  } finally {
    if (!isComplete) {
      await pool.close()
      await sink.abandon(keep)
    }
  }
  const files = [...plan.outputs.map(o => o.name), ...plan.companions.map(c => c.name)]
  yield { kind: 'done', output: sink.name, files, ...count, seconds: (performance.now() - begun) / 1000 }
}

/** The folders of the models, and each file read: a link may lead anywhere. */
function pathsRead({ inputs, companions }: Plan): string[] {
  const files = [...inputs.flatMap(({ locator }) => ('file' in locator ? [locator.file] : [])), ...companions.flatMap(c => ('path' in c ? [c.path] : []))]
  return [...new Set([...inputs.map(i => i.modelPath), ...files])]
}

/** Hands all unfinished tasks to the pool, large ones in ranges, small ones by the dozen. */
async function schedule(plan: Plan, finished: ReadonlySet<number>, pool: Pool, done: (result: UnitResult) => void): Promise<void> {
  const waiting: Promise<void>[] = []
  let batch: { id: number; task: Task }[] = []
  let elements = 0
  const flush = (): void => {
    if (batch.length > 0) waiting.push(pool.submit({ kind: 'whole', tasks: batch }).then(done))
    batch = []
    elements = 0
  }
  for (const [id, task] of plan.tasks.entries()) {
    if (finished.has(id)) continue
    const passes = plan.programs[task.program]!.passes.length
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
          const result = await pool.submit({ kind: 'range', id, task, pass: p, step, start, end, known }, p > 0 || step.kind !== 'pass')
          done(result)
          return result.partials
        }),
      )
    }
    await runPass(pass, known, helpers, take)
  }
  done({ finished: [id], partials: [], read: 0, written: 0, nonfinite: [] })
}

function rangesOf(size: number, block: number): readonly (readonly [start: number, end: number])[] {
  const length = Math.max(1, Math.floor(UNIT_ELEMENTS / block)) * block
  return Array.from({ length: Math.ceil(size / length) }, (_, i) => [i * length, Math.min(size, (i + 1) * length)])
}

function bytesLeft(plan: Plan, finished: ReadonlySet<number>): { read: number; written: number } {
  let read = 0
  let written = 0
  for (const [id, task] of plan.tasks.entries()) {
    if (finished.has(id)) continue
    const program = plan.programs[task.program]!
    for (const [i, dtype] of program.sources.entries()) {
      const { rows } = task.sources[i]!
      read += rows ? bytesGathered(plan.rowMaps[rows.map]!, rows).rows : task.size * bytesOf(dtype)
    }
    if (task.kept) read += bytesKept(plan.rowMaps[task.kept.map]!, task.kept)
    written += task.size * bytesOf(program.output)
  }
  return { read, written }
}

function nonfiniteError({ tensor, model, index, value }: Nonfinite): MergeError {
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
  return new MergeError(what, { where, fix: 'write a wider dtype (bf16 or f32) or lower the weights, or pass --allow-nonfinite to write it all the same' })
}

/** Equal for plans that write the same bytes from the same inputs; memory, threads and tiling do not matter. */
async function fingerprintOf({ recipe, inputs, outputs, programs, tasks, rowMaps, companions }: Plan, allowNonfinite: boolean): Promise<string> {
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
    inputs: inputs.map(i => [i.name, i.size, i.version, i.headerHash]),
    outputs,
    tasks,
    rows,
    companions: companions.map(c => c.name),
  }
  return sha256(new TextEncoder().encode(JSON.stringify(identity)))
}

/** The code that computes the output: another version of Merganser may give other bytes for the same plan. */
function engineOf(programs: readonly Program[]): Uint8Array<ArrayBuffer> {
  const stages = programs.flatMap(program => program.passes.flatMap((pass, p) => pass.stages.map((_, stage) => assembleStage(program, p, stage, 'main').bytes)))
  return new TextEncoder().encode([KERNELS, ...stages.map(bytes => bytes.join())].join('\n'))
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes)
  return [...new Uint8Array(digest)].map(b => b.toString(16).padStart(2, '0')).join('')
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
