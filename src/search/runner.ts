import { folderStore } from '../bytes/store.ts'
import { type Evaluation, openEvaluation, type Score, takeShare } from '../evaluate/evaluate.ts'
import { mergeSubject, modelSubject } from '../evaluate/subject.ts'
import type { Split, Suite } from '../evaluate/suite.ts'
import { chooseDonor } from '../plan/donor.ts'
import { type Models, openModels } from '../plan/open_models.ts'
import { findAdapters } from '../plan/open_reference.ts'
import { plan } from '../plan/plan.ts'
import { type ParseOptions, parse, readReferences } from '../recipe/parse.ts'
import type { Recipe } from '../recipe/recipe.ts'

/** What all trials share. Plain data: it crosses threads. */
export interface Setup {
  readonly suites: Readonly<Record<Split, Suite>>
  readonly parse: ParseOptions
  /** Folders in which the models' paths are looked up. */
  readonly from: readonly string[]
  /** The folder of finished tasks; null keeps nothing. */
  readonly cache: string | null
  /** Of the engine; null leaves it the choice. */
  readonly threads: number | null
}

/** One thing to measure. */
export interface Job {
  /** A recipe with values. */
  readonly text: string
  /** Its merge, or the model that this builds on. */
  readonly of: 'merge' | 'base'
  readonly split: Split
  /** Of the examples of every task, the first. */
  readonly share: number
}

export interface Measured {
  /** What of it was measured: the base by its name. */
  readonly name: string
  readonly scores: readonly Score[]
  /** Of the plan, and of the engines. */
  readonly notes: readonly string[]
}

export interface Runner {
  run(job: Job): Promise<Measured>
  close(): Promise<void>
}

/** Measures merges one after the other. Sessions are opened once, and checkpoints for as long as the recipe names the same: a merge is made in memory. */
export function createRunner({ suites, parse: options, from, cache, threads }: Setup): Runner {
  const store = cache === null ? null : folderStore(cache)
  const evaluations = new Map<string, Promise<Evaluation>>()
  const adapters = new Map<string, Promise<ReadonlySet<string>>>()
  const opened = new Map<string, Promise<Models>>()

  function evaluationOf({ split, share }: Job): Promise<Evaluation> {
    return known(evaluations, `${split} ${share}`, async () => openEvaluation(share < 1 ? await takeShare(suites[split], share) : suites[split], { cache: store, threads }))
  }
  async function read(text: string): Promise<{ readonly recipe: Recipe; readonly models: Models }> {
    const references = readReferences(text, options)
    const recipe = parse(text, { ...options, adapters: await known(adapters, JSON.stringify(references), () => findAdapters(references, { from })) })
    const { models, tokenizer, chatTemplate, output, stages, form } = recipe
    const key = JSON.stringify({ models, tokenizer, chatTemplate, output, stages, form, donor: chooseDonor(recipe) }) // all that decides what is opened
    return { recipe, models: await known(opened, key, () => openModels(recipe, { from })) }
  }
  return {
    async run(job) {
      const { recipe, models } = await read(job.text)
      const donor = chooseDonor(recipe)
      const merge = job.of === 'base' ? null : plan(recipe, models, { threads: 1 }) // small merges take no threads, and trials run side by side
      const subject = merge ? mergeSubject(merge, 'merge') : modelSubject(models.get(donor)!, donor)
      const evaluation = await evaluationOf(job)
      const scores = await evaluation.evaluate(subject)
      return { name: subject.name, scores, notes: [...(merge?.notes ?? []), ...evaluation.notes()] }
    },
    async close() {
      const all = await Promise.allSettled(evaluations.values()) // what has failed has been told
      await Promise.all(all.map(result => (result.status === 'fulfilled' ? result.value.close() : null)))
    },
  }
}

function known<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const value = made.get(key) ?? make()
  made.set(key, value)
  return value
}
