import { isScalar, type Node, Scalar } from 'yaml'
import { locator } from './locate.ts'
import type { At, SourceText } from './recipe.ts'
import type { Placed } from './tokens.ts'

/** A text that is one expression and nothing else. */
export function placedAlone(source: SourceText): Placed {
  return { source, text: source.text, at: locator(source.text) }
}

/**
 * A YAML value as text for the expression parser. Folding and quoting change only white space and escapes,
 * so the n-th visible character of the value is the n-th visible character of its source.
 */
export function placedIn(source: SourceText, at: (start: number, end: number) => At, node: Node): Placed {
  const [start, end] = node.range ?? [0, 0]
  const raw = source.text.slice(start, end)
  const isText = isScalar(node) && typeof node.value === 'string'
  const text = isText ? (node.value as string) : raw // isText has just said so
  let offsets: readonly number[] | null = null
  return {
    source,
    text,
    at(from, to) {
      offsets ??= isText ? visibleOffsets(text, raw, node.type as string) : Array.from({ length: raw.length + 1 }, (_, i) => i) // a scalar that was parsed has a type
      const first = offsets[from]!
      const last = to > from ? offsets[to - 1]! : first
      return at(start + first, start + last + 1)
    },
  }
}

/** For each character of `text`, and for its end, the offset in `raw`; white space takes the offset of what follows it. */
function visibleOffsets(text: string, raw: string, type: string): readonly number[] {
  const isBlock = type === Scalar.BLOCK_LITERAL || type === Scalar.BLOCK_FOLDED
  const quote = type === Scalar.QUOTE_DOUBLE ? '"' : type === Scalar.QUOTE_SINGLE ? "'" : ''
  let at = isBlock ? raw.indexOf('\n') + 1 : quote ? 1 : 0 // past the header `|-`, or the quote
  const offsets: number[] = []
  for (const character of text.split('')) {
    if (isSpace(character)) {
      offsets.push(at)
      continue
    }
    while (at < raw.length && (isSpace(raw[at]!) || (quote === '"' && BLANK_ESCAPE.test(raw.slice(at, at + 2))))) at += isSpace(raw[at]!) ? 1 : 2
    offsets.push(at)
    at += quote === '"' && raw[at] === '\\' ? escapeLength(raw, at) : quote === "'" && raw[at] === "'" ? 2 : 1
  }
  offsets.push(at)
  return offsets
}

const BLANK_ESCAPE = /^\\[nrt\s]/ // white space in the value, or a line that continues

function escapeLength(raw: string, at: number): number {
  const digits = { x: 2, u: 4, U: 8 }[raw[at + 1] ?? '']
  return 2 + (digits ?? 0)
}

const isSpace = (character: string): boolean => /\s/.test(character)
