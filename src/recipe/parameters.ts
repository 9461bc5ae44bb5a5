import type { AnyMethod, Param } from '../methods/method.ts'
import { faultAt } from './locate.ts'
import { own } from './lookup.ts'
import type { Argument, Expression, Recipe, Scalar, Setting } from './recipe.ts'
import { label } from './show.ts'
import { modelAt } from './walk.ts'

type Call = Extract<Expression, { kind: 'call' }>
type Plain = number | boolean | string

/** A call's parameters for one tensor: those of each model in order, and those of the whole merge. */
export interface Resolved {
  readonly models: readonly Readonly<Record<string, number>>[]
  readonly merge: Readonly<Record<string, number | boolean | string | null>>
}

/** Where a layer stands in the model, 0 (first) to 1 (last): 1 when it is the only layer, 0 for tensors outside the layers, as in mergekit. */
export function positionOf(layer: { readonly index: number; readonly count: number } | null): number {
  if (layer === null) return 0
  return layer.count === 1 ? 1 : layer.index / (layer.count - 1)
}

/** The value of a scalar or gradient at `position`, linear between neighbours. */
export function scalarAt(scalar: Scalar, position: number): number {
  if (typeof scalar === 'number') return scalar
  const scaled = position * (scalar.length - 1)
  const before = Math.min(Math.floor(scaled), scalar.length - 1)
  const share = scaled - before
  return share === 0 ? scalar[before]! : (1 - share) * scalar[before]! + share * scalar[before + 1]!
}

/** What `setting` says for one tensor at `position` in [0, 1]; undefined when none of its filters matches. */
export function resolveSetting(setting: Setting, tensorName: string, position: number): Plain | undefined {
  const value = setting.filtered ? filteredOf(setting).find(f => f.filter === null || tensorName.includes(f.filter))?.value : unfilteredOf(setting)
  return typeof value === 'object' ? scalarAt(value, position) : value
}

/** All values a setting can give, each with the place it is written. */
export const valuesOf = (setting: Setting): readonly { readonly value: Scalar | boolean | string; readonly at: Setting['at'] }[] =>
  setting.filtered ? filteredOf(setting) : [{ value: unfilteredOf(setting), at: setting.at }]

export const filteredOf = (setting: Setting) => setting.value as Exclude<Setting['value'], Scalar | boolean | string> // `filtered` is what the readers set it by
export const unfilteredOf = (setting: Setting) => setting.value as Scalar | boolean | string

/**
 * `value` as `param` wants it: 1 and 0 for numbers given as true and false, true and false for flags given as 1, 0, yes, no, on, off.
 * Undefined when it is of the wrong type.
 */
export function coerce(param: Param, value: Plain): Plain | undefined {
  switch (param.scope) {
    case 'model':
    case 'merge':
      return typeof value === 'string' ? undefined : Number(value)
    case 'flag':
      return truth(value)
    case 'choice': {
      if (param.values.some(v => v === value)) return value as boolean | string // it is one of the choices
      const claim = truth(value)
      return claim !== undefined && param.values.includes(claim) ? claim : undefined
    }
    default:
      throw param satisfies never
  }
}

const TRUE = ['true', 'yes', 'on'] // PyYAML, which mergekit reads with, takes the last two of each for booleans
const FALSE = ['false', 'no', 'off']

function truth(value: Plain): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (value === 1 || value === 0) return value === 1
  const word = String(value).toLowerCase()
  return TRUE.includes(word) ? true : FALSE.includes(word) ? false : undefined
}

/** The names that filters see: those of the output tensor for parameters of the whole merge, those of each argument's own tensor for its parameters. */
export interface FilterNames {
  readonly output: string
  readonly inputs: readonly string[]
}

/** A call's parameters for one tensor: the model's own, else the call's, else the default. Throws when a required one is missing for this tensor. */
export function resolveParameters(recipe: Recipe, call: Call, method: AnyMethod, names: FilterNames, position: number): Resolved {
  const find = (settings: Argument['parameters'], name: string, param: Param, tensorName: string): Plain | undefined => {
    const setting = own(settings, name)
    const value = setting && resolveSetting(setting, tensorName, position)
    return value === undefined ? undefined : coerce(param, value)
  }
  const params = Object.entries(method.params)
  const models = call.arguments.map((argument, i) => {
    const tensorName = names.inputs[i]!
    return Object.fromEntries(
      params.flatMap(([name, param]) => {
        if (param.scope !== 'model') return []
        const fallback = param.default ?? (recipe.form === 'mergekit' ? undefined : param.inExpression)
        const value = find(argument.parameters, name, param, tensorName) ?? find(call.parameters, name, param, tensorName) ?? fallback
        if (value === undefined) throw missingForTensor(recipe, call, argument, name, tensorName)
        return [[name, value as number]] // coerce gave a number
      }),
    )
  })
  const merge = Object.fromEntries(
    params.flatMap(([name, param]) => {
      if (param.scope === 'model') return []
      const value = find(call.parameters, name, param, names.output) ?? param.default
      if (value === undefined) throw missingForTensor(recipe, call, null, name, names.output)
      return [[name, value]]
    }),
  )
  refuseZeroSum(recipe, call, method, { models, merge }, names.output)
  return { models, merge }
}

function missingForTensor(recipe: Recipe, call: Call, argument: Argument | null, name: string, tensorName: string) {
  const setting = own(argument?.parameters ?? {}, name) ?? own(call.parameters, name)
  const owner = argument ? ` for ${label(argument.expression, recipe.source)}` : ''
  const fix = setting ? `none of its filters matches this tensor; add a last entry for the rest: \`- {value: 1}\`` : `set \`${name}: 1\``
  return faultAt(recipe.source, setting?.at ?? (argument ? modelAt(argument.expression) : call.at), `${tensorName}: ${call.method} has no ${name}${owner}`, fix)
}

const NEARLY_ZERO = 1e-8 // of the sum of magnitudes: what rounding leaves of 0.1 + 0.2 - 0.3

/** Throws when a plain average would divide by a weight sum of zero. Methods with a base fall back on it and are not concerned. */
export function refuseZeroSum(recipe: Recipe, call: Call, method: AnyMethod, { models, merge }: Resolved, tensorName: string | null): void {
  const averages = method.base === 'unused' && own(method.params, 'weight')?.scope === 'model' && own(method.params, 'normalize')?.scope === 'flag'
  if (!averages || merge.normalize !== true) return
  const weights = models.map(m => m.weight!)
  const size = weights.reduce((total, w) => total + Math.abs(w), 0)
  const total = weights.reduce((sum, w) => sum + w, 0)
  if (!Number.isFinite(Math.fround(total)))
    throw faultAt(recipe.source, call.at, `the weights of ${call.method} add up to ${Number(total.toPrecision(3))}, and float32 ends at 3.4e38`, 'write smaller weights')
  if (Math.abs(total) > NEARLY_ZERO * size && Math.fround(total) !== 0) return // the engine divides by it as float32
  const prefix = tensorName === null ? '' : `${tensorName}: `
  const off = recipe.form === 'mergekit' ? 'parameters: {normalize: false}' : 'normalize=false'
  const fix = Math.fround(size) === 0 ? 'give at least one model a weight other than 0' : `change a weight, or add them without dividing: \`${off}\``
  throw faultAt(recipe.source, call.at, `${prefix}the weights of ${call.method} add up to 0, and the average divides by their sum`, fix)
}
