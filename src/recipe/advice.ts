import type { MergeError } from '../errors.ts'
import { faultAt } from './locate.ts'
import { isAll, massOf, numberAt, positionsOf, rounded } from './mass.ts'
import type { At, Expression, Recipe } from './recipe.ts'
import { show, showFactor } from './show.ts'

interface Term {
  readonly sign: 1 | -1
  readonly expression: Expression
}

/** Throws unless `expression` is a model: mass 1 at every layer. Says in the user's own names how to make it one. */
export function requireModel(expression: Expression, recipe: Recipe): void {
  const masses = massOf(expression, recipe)
  if (masses === null) throw faultAt(recipe.source, expression.at, 'the expression is a number and names no model', 'write for example `base + 0.5*(math - base)`')
  if (isAll(masses, 1)) return
  throw wrongMass(expression, masses, recipe)
}

function wrongMass(expression: Expression, masses: readonly number[], recipe: Recipe): MergeError {
  const { source } = recipe
  const fail = (at: At, what: string, fix: string) => faultAt(source, at, what, fix)
  if (isAll(masses, 0))
    return fail(expression.at, 'this is a task vector, not a model', `add it to a model: \`${pickModel(expression, recipe)} + ${showFactor(expression, source)}\``)
  const mass = masses[0]!
  if (!isAll(masses, mass)) {
    const worst = masses.reduce((a, b) => (Math.abs(b - 1) > Math.abs(a - 1) ? b : a))
    const position = positionsOf(expression)[masses.indexOf(worst)]!
    return fail(
      expression.at,
      `the weights add up to ${rounded(worst)} at ${placeOf(position)}, not to 1`,
      'let the gradients add up to 1 at every layer, or multiply task vectors, such as `math - base`, by them',
    )
  }
  const terms = termsOf(expression, 1).filter(t => !isAll(massOf(t.expression, recipe) ?? [1], 0))
  const models = terms.every(t => t.sign === 1 && isAll(massOf(t.expression, recipe) ?? [], 1))
  const [first, second] = terms
  const written = (t: Term) => showFactor(t.expression, source)
  if (models && terms.length === 2 && first && second) {
    const [a, b] = [written(first), written(second)]
    return fail(spanOf(first, second, expression), 'adds two models', `write \`${a} + (${b} - ${a})\`, or average with \`0.5*${a} + 0.5*${b}\``)
  }
  if (models && terms.length > 2) return fail(expression.at, `adds ${terms.length} models`, `average them: \`(${terms.map(written).join(' + ')})/${terms.length}\``)
  if (terms.length === 1 && first) {
    const other = Object.keys(recipe.models).find(name => !mentions(expression, name))
    const fix =
      other === undefined
        ? `multiply a task vector instead: \`base + ${rounded(mass)}*(model - base)\``
        : `write \`${show(modelNode(other, expression))} + ${rounded(mass)}*(${show(strip(first.expression), source)} - ${show(modelNode(other, expression))})\``
    return fail(expression.at, `the weights add up to ${rounded(mass)}, not to 1`, fix)
  }
  const deltas = first && first.sign === 1 && isAll(massOf(first.expression, recipe) ?? [], 1) ? terms.slice(1).map(t => asDelta(t, written(first), recipe)) : []
  const others = termsOf(expression, 1)
    .filter(t => isAll(massOf(t.expression, recipe) ?? [1], 0))
    .map(t => ` ${t.sign === 1 ? '+' : '-'} ${written(t)}`)
  if (first && deltas.length > 0 && deltas.every(d => d !== null))
    return fail(expression.at, `the weights add up to ${rounded(mass)}, not to 1`, `write \`${written(first)}${deltas.join('')}${others.join('')}\``)
  return fail(expression.at, `the weights add up to ${rounded(mass)}, not to 1`, `write \`(${show(expression, source)})/${rounded(mass)}\``)
}

/** A term `k*m` as `+ k*(m - base)`; null if it has another shape. */
function asDelta({ sign, expression: e }: Term, base: string, recipe: Recipe): string | null {
  const glue = sign === 1 ? ' + ' : ' - '
  if (isAll(massOf(e, recipe) ?? [], 1)) return `${glue}(${showFactor(e, recipe.source)} - ${base})`
  if (e.kind !== 'binary' || e.op !== '*') return null
  const [factor, of] = numberAt(e.left, 0) === null ? [e.right, e.left] : [e.left, e.right]
  return isAll(massOf(of, recipe) ?? [], 1) ? `${glue}${showFactor(factor, recipe.source)}*(${showFactor(of, recipe.source)} - ${base})` : null
}

function termsOf(e: Expression, sign: 1 | -1): readonly Term[] {
  if (e.kind === 'binary' && (e.op === '+' || e.op === '-')) return [...termsOf(e.left, sign), ...termsOf(e.right, e.op === '+' ? sign : sign === 1 ? -1 : 1)]
  if (e.kind === 'negate') return termsOf(e.of, sign === 1 ? -1 : 1)
  return [{ sign, expression: e }]
}

/** The model inside `2*m`, `m/2`, `-m`. */
function strip(e: Expression): Expression {
  if (e.kind === 'negate') return strip(e.of)
  if (e.kind !== 'binary' || e.op === '+' || e.op === '-') return e
  return numberAt(e.left, 0) === null ? strip(e.left) : strip(e.right)
}

const spanOf = (a: Term, b: Term, whole: Expression): At =>
  a.expression.at.line === b.expression.at.line && a.expression.at.column < b.expression.at.column ? { ...a.expression.at, end: b.expression.at.end } : whole.at

const modelNode = (model: string, near: Expression): Expression => ({ kind: 'model', model, at: near.at })

/** The model a task vector was most likely taken from. */
function pickModel(e: Expression, recipe: Recipe): string {
  const names = Object.keys(recipe.models)
  const name = names.includes('base') ? 'base' : (subtracted(e) ?? names[0] ?? 'base')
  return show(modelNode(name, e))
}

function subtracted(e: Expression): string | null {
  switch (e.kind) {
    case 'model':
    case 'number':
      return null
    case 'negate':
      return subtracted(e.of)
    case 'binary':
      return e.op === '-' && e.right.kind === 'model' ? e.right.model : (subtracted(e.left) ?? subtracted(e.right))
    case 'call':
      return e.arguments.map(a => subtracted(a.expression)).find(name => name !== null) ?? null
    default:
      throw e satisfies never
  }
}

function mentions(e: Expression, name: string): boolean {
  switch (e.kind) {
    case 'model':
      return e.model === name
    case 'number':
      return false
    case 'negate':
      return mentions(e.of, name)
    case 'binary':
      return mentions(e.left, name) || mentions(e.right, name)
    case 'call':
      return e.arguments.some(a => mentions(a.expression, name)) || (e.base !== null && mentions(e.base, name))
    default:
      throw e satisfies never
  }
}

const placeOf = (position: number): string => (position === 0 ? 'the first layer' : position === 1 ? 'the last layer' : `${rounded(position * 100)}% of the depth`)
