import { METHODS } from '../methods/_all.ts'
import { type Cursor, fault, isSign, made, nested, peek, spanOf, take } from './cursor.ts'
import { readGradient, readNumber } from './gradient.ts'
import { nearest } from './locate.ts'
import { methodAt, own } from './lookup.ts'
import type { Argument, Expression, Scalar, Setting } from './recipe.ts'
import { show } from './show.ts'
import type { Token } from './tokens.ts'

type Value = Scalar | boolean | string

/** Reads the rest of `method(expression, …, parameter=value, …)` after the method's name. */
export function readCall(c: Cursor, name: Token, readExpression: (c: Cursor) => Expression): Expression {
  checkName(c, name)
  const open = take(c)
  const expressions: Expression[] = []
  const shared: [string, Setting][] = []
  const tuples: [string, readonly Setting[]][] = []
  const seen = new Set<string>()
  let base: Expression | null = null
  while (!isSign(peek(c), ')')) {
    const first = peek(c)
    if (first.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (first.kind === 'name' && isSign(peek(c, 1), '=')) {
      if (seen.has(first.text)) throw fault(c, first, `"${first.text}" is given twice`, 'remove one of the two')
      seen.add(first.text)
      c.next += 2
      if (first.text === 'base') base = nested(c, first, () => readExpression(c))
      else {
        const value = readValue(c)
        const at = spanOf(c, first)
        if (value.tuple) tuples.push([first.text, value.tuple.map(v => ({ value: v, filtered: false, at }))])
        else shared.push([first.text, { value: value.one, filtered: false, at }])
      }
    } else {
      if (seen.size > 0) throw fault(c, first, 'a model after a parameter', `models come first: \`${name.text}(a, b, parameter=value)\``)
      if (isSign(first, ',')) throw fault(c, first, 'nothing stands before ","', 'remove it')
      expressions.push(nested(c, first, () => readExpression(c)))
    }
    const next = peek(c)
    if (isSign(next, ')')) break
    if (next.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (isSign(next, '=')) throw fault(c, next, 'the left of "=" is not the name of a parameter', 'write `parameter=value`')
    if (!isSign(next, ',')) throw fault(c, next, `expected "," or ")" before "${next.text}"`, 'separate the arguments with commas')
    take(c)
    if (isSign(peek(c), ')')) throw fault(c, next, 'nothing follows the last ","', 'remove it')
  }
  take(c)
  for (const [parameter, values] of tuples) {
    if (values.length === expressions.length) continue
    const token = c.tokens.find(t => t.start >= open.start && t.text === parameter && t.kind === 'name') ?? name
    throw fault(c, token, `${parameter} has ${values.length} values for ${count(expressions.length, 'argument')}`, 'give one value for each, or a single one for all')
  }
  const parameters = expressions.map((_, i) => Object.fromEntries(tuples.map(([parameter, values]) => [parameter, values[i]!])))
  const given = expressions.map((expression, i): Argument => ({ expression, parameters: parameters[i]! }))
  const first = own(METHODS, name.text)!.base === 'first' && base !== null ? base : null
  const call: Expression = {
    kind: 'call',
    method: name.text,
    arguments: first ? withFirst(given, first) : given,
    base: first ? null : base,
    parameters: Object.fromEntries(shared),
    at: spanOf(c, name),
  }
  return made(c, call, [...expressions, ...(base ? [base] : [])])
}

/** The base as first argument: moved there if it is one of them, else inserted. */
function withFirst(given: readonly Argument[], base: Expression): Argument[] {
  const same = (a: Argument) => show(a.expression) === show(base)
  return [given.find(same) ?? { expression: base, parameters: {} }, ...given.filter(a => !same(a))]
}

function checkName(c: Cursor, name: Token): void {
  if (!own(METHODS, name.text) && nearest(name.text, Object.keys(METHODS)) === null && c.scope.lookup(name.text, spanOf(c, name, name), c.depth)) {
    throw fault(c, name, `"${name.text}" is a model, not a method`, `multiply with *: \`${name.text}*(…)\``)
  }
  methodAt(c.placed.source, spanOf(c, name, name), name.text)
}

function readValue(c: Cursor): { tuple: readonly Value[] } | { tuple: null; one: Value } {
  if (!isSign(peek(c), '(')) return { tuple: null, one: readOne(c) }
  const open = take(c)
  const values: Value[] = []
  for (;;) {
    if (peek(c).kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    values.push(readOne(c))
    const next = peek(c)
    if (isSign(next, ')')) break
    if (next.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (!isSign(next, ',')) throw fault(c, next, `expected "," or ")" before "${next.text}"`, 'write one value for each argument: `weight=(0.6, 0.4)`')
    take(c)
    if (isSign(peek(c), ')')) throw fault(c, next, 'nothing follows the last ","', 'remove it')
  }
  take(c)
  return values.length === 1 ? { tuple: null, one: values[0]! } : { tuple: values }
}

function readOne(c: Cursor): Value {
  const number = readNumber(c)
  if (number !== null) return number
  const token = take(c)
  if (isSign(token, '[')) return readGradient(c, token)
  if (token.kind === 'quoted') return token.text
  if (token.kind === 'name') {
    if (token.text === 'true' || token.text === 'false') return token.text === 'true'
    const named = c.scope.names.includes(token.text) ? c.scope.lookup(token.text, spanOf(c, token, token), c.depth) : null
    return named?.kind === 'number' ? named.value : token.text
  }
  const what = token.kind === 'end' ? 'the expression ends where a value is expected' : `expected a value, not "${token.text}"`
  throw fault(c, token.kind === 'end' ? c.tokens[c.next - 2]! : token, what, 'write a number, a list such as [0.2, 0.8], true, false or a word')
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
