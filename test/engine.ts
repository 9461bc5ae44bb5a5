import { isEverywhere } from '../src/algebra/ops.ts'
import { rowsOf, type Shape, type Tensor } from '../src/algebra/tensor.ts'
import { bytesOf, type FloatDType, sizeOf } from '../src/dtype.ts'
import { type Partials, runPass, type Step } from '../src/execute/folds.ts'
import { createRunner, type Finding } from '../src/execute/runner.ts'
import { createSelector } from '../src/execute/select.ts'
import { findEverywhere } from '../src/execute/survey.ts'
import { surveyPieces, type Tools } from '../src/execute/survey_unit.ts'
import { startOf, type Unit, type UnitResult } from '../src/execute/units.ts'
import { createMatrices } from '../src/execute/wholes.ts'
import { mapBytes, residentBytes } from '../src/plan/budget.ts'
import type { Lowered } from '../src/plan/lower.ts'
import { type Compiled, compile, compileFolds } from '../src/plan/passes.ts'
import { isByRows, type Program } from '../src/plan/program.ts'
import { createSurveyor, type SurveyTask } from '../src/plan/survey.ts'
import { BLOCK, blockOf, type Tiling } from '../src/plan/tiling.ts'
import { placeWholes } from '../src/plan/whole.ts'
import { decode, encode } from './floats.ts'

export interface Cut {
  readonly tiling?: Tiling
  /** Elements of the ranges that are run apart and combined; a multiple of a block. */
  readonly range?: number
  readonly key?: readonly [number, number]
  /** Whether the inputs are read once and stay in memory. */
  readonly resident?: boolean
}

/** What a run gave and how. */
export interface Ran {
  readonly bytes: Uint8Array
  readonly findings: readonly Finding[]
  /** What each fold gathered, pass by pass. */
  readonly folded: readonly number[]
  readonly steps: readonly Step['kind'][]
  /** The bytes that the last write handed over, with what lies after them in the engine's memory. */
  readonly last: { readonly length: number; readonly after: Uint8Array }
}

export interface Machine {
  /** Runs the program on tensors of `size` elements. `constants` replace those of the formula that are equal to their keys. */
  run(size: number, inputs: readonly Uint8Array[], options?: Omit<Cut, 'tiling'> & { readonly constants?: ReadonlyMap<number, number> }): Promise<Ran>
}

const MOST_RESIDENT = 4096 // elements of a tensor that tests keep in memory

/** An engine for one program: its code is generated once, whatever it then runs on. */
export function createMachine({ program, constants }: Compiled, tiling: Tiling = { chunk: BLOCK }, shape: Shape = []): Machine {
  const rows = isByRows(program) ? rowsOf(shape) : null
  const runner = createRunner(mapBytes(program, tiling, rows) + residentBytes(program, MOST_RESIDENT) + (placeWholes(program, shape)?.bytes ?? 0), tiling)
  const selector = createSelector()
  const width = bytesOf(program.output)
  return { run }

  async function run(size: number, inputs: readonly Uint8Array[], options: Parameters<Machine['run']>[2] = {}): Promise<Ran> {
    const { range = Number.POSITIVE_INFINITY, key = [1, 2], resident = false, constants: replaced } = options
    const bytes = new Uint8Array(size * width)
    const findings: Finding[] = []
    const steps: Step['kind'][] = []
    let last = { length: 0, after: new Uint8Array(0) }
    const scalars = new Float64Array(program.scalars)
    scalars.set(constants.map(c => replaced?.get(c) ?? c))
    const known = {
      size,
      rows,
      scalars,
      columnValues: Array.from({ length: program.columns }, () => new Float64Array(rows?.columns ?? 0)),
      rowValues: Array.from({ length: program.rows }, () => new Float64Array(0)),
      firstRow: 0,
    }
    const files = {
      read(slot: number, target: Uint8Array, at: number): void {
        const own = bytesOf(program.sources[slot]!)
        target.set(inputs[slot]!.subarray(at * own, at * own + target.length))
      },
      write(from: Uint8Array, at: number): void {
        bytes.set(from, at * width)
        last = { length: from.length, after: new Uint8Array(from.buffer, from.byteOffset + from.length, 256).slice() }
      },
    }
    const found = (finding: Finding): void => void findings.push(finding)
    const { ports, make } = createMatrices(runner, { program, shape, known, key, tiling }, files, found)
    if (resident) runner.hold(program, known)
    for (const [pass, spec] of program.passes.entries()) {
      const take = async (step: Step): Promise<readonly Partials[]> => {
        steps.push(step.kind)
        const gathered: Partials[] = []
        const length = step.kind === 'sample' ? size : Math.ceil(range / blockOf(rows)) * blockOf(rows)
        for (let start = 0; start < size; start += length) {
          gathered.push(await runner.run({ program, pass, step, start, end: Math.min(size, start + length), known, key, resident }, ports, found))
        }
        return gathered
      }
      await runPass(spec, known, { kernels: runner.engine.kernels, selector }, take)
      await make(spec, () => {})
    }
    return { bytes, findings, folded: program.passes.flatMap(p => p.folds.map(f => scalars[f.to]!)), steps, last }
  }
}

/** A formula and what its sources hold. */
export interface Given {
  readonly root: Tensor
  readonly sources: readonly Float32Array[]
}

/** Runs a formula on the engine, over arrays. What it wants to know of everywhere is found in its own tensor. */
export const run = async (root: Tensor, sources: readonly Float32Array[], cut: Cut = {}, dtype: FloatDType = 'F32'): Promise<Float32Array> =>
  (await runAll([{ root, sources }], cut, dtype))[0]!

/** Runs the formulas of a merge's tensors. */
export async function runAll(formulas: readonly Given[], cut: Cut = {}, dtype: FloatDType = 'F32'): Promise<Float32Array[]> {
  const { tiling, ...rest } = cut
  const found = await surveyed(formulas, cut, dtype)
  const results: Float32Array[] = []
  for (const { root, sources } of formulas) {
    const compiled = compile(root, Array<FloatDType>(sources.length).fill(dtype), dtype)
    const constants = [...compiled.constants]
    for (const { slot, label } of compiled.found) constants[slot] = found.get(label)!
    const { bytes } = await createMachine({ ...compiled, constants }, tiling, root.shape).run(
      sizeOf(root.shape),
      sources.map(s => encode(dtype, s)),
      rest,
    )
    results.push(Float32Array.from(decode(dtype, bytes)))
  }
  return results
}

/** What is found over all formulas together, by label: as execute finds it, in ranges of the cut's. */
async function surveyed(
  formulas: readonly Given[],
  { tiling = { chunk: BLOCK }, range = Number.POSITIVE_INFINITY, key = [1, 2] }: Cut,
  dtype: FloatDType,
): Promise<Map<string, number>> {
  const labels = new Set<string>()
  const programs: Program[] = []
  const surveyor = createSurveyor(new Map(formulas.map(({ root }, i) => [String(i), { root } as Lowered])), (_, what) => new Error(what)) // it looks at nothing else
  const survey = surveyor.plan((name, folds) => {
    const { root, sources } = formulas[Number(name)]!
    const { program, constants, found } = compileFolds(folds, Array<FloatDType>(sources.length).fill(dtype))
    const slots = found.map(({ slot, label }) => ({ slot, value: surveyor.indexOf(label) }))
    return { name, shape: root.shape, size: sizeOf(root.shape), program: programs.push(program) - 1, sources: [], constants, found: slots, key }
  })
  if (survey.values.length === 0) return new Map()
  const selector = createSelector()
  const tools = new Map<SurveyTask, Tools>()
  const toolsFor = (task: SurveyTask): Tools => {
    const known = tools.get(task)
    if (known) return known
    const program = programs[task.program]!
    const runner = createRunner(mapBytes(program, tiling, isByRows(program) ? rowsOf(task.shape) : null), tiling)
    const inputs = formulas[Number(task.name)]!.sources.map(s => encode(dtype, s))
    const read = (slot: number, target: Uint8Array, at: number): void => target.set(inputs[slot]!.subarray(at * bytesOf(dtype), at * bytesOf(dtype) + target.length))
    const fresh = { runner, helpers: { kernels: runner.engine.kernels, selector }, programs, startOf, portsOf: () => ({ read, write() {} }) }
    tools.set(task, fresh)
    return fresh
  }
  const submit = async (unit: Unit): Promise<UnitResult> => {
    if (unit.kind !== 'survey') throw new Error('only a survey is asked for')
    const partials: Partials[] = []
    for (const { task, start, end } of unit.pieces) {
      const program = programs[task.program]!
      const length = program.passes.length > 1 || isByRows(program) ? end - start : Math.min(end - start, range)
      for (let from = start; from < end; from += length)
        partials.push(await surveyPieces([{ task, start: from, end: Math.min(end, from + length) }], unit.step, unit.numbers, toolsFor(task)))
    }
    return { finished: [], partials: partials.reduce(joined), read: 0, written: 0, operations: 0, nonfinite: [] }
  }
  const values = await findEverywhere({ survey, programs }, { submit }, () => {})
  for (const { root } of formulas) for (const t of nodesOf(root)) if (isEverywhere(t.op)) labels.add(t.arg as string)
  return new Map([...labels].map(label => [label, values[surveyor.indexOf(label)]!]))
}

/** What two pieces hold, of each number. */
function joined(a: Partials, b: Partials): Partials {
  return a.map((one, i) => {
    const other = b[i]!
    if (one.kind === 'sum' && other.kind === 'sum') return { kind: 'sum', blocks: [...one.blocks, ...other.blocks] }
    if (one.kind === 'counts' && other.kind === 'counts') return { kind: 'counts', counts: one.counts.map((n, bin) => n + other.counts[bin]!) }
    throw new Error('pieces of one number hold the same')
  })
}

/** Every node of a formula. */
export function nodesOf(root: Tensor): ReadonlySet<Tensor> {
  const seen = new Set<Tensor>()
  const walk = (t: Tensor): void => {
    if (seen.has(t)) return
    seen.add(t)
    t.inputs.forEach(walk)
  }
  walk(root)
  return seen
}

/** The dtypes of a formula's inputs and of its output. */
export interface Types {
  readonly sources: readonly FloatDType[]
  readonly output: FloatDType
}
export const nameOf = ({ sources, output }: Types): string => `${sources.join(', ')} → ${output}`
