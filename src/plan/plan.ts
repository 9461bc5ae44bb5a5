import { rowsOf } from '../algebra/tensor.ts'
import type { InputLocator } from '../bytes/low_rank.ts'
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { isIdentity, type RowMap } from '../checkpoint/rows.ts'
import { VECTOR_STEM } from '../checkpoint/vector.ts'
import { bytesOf, type DType, type FloatDType, isFloat, sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { faultAt } from '../recipe/locate.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { DEFAULT_MEMORY, type MemoryPlan, planMemory, residentBytes, type WholeNeed } from './budget.ts'
import { type Companion, companionsOf } from './companions.ts'
import { checkCompatible } from './compatible.ts'
import { chooseDonor } from './donor.ts'
import { bytesGathered, bytesKept, type Gathered, gatherBytes, type Kept, type Table } from './gathered.ts'
import { indexOf, layOut, type OutputFile } from './layout.ts'
import { lowRankBytes, lowRankFiles } from './low_rank.ts'
import { createLowering, type Input, type Lowered } from './lower.ts'
import type { Matched, VocabularyTable } from './matching.ts'
import { notesOf } from './notes.ts'
import { checkVocabulary } from './one_vocabulary.ts'
import type { OpenedModels } from './open_models.ts'
import { ownNames } from './own_names.ts'
import { type Compiled, compile, compileCopy, compileFolds } from './passes.ts'
import { isByRows, type Program, readsOf, rereads } from './program.ts'
import { provenance } from './provenance.ts'
import { randomKey } from './random.ts'
import { createSurveyor, passesOf, type Survey, type SurveyTask, surveyBytes } from './survey.ts'
import { blockOf, type Rows, type Tiling } from './tiling.ts'
import { operationsOf, type Wholes, wholeNeed, wholesIn } from './whole.ts'

/** A file to read. */
export interface InputFile {
  readonly name: string
  readonly model: string
  /** The model's folder, or its one file: nothing may be written there. */
  readonly modelPath: string
  readonly locator: InputLocator
  readonly size: number
  readonly version: string
  readonly headerHash: string
}

/** What fills a source slot: index into `inputs`, first byte, and the model it belongs to. */
export interface TaskSource {
  readonly file: number
  readonly at: number
  readonly model: string
  /** Where it is not read as it lies. */
  readonly rows?: Gathered
}

/** One output tensor: a program, and what fills its slots. */
export interface Task {
  readonly name: string
  readonly shape: readonly number[]
  /** Elements. */
  readonly size: number
  readonly program: number
  readonly sources: readonly TaskSource[]
  /** Rows that are not computed, but stay as they are in one model: those of tokens that not all models share. */
  readonly kept?: Kept
  readonly constants: readonly number[]
  /** Places in `constants` that are filled with what is found over the whole merge, by index into the survey's values. */
  readonly found: readonly { readonly slot: number; readonly value: number }[]
  readonly key: readonly [number, number]
  /** Index into `outputs`, and first byte. */
  readonly output: { readonly file: number; readonly at: number }
}

/** Everything a merge will do, decided before a tensor byte is read. Plain data. */
export interface Plan {
  readonly recipe: Recipe
  readonly inputs: readonly InputFile[]
  readonly programs: readonly Program[]
  readonly tasks: readonly Task[]
  /** What must be known of all tensors together before the tasks are done. */
  readonly survey: Survey
  readonly outputs: readonly OutputFile[]
  /** How rows of the models become rows of the output's vocabulary; sources name them by index. */
  readonly rowMaps: readonly RowMap[]
  /** Where rows of embeddings come from, for people; empty where the recipe does not speak of the tokenizer. */
  readonly vocabulary: readonly VocabularyTable[]
  /** Files beside the tensors: config, tokenizer, index. */
  readonly companions: readonly Companion[]
  readonly memory: MemoryPlan
  readonly totals: {
    /** Bytes of input tensors, counted once for every time they are read; what an adapter changes as the float32 that it becomes. */
    readonly read: number
    readonly written: number
    /** About how many floating-point operations whole matrices take. */
    readonly operations: number
    /** Most passes that any tensor takes, those of the survey not counted. */
    readonly passes: number
    /** Passes over all bytes before those. */
    readonly surveyPasses: number
    /** Bytes needed on the output's disk. */
    readonly disk: number
    readonly dropped: number
  }
  /** How many tensors are worked on as wholes, and the one that takes most memory; null where none is. */
  readonly wholes: Wholes | null
  /** The model whose config, tensor order and dtypes the output follows. */
  readonly donor: string
  readonly notes: readonly string[]
}

export interface PlanOptions {
  /** Bytes of engine memory over all threads; Node itself takes about 100 MB more. Default 256 MiB. */
  readonly memory?: number | undefined
  /** Worker threads. Default: one per processor. */
  readonly threads?: number | undefined
  /** Fixes how the engine cuts tensors: for tests of the law that it changes no byte. */
  readonly tiling?: Tiling | undefined
}

const DEFAULT_THREADS = 2 // where the platform does not tell its processors
export const MAX_THREADS = 64 // memory bandwidth is spent long before

/**
 * Lowers a recipe over opened checkpoints to everything the merge will do: formulas, passes, layout, memory, disk.
 * Reads nothing. Throws MergeError for whatever would fail later: a missing tensor, shapes that differ, a budget too small.
 *
 * @example
 * const recipe = parse('base + 0.5*(code - base)', { models: { base: 'zoo/text/base', code: 'zoo/text/code' } })
 * const { tasks, totals } = plan(recipe, await openModels(recipe))
 * console.log(tasks.length, totals.written)
 */
export function plan(recipe: Recipe, checkpoints: OpenedModels, options: PlanOptions = {}): Plan {
  checkOptions(options)
  for (const model of Object.keys(recipe.models)) {
    if (!checkpoints.has(model)) throw new MergeError(`the model ${model} of the recipe was not opened`, { fix: 'give `plan` what `openModels(recipe)` gives' })
  }
  const donor = chooseDonor(recipe)
  checkCompatible(recipe, checkpoints)
  const lowering = createLowering(recipe, checkpoints, donor)
  const { names } = lowering
  const lowered = new Map<string, Lowered>()
  for (const name of names) {
    const formula = lowering.lower(name)
    if (formula && !(recipe.result === 'vector' && isInteger(formula))) lowered.set(name, formula)
  }
  if (lowered.size === 0) throw new MergeError('the merge has no tensors', { where: recipe.source.name, fix: 'leave at least one tensor undropped' })
  checkVocabulary(recipe, checkpoints.get(donor)!, lowered)

  const inputs = inputFiles(checkpoints)
  const { renamed } = checkpoints.get(donor)!
  if (renamed && lowering.structure.isSliced(recipe.merge)) {
    const fix = 'rename the other models to its names, and leave its own as they are'
    throw faultAt(recipe.source, recipe.merge.at, `${donor} is renamed, and layers that are put together would have no names in its own way`, fix)
  }
  const matchedAs = ownNames(checkpoints.get(donor)!, [...lowered.keys()])
  const placeable = [...matchedAs].map(([name, as]) => ({ name, shape: lowered.get(as)!.shape, dtype: outputDType(lowered.get(as)!) }))
  const outputs = layOut(placeable, provenance(recipe, checkpoints, donor), recipe.output.shardSize, recipe.result === 'vector' ? VECTOR_STEM : 'model')
  const surveyor = createSurveyor(lowered, (label, what, fix) => faultAt(recipe.source, lowering.callOf(label), what, fix))
  const { tasks, survey, programs } = compileAll()
  const looks = survey.rounds.flatMap(round => Array<readonly SurveyTask[]>(passesOf(round)).fill(round.tasks)).flat()
  const rowMaps = tasks.some(task => task.kept || task.sources.some(source => source.rows)) ? lowering.matching!.maps : []
  const memory = memoryFor(tasks, survey, programs, rowMaps, lowRankBytes(lowRankFiles(inputs.files)), options)
  const wholes = wholesIn(tasks, programs)
  const companions = companionsOf(recipe, checkpoints, donor, lowered, indexOf(outputs), lowering)
  const written = outputs.reduce((sum, file) => sum + file.size, 0)
  return {
    recipe,
    inputs: inputs.files,
    programs,
    tasks,
    survey,
    outputs,
    rowMaps,
    vocabulary: lowering.matching?.tables() ?? [],
    companions: companions.files,
    memory,
    totals: {
      read: [...looks, ...tasks].reduce((sum, task) => sum + bytesRead(task, programs[task.program]!, rowMaps, memory.threads), 0),
      written,
      operations: tasks.reduce((sum, { program, shape }) => sum + operationsOf(programs[program]!, shape), 0),
      passes: tasks.reduce((most, t) => Math.max(most, programs[t.program]!.passes.length), 1),
      surveyPasses: survey.rounds.reduce((sum, round) => sum + passesOf(round), 0),
      disk: written + companions.files.reduce((sum, c) => sum + c.size, 0),
      dropped: names.length - lowered.size,
    },
    wholes,
    donor,
    notes: [...new Set([...recipe.notes.map(n => n.text), ...companions.notes, ...notesOf(recipe, checkpoints, donor, lowering, names), ...fewerThreads(memory, wholes, options)])],
  }

  function compileAll(): { tasks: Task[]; survey: Survey; programs: Program[] } {
    const byKey = new Map<string, number>()
    const compiled = new Map<string, Compiled & { index: number }>()
    const programs: Program[] = []
    const survey = surveyor.plan((name, folds) => {
      const dtypes = dtypesOf(name)
      return taskOf(name, lowered.get(name)!.inputs, `${folds.map(f => f.id)} ${dtypes}`, () => compileFolds(folds, dtypes))
    })
    const tasks = outputs.flatMap((file, f) =>
      file.tensors.map(({ name, dtype, at }): Task => {
        const as = matchedAs.get(name)!
        const { root, inputs: read, copyOf, matched } = lowered.get(as)!
        const dtypes = dtypesOf(as)
        const isCopy = copyOf !== null && dtypes[root.arg as number] === dtype
        const task = isCopy
          ? taskOf(as, [copyOf], `copy ${dtype}`, () => compileCopy(dtype))
          : taskOf(as, read, `${root.id} ${dtypes} ${dtype}`, () => compile(root, dtypes, dtype as FloatDType))
        const kept = matched && !isCopy ? keptFor(matched) : null
        return { ...task, name, ...(kept ? { kept } : {}), output: { file: f, at } }
      }),
    )
    return { tasks, survey, programs }

    /** Programs that differ in nothing but their constants are one. */
    function taskOf(name: string, used: readonly Input[], identity: string, compileFresh: () => Compiled): Omit<Task, 'output'> {
      const { shape, matched } = lowered.get(name)!
      let known = compiled.get(identity)
      if (!known) {
        const fresh = compileFresh()
        const index = byKey.get(fresh.key) ?? programs.push(fresh.program) - 1
        byKey.set(fresh.key, index)
        known = { ...fresh, index }
        compiled.set(identity, known)
      }
      const sources = used.map((input): TaskSource => {
        const { file, at: start } = placeOf(input)
        return { file, at: start, model: input.model, ...(matched ? gatheredFor(input, matched) : {}) }
      })
      const found = known.found.map(({ slot, label }) => ({ slot, value: surveyor.indexOf(label) }))
      return { name, shape, size: sizeOf(shape), program: known.index, sources, constants: known.constants, found, key: randomKey(recipe.seed, name) }
    }
  }

  /** Of what is merged, which is floats; a copy of whole numbers asks for its own only. */
  function dtypesOf(name: string): FloatDType[] {
    return lowered.get(name)!.inputs.map(input => tensorOf(input).dtype) as FloatDType[]
  }

  function placeOf(input: Input): Table {
    const { file, start, dtype } = tensorOf(input)
    return { file: inputs.first.get(input.model)! + file, at: start, dtype }
  }

  /** Nothing for a source whose rows all lie where they should. */
  function gatheredFor(input: Input, { map, of, width }: Matched): { readonly rows?: Gathered } {
    const model = of.findIndex(other => other.model === input.model)
    const height = sizeOf(tensorOf(input).shape) / width
    return isIdentity(lowering.matching!.maps[map]!, model, height) ? {} : { rows: { map, model, width, tables: of.map(placeOf) } }
  }

  function keptFor({ map, of, width, keeps }: Matched): Kept | null {
    return keeps === null ? null : { map, model: keeps, width, tables: of.map(placeOf), dtype: tensorOf(of[keeps]!).dtype as FloatDType } // rows are matched of floats only
  }

  function tensorOf({ model, tensor }: Input): CheckpointTensor {
    return checkpoints.get(model)!.tensors.get(tensor)!
  }

  /** Of integers there is no difference to take. */
  function isInteger({ copyOf }: Lowered): boolean {
    return copyOf !== null && !isFloat(tensorOf(copyOf).dtype)
  }

  function outputDType({ inputs: read, copyOf }: Lowered): DType {
    const tensor = tensorOf(copyOf ?? read.find(input => input.model === donor) ?? read[0]!)
    const dtype = tensor.outputDType ?? tensor.dtype
    return isFloat(dtype) ? (recipe.output.dtype ?? (recipe.result === 'vector' ? 'F32' : dtype)) : dtype
  }
}

/** Every file of the models, and where those of each begin. */
export function inputFiles(checkpoints: ReadonlyMap<string, Checkpoint>): { files: InputFile[]; first: ReadonlyMap<string, number> } {
  const files: InputFile[] = []
  const first = new Map<string, number>()
  for (const [model, checkpoint] of checkpoints) {
    first.set(model, files.length)
    for (const { name, locator, size, version, headerHash } of checkpoint.files) files.push({ name, model, modelPath: checkpoint.path, locator, size, version, headerHash })
  }
  return { files, first }
}

/** Every program with every kind of rows that it meets, if rows matter to it. */
function distinctNeeds(tasks: readonly Omit<Task, 'output'>[], programs: readonly Program[]): { program: Program; rows: Rows; whole: WholeNeed | null }[] {
  const needs = new Map<string, { program: Program; rows: Rows; whole: WholeNeed | null }>()
  for (const task of tasks) {
    const program = programs[task.program]!
    const rows = isByRows(program) ? rowsOf(task.shape) : null
    const whole = wholeNeed(task, program)
    const key = `${task.program} ${rows?.columns} ${blockOf(rows)} ${whole?.shape}`
    if (!needs.has(key)) needs.set(key, { program, rows, whole })
  }
  return [...needs.values()]
}

const SMALLEST: Tiling = { chunk: 256 } // that plan/budget.ts comes down to

export const threadsWanted = ({ threads }: PlanOptions): number =>
  Math.min(MAX_THREADS, threads ?? (globalThis.navigator?.hardwareConcurrency as number | undefined) ?? DEFAULT_THREADS)

/** Said where the memory does not let all threads work on whole matrices. */
function fewerThreads({ threads, perThread }: MemoryPlan, wholes: Wholes | null, options: PlanOptions): string[] {
  const wanted = threadsWanted(options)
  if (!wholes || threads === wanted) return []
  const { tensor } = wholes.largest
  return [`${threads} of ${wanted} threads work, for each takes ${Math.ceil(perThread / 1e6)} MB, which ${tensor} needs as a whole: with more --memory there can be more`]
}

/** For those who call from JavaScript. */
export function checkOptions({ memory, threads }: PlanOptions): void {
  if (memory !== undefined && !(typeof memory === 'number' && memory > 0))
    throw new MergeError(`the memory budget is ${JSON.stringify(memory)}`, { fix: 'give a number of bytes, such as 512e6' })
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads > 0)) throw new MergeError(`the number of threads is ${threads}`, { fix: 'give a whole number from 1' })
}

/** The memory of the engine; row maps are held by this thread and by each other besides, and what adapters take (`adapting`) by each other. */
export function memoryFor(tasks: readonly Task[], survey: Survey, programs: readonly Program[], rowMaps: readonly RowMap[], adapting: number, options: PlanOptions): MemoryPlan {
  const budget = options.memory ?? DEFAULT_MEMORY
  const threads = threadsWanted(options)
  const gathering = gatherBytes(rowMaps, tasks)
  const beside = gathering * (threads + 1) + adapting * threads + surveyBytes(survey, threads)
  const request = {
    threads,
    tiling: options.tiling,
    needs: distinctNeeds([...survey.rounds.flatMap(r => r.tasks), ...tasks], programs),
    rereading: tasks.flatMap(t => (rereads(programs[t.program]!) ? [residentBytes(programs[t.program]!, t.size)] : [])),
  }
  try {
    const memory = planMemory({ ...request, memory: budget - beside })
    return { ...memory, budget, total: memory.total + beside }
  } catch (error) {
    if (!(error instanceof MergeError) || beside === 0) throw error
    const { perThread } = planMemory({ ...request, memory: Number.POSITIVE_INFINITY, rereading: [], tiling: options.tiling ?? SMALLEST })
    const megabytes = (bytes: number): number => Math.ceil(bytes / 1e5) / 10
    throw new MergeError(`a memory budget of ${Math.floor(budget / 1e5) / 10} MB is too small for this merge`, {
      where: `${besides(gathering, adapting, survey)} takes ${megabytes(beside)} MB, in ${threads} thread${threads === 1 ? '' : 's'}${gathering + surveyBytes(survey, 1) > 0 ? ' and this one' : ''}`,
      fix: `set --memory to ${megabytes(perThread * threads + beside)}MB or more${threads > 1 ? `, or --threads 1 with ${megabytes(perThread + 2 * gathering + adapting + surveyBytes(survey, 1))}MB` : ''}`,
    })
  }
}

/** What takes memory beside the engine. */
function besides(gathering: number, adapting: number, survey: Survey): string {
  const all = [
    gathering > 0 ? 'matching the rows of embeddings' : [],
    adapting > 0 ? 'computing with adapters' : [],
    surveyBytes(survey, 1) > 0 ? 'ranking the entries of whole models' : [],
  ]
  return all.flat().join(' and ')
}

/** Bytes read for a task if every pass reads what it loads anew, and every thread finds the mean of padded rows. */
function bytesRead(task: Omit<Task, 'output'>, program: Program, maps: readonly RowMap[], threads: number): number {
  const sources = task.sources.map(({ rows }, i) => (rows ? bytesGathered(maps[rows.map]!, rows) : { rows: task.size * bytesOf(program.sources[i]!), mean: 0 }))
  const means = sources.reduce((sum, source) => sum + source.mean * threads, 0)
  const reads = program.copy ? [0] : readsOf(program)
  const kept = 'kept' in task && task.kept ? bytesKept(maps[task.kept.map]!, task.kept) : 0
  return means + kept + reads.reduce((sum, source) => sum + (sources[source]?.rows ?? 0), 0) // what the program makes itself is not read
}
