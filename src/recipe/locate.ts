import { distance } from 'fastest-levenshtein'
import { MergeError } from '../errors.ts'
import type { At, SourceText } from './recipe.ts'

/** An error at a place in a recipe: `name:line:column`, the line itself, carets under the fault. */
export function faultAt(source: SourceText, at: At, what: string, fix?: string): MergeError {
  const line = (source.text.split('\n')[at.line - 1] ?? '').replace(/\r$/, '')
  return new MergeError(what, { where: `${source.name}:${at.line}:${at.column}`, excerpt: { line, number: at.line, start: at.column, end: at.end }, fix })
}

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
    const nextLine = starts[low + 1]
    const lineEnd = nextLine === undefined ? text.length : nextLine - 1 - (text[nextLine - 2] === '\r' && nextLine - 2 >= lineStart ? 1 : 0)
    const column = start - lineStart + 1
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
    const far = other === wanted ? 0 : distance(wanted, other)
    const allowed = Math.floor(Math.max(wanted.length, other.length) / 3) // `wieght` is 2 of 6 away from `weight`; `a` is not near `b`
    if (far <= allowed && far < bestDistance) {
      best = candidate
      bestDistance = far
    }
  }
  if (best !== null || wanted.length < 3) return best
  const longer = [...candidates].filter(c => plain(c).startsWith(wanted))
  return longer.length === 1 ? longer[0]! : null
}

const plain = (name: string): string => name.toLowerCase().replace(/[-\s]/g, '_')

/** `did you mean "x"?` when something is near, else the whole list. */
export function suggest(name: string, candidates: readonly string[], list: string): string {
  const near = nearest(name, candidates)
  if (near !== null) return `did you mean "${near}"?`
  return candidates.length === 0 ? `there are no ${list}` : `${list}: ${candidates.join(', ')}`
}
