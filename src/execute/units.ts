import { rowsOf } from '../algebra/tensor.ts'
import { openReader } from '../bytes/file.ts'
import { type FileWriter, openWriter } from '../bytes/folder.ts'
import type { SinkLocator } from '../bytes/sink.ts'
import type { Reader } from '../bytes/source.ts'
import type { RowMap } from '../checkpoint/rows.ts'
import { bytesOf, type FloatDType } from '../dtype.ts'
import { type MemoryPlan, residentBytes } from '../plan/budget.ts'
import type { Gathered } from '../plan/gathered.ts'
import { lowRankFiles } from '../plan/low_rank.ts'
import type { InputFile, Task } from '../plan/plan.ts'
import { isByRows, type Program, rereads } from '../plan/program.ts'
import { type Known, type Partials, runPass, type Step } from './folds.ts'
import { createGatherer } from './gather.ts'
import { createLowRankReaders } from './low_rank.ts'
import { createRunner, type Finding, type Ports } from './runner.ts'
import { createSelector } from './select.ts'
import type { Piece, SurveyStep } from './survey.ts'
import { surveyPieces } from './survey_unit.ts'
import { createMatrices, type Tell } from './wholes.ts'

/** What a worker is told once. */
export interface Setup {
  readonly inputs: readonly Pick<InputFile, 'locator' | 'name' | 'model'>[]
  readonly outputs: readonly SinkLocator[]
  readonly programs: readonly Program[]
  /** Large: tasks name them by index. */
  readonly rowMaps: readonly RowMap[]
  readonly memory: Pick<MemoryPlan, 'perThread' | 'resident' | 'tiling'>
  /** The compiled kernels, so that threads share them. */
  readonly kernels?: WebAssembly.Module
}

/** A piece of work: whole tensors, one pass over a range of a large one, or a look at pieces of many for numbers of all together. */
export type Unit =
  | { readonly kind: 'whole'; readonly tasks: readonly { readonly id: number; readonly task: Task }[] }
  | {
      readonly kind: 'range'
      readonly id: number
      readonly task: Task
      readonly pass: number
      readonly step: Step
      readonly start: number
      readonly end: number
      readonly known: Known
    }
  | { readonly kind: 'survey'; readonly pieces: readonly Piece[]; readonly step: SurveyStep; readonly numbers: number }

/** What is read of a task. */
type ReadTask = Omit<Task, 'output'>

/** A finding in the user's terms. */
export interface Nonfinite {
  readonly tensor: string
  /** Null: the value arose in the output. */
  readonly model: string | null
  readonly index: readonly number[]
  /** Finite where the output's dtype cannot hold it, or float32 cannot hold a model's float64. */
  readonly value: number
}

export interface UnitResult {
  readonly finished: readonly number[]
  readonly partials: Partials
  readonly read: number
  readonly written: number
  /** On whole matrices, since they were last told of. */
  readonly operations: number
  /** At most one a tensor and port. */
  readonly nonfinite: readonly Nonfinite[]
}

export interface UnitRunner {
  /** `tell` hears of long work while it lasts. */
  run(unit: Unit, tell: Tell): Promise<UnitResult>
  close(): void
}

/** Does units in this thread, with open files and one WebAssembly memory of its own. */
export function createUnitRunner({ inputs, outputs, programs, rowMaps, memory, kernels }: Setup): UnitRunner {
  const runner = createRunner(memory.perThread, memory.tiling, kernels)
  const helpers = { kernels: runner.engine.kernels, selector: createSelector(kernels) }
  const readers = new Map<number, Reader>()
  const writers = new Map<number, FileWriter>()
  const gatherer = createGatherer(rowMaps, readerOf, kernels)
  const virtual = lowRankFiles(inputs)
  const lowRank = virtual.length > 0 ? createLowRankReaders(virtual, openReader, kernels) : null
  return { run, close }

  async function run(unit: Unit, tell: Tell): Promise<UnitResult> {
    const count = { read: 0, written: 0 }
    const nonfinite = new Map<string, Nonfinite>()
    if (unit.kind === 'range') {
      const { task, pass, step, start, end, known } = unit
      const job = { program: programs[task.program]!, pass, step, start, end, known, key: task.key, resident: false }
      const partials = await runner.run(job, portsOf(task, count, nonfinite), f => noteFound(nonfinite, task, f))
      return { finished: [], partials, ...count, operations: 0, nonfinite: [...nonfinite.values()] }
    }
    if (unit.kind === 'survey') {
      const tools = { runner, helpers, programs, startOf, portsOf: (task: ReadTask) => readingPorts(task, count) }
      return { finished: [], partials: await surveyPieces(unit.pieces, unit.step, unit.numbers, tools), ...count, operations: 0, nonfinite: [] }
    }
    for (const { task } of unit.tasks) await whole(task, count, nonfinite, tell)
    return { finished: unit.tasks.map(t => t.id), partials: [], ...count, operations: 0, nonfinite: [...nonfinite.values()] }
  }

  async function whole(task: Task, count: { read: number; written: number }, nonfinite: Map<string, Nonfinite>, tell: Tell): Promise<void> {
    if (task.size === 0) return
    const program = programs[task.program]!
    const known = startOf(program, task)
    const found = (finding: Finding): void => noteFound(nonfinite, task, finding)
    const { ports, make } = createMatrices(runner, { program, shape: task.shape, known, key: task.key, tiling: memory.tiling }, portsOf(task, count, nonfinite), found)
    const resident = rereads(program) && residentBytes(program, task.size) <= memory.resident
    if (resident) runner.hold(program, known)
    for (const [pass, spec] of program.passes.entries()) {
      const take = async (step: Step): Promise<readonly Partials[]> => [
        await runner.run({ program, pass, step, start: 0, end: task.size, known, key: task.key, resident }, ports, found),
      ]
      await runPass(spec, known, helpers, take)
      await make(spec, tell)
    }
  }

  function portsOf(task: Task, count: { read: number; written: number }, nonfinite: Map<string, Nonfinite>): Ports {
    const program = programs[task.program]!
    const copiesDoubles = program.copy && program.output === 'F64'
    return {
      ...readingPorts(task, count),
      write(bytes, at) {
        count.written += bytes.byteLength
        const found = copiesDoubles ? firstNonfinite(bytes) : null
        if (found) note(nonfinite, task, { source: 0, index: at + found.index, value: found.value })
        const put = (): void => writerOf(task.output.file).write(bytes, task.output.at + at * bytesOf(program.output))
        if (!task.kept) return put()
        return gatherer.keep(task.kept, bytes, program.output as FloatDType, at).then(read => {
          // rows are matched of floats only
          count.read += read
          put()
        })
      },
    }
  }

  /** For programs that write nothing. */
  function readingPorts(task: ReadTask, count: { read: number }): Ports {
    const widths = programs[task.program]!.sources.map(bytesOf)
    return {
      read(slot, target, at) {
        const { file, at: first, rows } = task.sources[slot]!
        if (rows) return gathered(task, slot, target, at).then(read => void (count.read += read))
        count.read += target.byteLength
        return readerOf(file).read(target, first + at * widths[slot]!)
      },
      write() {},
    }
  }

  /** The runner sees float32. Of a float64 it may have found a value that is only too large: then the value itself is told, and a copy has nothing to tell. */
  function noteFound(into: Map<string, Nonfinite>, task: Task, finding: Finding): void {
    const { copy, sources } = programs[task.program]!
    if (finding.source !== null && finding.source >= task.sources.length) return // the program has made it itself, of operands that were looked at
    if (finding.source === null || sources[finding.source] !== 'F64') {
      note(into, task, finding)
      return
    }
    if (copy) return // looked at where it is written
    const bytes = new Uint8Array(8)
    const read = task.sources[finding.source]!.rows ? gathered : readElements
    void read(task, finding.source, bytes, finding.index) // files and arrays are read at once
    note(into, task, { ...finding, value: doubleAt(bytes, 0) })
  }

  function readElements(task: ReadTask, slot: number, target: Uint8Array, at: number): void | Promise<void> {
    const { file, at: first } = task.sources[slot]!
    return readerOf(file).read(target, first + at * bytesOf(programs[task.program]!.sources[slot]!))
  }

  /** Gives the bytes read. */
  function gathered(task: ReadTask, slot: number, target: Uint8Array, at: number): Promise<number> {
    const dtype = programs[task.program]!.sources[slot] as FloatDType // of other dtypes no rows are matched
    return gatherer.gather({ rows: task.sources[slot]!.rows!, dtype, key: `${task.name}\n${slot}` }, target, at)
  }

  function note(into: Map<string, Nonfinite>, task: Task, { source, index, value }: Finding): void {
    const rows = source === null ? undefined : task.sources[source]!.rows
    const owner = rows && gatherer.ownerOf(rows, index)
    const model = source === null ? null : owner ? inputs[rows!.tables[owner.model]!.file]!.model : task.sources[source]!.model
    const key = `${task.name}\n${model}`
    const position = owner ? positionIn(unboundedIn(task, rows!), owner.row * rows!.width + (index % rows!.width)) : positionIn(task.shape, index)
    if (!into.has(key)) into.set(key, { tensor: task.name, model, index: position, value })
  }

  function readerOf(file: number): Reader {
    const { locator } = inputs[file]!
    const known = readers.get(file) ?? ('lowRank' in locator ? lowRank!(locator.lowRank) : openReader(locator))
    readers.set(file, known)
    return known
  }
  function writerOf(file: number): FileWriter {
    const known = writers.get(file) ?? openWriter(outputs[file]!)
    writers.set(file, known)
    return known
  }

  function close(): void {
    for (const reader of readers.values()) reader.close()
    for (const writer of writers.values()) writer.close()
    readers.clear() // closing twice would close what somebody else has opened since
    writers.clear()
  }
}

/** What is known of a tensor before its first pass. */
export function startOf(program: Program, { shape, size, constants }: ReadTask): Known {
  const rows = isByRows(program) ? rowsOf(shape) : null
  const scalars = new Float64Array(program.scalars)
  scalars.set(constants)
  return {
    size,
    rows,
    scalars,
    columnValues: Array.from({ length: program.columns }, () => new Float64Array(rows?.columns ?? 0)),
    rowValues: Array.from({ length: program.rows }, () => NONE),
    firstRow: 0,
  }
}

const NONE = new Float64Array(0)

/** The shape of a model's own table: it may have more rows than the output, or fewer. */
function unboundedIn({ shape, size }: Task, { width }: Gathered): readonly number[] {
  const axis = shape.indexOf(size / width)
  return shape.map((n, i) => (i === axis ? Number.MAX_SAFE_INTEGER : n))
}

function firstNonfinite(bytes: Uint8Array): { readonly index: number; readonly value: number } | null {
  for (let index = 0; index < bytes.byteLength / 8; index++) {
    const value = doubleAt(bytes, index)
    if (!Number.isFinite(value)) return { index, value }
  }
  return null
}

const doubleAt = (bytes: Uint8Array, index: number): number => new DataView(bytes.buffer, bytes.byteOffset).getFloat64(8 * index, true)

/** A flat index as one index per dimension, row-major. */
function positionIn(shape: readonly number[], flat: number): number[] {
  let rest = flat
  const position: number[] = []
  for (const length of shape.toReversed()) {
    position.unshift(rest % length)
    rest = Math.floor(rest / length)
  }
  return position
}
