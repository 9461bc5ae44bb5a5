import { folderOf, readText, resolvePath } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import { type Entry, type MapValue, readDocuments, type Value } from '../recipe/document.ts'
import { faultAt, nearest, suggest } from '../recipe/locate.ts'
import type { At, SourceText } from '../recipe/recipe.ts'
import { type Context, combined, numberIn, ofSplit, readSetting, textIn, wholeNumber } from './_settings.ts'
import { kindOfData } from './data.ts'
import { ENGINES } from './engines/_all.ts'
import { METRICS } from './metrics/_all.ts'
import type { Option, Options, Setting } from './options.ts'

/** Choose coefficients on dev, report test. */
export type Split = 'dev' | 'test'

/** One thing to measure: plain data, all paths absolute. */
export interface Task {
  readonly name: string
  /** Of the suite: programs are started there. */
  readonly folder: string
  readonly engine: string
  readonly metric: string
  /** The file of examples; null where the engine has its own. */
  readonly data: string | null
  /** The file as the suite writes it, for errors. */
  readonly dataName: string
  /** Only the first so many examples. */
  readonly limit: number | null
  /** Rows of tensors whose fields have one of these values. */
  readonly where: Readonly<Record<string, readonly number[]>> | null
  /** Its share in a mean over tasks. */
  readonly weight: number
  /** The options of engine and metric. */
  readonly settings: Readonly<Record<string, Setting>>
}

/** What to measure of a model: plain data. */
export interface Suite {
  readonly name: string
  readonly split: Split
  readonly tasks: readonly Task[]
}

export interface SuiteOptions {
  /** Instead of the suite's own. */
  readonly split?: Split | undefined
  /** At most so many examples of each task. */
  readonly limit?: number | undefined
  /** Only these tasks, in the order of the suite. */
  readonly tasks?: readonly string[] | undefined
}

/**
 * Reads a suite. Throws MergeError at the line and column at fault; the data are looked at when the suite is opened.
 *
 * @example
 * const suite = await readSuite('zoo/vision/suite.yml', { split: 'dev', tasks: ['mnist', 'greek'] })
 * console.log(suite.tasks.map(task => task.metric)) // [ 'accuracy', 'accuracy' ]
 */
export async function readSuite(path: string, options: SuiteOptions = {}): Promise<Suite> {
  return parseSuite(await readText(path), { name: path, folder: folderOf(path), ...options })
}

/** The suite in a text; paths in it are looked up from `folder`. */
export function parseSuite(text: string, { name, folder, split, limit, tasks }: SuiteOptions & { readonly name: string; readonly folder: string }): Suite {
  const source = { name, text: text.replace(/^\ufeff/, '') }
  if (source.text.replaceAll(/^\s*(#.*)?$/gm, '').trim() === '')
    throw new MergeError('the suite is empty', { where: name, fix: 'write at least `engine:`, `metric:` and `tasks:`' })
  const [root] = readDocuments(source)
  if (root?.kind !== 'map') throw faultAt(source, root!.at, 'a suite must be a mapping', 'write `engine:`, `metric:` and `tasks:`')
  const tasksEntry = root.entries.get('tasks')
  if (!tasksEntry)
    throw faultAt(
      source,
      [...root.entries.values()][0]?.keyAt ?? root.at,
      'the suite has no tasks',
      'add for example `tasks: [code, math]`; what stands beside it goes for all of them',
    )
  const chosen = split ?? ownSplit(source, root)
  const defaults = { ...root, entries: new Map([...root.entries].filter(([key]) => !SUITE_KEYS.includes(key))) }
  const named = namedTasks(source, tasksEntry)
  for (const wanted of tasks ?? []) {
    if (!named.has(wanted)) throw new MergeError(`the suite has no task "${wanted}"`, { where: name, fix: suggest(wanted, [...named.keys()], 'its tasks') })
  }
  const shown = root.entries.get('name')
  const context = (task: string): Context => ({ source, split: chosen, words: { task, split: chosen }, resolve: path => resolvePath(folder, path) })
  const read = [...named].map(([task, { map, at }]) => readTask(context(task), task, at, defaults, map, limit))
  return {
    name: (shown && textIn(context(''), shown.value)) ?? name,
    split: chosen,
    tasks: read.filter(task => !tasks || tasks.length === 0 || tasks.includes(task.name)),
  }
}

const SUITE_KEYS: readonly string[] = ['name', 'split', 'tasks']
const TASK_KEYS: readonly string[] = ['engine', 'metric', 'data', 'limit', 'where', 'weight']

function ownSplit(source: SourceText, root: MapValue): Split {
  const entry = root.entries.get('split')
  if (!entry) return 'test'
  const value = entry.value.kind === 'scalar' ? entry.value.value : null
  if (value === 'dev' || value === 'test') return value
  throw faultAt(source, entry.value.at, 'split must be dev or test', 'write `split: test`')
}

/** Tasks as a list of names, or as a mapping of names to what is said of each alone. */
function namedTasks(source: SourceText, { value }: Entry): ReadonlyMap<string, { readonly map: MapValue | null; readonly at: At }> {
  const tasks = new Map<string, { map: MapValue | null; at: At }>()
  if (value.kind === 'list') {
    for (const item of value.items) {
      const name = item.kind === 'scalar' && item.value !== null ? String(item.value) : null
      if (name === null) throw faultAt(source, item.at, 'a task in a list is a name', 'write `tasks: [code, math]`, or a mapping `tasks: { code: { metric: … } }`')
      if (tasks.has(name)) throw faultAt(source, item.at, `the task "${name}" is written twice`, 'remove one of the two')
      tasks.set(name, { map: null, at: item.at })
    }
  } else if (value.kind === 'map') {
    for (const { key, keyAt, value: own } of value.entries.values()) {
      const isEmpty = own.kind === 'scalar' && own.value === null
      if (own.kind !== 'map' && !isEmpty) throw faultAt(source, own.at, `what is said of the task "${key}" must be a mapping`, `write \`${key}: { metric: accuracy }\``)
      tasks.set(key, { map: own.kind === 'map' ? own : null, at: keyAt })
    }
  }
  if (tasks.size === 0) throw faultAt(source, value.at, 'the suite has no tasks', 'write for example `tasks: [code, math]`')
  return tasks
}

function readTask(context: Context, name: string, at: At, defaults: MapValue, own: MapValue | null, limit: number | undefined): Task {
  const { source } = context
  const entries = combined(defaults, own)
  const engine = named(context, entries.get('engine'), 'engine', ENGINES, at, name, 'onnx')
  const metric = named(context, entries.get('metric'), 'metric', METRICS, at, name, 'accuracy')
  const options: Options = { ...ENGINES[engine]!.options, ...METRICS[metric]!.options }
  for (const entry of own?.entries.values() ?? []) refuseUnknown(context, entry, [...TASK_KEYS, ...Object.keys(options)], engine, metric)
  const known = [...Object.values(ENGINES), ...Object.values(METRICS)].flatMap(e => Object.keys(e.options))
  for (const entry of defaults.entries.values()) refuseUnknown(context, entry, [...TASK_KEYS, ...SUITE_KEYS, ...known], null, null) // a default may be for other tasks
  const settings = Object.fromEntries(Object.entries(options).map(([key, option]) => [key, settingOf(context, entries.get(key), key, option, at, name)]))
  const ability = METRICS[metric]!.uses(settings as never) // read by its own declarations
  const { abilities } = ENGINES[engine]!
  if (!abilities.includes(ability)) {
    const able = Object.entries(ENGINES).filter(([, e]) => e.abilities.includes(ability))
    throw faultAt(
      source,
      entries.get('metric')!.value.at,
      `the engine ${engine} cannot give what the metric ${metric} needs (${ability})`,
      `use the engine ${able.map(([n]) => n).join(' or ')}`,
    )
  }
  const weight = entries.get('weight')
  const weightValue = weight ? numberIn(weight.value) : 1
  if (weightValue === null || weightValue < 0) throw faultAt(source, weight!.value.at, 'weight must be a number, 0 or more', 'write for example `weight: 2`')
  const wanted = entries.get('where')
  const most = Math.min(limit ?? Infinity, limitOf(context, entries.get('limit')))
  return {
    name,
    folder: context.resolve('.'),
    engine,
    metric,
    ...dataOf(context, entries.get('data'), metric, at, name),
    limit: most === Infinity ? null : most,
    where: wanted ? (readSetting(context, wanted, { kind: 'sets', doc: '', default: null }) as Task['where']) : null, // of this kind
    weight: weightValue,
    settings,
  }
}

function named(context: Context, entry: Entry | undefined, key: string, registry: Readonly<Record<string, unknown>>, at: At, task: string, example: string): string {
  const names = Object.keys(registry)
  if (!entry)
    throw faultAt(context.source, at, `the task "${task}" has no ${key}`, `add for example \`${key}: ${example}\`, to the task or beside \`tasks\`; there are ${names.join(', ')}`)
  const name = textIn(context, entry.value)
  if (name !== null && Object.hasOwn(registry, name)) return name
  throw faultAt(context.source, entry.value.at, `unknown ${key} ${name === null ? '' : `"${name}"`}`.trimEnd(), suggest(name ?? '', names, `${key}s`))
}

function refuseUnknown({ source }: Context, { key, keyAt }: Entry, allowed: readonly string[], engine: string | null, metric: string | null): void {
  if (allowed.includes(key)) return
  const near = nearest(key, allowed)
  const what = engine === null ? `unknown key "${key}"` : `unknown key "${key}" for a task of the engine ${engine} and the metric ${metric}`
  throw faultAt(source, keyAt, what, near ? `did you mean "${near}"?` : `keys here: ${[...new Set(allowed)].join(', ')}`)
}

function settingOf(context: Context, entry: Entry | undefined, key: string, option: Option, at: At, task: string): Setting {
  if (entry && !isNull(ofSplit(context, key, entry.value))) return readSetting(context, entry, option)
  if (option.required) throw faultAt(context.source, at, `the task "${task}" has no ${key}`, `add \`${key}: …\`, to the task or beside \`tasks\`. ${option.doc}`)
  return option.default
}

const isNull = (value: Value): boolean => value.kind === 'scalar' && value.value === null

function limitOf(context: Context, entry: Entry | undefined): number {
  const value = entry && ofSplit(context, 'limit', entry.value)
  if (!value || isNull(value)) return Infinity
  const limit = wholeNumber(value)
  if (limit === null) throw faultAt(context.source, value.at, 'limit must be a whole number above 0', 'write for example `limit: 200`')
  return limit
}

function dataOf(context: Context, entry: Entry | undefined, metric: string, at: At, task: string): Pick<Task, 'data' | 'dataName'> {
  const kinds = METRICS[metric]!.data
  if (kinds.length === 0) return { data: null, dataName: '' }
  if (!entry) throw faultAt(context.source, at, `the task "${task}" has no data`, 'add for example `data: eval/{task}.{split}.txt`, to the task or beside `tasks`')
  const value = ofSplit(context, 'data', entry.value)
  const path = textIn(context, value)
  if (path === null) throw faultAt(context.source, value.at, 'data must be a path', 'write for example `data: eval/{task}.{split}.jsonl`')
  if (!kinds.includes(kindOfData(path))) {
    throw faultAt(
      context.source,
      value.at,
      `the metric ${metric} takes ${kinds.map(kind => ENDINGS[kind]).join(' or ')}, not ${ENDINGS[kindOfData(path)]}`,
      `name another file or another metric`,
    )
  }
  return { data: context.resolve(path), dataName: path }
}

const ENDINGS = { tensors: 'a safetensors file', lines: 'a jsonl file', text: 'a text file' } as const
