import type { MergeError } from '../errors.ts'
import { faultAt } from './locate.ts'
import { own } from './lookup.ts'
import { isAll, massOf, numberAt, positionsOf, rounded } from './mass.ts'
import type { At, Expression, Recipe } from './recipe.ts'
import { show, showFactor, showName, showTerm } from './show.ts'
import { modelsIn, partsOf, wholeModels } from './walk.ts'

/** A summand that is not a task vector itself. */
interface Term {
  readonly sign: 1 | -1
  readonly expression: Expression
}

/** Throws unless `expression` is a model: mass 1 at every layer. Says in the user's own names how to make it one. */
export function requireModel(expression: Expression, recipe: Recipe): void {
  const { source } = recipe
  const masses = massOf(expression, recipe)
  if (masses === null) throw faultAt(source, expression.at, 'the expression is a number and names no model', 'write for example `base + 0.5*(math - base)`')
  if (isAll(masses, 1)) return
  if (isAll(masses, 0)) {
    throw faultAt(source, expression.at, 'this is a task vector, not a model', `add it to a model: \`${pickModel(expression, recipe)} + ${showTerm(expression, source)}\``)
  }
  const mass = masses[0]!
  if (isAll(masses, mass)) throw wrongMass(expression, mass, recipe)
  const worst = masses.reduce((a, b) => (Math.abs(b - 1) > Math.abs(a - 1) ? b : a))
  const place = placeOf(positionsOf(expression)[masses.indexOf(worst)]!)
  const fix = 'let the gradients add up to 1 at every layer, or multiply task vectors, such as `math - base`, by them'
  throw faultAt(source, expression.at, `the weights add up to ${rounded(worst)} at ${place}, not to 1`, fix)
}

/** Throws unless the expression is a task vector. */
export function requireVector(expression: Expression, recipe: Recipe): void {
  const masses = massOf(expression, recipe)
  if (masses !== null && isAll(masses, 0)) return
  const what = masses === null ? 'the expression is a number' : 'this is a model, not a task vector'
  throw faultAt(recipe.source, expression.at, what, 'subtract the base: `math - base`')
}

function wrongMass(whole: Expression, mass: number, recipe: Recipe): MergeError {
  const { source } = recipe
  const all = termsOf(whole, 1, recipe)
  const terms = all.filter(t => !isMass(t.expression, 0, recipe))
  const [first, second] = terms
  const written = (t: Term) => showFactor(t.expression, source)
  if (first && second && terms.every(t => t.sign === 1 && isMass(t.expression, 1, recipe))) {
    if (terms.length > 2) return faultAt(source, whole.at, `adds ${terms.length} models`, `average them: \`(${terms.map(written).join(' + ')})/${terms.length}\``)
    const [a, b] = [written(first), written(second)]
    return faultAt(source, spanOf(first, second, whole), 'adds two models', `write \`${a} + (${b} - ${a})\`, or average with \`0.5*${a} + 0.5*${b}\``)
  }
  const undivided = partsOf(whole).find(e => e.kind === 'call' && own(e.parameters, 'normalize')?.value === false && !isMass(e, 1, recipe) && !isMass(e, 0, recipe))
  if (undivided) return faultAt(source, whole.at, `the weights add up to ${rounded(mass)}, not to 1`, 'leave out `normalize=false`, or let the weights add up to 1')
  const advice = (terms.length === 1 ? besideAnother(first!, mass, recipe) : aroundFirst(all, terms, recipe)) ?? `(${show(whole, source)})/${rounded(mass)}`
  return faultAt(source, whole.at, `the weights add up to ${rounded(mass)}, not to 1`, `write \`${advice}\``)
}

/** `0.5*math` as `base + 0.5*(math - base)`, with a model that the term does not use; null if there is none. */
function besideAnother({ expression }: Term, mass: number, recipe: Recipe): string | null {
  const model = strip(expression)
  const other = wholeModels(recipe.models).find(name => !modelsIn(expression).has(name))
  if (other === undefined || !isMass(model, 1, recipe)) return null
  const factor = Math.abs(mass) === 1 ? '' : `${rounded(Math.abs(mass))}*`
  return `${showName(other)} ${mass < 0 ? '-' : '+'} ${factor}(${showFactor(model, recipe.source)} - ${showName(other)})`
}

/** `base + 0.5*math` as `base + 0.5*(math - base)`; null if the first term is not a model or another is not a multiple of one. */
function aroundFirst(all: readonly Term[], terms: readonly Term[], recipe: Recipe): string | null {
  const [first] = terms
  if (first?.sign !== 1 || !isMass(first.expression, 1, recipe)) return null
  const base = showFactor(first.expression, recipe.source)
  const parts = all.filter(t => t !== first).map(t => (terms.includes(t) ? asDelta(t, base, recipe) : `${glueOf(t)}${showFactor(t.expression, recipe.source)}`))
  return parts.includes(null) ? null : base + parts.join('')
}

/** A term `k*m` as `+ k*(m - base)`; null if it has another shape. */
function asDelta(term: Term, base: string, recipe: Recipe): string | null {
  const e = term.expression
  if (isMass(e, 1, recipe)) return `${glueOf(term)}(${showFactor(e, recipe.source)} - ${base})`
  if (e.kind !== 'binary' || e.op !== '*') return null
  const [factor, of] = numberAt(e.left, 0) === null ? [e.right, e.left] : [e.left, e.right]
  return isMass(of, 1, recipe) ? `${glueOf(term)}${showFactor(factor, recipe.source)}*(${showFactor(of, recipe.source)} - ${base})` : null
}

const glueOf = ({ sign }: Term): string => (sign === 1 ? ' + ' : ' - ')

const isMass = (e: Expression, mass: number, recipe: Recipe): boolean => isAll(massOf(e, recipe) ?? [NaN], mass)

/** The summands of a sum; a difference that is a task vector stays whole. */
function termsOf(e: Expression, sign: 1 | -1, recipe: Recipe): readonly Term[] {
  const flip = sign === 1 ? -1 : 1
  if (e.kind === 'negate') return termsOf(e.of, flip, recipe)
  if (e.kind !== 'binary' || e.op === '*' || e.op === '/' || isMass(e, 0, recipe)) return [{ sign, expression: e }]
  return [...termsOf(e.left, sign, recipe), ...termsOf(e.right, e.op === '+' ? sign : flip, recipe)]
}

/** The model inside `2*m`, `m/2`, `-m`. */
function strip(e: Expression): Expression {
  if (e.kind === 'negate') return strip(e.of)
  if (e.kind !== 'binary' || e.op === '+' || e.op === '-') return e
  return numberAt(e.left, 0) === null ? strip(e.left) : strip(e.right)
}

const spanOf = (a: Term, b: Term, whole: Expression): At =>
  a.expression.at.line === b.expression.at.line && a.expression.at.column < b.expression.at.column ? { ...a.expression.at, end: b.expression.at.end } : whole.at

/** The model a task vector was most likely taken from. */
function pickModel(e: Expression, recipe: Recipe): string {
  const names = wholeModels(recipe.models)
  return showName(names.includes('base') ? 'base' : (subtracted(e) ?? names[0] ?? 'base'))
}

function subtracted(expression: Expression): string | null {
  const difference = partsOf(expression).find(e => e.kind === 'binary' && e.op === '-' && e.right.kind === 'model')
  return difference?.kind === 'binary' && difference.right.kind === 'model' ? difference.right.model : null
}

const placeOf = (position: number): string => (position === 0 ? 'the first layer' : position === 1 ? 'the last layer' : `${rounded(position * 100)}% of the depth`)
