import { METHODS } from '../methods/_all.ts'
import { MAX_NESTING, type Scope } from './cursor.ts'
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

export interface NameScope extends Scope {
  /** Parses all lets. In order, so that a long list does not become a deep recursion. */
  define(): readonly Expression[]
  /** Names that some expression outside `let:` uses, directly or through lets. */
  used(): ReadonlySet<string>
}

const OUTSIDE = '' // no let has an empty name

/** The meaning of names in a recipe's expressions: models, and lets, which may use each other in any order. */
export function scopeOf(source: SourceText, models: Readonly<Record<string, ModelRef>>, lets: readonly Let[]): NameScope {
  const byName = new Map(lets.map(l => [l.name, l]))
  const parsed = new Map<string, Expression>()
  const open: string[] = []
  const uses = new Map<string, Set<string>>([OUTSIDE, ...byName.keys()].map(name => [name, new Set()]))
  const scope: NameScope = {
    source,
    names: [...Object.keys(models), ...byName.keys()],
    measures: new WeakMap(),
    define: () => lets.map(l => define(l, l.at, 0)),
    used() {
      const used = new Set(uses.get(OUTSIDE))
      for (const name of used) for (const inner of uses.get(name) ?? []) used.add(inner) // the loop reaches what it adds
      return used
    },
    lookup(name, at, depth) {
      const named = byName.get(name)
      if (!named && !own(models, name)) return null
      uses.get(open.at(-1) ?? OUTSIDE)?.add(name)
      return named ? define(named, at, depth) : { kind: 'model', model: name, at }
    },
  }
  return scope

  function define({ name, placed }: Let, at: At, depth: number): Expression {
    const known = parsed.get(name)
    if (known) return known
    if (open.includes(name)) {
      const circle = [...open.slice(open.indexOf(name)), name].join(' → ')
      throw faultAt(source, at, `"${name}" is defined by itself: ${circle}`, 'break the circle')
    }
    if (depth >= MAX_NESTING) throw faultAt(source, at, `names are defined by each other more than ${MAX_NESTING} levels deep`, 'define a name before the names that use it')
    open.push(name)
    const expression = parseExpression(placed, scope, depth + 1)
    open.pop()
    parsed.set(name, expression)
    return expression
  }
}

/** `model` if the recipe has it, else an error with the nearest name. */
export function modelNamed(source: SourceText, at: At, model: string, models: Readonly<Record<string, unknown>>): string {
  if (own(models, model)) return model
  const names = Object.keys(models)
  const near = nearest(model, names)
  throw faultAt(source, at, `unknown model "${model}"`, near ? `did you mean "${near}"?` : `models: ${names.join(', ')}`)
}
