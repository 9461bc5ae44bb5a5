import type { Tensor } from '../algebra/tensor.ts'
import { MergeError } from '../errors.ts'
import { runLooks } from '../execute/look.ts'
import { type Comparison, compareModels } from '../plan/comparison.ts'
import { type LookPlan, planLooks } from '../plan/looks.ts'
import type { OpenedModels } from '../plan/open_models.ts'
import type { PlanOptions } from '../plan/plan.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { type Finding, findingsOf, isTelling, TELLING_ENTRIES } from './findings.ts'
import { MEASURES } from './measures/_all.ts'
import type { Measure, Part, Sums } from './measures/measure.ts'
import { baseOf, type Subject, type Subjects, subjectsOf } from './subjects.ts'
import { judge, type Verdict } from './verdict.ts'

/** A measure of one model, task or pair of tasks. */
export interface Measured {
  readonly measure: string
  /** The model; the two tasks of a pair; or a task, and the one that affects it. */
  readonly of: readonly string[]
  /** Of all tensors together; null where it has no meaning. */
  readonly value: number | null
  /** Standard error, of measures that look in random directions. */
  readonly error: number | null
  /** By stack and index of the layer: `model.layers.0`. */
  readonly layers: Readonly<Record<string, number | null>>
  /** By tensor. Tensors of which the measure says nothing are missing. */
  readonly tensors: Readonly<Record<string, number | null>>
}

/** What the weights tell about a merge before it is done. Plain data. */
export interface Diagnosis {
  readonly base: string
  readonly tasks: readonly string[]
  /** In the base's order; `pattern` is the name with {} for the index of its layer. */
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly pattern: string; readonly layer: number | null }[]
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
  readonly measures: readonly Measured[]
  /** How the tensors of the models match. */
  readonly structure: Comparison | null
  readonly notLookedAt: readonly string[]
  /** Bytes read, counted each time. */
  readonly read: number
}

export interface DiagnoseOptions extends PlanOptions {
  /** The model that task vectors are differences to, by its name among the models. By default what the recipe says. */
  readonly base?: string | undefined
  /** Leave out what looks in random directions (directional damage), which takes most of the time. */
  readonly quick?: boolean | undefined
  /** Hears of the share that is done. */
  readonly progress?: ((share: number) => void) | undefined
}

/** Never looked at by weights alone, or not yet. */
const NEVER = [
  'what the models do: no input was run through them; an expert that learned nonsense looks like any other',
  'a probability: there is no predictor yet that was checked against measured merges, so none is given',
  'the order of neurons (permutations), and singular subspaces',
]

/**
 * Looks at the weights of a recipe's models for what may keep the merge from working, in bounded memory. Reads all models several times, writes
 * nothing. Throws MergeError where there is no base to compare with.
 *
 * @example
 * const recipe = parse('base + (a - base) + (b - base)', { models: { base: 'zoo/toy/separate/base', a: 'zoo/toy/separate/a', b: 'zoo/toy/separate/b' } })
 * console.log((await diagnose(recipe, await openModels(recipe))).verdict.outlook)
 */
export async function diagnose(recipe: Recipe, models: OpenedModels, options: DiagnoseOptions = {}): Promise<Diagnosis> {
  const base = options.base ?? baseOf(recipe)
  if (base === null || !models.has(base)) {
    throw new MergeError(base === null ? 'the recipe names no base, and task vectors are differences to one' : `${base} is none of the recipe’s models`, {
      where: recipe.source.name,
      fix: `say which of its models is the base: ${[...models.keys()].join(', ')}`,
    })
  }
  const subjects = subjectsOf(recipe, models, base)
  const { looks, requests } = request(subjects, options.quick ?? false)
  const plan = planLooks(looks, models, options)
  const sums = await runLooks(plan, progressOf(plan, options.progress))
  const layerOf = (name: string) => models.get(base)!.layers.of(name)
  const measures = requests.map(({ measure, of, wanted }) => measured(measure, of, wanted, subjects.tensors, sums, layerOf))
  const findings = findingsOf(subjects, measures)
  return {
    base,
    tasks: subjects.tasks,
    tensors: subjects.tensors.map(({ name, shape }) => {
      const layer = layerOf(name)
      return { name, shape, pattern: layer ? name.replace(`${layer.stack}.${layer.index}.`, `${layer.stack}.{}.`) : name, layer: layer?.index ?? null }
    }),
    verdict: judge(subjects, findings, measures),
    findings,
    measures,
    structure: compareModels(recipe, models),
    notLookedAt: [
      ...subjects.leftOut,
      ...(subjects.tensors.some(isTelling) ? [] : [`whether the models share the base: no matrix has the ${TELLING_ENTRIES} entries that tell`]),
      ...(options.quick ? ['directional damage'] : []),
      ...NEVER,
    ],
    read: plan.read,
  }
}

function progressOf({ read }: LookPlan, tell: DiagnoseOptions['progress']): ((read: number) => void) | undefined {
  let done = 0
  return tell && (more => tell(Math.min(1, (done += more) / read)))
}

/** One measure of one subject: for each tensor that it says something about, where its sums are found among those of the tensor. */
interface Request {
  readonly measure: string
  readonly of: readonly string[]
  readonly wanted: readonly { readonly tensor: number; readonly sums: ReadonlyMap<string, number> }[]
}

/** Sums that several measures want are found once: equal formulas are one object. */
function request({ base, tasks, tensors }: Subjects, isQuick: boolean) {
  const folds = tensors.map(() => new Map<Tensor, number>())
  const chosen = Object.entries(MEASURES).filter(([, { isCostly }]) => !(isQuick && isCostly))
  const requests = chosen.flatMap(([measure, rule]) => subjectsFor(rule, base, tasks).map((of): Request => ({ measure, of, wanted: wantedBy(rule, of) })))
  const looks = tensors.map(({ name, inputs, shape }, i) => ({ name, inputs, shape, folds: [...folds[i]!.keys()] }))
  return { looks, requests }

  function wantedBy(rule: Measure, of: readonly string[]): Request['wanted'] {
    return tensors.flatMap((subject, tensor) => {
      const sums = sumsOf(rule, of, subject, base)
      return sums ? [{ tensor, sums: new Map(Object.entries(sums).map(([name, fold]) => [name, placeOf(folds[tensor]!, fold)])) }] : []
    })
  }
}

function placeOf(folds: Map<Tensor, number>, fold: Tensor): number {
  const place = folds.get(fold) ?? folds.size
  folds.set(fold, place)
  return place
}

function subjectsFor({ of }: Measure, base: string, tasks: readonly string[]): readonly (readonly string[])[] {
  switch (of) {
    case 'model':
      return [base, ...tasks].map(model => [model])
    case 'task':
      return tasks.map(task => [task])
    case 'pair':
      return tasks.flatMap((a, i) => tasks.slice(i + 1).map(b => [a, b]))
    case 'other':
      return tasks.flatMap(a => tasks.filter(b => b !== a).map(b => [a, b]))
    default:
      throw of satisfies never
  }
}

function sumsOf(rule: Measure, [first, second]: readonly string[], { base: own, tasks }: Subject, base: string): Sums {
  const [task, other] = [tasks.get(first!), tasks.get(second!)]
  if (rule.of === 'model') return first === base ? rule.folds(own) : task ? rule.folds(task.model) : null
  if (rule.of === 'task') return task ? rule.folds(task) : null
  return task && other ? rule.folds(task, other) : null
}

function measured(
  measure: string,
  of: readonly string[],
  wanted: Request['wanted'],
  tensors: readonly Subject[],
  sums: readonly Float64Array[],
  layerOf: (name: string) => { readonly stack: string; readonly index: number } | null,
): Measured {
  const rule = MEASURES[measure]!
  const parts = new Map(
    wanted.map(({ tensor, sums: places }): [string, Part] => {
      const { name, shape } = tensors[tensor]!
      return [name, { shape, sums: Object.fromEntries([...places].map(([sum, place]) => [sum, sums[tensor]![place]!])) }]
    }),
  )
  const layers = new Map<string, Part[]>()
  for (const [name, part] of parts) {
    const layer = layerOf(name)
    if (layer) layers.set(`${layer.stack}.${layer.index}`, [...(layers.get(`${layer.stack}.${layer.index}`) ?? []), part])
  }
  const all = [...parts.values()]
  return {
    measure,
    of,
    value: all.length > 0 ? rule.value(all) : null,
    error: all.length > 0 ? (rule.error?.(all) ?? null) : null,
    layers: Object.fromEntries([...layers].map(([layer, own]) => [layer, rule.value(own)])),
    tensors: Object.fromEntries([...parts].map(([name, part]) => [name, rule.value([part])])),
  }
}
