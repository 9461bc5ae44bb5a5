import { MergeError } from '../errors.ts'

/**
 * Whether a tensor's name matches a pattern: `*` any characters, also none and dots (`**` is the same), `?` one character, `[abc]`, `[a-z]`, `[!a]` one
 * of a set, `{q,k}_proj` and `{0..15,20}` alternatives, `\` before a character that means itself, `!` before all for what does not match.
 * Throws on what has no meaning. Time is at most the product of both lengths for each alternative: a recipe from anywhere cannot hang the planner.
 *
 * @example
 * compileGlob('model.layers.{0..15}.*')('model.layers.3.mlp.up_proj.weight') // true
 */
export function compileGlob(glob: string): (name: string) => boolean {
  const isNegated = glob.startsWith('!')
  const patterns = expand(isNegated ? glob.slice(1) : glob).map(readPattern)
  return name => patterns.some(pattern => isMatch(pattern, name)) !== isNegated
}

/** One step of a pattern: a test of one character, or any number of characters. */
type Step = ((character: string) => boolean) | 'any'

const MAX_ALTERNATIVES = 10_000 // `{0..127}` and a few more lists; each is matched against every tensor

/** The pattern without braces, once for each choice. */
function expand(glob: string): readonly string[] {
  const open = find(glob, '{', 0)
  if (open < 0) {
    if (find(glob, '}', 0) >= 0) throw new MergeError(`"}" in ${glob} has no "{" before it`, { fix: 'write alternatives as `{q,k,v}_proj`' })
    return [glob]
  }
  const { choices, end } = readChoices(glob, open)
  const tails = expand(glob.slice(end))
  const heads = choices.flatMap(expand)
  if (heads.length * tails.length > MAX_ALTERNATIVES)
    throw new MergeError(`the pattern stands for more than ${MAX_ALTERNATIVES} alternatives`, { fix: 'use `*`, or several rules' })
  const before = glob.slice(0, open)
  return heads.flatMap(head => tails.map(tail => before + head + tail))
}

/** The parts between a brace and its partner, ranges written out. */
function readChoices(glob: string, open: number): { readonly choices: readonly string[]; readonly end: number } {
  const choices: string[] = []
  let depth = 1
  let from = open + 1
  for (let at = from; at < glob.length; at++) {
    const character = glob[at]
    if (character === '\\') at++
    else if (character === '{') depth++
    else if (character === '}') depth--
    if (depth === 0 || (depth === 1 && character === ',')) {
      choices.push(...readRange(glob.slice(from, at)))
      from = at + 1
    }
    if (depth === 0) return { choices, end: at + 1 }
  }
  throw new MergeError(`"{" in ${glob} is never closed`, { fix: 'add "}"' })
}

function readRange(choice: string): readonly string[] {
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(choice) ?? []
  if (first === undefined || last === undefined) return [choice]
  const [start, end] = [Number(first), Number(last)]
  if (Math.abs(end - start) >= MAX_ALTERNATIVES) throw new MergeError(`the pattern stands for more than ${MAX_ALTERNATIVES} alternatives`, { fix: 'use `*`, or several rules' })
  return Array.from({ length: Math.abs(end - start) + 1 }, (_, i) => String(start + Math.sign(end - start) * i))
}

/** Where `sign` first stands without a `\` before it, from `start` on; -1 if nowhere. */
function find(glob: string, sign: string, start: number): number {
  for (let at = start; at < glob.length; at++) {
    if (glob[at] === '\\') at++
    else if (glob[at] === sign) return at
  }
  return -1
}

function readPattern(pattern: string): readonly Step[] {
  const steps: Step[] = []
  for (let at = 0; at < pattern.length; ) {
    const character = String.fromCodePoint(pattern.codePointAt(at)!)
    at += character.length
    if (character === '*') {
      if (steps.at(-1) !== 'any') steps.push('any')
    } else if (character === '?') steps.push(() => true)
    else if (character === '[') {
      const end = find(pattern, ']', at + (/^[!^]?\]/.exec(pattern.slice(at))?.[0].length ?? 0)) // a "]" that comes first is one of the set
      if (end < 0) throw new MergeError(`"[" in ${pattern} is never closed`, { fix: 'add "]", or write `\\[` for the character itself' })
      steps.push(readSet(pattern.slice(at, end)))
      at = end + 1
    } else if (character === '(' || character === ')') {
      throw new MergeError(`"${character}" has no meaning in a pattern`, { fix: 'write alternatives as `{q,k,v}_proj`' })
    } else if (character === '\\') {
      const escaped = pattern.codePointAt(at)
      if (escaped === undefined) throw new MergeError('the pattern ends in "\\"', { fix: 'remove it' })
      const meant = String.fromCodePoint(escaped)
      at += meant.length
      steps.push(c => c === meant)
    } else steps.push(c => c === character)
  }
  return steps
}

function readSet(set: string): Step {
  const isNegated = /^[!^]/.test(set)
  const characters = [...(isNegated ? set.slice(1) : set)]
  const ranges: (readonly [string, string])[] = []
  for (let i = 0; i < characters.length; i++) {
    const from = characters[i] === '\\' ? characters[++i] : characters[i]
    const to = characters[i + 1] === '-' && i + 2 < characters.length ? characters[(i += 2)] : from
    if (from === undefined || to === undefined || from > to) throw new MergeError(`[${set}] is no set of characters`, { fix: 'write for example `[0-9]`' })
    ranges.push([from, to])
  }
  return c => ranges.some(([from, to]) => from <= c && c <= to) !== isNegated
}

/** Walks along both; at a mismatch the last `*` takes one character more. Earlier ones need not: what they could take, the last can. */
function isMatch(steps: readonly Step[], name: string): boolean {
  const characters = [...name]
  let step = 0
  let at = 0
  let star = -1
  let taken = 0
  while (at < characters.length) {
    const test = steps[step]
    if (test === 'any') {
      star = step++
      taken = at
    } else if (test?.(characters[at]!)) {
      step++
      at++
    } else if (star >= 0) {
      step = star + 1
      at = ++taken
    } else return false
  }
  while (steps[step] === 'any') step++
  return step === steps.length
}
