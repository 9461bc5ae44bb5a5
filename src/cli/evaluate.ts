import { fileNameOf, statPath, workingFolder } from '../bytes/file.ts'
import { cacheFolder, folderStore } from '../bytes/store.ts'
import { open } from '../checkpoint/checkpoint.ts'
import { differenceOf, type Interval, meanIntervalOf } from '../evaluate/bootstrap.ts'
import { openEvaluation, type Score, scaleOf } from '../evaluate/evaluate.ts'
import { mergeSubject, modelSubject, type Subject } from '../evaluate/subject.ts'
import { readSuite, type Split, type Suite } from '../evaluate/suite.ts'
import { findAdapters } from '../plan/open_reference.ts'
import { parse, readReferences } from '../recipe/parse.ts'
import { modelsIn } from '../recipe/walk.ts'
import { type Arguments, type Command, readCount, UsageError } from './_command.ts'
import { prepare, RECIPE_FLAGS, readModels, shownNotes } from './_recipe.ts'
import { bold, dim, harmless, plural, table } from './_text.ts'
import { VERSION } from './_version.ts'

const MAX_MODELS = 100

export default {
  summary: 'Measure models, or merges that are not written to disk, by a suite of tasks.',
  positionals: 'MODEL|RECIPE…',
  count: [1, MAX_MODELS],
  flags: {
    suite: { doc: 'The suite: a YAML file, such as zoo/vision/suite.yml.', value: 'FILE' },
    split: { doc: 'dev to choose by, test to report. Default: what the suite says, else test.', value: 'dev|test' },
    task: { doc: 'Only this task; once for each.', value: 'NAME', multiple: true },
    limit: { doc: 'At most so many examples of each task: for a first look.', value: 'N' },
    'no-cache': { doc: 'Measure everything anew, and keep nothing.' },
    json: { doc: 'Print as JSON.' },
    ...RECIPE_FLAGS,
  },
  examples: [
    'merganser evaluate zoo/vision/base zoo/vision/mnist --suite zoo/vision/suite.yml',
    "merganser evaluate base code 'base + 0.8*(code - base)' --model base=zoo/text/base --model code=zoo/text/code --suite zoo/text/suite.yml",
    'merganser evaluate recipe.yml --suite suite.yml --split dev --json',
  ],
  async run(args) {
    const { values, positionals } = args
    if (values['suite'] === undefined) throw new UsageError('evaluate needs a suite', 'name one: --suite zoo/vision/suite.yml')
    const suite = await readSuite(values['suite'] as string, {
      split: readSplit(values['split'] as string | undefined),
      limit: values['limit'] === undefined ? undefined : readCount('limit', values['limit'] as string),
      tasks: values['task'] as readonly string[] | undefined,
    })
    const subjects: Named[] = []
    for (const text of positionals) subjects.push(await subjectOf(text, args, subjects.length))
    // another version may count otherwise
    const evaluation = await openEvaluation(suite, { cache: values['no-cache'] === true ? null : folderStore(`${cacheFolder()}/${VERSION}`) })
    const results: Result[] = []
    try {
      for (const { subject, source } of subjects) {
        const told = progress(subject, suite, subjects.length > 1)
        results.push({ name: subject.name, source, scores: await evaluation.evaluate(subject, { found: told.found }) })
        told.end()
      }
      if (values['json'] === true) process.stdout.write(`${JSON.stringify(asJson(suite, results, evaluation.notes()), null, 2)}\n`)
      else process.stdout.write(describe(suite, results, evaluation.notes()))
    } finally {
      await evaluation.close()
    }
  },
} satisfies Command

interface Named {
  readonly subject: Subject
  /** As it was given. */
  readonly source: string
}
interface Result {
  readonly name: string
  readonly source: string
  readonly scores: readonly Score[]
}

function readSplit(text: string | undefined): Split | undefined {
  if (text === undefined || text === 'dev' || text === 'test') return text
  throw new UsageError(`--split "${text}" is no split`, 'write --split dev or --split test')
}

/** A model by its name or path, else a recipe file or an expression. */
async function subjectOf(text: string, args: Arguments, index: number): Promise<Named> {
  const models = readModels(args.values)
  if (Object.hasOwn(models, text) && (await statPath(models[text]!))) return { subject: modelSubject(await open(models[text]!), text), source: models[text]! }
  const status = await statPath(text).catch(() => null) // an expression may be no possible path at all
  if (status && (status.isFolder || text.endsWith('.safetensors'))) return { subject: modelSubject(await open(text)), source: text }
  const prepared = await prepare(text, { ...args, values: status ? withoutModels(args.values) : await onlyUsed(text, models, args.values) })
  for (const note of shownNotes(prepared.plan.notes)) process.stderr.write(`${dim('note:')} ${note}\n`)
  const name = text.length <= MAX_NAME ? text : status ? fileNameOf(text) : `merge ${index + 1}`
  return { subject: mergeSubject(prepared.plan, name), source: text }
}

const MAX_NAME = 32 // characters of an expression or a path that heads a column as it is

/** A recipe file names its own models; those on the command line are for what stands beside it. */
const withoutModels = ({ model: _, ...values }: Arguments['values']): Arguments['values'] => values

/** Models that an expression does not mention need not be opened for it. */
async function onlyUsed(text: string, models: Readonly<Record<string, string>>, values: Arguments['values']): Promise<Arguments['values']> {
  if (Object.keys(models).length === 0) return values
  const adapters = await findAdapters(readReferences(text, { models }), { from: [workingFolder()] })
  const used = modelsIn(parse(text, { models, adapters }).merge)
  return { ...values, model: Object.entries(models).flatMap(([name, path]) => (used.has(name) ? [`${name}=${path}`] : [])) }
}

/** A line on a terminal that says what is measured. */
function progress({ name }: Subject, { tasks }: Suite, isOneOfMany: boolean) {
  const isShown = process.stderr.isTTY === true
  const show = (done: number): void => {
    if (isShown && done < tasks.length) process.stderr.write(`\r\x1b[K${dim(`${isOneOfMany ? `${harmless(name)}: ` : ''}${tasks[done]!.name} (${done + 1} of ${tasks.length})`)}`)
  }
  let done = 0
  show(0)
  return { found: () => show(++done), end: () => void (isShown && process.stderr.write('\r\x1b[K')) }
}

function describe(suite: Suite, results: readonly Result[], notes: readonly string[]): string {
  const [first] = results
  const metrics = new Set(first!.scores.map(s => s.metric))
  const shared = metrics.size === 1 ? first!.scores[0]! : null
  const head = [shared ? titleOf(shared) : 'task', ...(shared ? [] : ['metric']), ...results.map(r => harmless(r.name))]
  const body = first!.scores.map((score, t) => [score.task, ...(shared ? [] : [titleOf(score)]), ...results.map(({ scores }, r) => cell(scores[t]!, r === 0 ? null : score))])
  const means = results.map(({ scores }) => meanWithInterval(scores))
  const mean = shared && first!.scores.length > 1 && means[0] ? [['mean', ...means.map((m, r) => shown(m!.value, m!.interval, shared) + (r === 0 ? '' : UNMARKED))]] : []
  const marked = results.length > 1 && body.some(row => row.some(c => c.endsWith(MARK)))
  const legend = results.filter(r => r.name !== r.source && !/[\\/]/.test(r.name)).map(r => `  ${harmless(r.name)}: ${harmless(r.source)}`)
  const lines = [
    `${bold(harmless(suite.name))}, ${suite.split}: ${plural(first!.scores.length, 'task')}${suite.tasks.some(t => t.limit !== null) ? ', at most the first examples of each' : ''}`,
    '',
    table([head, ...body, ...mean], head.map((_, c) => c).slice(shared ? 1 : 2)),
    '',
    dim(`In brackets: 95 % intervals from resampling the examples.${marked ? ` *: differs from ${harmless(first!.name)} by more than chance, on the same examples.` : ''}`),
    ...legend.map(dim),
    ...notes.map(note => `${dim('note:')} ${harmless(note)}`),
  ]
  return `${lines.join('\n')}\n`
}

const titleOf = ({ metric, unit, better }: Score): string => `${metric.replaceAll('_', ' ')}${unit === '%' ? ', %' : ''}${better === 'lower' ? ' (less is better)' : ''}`

/** Of equal width where some are marked, so that numbers stay below each other. */
function cell(score: Score, first: Score | null): string {
  const text = shown(score.value, score.interval, score)
  if (first === null) return text
  const difference = differenceFrom(first, score)
  return `${text}${difference !== null && (difference.low > 0 || difference.high < 0) ? MARK : UNMARKED}`
}

const MARK = ' *'
const UNMARKED = '  '

function shown(value: number, interval: Interval | null, { unit }: Score): string {
  const text = (x: number): string => (unit === '%' ? (100 * x).toFixed(1) : x.toFixed(3))
  return interval ? `${text(value)} [${text(interval.low)}, ${text(interval.high)}]` : text(value)
}

const differenceFrom = (first: Score, other: Score): Interval | null => differenceOf(first.counts, other.counts, scaleOf(first.metric))
const asTask = ({ counts, weight, metric }: Score) => ({ counts, weight, score: scaleOf(metric) })

function meanOf(scores: readonly Score[]): number {
  const total = scores.reduce((sum, s) => sum + s.weight, 0)
  return scores.reduce((sum, s) => sum + s.weight * s.value, 0) / total
}

/** Null where the tasks have no metric in common, or no weight. */
function meanWithInterval(scores: readonly Score[]): { readonly value: number; readonly interval: Interval | null } | null {
  if (new Set(scores.map(s => s.metric)).size > 1 || scores.every(s => s.weight === 0)) return null
  return { value: meanOf(scores), interval: meanIntervalOf(scores.map(asTask)) }
}

function asJson(suite: Suite, results: readonly Result[], notes: readonly string[]) {
  const [first] = results
  return {
    suite: suite.name,
    split: suite.split,
    models: results.map(({ name, source, scores }, r) => ({
      name,
      source,
      tasks: scores.map(({ counts, isKnown, ...score }, t) => ({
        ...score,
        examples: counts.over.length,
        difference: r === 0 ? null : { value: score.value - first!.scores[t]!.value, interval: differenceFrom(first!.scores[t]!, scores[t]!) },
        cached: isKnown,
      })),
      mean: meanWithInterval(scores),
    })),
    notes,
  }
}
