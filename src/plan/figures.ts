import { type Tensor, where } from '../algebra/tensor.ts'
import type { CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { type FloatDType, isFloat, sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { DEFAULT_MEMORY, type MemoryPlan, planMemory } from './budget.ts'
import { checkCompatible } from './compatible.ts'
import { chooseDonor } from './donor.ts'
import { lowRankBytes, lowRankFiles } from './low_rank.ts'
import { createLowering, type Input } from './lower.ts'
import type { OpenedModels } from './open_models.ts'
import { compileFolds } from './passes.ts'
import { checkOptions, type InputFile, inputFiles, type PlanOptions, threadsWanted } from './plan.ts'
import type { Program } from './program.ts'
import { randomKey } from './random.ts'
import type { Round, Survey, SurveyTask } from './survey.ts'

/** A tensor to be measured; its figures are values 2·i and 2·i + 1 of the survey: the sum of its squares, and how many of its elements are not 0. */
export interface Measured {
  readonly name: string
  readonly shape: readonly number[]
}

/** What is to be done to measure every tensor of a task vector, and nothing else. Plain data. */
export interface FiguresPlan {
  readonly measured: readonly Measured[]
  readonly inputs: readonly InputFile[]
  readonly programs: readonly Program[]
  readonly survey: Survey
  readonly memory: MemoryPlan
  /** Bytes that are read. */
  readonly read: number
}

const TENSORS = 64 // of a round: each piece of work gives a list for each number of its round

/** Plans the figures of what a recipe gives, tensor by tensor, by folds that end its formulas. Memory as for a merge. Integers are left out. */
export function planFigures(recipe: Recipe, checkpoints: OpenedModels, options: PlanOptions = {}): FiguresPlan {
  checkOptions(options)
  checkCompatible(recipe, checkpoints)
  const lowering = createLowering(recipe, checkpoints, chooseDonor(recipe))
  const inputs = inputFiles(checkpoints)
  const programs: Program[] = []
  const byKey = new Map<string, number>()
  const measured: Measured[] = []
  const tasks: SurveyTask[] = []
  let read = 0
  for (const name of lowering.names) {
    const lowered = lowering.lower(name)
    if (!lowered || (lowered.copyOf && !isFloat(tensorOf(lowered.copyOf).dtype))) continue
    const { root, shape, inputs: used } = lowered
    const place = 2 * measured.push({ name, shape }) - 2
    const folds = root.space === 'number' || sizeOf(shape) === 0 ? [] : foldsOf(root) // a task vector without the tensor is 0
    if (folds.length === 0) continue
    const dtypes = used.map(input => tensorOf(input).dtype as FloatDType)
    const { program, key, constants } = compileFolds(folds, dtypes)
    const index = byKey.get(key) ?? programs.push(program) - 1
    byKey.set(key, index)
    const sources = used.map(input => ({ file: inputs.first.get(input.model)! + tensorOf(input).file, at: tensorOf(input).start, model: input.model }))
    read += used.reduce((sum, input) => sum + tensorOf(input).end - tensorOf(input).start, 0)
    tasks.push({ name, shape, size: sizeOf(shape), program: index, sources, constants, found: [], key: randomKey(recipe.seed, name), into: [[place], [place + 1]] })
  }
  const survey: Survey = { values: measured.flatMap(({ shape }) => [sumOf(shape), sumOf(shape)]), rounds: roundsOf(tasks) }
  return { measured, inputs: inputs.files, programs, survey, memory: memoryFor(programs, inputs.files, options), read }

  function tensorOf({ model, tensor }: Input): CheckpointTensor {
    return checkpoints.get(model)!.tensors.get(tensor)!
  }
}

const foldsOf = (x: Tensor): readonly Tensor[] => [x.mul(x).sum(), where(x.eq(0), 0, 1).sum()]
const sumOf = (shape: readonly number[]) => ({ kind: 'sum', size: sizeOf(shape) }) as const

/** Some tensors at a time, whose numbers a round counts from 0. */
function roundsOf(tasks: readonly SurveyTask[]): readonly Round[] {
  return Array.from({ length: Math.ceil(tasks.length / TENSORS) }, (_, r) => {
    const own = tasks.slice(r * TENSORS, (r + 1) * TENSORS)
    const values = own.flatMap(({ into }) => into.flat())
    return { kind: 'sum', values, tasks: own.map((task, i) => ({ ...task, into: [[2 * i], [2 * i + 1]] })) }
  })
}

function memoryFor(programs: readonly Program[], inputs: readonly InputFile[], options: PlanOptions): MemoryPlan {
  const threads = threadsWanted(options)
  const beside = lowRankBytes(lowRankFiles(inputs)) * threads
  const budget = options.memory ?? DEFAULT_MEMORY
  if (beside >= budget) throw new MergeError(`a memory budget of ${budget} bytes is too small to compute with adapters`, { fix: 'give more --memory, or fewer --threads' })
  const memory = planMemory({
    memory: budget - beside,
    threads,
    tiling: options.tiling,
    needs: programs.map(program => ({ program, rows: null, whole: null })),
    rereading: [],
  })
  return { ...memory, budget, total: memory.total + beside }
}
