import { faultAt } from './locate.ts'
import type { At, SourceText } from './recipe.ts'

const MAX_PATTERN = 1000 // characters; no tensor's name is longer
const MAX_OPEN = 3 // quantifiers without a limit, and a start without one: with n of them a name of k characters may take k^n steps

/**
 * Checks a regular expression over tensors' names, and gives the number of its groups. Refuses, beside what is none, what can take exponential
 * time: a recipe from anywhere must not hang the planner.
 */
export function checkPattern(source: SourceText, at: At, pattern: string): number {
  const refuse = (what: string, fix: string) => faultAt(source, at, what, fix)
  if (pattern.length > MAX_PATTERN) throw refuse(`a pattern of ${pattern.length} characters; at most ${MAX_PATTERN} are possible`, 'write several shorter ones')
  let groups: number
  try {
    groups = new RegExp(`${pattern}|`, 'u').exec('')!.length - 1 // the empty alternative always matches
    new RegExp(pattern, 'u')
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message.replace(/^Invalid regular expression: \/.*\/u?: /s, '').toLowerCase() : ''
    throw refuse(`"${pattern}" is no regular expression: ${why}`, 'a character that means itself is written with a `\\` before it: `\\.`, `\\(`')
  }
  const plain = pattern.replace(/\[(?:\\.|[^\]\\])*\]/gs, 'x') // sets of characters hold no operators
  if (/\\(?:[1-9]|k<)/.test(plain.replace(/\\\\/g, ''))) throw refuse(`"${pattern}" refers back to a group`, 'write two patterns')
  const { open, isNested } = countQuantifiers(plain)
  if (isNested) throw refuse(`"${pattern}" repeats a group that itself repeats or has alternatives`, 'such a pattern can take forever: write several simpler ones')
  const most = pattern.startsWith('^') ? MAX_OPEN : MAX_OPEN - 1
  if (open > most) throw refuse(`"${pattern}" has ${open} times * + or {n,}`, `at most ${MAX_OPEN - 1} are possible, ${MAX_OPEN} after a ^: write several simpler ones`)
  return groups
}

/** Quantifiers without a limit, and whether a repeated group holds a quantifier or alternatives. */
function countQuantifiers(plain: string): { readonly open: number; readonly isNested: boolean } {
  const quantifier = /^(?:[*+]|\{\d+(?:,\d*)?\})/
  const depths: boolean[] = [false] // whether the group so far repeats or chooses
  let open = 0
  let isNested = false
  for (let at = 0; at < plain.length; at++) {
    const character = plain[at]!
    if (character === '\\') at++
    else if (character === '(') depths.push(false)
    else if (character === ')') {
      const inner = depths.pop() ?? false
      if (inner && quantifier.test(plain.slice(at + 1))) isNested = true
      if (inner) depths[depths.length - 1] = true
    } else if (character === '|' || (character === '?' && plain[at - 1] !== '(')) depths[depths.length - 1] = true
    else {
      const found = quantifier.exec(plain.slice(at))
      if (!found) continue
      depths[depths.length - 1] = true
      if (/^(?:[*+]|\{\d+,\})$/.test(found[0])) open++
      at += found[0].length - 1
    }
  }
  return { open, isNested }
}

/** Refuses `$2` where there is one group: it would stand in the name as it is. */
export function checkReplacement(source: SourceText, at: At, to: string, groups: number): void {
  for (const [, group] of to.replaceAll('$$', '').matchAll(/\$(\d+)/g)) {
    if (Number(group) >= 1 && Number(group) <= groups) continue
    const has = groups === 0 ? 'the pattern has no group' : `the pattern has ${groups} group${groups === 1 ? '' : 's'}`
    throw faultAt(source, at, `$${group} stands for group ${group}, and ${has}`, 'groups stand in ( ) and are counted from 1; a $ itself is written $$')
  }
}
