import type { AnyMethod, BaseRole, Param } from './method.ts'

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
  }
}

/** Default and range in words; `short` is ` (1)` or nothing, for lists. */
export function rangeOf(spec: Param): { readonly fallback: string; readonly range: string; readonly short: string } {
  if (spec.scope === 'flag') return { fallback: String(spec.default), range: 'true, false', short: ` (${spec.default})` }
  if (spec.scope === 'choice') return { fallback: String(spec.default), range: spec.values.join(', '), short: ` (${spec.default})` }
  const fallback = spec.default === undefined ? 'required' : spec.default === null ? 'none' : String(spec.default)
  const open = spec.exclusiveMin ? '(' : '['
  const bounds = spec.min === undefined && spec.max === undefined ? 'any' : `${open}${spec.min ?? '−∞'}, ${spec.max ?? '∞'}${spec.max === undefined ? ')' : ']'}`
  const usual = spec.usual ? `any; usually ${spec.usual[0]} to ${spec.usual[1]}` : bounds
  return { fallback, range: usual, short: spec.default === undefined || spec.default === null ? '' : ` (${spec.default})` }
}

function recipeFor(name: string, method: AnyMethod): string {
  const one = method.models?.max === 1
  const weighted = 'weight' in method.params
  const shared = Object.keys(method.params).includes('density') ? ', density=0.3' : 't' in method.params ? ', t=0.5' : ''
  const entry = (model: string): string =>
    weighted ? `  - { model: models/${model}, parameters: { weight: 0.5${'density' in method.params ? ', density: 0.3' : ''} } }` : `  - model: models/${model}`
  const yaml = [
    `merge_method: ${name}`,
    ...(method.base === 'unused' ? [] : ['base_model: models/base']),
    'models:',
    ...(method.base === 'first' ? ['  - model: models/base', '  - model: models/code'] : one ? [entry('code')] : [entry('code'), entry('math')]),
    ...('t' in method.params ? ['parameters: { t: 0.5 }'] : []),
    'dtype: bfloat16',
  ]
  const call =
    method.base === 'first'
      ? `${name}(base, code${shared})`
      : method.base === 'required'
        ? `base + ${name}(code - base, math - base${shared})`
        : one
          ? `${name}(code)`
          : `${name}(code, math, weight=(0.6, 0.4))`
  return `As a mergekit recipe:\n\n${yaml.map(l => `    ${l}`).join('\n')}\n\nAs an expression:\n\n    ${call}\n`
}
