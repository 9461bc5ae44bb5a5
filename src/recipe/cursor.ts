import type { MergeError } from '../errors.ts'
import { faultAt } from './locate.ts'
import type { At, Expression, SourceText } from './recipe.ts'
import { type Placed, type Token, tokenize } from './tokens.ts'

/** What the names in an expression mean. One scope serves all expressions of a recipe. */
export interface Scope {
  readonly source: SourceText
  /** All names, for suggestions. */
  readonly names: readonly string[]
  /** The expression `name` stands for, or null. `depth` is how deeply nested the parser already is. */
  lookup(name: string, at: At, depth: number): Expression | null
  readonly measures: WeakMap<Expression, Measure>
}
interface Measure {
  readonly parts: number
  readonly depth: number
}

/** Where the parser is. */
export interface Cursor {
  readonly placed: Placed
  readonly tokens: readonly Token[]
  readonly scope: Scope
  next: number
  depth: number
}

export const cursorAt = (placed: Placed, scope: Scope, depth: number): Cursor => ({ placed, tokens: tokenize(placed), scope, next: 0, depth })

export const peek = (c: Cursor, ahead = 0): Token => c.tokens[Math.min(c.next + ahead, c.tokens.length - 1)]!
export const take = (c: Cursor): Token => c.tokens[c.next++]!
export const isSign = (token: Token, signs: string): boolean => token.kind === 'sign' && signs.includes(token.text)
export const spanOf = (c: Cursor, from: { start: number }, to: { end: number } = peek(c, -1)): At => c.placed.at(from.start, to.end)
export const fault = (c: Cursor, token: Token, what: string, fix?: string): MergeError => faultAt(c.placed.source, spanOf(c, token, token), what, fix)

export const MAX_NESTING = 200 // parser recursion; far above what a person writes, far below the stack
const MAX_DEPTH = 1000 // of the finished tree, names inlined: later stages and JSON walk it recursively
const MAX_PARTS = 10_000 // names inlined: 14 lines of `let: {b: a + a, c: b + b, …}` reach it

/** Runs `read` one level deeper. */
export function nested<T>(c: Cursor, token: Token, read: () => T): T {
  if (++c.depth > MAX_NESTING) throw fault(c, token, `the expression is nested more than ${MAX_NESTING} levels deep`, 'name its parts under `let:`')
  const result = read()
  c.depth--
  return result
}

/** Registers a finished node, so that no tree outgrows what later stages can walk. */
export function made(c: Cursor, node: Expression, children: readonly Expression[]): Expression {
  let parts = 1
  let depth = 0
  for (const child of children) {
    const measure = c.scope.measures.get(child)
    parts += measure?.parts ?? 1
    depth = Math.max(depth, measure?.depth ?? 1)
  }
  if (parts > MAX_PARTS) throw faultAt(c.placed.source, node.at, `the expression has more than ${MAX_PARTS} parts once names are filled in`, 'write it with fewer repetitions')
  if (depth >= MAX_DEPTH) throw faultAt(c.placed.source, node.at, `the expression is more than ${MAX_DEPTH} terms deep once names are filled in`, 'write it with fewer terms')
  c.scope.measures.set(node, { parts, depth: depth + 1 })
  return node
}
