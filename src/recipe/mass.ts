import { METHODS } from '../methods/_all.ts'
import type { Param } from '../methods/method.ts'
import { faultAt } from './locate.ts'
import { own } from './lookup.ts'
import { coerce, resolveSetting, scalarAt } from './parameters.ts'
import type { Expression, Recipe, Scalar, Settings } from './recipe.ts'
import { label, show, showFactor } from './show.ts'
import { childrenOf, partsOf } from './walk.ts'

const TOLERANCE = 1e-5 // of a mass: what rounding of written weights leaves; 0.333333 three times is 1e-6 short

type Call = Extract<Expression, { kind: 'call' }>

/** A number, or a tensor with its mass, at each sampled position. */
type Weighed = { readonly kind: 'number' | 'tensor'; readonly at: readonly number[] }

/**
 * How many models `expression` amounts to, at each of `positionsOf(expression)`: 1 for a model, 0 for a task vector. Null for a plain number.
 * Throws at arithmetic that has no meaning, such as the product of two models.
 */
export function massOf(expression: Expression, recipe: Recipe): readonly number[] | null {
  const weighed = weigh(expression, recipe, positionsOf(expression))
  return weighed.kind === 'tensor' ? weighed.at : null
}

/** The value of a part of an expression that names no model, at `position`; null if it does name one. */
export function numberAt(e: Expression, position: number): number | null {
  switch (e.kind) {
    case 'model':
    case 'call':
    case 'function':
    case 'layers':
    case 'stack':
    case 'modules':
    case 'stage':
      return null
    case 'number':
      return scalarAt(e.value, position)
    case 'negate': {
      const of = numberAt(e.of, position)
      return of === null ? null : -of
    }
    case 'binary': {
      const left = numberAt(e.left, position)
      const right = left === null ? null : numberAt(e.right, position)
      return left === null || right === null ? null : compute(e.op, left, right)
    }
    default:
      throw e satisfies never
  }
}

function compute(op: '+' | '-' | '*' | '/', a: number, b: number): number {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    default:
      throw op satisfies never
  }
}

/** Positions in [0, 1] between which every gradient of the expression is straight, and the middles between them. */
export function positionsOf(expression: Expression): readonly number[] {
  const lengths = new Set(
    partsOf(expression)
      .flatMap(scalarsOf)
      .flatMap(value => (typeof value !== 'number' && value.length > 1 ? [value.length] : [])),
  )
  const bends = [...new Set([0, ...[...lengths].flatMap(n => Array.from({ length: n }, (_, i) => i / (n - 1)))])].sort((a, b) => a - b)
  return bends.flatMap((p, i) => (i === 0 ? [p] : [(bends[i - 1]! + p) / 2, p]))
}

/** The numbers and gradients of an expression's own that its mass may depend on. */
function scalarsOf(e: Expression): readonly Scalar[] {
  if (e.kind === 'number') return [e.value]
  if (e.kind !== 'call') return []
  const settings = [e.parameters, ...e.arguments.map(a => a.parameters)].flatMap(s => Object.values(s))
  return settings.flatMap(s => (!s.filtered && typeof s.value === 'object' ? [s.value as Scalar] : [])) // not filtered, so no list of filters
}

export const isAll = (masses: readonly number[], wanted: number): boolean => masses.every(m => Math.abs(m - wanted) <= TOLERANCE)

function weigh(e: Expression, recipe: Recipe, positions: readonly number[]): Weighed {
  switch (e.kind) {
    case 'model':
      return { kind: 'tensor', at: positions.map(() => (recipe.models[e.model]?.isAdapter ? 0 : 1)) }
    case 'number':
      return { kind: 'number', at: positions.map(p => scalarAt(e.value, p)) }
    case 'negate': {
      const of = weigh(e.of, recipe, positions)
      return { kind: of.kind, at: of.at.map(m => -m) }
    }
    case 'binary':
      return weighBinary(e, recipe, positions)
    case 'call':
      return weighCall(e, recipe, positions)
    case 'function':
      return weighFunction(e, recipe, positions)
    case 'layers':
    case 'stage':
    case 'stack':
    case 'modules':
      return weighParts(e, recipe, positions)
    default:
      throw e satisfies never
  }
}

function weighBinary(e: Extract<Expression, { kind: 'binary' }>, recipe: Recipe, positions: readonly number[]): Weighed {
  const left = weigh(e.left, recipe, positions)
  const right = weigh(e.right, recipe, positions)
  const fail = (what: string, fix: string) => faultAt(recipe.source, e.at, what, fix)
  if (e.op === '+' || e.op === '-') {
    if (left.kind !== right.kind) {
      const [number, tensor] = left.kind === 'number' ? [e.left, e.right] : [e.right, e.left]
      const noun = nounOf(left.kind === 'number' ? right : left)
      const what = e.op === '+' ? `adds a number to a ${noun}` : left.kind === 'number' ? `subtracts a ${noun} from a number` : `subtracts a number from a ${noun}`
      throw fail(what, `numbers only multiply: \`${showFactor(number, recipe.source)}*${showFactor(tensor, recipe.source)}\``)
    }
  } else if (e.op === '*' && left.kind === 'tensor' && right.kind === 'tensor') {
    throw fail(`multiplies a ${nounOf(left)} by a ${nounOf(right)}`, `multiply by a number: \`0.5*${showFactor(e.right, recipe.source)}\``)
  } else if (e.op === '/' && right.kind === 'tensor') {
    throw fail(`divides by a ${nounOf(right)}`, 'divide by a number')
  } else if (e.op === '/' && right.at.some(n => n === 0)) {
    throw fail('divides by 0', right.at.every(n => n === 0) ? 'divide by another number' : 'choose a gradient that never passes 0')
  }
  const at = left.at.map((l, i) => product(e.op, left, l, right, right.at[i]!))
  const isTensor = left.kind === 'tensor' || right.kind === 'tensor'
  if (isTensor && at.some(Number.isNaN))
    throw fail('scales a model by a norm, whose value is only known when the merge runs', 'scale task vectors by norms: `base + norm(a)/norm(b)*b`, with task vectors a and b')
  if (at.some(n => !Number.isFinite(n) && !Number.isNaN(n))) throw fail('the numbers here grow beyond what a computer can hold', 'write smaller numbers')
  return { kind: isTensor ? 'tensor' : 'number', at }
}

/** NaN stands for a number that nobody knows yet: a norm. Times a task vector it gives one. */
function product(op: '+' | '-' | '*' | '/', left: Weighed, l: number, right: Weighed, r: number): number {
  const isVector = (of: Weighed, mass: number): boolean => of.kind === 'tensor' && Math.abs(mass) <= TOLERANCE
  if (op === '*' && Number.isNaN(l * r) && (isVector(left, l) || isVector(right, r))) return 0
  return op === '/' && Number.isNaN(r) && isVector(left, l) ? 0 : compute(op, l, r)
}

/** A mean weighs what its arguments weigh on average. The other functions are for task vectors, of which a norm is a number. */
function weighFunction(e: Extract<Expression, { kind: 'function' }>, recipe: Recipe, positions: readonly number[]): Weighed {
  const weighed = e.arguments.map(argument => {
    const own = weigh(argument, recipe, positions)
    const place = show(argument, recipe.source)
    if (own.kind === 'number') throw faultAt(recipe.source, argument.at, `an argument of ${e.name} is a number`, 'its arguments are task vectors such as `math - base`')
    if (e.name !== 'mean' && !isAll(own.at, 0))
      throw faultAt(recipe.source, argument.at, `${e.name} is for task vectors, and \`${place}\` is a ${nounOf(own)}`, 'subtract the base: `math - base`')
    return own
  })
  const [first] = weighed
  const other = e.arguments.find((_, i) => nounOf(weighed[i]!) !== nounOf(first!))
  if (other) throw faultAt(recipe.source, other.at, 'mean mixes models and task vectors', 'make all arguments models, or all task vectors such as `math - base`')
  if (e.name === 'norm') return { kind: 'number', at: positions.map(() => Number.NaN) }
  return { kind: 'tensor', at: positions.map((_, i) => weighed.reduce((sum, w) => sum + w.at[i]!, 0) / weighed.length) }
}

function weighCall(e: Call, recipe: Recipe, positions: readonly number[]): Weighed {
  const kinds = e.arguments.map(argument => {
    const weighed = weigh(argument.expression, recipe, positions)
    const place = label(argument.expression, recipe.source)
    if (weighed.kind === 'number')
      throw faultAt(recipe.source, argument.expression.at, `an argument of ${e.method} is a number`, 'arguments are models or task vectors; parameters are written `name=value`')
    if (isAll(weighed.at, 1)) return 1
    if (isAll(weighed.at, 0)) return 0
    const mass = weighed.at.find(m => Math.abs(m - 1) > TOLERANCE && Math.abs(m) > TOLERANCE) ?? weighed.at[0]!
    throw faultAt(
      recipe.source,
      argument.expression.at,
      `\`${place}\` is neither a model nor a task vector: its weights add up to ${rounded(mass)}`,
      'arguments of a method add up to 1 (a model) or to 0 (a task vector, such as `math - base`)',
    )
  })
  const kind = kinds[0] ?? 1
  const other = kinds.findIndex(k => k !== kind)
  if (other > 0) {
    const name = (i: number) => `\`${label(e.arguments[i]!.expression, recipe.source)}\` is a ${kinds[i] === 1 ? 'model' : 'task vector'}`
    throw faultAt(
      recipe.source,
      e.arguments[other]!.expression.at,
      `${e.method} mixes models and task vectors: ${name(0)}, ${name(other)}`,
      'make all arguments models, or all task vectors such as `math - base`',
    )
  }
  if (e.base) weighBase(e, e.base, kind, recipe, positions)
  return { kind: 'tensor', at: positions.map(position => kind * factorOf(e, recipe, position)) }
}

/** How many of its arguments' masses a call amounts to: what the method declares, else one. */
function factorOf(call: Call, recipe: Recipe, position: number): number {
  const { params, mass } = METHODS[call.method]!
  if (recipe.form === 'mergekit' || !mass) return 1 // mergekit's recipes may scale a model
  const read = (name: string, param: Param, settings: Settings): number | boolean | string | null => {
    const setting = own(settings, name) ?? own(call.parameters, name)
    const value = setting && resolveSetting(setting, '', position) // no filters: only mergekit's form has them
    const given = value === undefined ? undefined : coerce(param, value)
    return given ?? param.default ?? (param.scope === 'model' ? (param.inExpression ?? 1) : null) // what is wrong or missing, check.ts tells
  }
  const valuesOf = (isOfModel: boolean, settings: Settings) =>
    Object.fromEntries(Object.entries(params).flatMap(([name, param]) => ((param.scope === 'model') === isOfModel ? [[name, read(name, param, settings)]] : [])))
  return mass(
    call.arguments.map(a => valuesOf(true, a.parameters) as Readonly<Record<string, number>>),
    valuesOf(false, {}),
  ) // coerce gave numbers
}

/** Layers and what is put together from them: each part must be a model at every layer, or a task vector. */
function weighParts(e: Expression, recipe: Recipe, positions: readonly number[]): Weighed {
  const kinds = childrenOf(e).map(child => {
    const { kind, at } = weigh(child, recipe, positionsOf(child))
    const mass = kind === 'number' ? NaN : isAll(at, 1) ? 1 : isAll(at, 0) ? 0 : NaN
    if (Number.isNaN(mass))
      throw faultAt(recipe.source, child.at, `\`${show(child, recipe.source)}\` is neither a model nor a task vector`, 'layers are taken from models, or from task vectors')
    return mass
  })
  const [first = 1] = kinds
  if (kinds.some(kind => kind !== first))
    throw faultAt(recipe.source, e.at, 'layers of models and of task vectors cannot be stacked', 'make all slices models, or all task vectors')
  return { kind: 'tensor', at: positions.map(() => first) }
}

function weighBase(e: Call, base: Expression, kind: 0 | 1, recipe: Recipe, positions: readonly number[]): void {
  if (kind === 0) {
    const whole = show({ ...e, base: null }, recipe.source)
    throw faultAt(recipe.source, base.at, `the arguments of ${e.method} are task vectors, which need no base`, `write \`${showFactor(base, recipe.source)} + ${whole}\``)
  }
  const weighed = weigh(base, recipe, positions)
  if (weighed.kind === 'tensor' && isAll(weighed.at, 1)) return
  const noun = nounOf(weighed)
  const what = noun === 'model' ? `the weights of this one add up to ${rounded(weighed.at.find(m => Math.abs(m - 1) > TOLERANCE)!)}` : `this is a ${noun}`
  throw faultAt(recipe.source, base.at, `the base of ${e.method} must be a model; ${what}`, 'write `base=NAME` with the name of a model')
}

function nounOf({ kind, at }: Weighed): 'number' | 'model' | 'task vector' {
  return kind === 'number' ? 'number' : isAll(at, 0) ? 'task vector' : 'model'
}

/** A mass or weight for people: without the digits that rounding adds. */
export const rounded = (value: number): string => String(Number(value.toPrecision(6)))
