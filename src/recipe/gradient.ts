import { type Cursor, fault, isSign, peek, take } from './cursor.ts'
import type { Token } from './tokens.ts'

/** The most values of one gradient: more than any model has layers, so that a mistake cannot make checking slow. */
export const MAX_GRADIENT = 1000

/** Reads the rest of `[0.2, 0.8]` after its bracket. */
export function readGradient(c: Cursor, open: Token): readonly number[] {
  const values: number[] = []
  if (isSign(peek(c), ']')) throw fault(c, peek(c), 'the gradient is empty', 'write at least one number: `[0.2, 0.8]`')
  for (;;) {
    if (peek(c).kind === 'end') throw fault(c, open, '"[" is never closed', 'add "]"')
    const value = readNumber(c)
    if (value === null) throw fault(c, peek(c), `a gradient holds numbers, not "${peek(c).text}"`, 'write numbers with commas between: `[0.2, 0.8]`')
    values.push(value)
    const next = peek(c)
    if (isSign(next, ']')) break
    if (next.kind === 'end') throw fault(c, open, '"[" is never closed', 'add "]"')
    if (!isSign(next, ',')) throw fault(c, next, `expected "," or "]" before "${next.text}"`, 'write numbers with commas between: `[0.2, 0.8]`')
    take(c)
    if (isSign(peek(c), ']')) throw fault(c, next, 'nothing follows the last ","', 'remove it')
  }
  take(c)
  if (values.length > MAX_GRADIENT) throw fault(c, open, `a gradient of ${values.length} values; at most ${MAX_GRADIENT} are possible`)
  return values
}

/** A number with its sign, or null and nothing taken. */
export function readNumber(c: Cursor): number | null {
  const signed = isSign(peek(c), '+-')
  const token = peek(c, signed ? 1 : 0)
  if (token.kind !== 'number') return null
  const negative = signed && take(c).text === '-'
  take(c)
  return negative ? -Number(token.text) : Number(token.text)
}
