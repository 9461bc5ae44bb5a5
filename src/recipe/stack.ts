import { type Cursor, fault, isSign, made, nested, peek, spanOf, take } from './cursor.ts'
import { readNumber } from './gradient.ts'
import type { Expression } from './recipe.ts'
import { show } from './show.ts'
import type { Token } from './tokens.ts'

/** The calls that are no methods: they put layers together. */
export const isStacking = (name: string): boolean => name === 'layers' || name === 'stack'

/** Reads the rest of `layers(model, start, end)` or `stack(model, …)` after the name. */
export function readStacking(c: Cursor, name: Token, readExpression: (c: Cursor) => Expression): Expression {
  const open = take(c)
  const parts: Expression[] = []
  const bounds: number[] = []
  while (!isSign(peek(c), ')')) {
    const first = peek(c)
    if (first.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (isSign(first, ',')) throw fault(c, first, 'nothing stands before ","', 'remove it')
    if (name.text === 'layers' && parts.length > 0) bounds.push(readBound(c))
    else parts.push(nested(c, first, () => readExpression(c)))
    const next = peek(c)
    if (isSign(next, ')')) break
    if (next.kind === 'end') throw fault(c, open, '"(" is never closed', 'add ")"')
    if (!isSign(next, ',')) throw fault(c, next, `expected "," or ")" before "${next.text}"`, `write \`${EXAMPLES[name.text === 'layers' ? 'layers' : 'stack']}\``)
    take(c)
    if (isSign(peek(c), ')')) throw fault(c, next, 'nothing follows the last ","', 'remove it')
  }
  take(c)
  const at = spanOf(c, name)
  if (name.text === 'stack') {
    if (parts.length === 0) throw fault(c, name, 'stack has nothing to stack', `write for example \`${EXAMPLES.stack}\``)
    return made(c, { kind: 'stack', slices: parts, after: null, at }, parts)
  }
  const [of] = parts
  const [start, end] = bounds
  if (!of || start === undefined || end === undefined || bounds.length > 2) throw fault(c, name, 'layers takes a model and two numbers', `write for example \`${EXAMPLES.layers}\``)
  if (start > end) throw fault(c, name, `the layers from ${start} to ${end} are reversed`, `did you mean \`layers(${show(of)}, ${end}, ${start})\`?`)
  return made(c, { kind: 'layers', of, start, end, at }, parts)
}

const EXAMPLES = { layers: 'layers(base, 0, 8)', stack: 'stack(layers(base, 0, 8), layers(math, 4, 12))' } as const

function readBound(c: Cursor): number {
  const token = peek(c)
  const bound = readNumber(c)
  if (bound !== null && Number.isSafeInteger(bound) && bound >= 0) return bound
  throw fault(c, token, 'layers are counted in whole numbers from 0', `write \`${EXAMPLES.layers}\` for layers 0 to 7`)
}
