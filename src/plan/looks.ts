import { isRow } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'
import { bytesOf, type FloatDType, sizeOf } from '../dtype.ts'
import type { MemoryPlan } from './budget.ts'
import { lowRankBytes, lowRankFiles } from './low_rank.ts'
import type { Input } from './lower.ts'
import type { OpenedModels } from './open_models.ts'
import { type Compiled, compileFolds } from './passes.ts'
import { type InputFile, inputFiles, memoryFor, type PlanOptions, type TaskSource } from './plan.ts'
import { type Program, readsOf } from './program.ts'
import { randomKey } from './random.ts'
import type { SurveyTask } from './survey.ts'

/** Sums to find of one tensor: folds over `inputs`, where source i is the tensor behind `inputs[i]`. All are floats of the given shape. */
export interface Look {
  readonly name: string
  readonly inputs: readonly Input[]
  readonly shape: readonly number[]
  /** Each a `sum`, and all different. */
  readonly folds: readonly Tensor[]
}

/** A program to run over one tensor, and which of the look's folds it gives, in order. */
export interface LookTask {
  readonly look: number
  readonly folds: readonly number[]
  readonly task: Omit<SurveyTask, 'into'>
}

/** Everything that a look at tensors will do; nothing is written. Plain data. */
export interface LookPlan {
  readonly inputs: readonly InputFile[]
  readonly programs: readonly Program[]
  readonly looks: readonly { readonly folds: number }[]
  readonly tasks: readonly LookTask[]
  readonly memory: MemoryPlan
  /** Bytes that are read, counted once for every time. */
  readonly read: number
}

const SEED = 0 // of random directions: the same numbers whatever the recipe's seed
const MOST_SUMS = 32 // in one loop over elements
const MOST_HEAVY = 4 // that look at rows or need an earlier pass: each takes buffers of a chunk

/** Compiles looks to programs, so many sums at a time that memory stays bounded however many models there are. Reads nothing. */
export function planLooks(looks: readonly Look[], models: OpenedModels, options: PlanOptions = {}): LookPlan {
  const inputs = inputFiles(models)
  const programs: Program[] = []
  const byKey = new Map<string, number>()
  const compiled = new Map<string, Compiled & { readonly index: number }>()
  const tasks = looks.flatMap((look, l) => batchesOf(look.folds).map((folds): LookTask => ({ look: l, folds, task: taskOf(look, folds) })))
  const survey = { values: [], rounds: [{ kind: 'sum' as const, values: [], tasks: tasks.map(({ task }): SurveyTask => ({ ...task, into: [] })) }] }
  return {
    inputs: inputs.files,
    programs,
    looks: looks.map(({ folds }) => ({ folds: folds.length })),
    tasks,
    memory: memoryFor([], survey, programs, [], lowRankBytes(lowRankFiles(inputs.files)), options),
    read: tasks.reduce((sum, { task }) => {
      const { sources } = programs[task.program]!
      return sum + readsOf(programs[task.program]!).reduce((bytes, source) => bytes + task.size * bytesOf(sources[source]!), 0)
    }, 0),
  }

  function taskOf({ name, inputs: read, shape, folds }: Look, chosen: readonly number[]): LookTask['task'] {
    const entries = read.map(({ model, tensor }) => models.get(model)!.tensors.get(tensor)!)
    const dtypes = entries.map(e => e.dtype as FloatDType) // the caller looks at floats only
    const own = chosen.map(i => folds[i]!)
    const identity = `${own.map(f => f.id)} ${dtypes}`
    let known = compiled.get(identity)
    if (!known) {
      const fresh = compileFolds(own, dtypes)
      const index = byKey.get(fresh.key) ?? programs.push(fresh.program) - 1
      byKey.set(fresh.key, index)
      known = { ...fresh, index }
      compiled.set(identity, known)
    }
    const sources = read.map(({ model }, i): TaskSource => ({ file: inputs.first.get(model)! + entries[i]!.file, at: entries[i]!.start, model }))
    return { name, shape, size: sizeOf(shape), program: known.index, sources, constants: known.constants, found: [], key: randomKey(SEED, name) }
  }
}

/** Folds that share a loop: of one level, those that look at rows apart. */
function batchesOf(folds: readonly Tensor[]): readonly (readonly number[])[] {
  const kinds = new Map<string, number[]>()
  for (const [i, fold] of folds.entries()) {
    const key = `${fold.level} ${usesRows(fold)}`
    kinds.set(key, [...(kinds.get(key) ?? []), i])
  }
  return [...kinds].flatMap(([key, members]) => {
    const most = key === '1 false' ? MOST_SUMS : MOST_HEAVY
    return Array.from({ length: Math.ceil(members.length / most) }, (_, b) => members.slice(b * most, (b + 1) * most))
  })
}

function usesRows(t: Tensor, seen = new Set<Tensor>()): boolean {
  if (seen.has(t)) return false
  seen.add(t)
  return isRow(t.op) || t.op === 'column_sum' || t.inputs.some(i => usesRows(i, seen))
}
