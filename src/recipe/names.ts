import { METHODS } from '../methods/_all.ts'
import type { Scope } from './cursor.ts'
import { parseExpression } from './expression.ts'
import { faultAt, nearest } from './locate.ts'
import { own } from './lookup.ts'
import type { At, Expression, ModelRef, SourceText } from './recipe.ts'
import type { Placed } from './tokens.ts'

/** A named sub-expression, not yet parsed. */
export interface Let {
  readonly name: string
  readonly at: At
  readonly placed: Placed
}

/** Why `name` cannot name a model or a `let`, or null. */
export function nameFault(name: string): { readonly what: string; readonly fix: string } | null {
  if (own(METHODS, name)) return { what: `"${name}" is the name of a merge method`, fix: 'choose another name' }
  if (name.trim() === '' || /["`\n]/.test(name)) return { what: `"${name}" cannot be a name in expressions`, fix: 'choose a name of letters, digits and _' }
  return null
}

/** The meaning of names in a recipe's expressions: models, and lets, which may use each other in any order. */
export function scopeOf(source: SourceText, models: Readonly<Record<string, ModelRef>>, lets: readonly Let[]): Scope & { readonly used: ReadonlySet<string> } {
  const byName = new Map(lets.map(l => [l.name, l]))
  const parsed = new Map<string, Expression>()
  const open: string[] = []
  const used = new Set<string>()
  const scope = {
    source,
    names: [...Object.keys(models), ...byName.keys()],
    measures: new WeakMap(),
    used,
    lookup(name: string, at: At, depth: number): Expression | null {
      used.add(name)
      if (own(models, name)) return { kind: 'model', model: name, at }
      const named = byName.get(name)
      if (!named) return null
      if (open.includes(name)) {
        const circle = [...open.slice(open.indexOf(name)), name].join(' → ')
        throw faultAt(source, at, `"${name}" is defined by itself: ${circle}`, 'break the circle')
      }
      const known = parsed.get(name)
      if (known) return known
      open.push(name)
      const expression = parseExpression(named.placed, scope, depth + 1)
      open.pop()
      parsed.set(name, expression)
      return expression
    },
  }
  return scope
}

/** `model` if the recipe has it, else an error with the nearest name. */
export function modelNamed(source: SourceText, at: At, model: string, models: Readonly<Record<string, ModelRef>>): string {
  if (own(models, model)) return model
  const names = Object.keys(models)
  const near = nearest(model, names)
  throw faultAt(source, at, `unknown model "${model}"`, near ? `did you mean "${near}"?` : `models: ${names.join(', ')}`)
}
