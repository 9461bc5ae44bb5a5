import { isWhole } from '../algebra/ops.ts'
import { show } from '../algebra/show.ts'
import { type Shape, Tensor } from '../algebra/tensor.ts'
import { type AnyMethod, type AnyModel, type BaseRole, everywhereIn, type Param } from './method.ts'

/** What the command line and the docs say of a method, from its own declarations. */
export interface MethodText {
  readonly title: string
  readonly about: string
  readonly paper: string | null
  /** One sentence on base and number of models. */
  readonly use: string
  /** Per parameter: name, scope, default, range, meaning. */
  readonly rows: readonly (readonly string[])[]
  /** An example in both forms. */
  readonly recipe: string
  /** What the example computes for each tensor, as lines of mathematics, for which values it was written down, and which of them the example leaves out. */
  readonly formula: { readonly lines: string; readonly of: string; readonly shape: Shape; readonly besides: Readonly<Record<string, number>> }
}

const BASES: Readonly<Record<BaseRole, string>> = {
  required: 'Needs a base model, from which the task vectors are taken.',
  optional: 'Takes a base model if one is given, and then works on task vectors.',
  first: 'The base is the first of the models.',
  unused: 'Takes no base.',
}

export function describeMethod(name: string, method: AnyMethod): MethodText {
  const { min = 1, max } = method.models ?? {}
  const number = max === undefined ? `${min} or more models` : min === max ? `exactly ${min === 1 ? 'one model' : `${min} models`}` : `${min} to ${max} models`
  return {
    title: method.summary,
    about: method.about,
    paper: method.paper,
    use: `${BASES[method.base]} Merges ${number}.`,
    rows: Object.entries(method.params).map(([param, spec]) => {
      const { fallback, range } = rangeOf(spec)
      return [param, spec.scope === 'model' ? 'each model' : 'the merge', fallback, range, spec.doc]
    }),
    recipe: recipeFor(name, method),
    formula: formulaFor(method),
  }
}

/** Default and range in words; `short` is ` (1)` or nothing, for lists. */
export function rangeOf(spec: Param): { readonly fallback: string; readonly range: string; readonly short: string } {
  if (spec.scope === 'flag') return { fallback: String(spec.default), range: 'true, false', short: ` (${spec.default})` }
  if (spec.scope === 'choice') return { fallback: String(spec.default), range: spec.values.join(', '), short: ` (${spec.default})` }
  const fallback =
    spec.default === undefined
      ? spec.scope === 'model' && spec.inExpression !== undefined
        ? `required in mergekit’s form; ${spec.inExpression} in expressions`
        : 'required'
      : spec.default === null
        ? 'none'
        : String(spec.default)
  const open = spec.exclusiveMin ? '(' : '['
  const bounds = spec.min === undefined && spec.max === undefined ? 'any' : `${open}${spec.min ?? '−∞'}, ${spec.max ?? '∞'}${spec.max === undefined ? ')' : ']'}`
  const usual = spec.usual ? `any; usually ${spec.usual[0]} to ${spec.usual[1]}` : bounds
  return { fallback, range: usual, short: spec.default === undefined || spec.default === null ? '' : ` (${spec.default})` }
}

/** What recipe and formula set, a list for each model its own; other parameters keep their defaults. */
const EXAMPLE: Readonly<Record<string, number | readonly number[]>> = { weight: [0.5, 0.25], density: 0.3, t: 0.25 }
/** What else it sets of parameters without a default. */
const REQUIRED: typeof EXAMPLE = { alpha: 0.25, beta: 0.5 }
const EXAMPLE_SHAPE = [1000]
const EXAMPLE_MATRIX = [40, 25] // where a method has more to say of matrices than of other tensors
/** What the formula sets and the recipe does not: all iterations of a method would fill pages. */
const SHORTENED: Readonly<Record<string, number>> = { max_iter: 1 }

/** The example's values of a parameter, a list for each model its own; null where it sets none. */
function valuesOf({ params }: AnyMethod, param: string): number | readonly number[] | null {
  const examples = Object.hasOwn(EXAMPLE, param) ? EXAMPLE : REQUIRED
  const isWanted = examples === EXAMPLE || !('default' in params[param]!)
  return isWanted && Object.hasOwn(examples, param) ? examples[param]! : null
}

/** That for the model of an index. */
function exampleOf(method: AnyMethod, param: string, index = 0): number | null {
  const value = valuesOf(method, param)
  return typeof value === 'object' && value !== null ? value[index]! : value
}

/** The names of the example's models in their order, without those that are the base. */
const mergedModels = (method: AnyMethod): readonly string[] => (method.base === 'first' ? ['base', 'code'] : method.models?.max === 1 ? ['code'] : ['code', 'math'])

/** What the method writes down, for a matrix if it works on whole ones. */
function formulaFor(method: AnyMethod): MethodText['formula'] {
  const { root, ...formula } = formulaOver(method, EXAMPLE_MATRIX)
  const isOfWholes = (t: Tensor): boolean => isWhole(t.op) || t.inputs.some(isOfWholes)
  return isOfWholes(root) ? formula : formulaOver(method, EXAMPLE_SHAPE)
}

/** Runs the method on unread tensors, as the planner does. */
function formulaOver(method: AnyMethod, shape: Shape): MethodText['formula'] & { readonly root: Tensor } {
  const params = Object.entries(method.params)
  const besides = Object.fromEntries(Object.entries(SHORTENED).filter(([name]) => Object.hasOwn(method.params, name)))
  const shared = Object.fromEntries(
    params.filter(([, spec]) => spec.scope !== 'model').map(([name, spec]) => [name, exampleOf(method, name) ?? besides[name] ?? spec.default ?? null]),
  )
  const each = (index: number) =>
    Object.fromEntries(
      params.filter(([, spec]) => spec.scope === 'model').map(([name, spec]) => [name, exampleOf(method, name, index) ?? (spec.default as number | undefined) ?? 1]),
    )
  const inputs = [...new Set([...(method.base === 'unused' ? [] : ['base']), ...mergedModels(method)])]
  const tensorOf = (model: string): Tensor => Tensor.source(inputs.indexOf(model), shape)
  const base = method.base === 'required' || method.base === 'optional' ? tensorOf('base') : Tensor.constant(0)
  const models = mergedModels(method).map((model, index) => ({ ...each(index), index, tensor: tensorOf(model), delta: tensorOf(model).sub(base) }) as AnyModel) // numbers by the names of params
  const isMatrix = shape.length === 2
  const random = (label: string | number): Tensor => Tensor.random(String(label), shape)
  const rootAt = (position: number): Tensor => method.merge({ name: 'tensor', shape, isMatrix, base, models, random, everywhere: everywhereIn(''), position }, shared)
  const root = rootAt(0)
  const place = root === rootAt(1) ? [] : ['in the first layer'] // told where layers differ
  const kept = Object.entries(shared).filter(([name, value]) => value !== null && exampleOf(method, name) === null)
  const of = isMatrix ? `a matrix of ${shape.join(' × ')}` : `a tensor of ${shape[0]} elements`
  return { root, shape, lines: show(root, input => inputs[input]!), of: [of, ...place, ...kept.map(([name, value]) => `${name} ${value}`)].join(', '), besides }
}

function recipeFor(name: string, method: AnyMethod): string {
  const example = Object.keys(method.params).filter(param => exampleOf(method, param) !== null)
  const written = (scope: Param['scope'], index = 0): string =>
    example
      .filter(param => method.params[param]!.scope === scope)
      .map(param => `${param}: ${exampleOf(method, param, index)}`)
      .join(', ')
  const models = mergedModels(method)
  const yaml = [
    `merge_method: ${name}`,
    ...(method.base === 'unused' ? [] : ['base_model: models/base']),
    'models:',
    ...models.map((model, i) => (written('model') ? `  - { model: models/${model}, parameters: { ${written('model', i)} } }` : `  - model: models/${model}`)),
    ...(written('merge') ? [`parameters: { ${written('merge')} }`] : []),
    'dtype: bfloat16',
  ]
  const isTaskVectors = method.base === 'required' && !method.laws.deltas
  const argument = (param: string): string => {
    const value = valuesOf(method, param)!
    return `${param}=${typeof value === 'number' ? value : `(${value.slice(0, models.length).join(', ')})`}`
  }
  const spelt = [
    ...models.map(model => (isTaskVectors ? `${model} - base` : model)),
    ...example.map(argument),
    ...(method.base === 'optional' || method.laws.deltas ? ['base=base'] : []),
  ]
  const call = `${name}(${spelt.join(', ')})`
  return `As a mergekit recipe:\n\n${yaml.map(l => `    ${l}`).join('\n')}\n\nAs an expression:\n\n    ${isTaskVectors ? `base + ${call}` : call}\n`
}
