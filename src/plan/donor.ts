import { isAll, massOf, numberAt } from '../recipe/mass.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'

/**
 * The model that config, dtypes and tensor order follow: the recipe's choice, else the first that the merge builds on. Task vectors only change a
 * model: terms of mass 0 do not count, nor do subtracted ones. So it is a in `ties(b - a, c - a) + a`, b in `-1*a + 2*b`; and of a call its base.
 */
export function chooseDonor(recipe: Recipe): string {
  return recipe.output.configFrom ?? foundation(recipe.merge, 1, recipe) ?? Object.keys(recipe.models)[0]!
}

/** The first model in `sign`·`e` that is there with positive mass, in terms which are. */
function foundation(e: Expression, sign: number, recipe: Recipe): string | null {
  const masses = massOf(e, recipe) ?? []
  if (isAll(masses, 0) || !masses.some(mass => mass * sign > 0)) return null
  const first = (parts: readonly Expression[]): string | null => parts.map(part => foundation(part, sign, recipe)).find(m => m !== null) ?? null
  switch (e.kind) {
    case 'model':
      return e.model
    case 'number':
      return null
    case 'negate':
      return foundation(e.of, -sign, recipe)
    case 'binary': {
      const factor = signOf(e.op === '*' ? (isNumber(e.left) ? e.left : e.right) : e.op === '/' ? e.right : null)
      return foundation(e.left, sign * factor, recipe) ?? foundation(e.right, e.op === '-' ? -sign : sign * factor, recipe)
    }
    case 'call':
      return first([...(e.base ? [e.base] : []), ...e.arguments.map(a => a.expression)])
    case 'function':
      return first(e.arguments)
    case 'layers':
    case 'stage':
      return first([e.of])
    case 'stack':
      return first(e.slices)
    case 'modules':
      return first(e.modules.map(m => m.expression))
    default:
      throw e satisfies never
  }
}

const isNumber = (e: Expression): boolean => numberAt(e, 0) !== null

/** The sign of a number, of a gradient where it is not 0; 1 of nothing. */
function signOf(number: Expression | null): number {
  const values = number === null ? [] : [0, 0.5, 1].map(position => numberAt(number, position) ?? 1)
  return Math.sign(values.find(value => value !== 0) ?? 1)
}

/** The model that stands first in `e`, the base before others: the tensors of `e` go by its names. Null for a number. */
export function leading(e: Expression): string | null {
  switch (e.kind) {
    case 'model':
      return e.model
    case 'number':
      return null
    case 'negate':
      return leading(e.of)
    case 'binary':
      return leading(e.left) ?? leading(e.right)
    case 'call':
      return (e.base && leading(e.base)) ?? e.arguments.map(a => leading(a.expression)).find(m => m !== null) ?? null
    case 'function':
      return leading(e.arguments[0]!)
    case 'layers':
    case 'stage':
      return leading(e.of)
    case 'stack':
      return leading(e.slices[0]!)
    case 'modules':
      return leading(e.modules[0]!.expression)
    default:
      throw e satisfies never
  }
}
