import type { AnyMethod, Param } from '../methods/method.ts'
import { faultAt, nearest } from './locate.ts'
import { isParameterSomewhere, own } from './lookup.ts'
import { rounded } from './mass.ts'
import { coerce, valuesOf } from './parameters.ts'
import type { Note, Recipe, Scalar, Setting, Settings } from './recipe.ts'

/** Checks the names and values of a block of parameters. `owner` names the model they belong to; null for those of the whole call. */
export function checkSettings(recipe: Recipe, name: string, method: AnyMethod, settings: Settings, owner: string | null): readonly Note[] {
  return Object.entries(settings).flatMap(([parameter, setting]) => {
    const param = own(method.params, parameter)
    if (!param) return checkUnknown(recipe, name, method, parameter, setting, owner)
    if (owner !== null && param.scope !== 'model') return misplaced(recipe, name, param, parameter, setting, owner)
    return valuesOf(setting).flatMap(({ value, at }) => checkValue(recipe, param, parameter, value, at))
  })
}

function checkUnknown({ source, form }: Recipe, name: string, method: AnyMethod, parameter: string, { at, value }: Setting, owner: string | null): readonly Note[] {
  if (method.ignored?.includes(parameter)) return []
  const prefix = owner === null ? '' : `${owner}: `
  if (/^(random_)?seed$/.test(parameter)) {
    const seed = typeof value === 'number' ? value : 42
    throw faultAt(
      source,
      at,
      `${prefix}${parameter} is not a parameter of ${name}`,
      form === 'expression' ? `give it beside the expression: \`--seed ${seed}\`` : `the seed stands at the top level: \`seed: ${seed}\``,
    )
  }
  if (isParameterSomewhere(parameter)) return [{ text: `${prefix}${parameter} has no effect in ${name}`, at }]
  const names = Object.keys(method.params)
  const near = nearest(parameter, names)
  throw faultAt(source, at, `${prefix}unknown parameter "${parameter}" of ${name}`, near ? `did you mean "${near}"?` : `parameters of ${name}: ${names.join(', ')}`)
}

/** mergekit passes over a parameter of the whole merge that stands at one model, and so must its recipes; elsewhere it is a mistake. */
function misplaced({ source, form }: Recipe, name: string, param: Param, parameter: string, { at }: Setting, owner: string): readonly Note[] {
  const required = param.default === undefined
  if (form === 'mergekit' && !required) return [{ text: `${owner}: ${parameter} has no effect here: it belongs to the whole merge, under the top-level parameters`, at }]
  const fix = form === 'mergekit' ? `move ${parameter} to the top-level parameters` : 'give one value for all'
  throw faultAt(source, at, `${parameter} of ${name} is one value for the whole merge, not one for each model`, fix)
}

function checkValue({ source, form }: Recipe, param: Param, parameter: string, value: Scalar | boolean | string, at: Setting['at']): readonly Note[] {
  if (typeof value === 'object') {
    if (param.scope === 'flag' || param.scope === 'choice') throw faultAt(source, at, `${parameter} cannot be a gradient`, `${parameter} must be ${wantedOf(param)}`)
    return value.flatMap((v, i) => checkNumber(source, param, parameter, v, at).filter(() => value.indexOf(v) === i))
  }
  const isTruth = form !== 'mergekit' && wantedOf(param) === NUMBER && typeof value === 'boolean' // mergekit takes true for 1
  const coerced = isTruth ? undefined : coerce(param, value)
  if (coerced === undefined) {
    const near = param.scope === 'choice' ? nearest(String(value), param.values.map(String)) : null
    const written = typeof value === 'string' ? `"${value}"` : value
    const fix = near ? `did you mean "${near}"?` : wantedOf(param) === NUMBER ? 'write a number such as 0.5' : `write ${wantedOf(param)}`
    throw faultAt(source, at, `${parameter} must be ${wantedOf(param)}, not ${written}`, fix)
  }
  return param.scope === 'model' || param.scope === 'merge' ? checkNumber(source, param, parameter, coerced as number, at) : [] // coerce gives numbers for these
}

const NUMBER = 'a number'

function wantedOf(param: Param): string {
  switch (param.scope) {
    case 'model':
    case 'merge':
      return NUMBER
    case 'flag':
      return 'true or false'
    case 'choice': {
      const values = param.values.map(v => (typeof v === 'string' ? `"${v}"` : String(v)))
      return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`
    }
    default:
      throw param satisfies never
  }
}

type Numeric = Extract<Param, { scope: 'model' | 'merge' }>

function checkNumber(source: Recipe['source'], param: Numeric, parameter: string, value: number, at: Setting['at']): readonly Note[] {
  if (!isInRange(param, value)) {
    const percent = value / 100
    const fix = value >= 2 && isInRange(param, percent) ? `did you mean ${rounded(percent)}?` : `write a number ${rangeOf(param)}`
    throw faultAt(source, at, `${parameter} is ${value}, and must be ${rangeOf(param)}`, fix)
  }
  if (Math.abs(value) > MAX_FLOAT32) throw faultAt(source, at, `${parameter} is ${value}, and merges are computed in float32, which ends at 3.4e38`, 'write a smaller number')
  const [low, high] = param.usual ?? [-Infinity, Infinity]
  return value < low || value > high ? [{ text: `${parameter} is ${value}, outside the usual range from ${low} to ${high}`, at }] : []
}

const MAX_FLOAT32 = 2 ** 128 - 2 ** 104

function isInRange({ min = -Infinity, max = Infinity, exclusiveMin = false }: Numeric, value: number): boolean {
  return Number.isFinite(value) && value <= max && (exclusiveMin ? value > min : value >= min)
}

function rangeOf({ min, max, exclusiveMin }: Numeric): string {
  const low = min === undefined ? '' : exclusiveMin ? `above ${min}` : `at least ${min}`
  const high = max === undefined ? '' : `at most ${max}`
  return [low, high].filter(Boolean).join(' and ') || 'finite'
}
