import { distance } from 'fastest-levenshtein'
import { MergeError } from '../errors.ts'
import type { At, SourceText } from './recipe.ts'

/** An error at a place in a recipe: `name:line:column`, the line itself, carets under the fault. */
export function faultAt(source: SourceText, at: At, what: string, fix?: string): MergeError {
  const line = (source.text.split('\n')[at.line - 1] ?? '').replace(/\r$/, '')
  const where = `${source.name}:${at.line}:${at.column}`
  return new MergeError(harmless(what), { where, excerpt: { line: harmless(line), number: at.line, start: at.column, end: at.end }, fix: fix && harmless(fix) })
}

/** Without control characters, which could drive the terminal a message is shown on. */
const harmless = (text: string): string => text.replace(/\p{Cc}/gu, ' ')

/** Turns offsets [start, end) of `text` into lines and columns; a span over several lines is cut at the end of its first. */
export function locator(text: string): (start: number, end: number) => At {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (start, end) => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= start) low = middle
      else high = middle - 1
    }
    const lineStart = starts[low]!
    const lineBreak = (starts[low + 1] ?? text.length + 1) - 1
    const lineEnd = lineBreak > lineStart && text[lineBreak - 1] === '\r' ? lineBreak - 1 : lineBreak
    const column = Math.min(start, lineEnd) - lineStart + 1
    return { line: low + 1, column, end: Math.max(column + 1, Math.min(end, lineEnd) - lineStart + 1) }
  }
}

/** The candidate a person most likely meant by `name`: another spelling, a typing error, or a name cut short. Null if none is near. */
export function nearest(name: string, candidates: Iterable<string>): string | null {
  const wanted = plain(name)
  let best: string | null = null
  let bestDistance = Infinity
  for (const candidate of candidates) {
    const other = plain(candidate)
    const far = other === wanted ? 0 : letters(other) === letters(wanted) ? 1 : distance(wanted, other)
    const allowed = Math.floor(Math.max(wanted.length, other.length) / 3) // `ties` is near `tie`, `a` is not near `b`
    if (far <= allowed && far < bestDistance) {
      best = candidate
      bestDistance = far
    }
  }
  if (best !== null || wanted.length < 3) return best
  const longer = [...candidates].filter(c => plain(c).startsWith(wanted))
  return longer.length === 1 ? longer[0]! : null
}

const letters = (name: string): string => [...name].sort().join('') // the same for `modle` and `model`
const plain = (name: string): string => name.toLowerCase().replace(/[-\s]/g, '_')

/** `did you mean "x"?` when something is near, else the whole list. */
export function suggest(name: string, candidates: readonly string[], list: string): string {
  const near = nearest(name, candidates)
  if (near !== null) return `did you mean "${near}"?`
  return `${list}: ${candidates.join(', ')}`
}
