import { sha256 } from '../bytes/hash.ts'
import { hashFile, type Store } from '../bytes/store.ts'
import { MergeError } from '../errors.ts'
import { type Interval, intervalOf, ratioOf } from './bootstrap.ts'
import { type Data, lengthOf, readData, takeFirst, whereRows } from './data.ts'
import { ENGINES } from './engines/_all.ts'
import type { Host, Runner } from './engines/engine.ts'
import { METRICS } from './metrics/_all.ts'
import type { Counts } from './metrics/metric.ts'
import type { Subject } from './subject.ts'
import type { Suite, Task } from './suite.ts'

/** One model on one task. */
export interface Score {
  readonly task: string
  readonly metric: string
  /** As the metric has it: an accuracy is a share from 0 to 1. */
  readonly value: number
  /** 95 %, from resampling examples; null where that cannot be. */
  readonly interval: Interval | null
  readonly better: 'higher' | 'lower'
  readonly unit: '%' | ''
  readonly weight: number
  /** What was counted, example by example: two models can be compared on the same examples. */
  readonly counts: Counts
  /** Taken from the cache. */
  readonly isKnown: boolean
}

/** A suite whose data and networks are open, for many models. */
export interface Evaluation {
  readonly suite: Suite
  /** All tasks, or those named, on one model. `found` hears of every score as soon as it is known. A score is a whole task or nothing. */
  evaluate(subject: Subject, options?: EvaluateOptions): Promise<readonly Score[]>
  /** What a reader of the scores should know. */
  notes(): readonly string[]
  close(): Promise<void>
}

export interface EvaluateOptions {
  readonly tasks?: readonly string[]
  readonly found?: (score: Score) => void
  /** Aborted: the evaluation stops before the next task. */
  readonly signal?: AbortSignal
}

export interface OpenOptions {
  /** Where finished tasks are kept, and found again; null: nowhere. */
  readonly cache?: Store | null
  /** Threads of an engine that runs in this process: 1 where several evaluations run side by side. Default: its own choice. */
  readonly threads?: number | null
}

/**
 * Opens the data of a suite, checks them, and gives a function that evaluates models on them: sessions are opened once, when they are first needed.
 *
 * @example
 * const evaluation = await openEvaluation(await readSuite('zoo/vision/suite.yml', { tasks: ['greek'] }))
 * const [greek] = await evaluation.evaluate(modelSubject(await open('zoo/vision/greek')))
 * console.log(greek.value, greek.interval)
 * await evaluation.close()
 */
export async function openEvaluation(suite: Suite, { cache = null, threads = null }: OpenOptions = {}): Promise<Evaluation> {
  const examples = new Map<string, unknown>()
  for (const task of suite.tasks) examples.set(task.name, await readExamples(task)) // one after the other: the first fault is the one that is told
  const hosts = new Map<string, Host>()
  const hostOf = (engine: string): Host => {
    const host = hosts.get(engine) ?? ENGINES[engine]!.start(threads)
    hosts.set(engine, host)
    return host
  }
  return {
    suite,
    async evaluate(subject, { tasks, found, signal } = {}) {
      const scores: Score[] = []
      const identity = cache && (await subject.identity(cache))
      for (const task of suite.tasks) {
        if (tasks && !tasks.includes(task.name)) continue
        if (signal?.aborted) throw new MergeError('the evaluation was stopped', { fix: 'run the same command again: finished tasks are known' })
        const host = hostOf(task.engine)
        const key = cache && `score-${await keyOf(task, identity!, host, cache)}`
        const known = key && readCounts(await cache.get(key))
        const counts = known || (await countsOf(task, subject, host, examples.get(task.name)))
        if (key && !known) await cache.put(key, JSON.stringify(counts))
        const score = scoreOf(task, counts, Boolean(known))
        scores.push(score)
        found?.(score)
      }
      return scores
    },
    notes: () => [...hosts.values()].flatMap(host => host.notes()),
    async close() {
      await Promise.all([...hosts.values()].map(host => host.close()))
      hosts.clear()
    },
  }
}

/** The first examples of every task, as a share of all. Throws where the data are not at hand. */
export async function takeShare(suite: Suite, share: number): Promise<Suite> {
  const tasks = suite.tasks.map(async task => {
    if (task.data === null) throw new MergeError(`${task.name} has data of its own, of which no part can be taken`, { fix: 'measure all of it' })
    const count = Math.min(task.limit ?? Infinity, lengthOf(await readChosen(task, task.data)))
    return { ...task, limit: Math.ceil(share * count) }
  })
  return { ...suite, tasks: await Promise.all(tasks) }
}

async function readExamples(task: Task): Promise<unknown> {
  if (task.data === null) return null
  const chosen = await readChosen(task, task.data)
  return METRICS[task.metric]!.read(task.limit === null ? chosen : takeFirst(chosen, task.limit), task.settings as never) // read by the metric's own declarations
}

async function readChosen({ where }: Task, file: string): Promise<Data> {
  const whole = await readData(file, file)
  if (!where) return whole
  if (whole.kind !== 'tensors') throw new MergeError('`where` chooses rows of tensors, and this is no safetensors file', { where: file, fix: 'remove `where`' })
  return whereRows(whole, where)
}

async function countsOf(task: Task, subject: Subject, host: Host, examples: unknown): Promise<Counts> {
  const metric = METRICS[task.metric]!
  try {
    const runner = await host.run(task, subject)
    const counts = await metric.count(runner as Runner, examples as never, task.settings as never) // a suite that asks for an ability the engine lacks was refused
    const value = (metric.score ?? same)(ratioOf(counts))
    if (!Number.isFinite(value)) throw new MergeError(`the score is ${value}`, { fix: 'lower the weights of the merge, or give the task more data' })
    return counts
  } catch (error) {
    if (!(error instanceof MergeError)) throw error
    throw new MergeError(`${subject.name} on ${task.name}: ${error.what}`, { ...error.details, cause: error })
  }
}

function scoreOf(task: Task, counts: Counts, isKnown: boolean): Score {
  const metric = METRICS[task.metric]!
  const score = metric.score ?? same
  return {
    task: task.name,
    metric: task.metric,
    value: score(ratioOf(counts)),
    interval: intervalOf(counts, score),
    better: metric.aim?.(task.settings as never) ?? metric.better, // read by the metric's own declarations
    unit: metric.unit,
    weight: task.weight,
    counts,
    isKnown,
  }
}

/** The ratio of what was counted as a score of this metric. */
export const scaleOf = (metric: string): ((ratio: number) => number) => METRICS[metric]!.score ?? same
const same = (ratio: number): number => ratio

const FORMAT = 1 // of what is kept, and of how it is computed: another number forgets all scores

/** Equal when nothing that the counts depend on has changed: the model, the task, the contents of its files, the engine. */
async function keyOf(task: Task, identity: string, host: Host, cache: Store): Promise<string> {
  const files = [...(task.data === null ? [] : [task.data]), ...(await host.files(task))]
  const contents = await Promise.all(files.map(file => hashFile(file, cache)))
  const { name: _, weight: __, folder: ___, data: ____, dataName: _____, ...matters } = task
  const options = { ...ENGINES[task.engine]!.options, ...METRICS[task.metric]!.options }
  const settings = Object.entries(task.settings).filter(([option]) => options[option]!.kind !== 'path') // of files their contents matter
  const key = { FORMAT, identity, engine: await host.identity(), task: { ...matters, settings }, contents }
  return sha256(new TextEncoder().encode(JSON.stringify(key)))
}

function readCounts(text: string | null): Counts | null {
  if (text === null) return null
  try {
    const counts = JSON.parse(text) as Counts // written by this program
    return Array.isArray(counts.over) && Array.isArray(counts.under) && counts.over.length === counts.under.length ? counts : null
  } catch {
    return null // cut short: computed again
  }
}
