import { faultAt } from './locate.ts'
import type { At, SourceText } from './recipe.ts'

/** An expression's text, and where its characters stand in the file it came from. */
export interface Placed {
  readonly source: SourceText
  readonly text: string
  /** The place in the file of characters [start, end) of `text`. */
  at(start: number, end: number): At
}

export interface Token {
  readonly kind: 'name' | 'quoted' | 'number' | 'sign' | 'end'
  /** As written; a name without its quotes; a sign in ASCII. */
  readonly text: string
  readonly start: number
  readonly end: number
}

const SPACE = /[\s\u00a0\u200b\ufeff]+/uy
const NAME = /[\p{L}_][\p{L}\p{N}_]*/uy
const NUMBER = /(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/uy
const QUOTED = /`[^`]*`|"[^"]*"/uy
const SIGNS = '+-*/()[],='
// What papers and word processors print for the signs.
const TYPOGRAPHIC: Readonly<Record<string, string>> = { '−': '-', '–': '-', '—': '-', '×': '*', '·': '*', '⋅': '*', '∗': '*', '÷': '/', '∕': '/' }

/** Cuts an expression into names, numbers and signs; the last token is always `end`. */
export function tokenize(placed: Placed): Token[] {
  const { text, source } = placed
  const tokens: Token[] = []
  const match = (pattern: RegExp, at: number): string => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0] ?? ''
  }
  let at = 0
  while (at < text.length) {
    const space = match(SPACE, at)
    if (space) {
      at += space.length
      continue
    }
    const start = at
    const push = (kind: Token['kind'], as: string, length: number) => {
      at += length
      tokens.push({ kind, text: as, start, end: at })
    }
    const name = match(NAME, at)
    const number = match(NUMBER, at)
    const quoted = match(QUOTED, at)
    const character = String.fromCodePoint(text.codePointAt(at)!)
    const sign = TYPOGRAPHIC[character] ?? character
    if (name) push('name', name, name.length)
    else if (number) {
      const after = match(NAME, at + number.length)
      const glued = after && !/^_/.test(after) ? after : ''
      if (after) {
        const fix = glued ? `write \`${number}*${glued}\`; a name that begins with a digit stands in backticks: \`${number}${glued}\`` : 'write digits only'
        throw faultAt(source, placed.at(start, start + number.length + after.length), `"${number}${after}" is neither a number nor a name`, fix)
      }
      if (!Number.isFinite(Number(number))) throw faultAt(source, placed.at(start, start + number.length), `${number} is too large for a number`, 'write a smaller one')
      push('number', number, number.length)
    } else if (quoted) {
      if (quoted.length === 2) throw faultAt(source, placed.at(start, start + 2), 'a name is empty', 'write the name between the quotes')
      push('quoted', quoted.slice(1, -1), quoted.length)
    } else if (sign === '^' || text.startsWith('**', at)) {
      const length = sign === '^' ? 1 : 2
      throw faultAt(
        source,
        placed.at(start, start + length),
        `"${text.slice(start, start + length)}": expressions have no powers`,
        'multiply by a number; whole-tensor mathematics is the work of methods: `merganser methods`',
      )
    } else if (SIGNS.includes(sign)) push('sign', sign, 1)
    else throw faultAt(source, placed.at(start, start + character.length), `unexpected character ${visible(character)}`, strayFix(character))
  }
  tokens.push({ kind: 'end', text: '', start: text.length, end: text.length })
  return tokens
}

const visible = (character: string): string => (/\p{Cc}/u.test(character) ? `U+${character.charCodeAt(0).toString(16).padStart(4, '0')}` : character)

function strayFix(character: string): string {
  if ('“”„‟'.includes(character)) return 'use straight quotes: `"`'
  if (character === '"' || character === '`') return `this ${character} has no partner`
  if (character === '%') return 'write shares as numbers: 0.5 for 50%'
  if (character === '{' || character === '}') return 'group with ( ); gradients stand in [ ]'
  return 'put names with other characters than letters, digits and _ in backticks: `my-model`'
}
