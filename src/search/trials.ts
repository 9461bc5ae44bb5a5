import { statPath, workingFolder } from '../bytes/file.ts'
import type { Store } from '../bytes/store.ts'
import { MergeError } from '../errors.ts'
import type { Suite, Task } from '../evaluate/suite.ts'
import type { ParseOptions } from '../recipe/parse.ts'
import { createPool, type Pool } from './pool.ts'
import type { Template } from './template.ts'

/** What points are measured with: sessions, models and data stay open from one search to the next. */
export interface Trials extends Pick<Pool, 'measure' | 'close'> {
  readonly template: Template
  readonly suites: Suites
}

export interface Suites {
  /** To choose by. */
  readonly dev: Suite
  /** To report. */
  readonly test: Suite
}

export interface TrialsOptions {
  /** Evaluations side by side, each in a thread with a session of its own. */
  readonly workers?: number
  /** Where finished tasks are kept, and found again; null: nowhere. */
  readonly cache?: Store | null
  /** As for `parse`: the models of an expression. */
  readonly parse?: ParseOptions
  /** Folders in which the models' paths are looked up; default: the working folder. */
  readonly from?: readonly string[]
}

/**
 * Makes ready to measure a recipe with variables on two splits of a suite. Throws where there are no data to choose by.
 *
 * @example
 * const template = readTemplate('base + $lambda*(greek - base)', { isExpression: true, variables: { lambda: '0..1:0.5' } })
 * const [dev, test] = await Promise.all(['dev', 'test'].map(split => readSuite('zoo/vision/suite.yml', { split, tasks: ['greek'], limit: 20 })))
 * const trials = await openTrials(template, { dev, test }, { parse: { models: { base: 'zoo/vision/base', greek: 'zoo/vision/greek' } } })
 * console.log((await search(trials)).best.values) // { lambda: 1 }
 * await trials.close()
 */
export async function openTrials(template: Template, suites: Suites, options: TrialsOptions = {}): Promise<Trials> {
  const { workers = 1, cache = null, parse = {}, from = [workingFolder()] } = options
  await refuseWithoutDev(suites)
  const named = { name: template.source.name, ...parse }
  const pool = createPool({ suites: { dev: suites.dev, test: suites.test }, parse: named, from, cache: cache?.folder ?? null, threads: null }, workers)
  return { template, suites, ...pool }
}

async function refuseWithoutDev({ dev, test }: Suites): Promise<void> {
  const fix = 'a search chooses on dev and reports on test: give each split its own, `data: eval/{task}.{split}.jsonl` or `data: { dev: …, test: … }`'
  for (const [i, task] of dev.tasks.entries()) {
    if (task.data !== null && !(await statPath(task.data))) throw new MergeError(`the task "${task.name}" has no dev data: there is no ${task.dataName}`, { where: dev.name, fix })
    if (isSame(task, test.tasks[i]!)) throw new MergeError(`the task "${task.name}" has the same data for dev and test`, { where: dev.name, fix })
  }
}

/** A limit is no difference: the first examples would be in both. */
const isSame = (a: Task, b: Task): boolean => a.data === b.data && JSON.stringify([a.where, a.settings]) === JSON.stringify([b.where, b.settings])
