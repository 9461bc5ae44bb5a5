import { type Cursor, fault, isSign, made, nested, peek, spanOf, take } from './cursor.ts'
import type { Expression, FunctionName } from './recipe.ts'
import type { Token } from './tokens.ts'

interface Signature {
  /** The second argument's name; null where there is none. */
  readonly second: string | null
  readonly isVariadic: boolean
  readonly example: string
}

/** Arithmetic that is no merge method. */
const FUNCTIONS: Readonly<Record<FunctionName, Signature>> = {
  mean: { second: null, isVariadic: true, example: 'mean(math - base, code - base)' },
  norm: { second: null, isVariadic: false, example: 'norm(math - base)' },
  orthogonal: { second: 'to', isVariadic: false, example: 'orthogonal(math - base, to=code - base)' },
  random: { second: null, isVariadic: false, example: 'random(math - base)' },
  scale_to: { second: 'like', isVariadic: false, example: 'scale_to(math - base, like=code - base)' },
}

export const FUNCTION_NAMES = Object.keys(FUNCTIONS)

export const isFunction = (name: string): name is FunctionName => Object.hasOwn(FUNCTIONS, name)

/** The name of the second argument of a function, as it is written. */
export const secondOf = (name: FunctionName): string | null => FUNCTIONS[name].second

/** Reads the rest of `mean(a, b, …)`, `norm(a)`, `random(a)`, `orthogonal(a, to=b)` or `scale_to(a, like=b)` after the name. */
export function readFunction(c: Cursor, token: Token, name: FunctionName, readExpression: (c: Cursor) => Expression): Expression {
  const { second, isVariadic, example } = FUNCTIONS[name]
  const fix = `write for example \`${example}\``
  const open = take(c)
  const parts: Expression[] = []
  while (!isSign(peek(c), ')')) {
    const first = peek(c)
    if (first.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (isSign(first, ',')) throw fault(c, first, 'nothing stands before ","', 'remove it')
    const isNamed = first.kind === 'name' && isSign(peek(c, 1), '=')
    if (isNamed && (first.text !== second || parts.length !== 1)) throw fault(c, first, `${name} takes no "${first.text}"${parts.length === 1 ? '' : ' here'}`, fix)
    if (!isNamed && !isVariadic && parts.length === 1)
      throw fault(c, first, second ? `the second argument of ${name} is written \`${second}=\`` : `${name} takes one argument`, fix)
    if (parts.length === 2 && !isVariadic) throw fault(c, first, `${name} takes two arguments`, fix)
    if (isNamed) c.next += 2
    parts.push(nested(c, first, () => readExpression(c)))
    const next = peek(c)
    if (isSign(next, ')')) break
    if (next.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (!isSign(next, ',')) throw fault(c, next, `expected "," or ")" before "${next.text}"`, fix)
    take(c)
    if (isSign(peek(c), ')')) throw fault(c, next, 'nothing follows the last ","', 'remove it')
  }
  take(c)
  if (parts.length < (second ? 2 : 1)) throw fault(c, token, second && parts.length === 1 ? `${name} needs \`${second}=\`` : `${name} needs an argument`, fix)
  return made(c, { kind: 'function', name, arguments: parts, at: spanOf(c, token) }, parts)
}
