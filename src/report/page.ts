import { dotPlot, legend, percent, shareBars } from './charts.ts'
import { element, htmlTable, page, section, text } from './markup.ts'

/** What `merganser evaluate --json` prints, as far as a report shows it. */
export interface EvaluationJson {
  readonly suite: string
  readonly split: string
  readonly models: readonly {
    readonly name: string
    readonly source: string
    readonly tasks: readonly {
      readonly task: string
      readonly metric: string
      readonly value: number
      readonly interval: { readonly low: number; readonly high: number } | null
      readonly better: 'higher' | 'lower'
      readonly unit: '%' | ''
      readonly examples: number
    }[]
  }[]
  readonly notes: readonly string[]
}

/** What a merged model tells of itself. */
export interface MergedModel {
  readonly ref: string
  readonly architecture: string | null
  readonly parameters: number
  readonly bytes: number
  readonly tensors: number
  readonly dtypes: readonly string[]
  /** From the metadata of its weights; null for a model that Merganser has not merged. */
  readonly recipe: string | null
  readonly inputs: readonly { readonly name: string; readonly path: string; readonly headers: Readonly<Record<string, string>> }[]
}

export interface ReportParts {
  readonly models: readonly MergedModel[]
  readonly evaluations: readonly EvaluationJson[]
  /** Further sections, as markup: curves of a search. */
  readonly others: readonly string[]
}

/** A report as one self-contained HTML file. */
export function reportPage({ models, evaluations, others }: ReportParts): string {
  const title = models.length === 1 ? `Merge: ${models[0]!.ref}` : 'Merge report'
  return page(title, [...models.map(modelSection), ...evaluations.flatMap(evaluationSections), ...others])
}

function modelSection(model: MergedModel): string {
  const facts = [
    ['what', 'value'],
    ['architecture', model.architecture ?? 'unknown'],
    ['parameters', model.parameters.toLocaleString('en-US')],
    ['tensors', `${model.tensors.toLocaleString('en-US')} (${model.dtypes.join(', ')})`],
    ['size', `${(model.bytes / 1e6).toFixed(1)} MB`],
  ]
  const inputs = model.inputs.flatMap(({ name, path, headers }) => Object.entries(headers).map(([file, hash]) => [name, path, file, `${hash.slice(0, 23)}…`]))
  return section(`The model ${model.ref}`, [
    htmlTable(facts),
    ...(model.recipe === null
      ? [element('p', { class: 'soft' }, 'Its weights name no recipe: Merganser has not merged it.')]
      : [element('h3', {}, 'Recipe'), element('pre', {}, element('code', {}, text(model.recipe.trimEnd())))]),
    ...(inputs.length > 0 ? [element('h3', {}, 'Merged from'), htmlTable([['model', 'path', 'file', 'hash of its header (whole in the weights’ metadata)'], ...inputs])] : []),
  ])
}

function evaluationSections({ suite, split, models, notes }: EvaluationJson): readonly string[] {
  const [first] = models
  const tasks = first?.tasks ?? []
  const rows = tasks.map((task, t) => [task.task, titleOf(task), ...models.map(m => cell(m.tasks[t]!)), String(task.examples)])
  const charts = tasks.map((task, t) => {
    const marks = models.map(({ name, tasks: own }) => ({ name, value: own[t]!.value, low: own[t]!.interval?.low ?? null, high: own[t]!.interval?.high ?? null }))
    return element('h3', {}, text(`${task.task}: ${titleOf(task)}`)) + dotPlot(marks, value => spell(value, task.unit))
  })
  return [
    section(`Evaluation: ${suite}, ${split}`, [
      htmlTable([['task', 'metric', ...models.map(m => m.name), 'examples'], ...rows], models.map((_, i) => i + 2).concat(models.length + 2)),
      element('p', { class: 'soft' }, 'In brackets, and as bars in the charts: 95 % intervals from resampling the examples.'),
      ...models.filter(m => m.name !== m.source).map(m => element('p', { class: 'soft' }, `${text(m.name)}: <code>${text(m.source)}</code>`)),
      ...notes.map(note => element('p', { class: 'soft' }, text(note))),
      ...charts,
    ]),
    ...retainedSection(models),
  ]
}

/** How much of what the best model of a task gained over the first, the base, each other keeps. */
function retainedSection(models: EvaluationJson['models']): readonly string[] {
  const [base, ...others] = models
  if (!base || others.length < 2) return []
  const tasks = base.tasks.flatMap((task, t) => {
    const gain = (value: number): number => (task.better === 'higher' ? value - task.value : task.value - value)
    const best = Math.max(...others.map(m => gain(m.tasks[t]!.value)))
    if (best <= 0) return []
    const bars = others.map((m, i) => ({ name: m.name, share: gain(m.tasks[t]!.value) / best, colour: i + 1 }))
    return [element('h3', {}, text(task.task)) + shareBars(bars)]
  })
  if (tasks.length === 0) return []
  const told = `0 is ${base.name}, ${percent(1)} the best model of the task; below 0 a model is worse than ${base.name}.`
  return [section('What of each skill is kept', [element('p', { class: 'soft' }, text(told)), legend(models.map(m => m.name)), ...tasks])]
}

const titleOf = ({ metric, unit, better }: EvaluationJson['models'][number]['tasks'][number]): string =>
  `${metric.replaceAll('_', ' ')}${unit === '%' ? ', %' : ''}${better === 'lower' ? ' (less is better)' : ''}`
const spell = (value: number, unit: '%' | ''): string => (unit === '%' ? (100 * value).toFixed(1) : value.toFixed(3))
const cell = ({ value, interval, unit }: EvaluationJson['models'][number]['tasks'][number]): string =>
  interval ? `${spell(value, unit)} [${spell(interval.low, unit)}, ${spell(interval.high, unit)}]` : spell(value, unit)
