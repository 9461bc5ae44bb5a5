import { METHODS } from '../methods/_all.ts'
import { readCall } from './call.ts'
import { type Cursor, cursorAt, fault, isSign, made, nested, peek, type Scope, spanOf, take } from './cursor.ts'
import { isFunction, readFunction } from './functions.ts'
import { readGradient } from './gradient.ts'
import { faultAt, suggest } from './locate.ts'
import { own } from './lookup.ts'
import type { Expression } from './recipe.ts'
import { isStacking, readStacking } from './stack.ts'
import type { Placed, Token } from './tokens.ts'

/**
 * Parses `+ - * / ( )`, numbers, gradients `[0.2, 0.8]`, names, calls `method(expression, …, parameter=value, …)`,
 * functions `mean norm orthogonal scale_to`, and layers put together: `stack(layers(model, start, end), …)`.
 * Names are filled in by `scope`. Throws a MergeError at the fault. Whether the arithmetic makes sense is for check.ts.
 */
export function parseExpression(placed: Placed, scope: Scope, depth = 0): Expression {
  const c = cursorAt(placed, scope, depth)
  if (peek(c).kind === 'end') throw fault(c, peek(c), 'the expression is empty', 'write for example `base + 0.5*(math - base)`')
  const expression = readSum(c)
  const rest = peek(c)
  if (rest.kind === 'end') return expression
  if (isSign(rest, ')')) throw fault(c, rest, '")" closes nothing', 'remove it, or open it with "("')
  if (isSign(rest, '=')) throw fault(c, rest, EQUALS, 'names are defined under `let:`')
  if (isSign(rest, ',')) throw fault(c, rest, '"," stands only inside calls and gradients', '`linear(a, b)` averages models')
  throw fault(c, rest, `expected an operator before ${shown(rest)}`, 'join the two with +, -, * or /')
}

const EQUALS = '"=" stands only between a parameter of a call and its value'

function readSum(c: Cursor): Expression {
  return readChain(c, '+-', readProduct)
}
function readProduct(c: Cursor): Expression {
  return readChain(c, '*/', readSigned)
}

function readChain(c: Cursor, signs: '+-' | '*/', read: (c: Cursor) => Expression): Expression {
  const first = peek(c)
  let left = read(c)
  while (isSign(peek(c), signs)) {
    const op = take(c).text as '+' | '-' | '*' | '/' // isSign has just compared it
    const right = read(c)
    left = made(c, { kind: 'binary', op, left, right, at: spanOf(c, first) }, [left, right])
  }
  return left
}

function readSigned(c: Cursor): Expression {
  const sign = peek(c)
  if (!isSign(sign, '+-')) return readAtom(c)
  take(c)
  const of = nested(c, sign, () => readSigned(c))
  if (sign.text === '+') return of
  const at = spanOf(c, sign)
  if (of.kind === 'number') return { ...of, value: typeof of.value === 'number' ? -of.value : of.value.map(v => -v), at }
  return made(c, { kind: 'negate', of, at }, [of])
}

function readAtom(c: Cursor): Expression {
  const token = take(c)
  switch (token.kind) {
    case 'number':
      return { kind: 'number', value: Number(token.text), at: spanOf(c, token) }
    case 'name':
      if (isSign(peek(c), '(') && isFunction(token.text)) return readFunction(c, token, token.text, readSum)
      if (isSign(peek(c), '(')) return isStacking(token.text) ? readStacking(c, token, readSum) : readCall(c, token, readSum)
      return readName(c, token)
    case 'quoted':
      return readName(c, token)
    case 'sign':
      if (token.text === '(') return readGroup(c, token)
      if (token.text === '[') return { kind: 'number', value: readGradient(c, token), at: spanOf(c, token) }
      throw expectedOperand(c, token)
    case 'end':
      throw expectedOperand(c, token)
    default:
      throw token.kind satisfies never
  }
}

function readGroup(c: Cursor, open: Token): Expression {
  const inner = nested(c, open, () => readSum(c))
  const close = peek(c)
  if (isSign(close, ')')) {
    take(c)
    return inner
  }
  if (close.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
  if (isSign(close, ',')) throw fault(c, close, 'a comma inside parentheses that are not a call', 'gradients stand in [ ]')
  throw fault(c, close, `expected an operator or ")" before ${shown(close)}`, 'join the two with +, -, * or /')
}

function expectedOperand(c: Cursor, token: Token) {
  const before = c.next > 1 ? c.tokens[c.next - 2] : undefined
  const after = before ? ` after ${shown(before)}` : ''
  if (token.kind === 'end' && before) return fault(c, before, `the expression ends after ${shown(before)}`, 'write a model, a number or "(" next')
  return fault(c, token, `expected a model, a number or "("${after}, not ${shown(token)}`, 'write the missing model or number')
}

function readName(c: Cursor, token: Token): Expression {
  const at = spanOf(c, token)
  const meant = c.scope.lookup(token.text, at, c.depth)
  if (meant) {
    // The place of use, so that messages show the name the user wrote.
    const here = { ...meant, at }
    const measure = c.scope.measures.get(meant)
    if (measure) c.scope.measures.set(here, measure)
    return here
  }
  const { names } = c.scope
  if (isSign(peek(c), '=')) throw fault(c, peek(c), EQUALS, 'names are defined under `let:`')
  const start = c.placed.text.slice(token.start)
  const hyphened = names.find(name => name.length > token.text.length && start.startsWith(name))
  if (hyphened) throw fault(c, token, `unknown name "${token.text}"`, `put the name in backticks: \`${hyphened}\``)
  const method = Object.keys(METHODS).find(name => name.includes('_') && start.startsWith(name.replaceAll('_', '-')))
  if (method) throw fault(c, token, `unknown name "${token.text}"`, `did you mean the method "${method}"?`)
  if (own(METHODS, token.text)) throw fault(c, token, `"${token.text}" is a method, not a model`, `call it: \`${token.text}(…)\``)
  const none = 'no models are given; on the command line: `--model base=path/to/base`'
  throw faultAt(c.placed.source, at, `unknown name "${token.text}"`, names.length === 0 ? none : suggest(token.text, names, 'names'))
}

const shown = (token: Token): string => (token.kind === 'end' ? 'the end' : `"${token.text}"`)
