import { readText } from '../bytes/file.ts'
import { open } from '../checkpoint/checkpoint.ts'
import { type Evaluation, openEvaluation, type Score } from '../evaluate/evaluate.ts'
import { mergeSubject, modelSubject, type Subject } from '../evaluate/subject.ts'
import { readSuite, type Split } from '../evaluate/suite.ts'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { type ParseOptions, parse } from '../recipe/parse.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { type Checks, createChecks } from './_checks.ts'
import { readChoice } from './_flags.ts'
import type { FlagValues, PresetContext, PresetResult, PresetTable } from './preset.ts'

/** One model on one task. */
export interface Reading {
  readonly value: number
  /** Examples that count: right answers of an accuracy, wrong ones of an error rate. */
  readonly counted: number
  readonly of: number
}
export type Readings<T extends string = string> = Readonly<Record<T, Reading>>

export interface Where {
  readonly suite: string
  readonly split: Split
  readonly limit?: number
}

/** Models of the zoo and merges of them in memory, measured by its suites: a suite is opened once, for all that is measured by it. */
export interface Lab {
  /** `path` within the zoo. */
  model(path: string): Promise<Subject>
  /** An expression over models, by their paths within the zoo. Float32, as the cards have it. */
  merge(text: string, models: Readonly<Record<string, string>>, options?: Pick<ParseOptions, 'seed' | 'vocab'>): Promise<Subject>
  /** A recipe whose models are paths within the zoo. */
  recipe(text: string, name: string): Promise<Subject>
  measure<T extends string>(subject: Subject, where: Where, tasks: readonly T[]): Promise<Readings<T>>
  /** What a card of the zoo says. */
  expected<T>(folder: string): Promise<T>
}

/** A part of a preset, which can be run by itself. */
export type Part = (place: { readonly lab: Lab; readonly checks: Checks; readonly flags: FlagValues }) => AsyncGenerator<PresetTable, void, void>

/** Runs the parts, or the one that `--only` names; `file` is the card they are compared with. */
export async function* runParts(context: PresetContext, parts: Readonly<Record<string, Part>>, file: string): AsyncGenerator<PresetTable, PresetResult, void> {
  const only = readChoice(context.flags, 'only', Object.keys(parts))
  const checks = createChecks()
  const { lab, close } = openLab(context)
  try {
    for (const [name, part] of Object.entries(parts)) {
      if (only === null || only === name) yield* part({ lab, checks, flags: context.flags })
    }
  } finally {
    await close()
  }
  return checks.result(file)
}

function openLab({ zoo, cache, tell }: PresetContext): { readonly lab: Lab; close(): Promise<void> } {
  const evaluations = new Map<string, Promise<Evaluation>>()
  const subjects = new Map<string, Promise<Subject>>()
  const known = new Map<Subject, Map<string, Score>>()
  const once = (key: string, make: () => Promise<Subject>): Promise<Subject> => {
    const found = subjects.get(key) ?? make()
    subjects.set(key, found)
    return found
  }
  const lab: Lab = {
    model: path => once(path, async () => modelSubject(await open(`${zoo}/${path}`), path)),
    merge: (text, models, options = {}) => once(JSON.stringify([text, models, options]), () => merged(parse(text, { ...options, models, output: UNROUNDED }), text, zoo)),
    recipe: (text, name) => once(text, () => merged(parse(text, { output: UNROUNDED }), name, zoo)),
    async measure(subject, { suite, split, limit }, tasks) {
      const key = JSON.stringify([suite, split, limit])
      const evaluation = evaluations.get(key) ?? readSuite(`${zoo}/${suite}`, { split, limit }).then(read => openEvaluation(read, { cache }))
      evaluations.set(key, evaluation)
      const own = known.get(subject) ?? new Map<string, Score>()
      known.set(subject, own)
      const missing = tasks.filter(task => !own.has(key + task))
      if (missing.length > 0) {
        tell(`${subject.name}: ${missing.join(', ')} (${split})`)
        for (const score of await (await evaluation).evaluate(subject, { tasks: missing })) own.set(key + score.task, score)
      }
      return Object.fromEntries(tasks.map(task => [task, readingOf(own.get(key + task)!)])) as Readings<(typeof tasks)[number]> // of these very tasks
    },
    expected: async <T>(folder: string) => JSON.parse(await readText(`${zoo}/${folder}/expected.json`)) as T, // committed beside the models
  }
  return {
    lab,
    async close() {
      await Promise.allSettled([...evaluations.values()].map(async evaluation => (await evaluation).close()))
    },
  }
}

const UNROUNDED = { dtype: 'F32' } as const

async function merged(recipe: Recipe, name: string, zoo: string): Promise<Subject> {
  return mergeSubject(plan(recipe, await openModels(recipe, { from: [zoo] }), { threads: 1 }), name)
}

const readingOf = ({ value, counts }: Score): Reading => ({ value, counted: sum(counts.over), of: sum(counts.under) })
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** The first with the highest value. */
export function best<T>(candidates: readonly T[], worth: (candidate: T) => number): T {
  return candidates.reduce((a, b) => (worth(b) > worth(a) + TIE ? b : a))
}
const TIE = 1e-12 // sums of the same shares in another order

/** A coefficient as the cards' tables are keyed. */
export const keyOf = (lambda: number): string => (Number.isInteger(lambda * 10) ? lambda.toFixed(1) : String(lambda))
