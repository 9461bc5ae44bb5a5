import { MergeError } from '../errors.ts'
import type { Entry, MapValue, Value } from '../recipe/document.ts'
import { checkKeys, entryOf, mapOf } from '../recipe/fields.ts'
import { faultAt } from '../recipe/locate.ts'
import type { At, SourceText } from '../recipe/recipe.ts'
import type { Choice, Coordinate } from './space.ts'

export interface Variable {
  readonly name: string
  /** Several for a variable with groups. */
  readonly coordinates: readonly Coordinate[]
  /** Null when it was given beside the recipe. */
  readonly at: At | null
}

const EXAMPLE = '{ range: [0, 1], step: 0.05 }'
const CHOICES_EXAMPLE = '{ choices: [ties, task_arithmetic] }'
const FINE = 1000 // steps of a range without a step: coefficients matter to two digits, and recipes stay readable
const MAX_STEPS = 1_000_000
const MAX_GROUPS = 1000 // of a gradient
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Reads the block `variables:`. */
export function readVariables(source: SourceText, entry: Entry): readonly Variable[] {
  const { entries } = mapOf(source, entry.value, 'variables', `variables: { lambda: ${EXAMPLE} }`)
  if (entries.size === 0) throw faultAt(source, entry.at, 'there are no variables', `write for example \`lambda: ${EXAMPLE}\``)
  return [...entries.values()].map(({ key, keyAt, value }) => {
    if (!NAME.test(key)) throw faultAt(source, keyAt, `"${key}" cannot be the name of a variable`, 'use letters without accents, digits and _, and begin with a letter')
    const fail = (at: At, what: string, fix: string): MergeError => faultAt(source, at, what, fix)
    const map = mapOf(source, value, key, `${key}: ${EXAMPLE}`)
    checkKeys(source, map, ['range', 'step', 'groups', 'choices'])
    const choices = entryOf(map, 'choices')
    if (choices) {
      const other = [...map.entries.values()].find(e => e.key !== 'choices')
      if (other) throw fail(other.keyAt, `${key} has both choices and a ${other.key}`, 'keep one of the two')
      return { name: key, at: keyAt, coordinates: [choiceOf(key, choicesIn(source, choices), (what, fix) => fail(choices.value.at, what, fix))] }
    }
    const range = rangeIn(source, map, key, keyAt)
    const step = entryOf(map, 'step')
    if (step && numberIn(step.value) === null) throw fail(step.value.at, 'step must be a number', 'write for example `step: 0.05`')
    const places = { range: range.at, step: step?.value.at ?? range.at }
    const number = numberOf(key, range.values, step ? numberIn(step.value) : null, (what, fix, part) => fail(places[part], what, fix))
    return { name: key, at: keyAt, coordinates: grouped(number, groupsIn(source, map)) }
  })
}

/** Reads a variable as the command line has it: `0..1:0.05`, `0..1`, `ties|task_arithmetic`. */
export function readVariable(name: string, text: string): Variable {
  const fail = (what: string, fix: string): MergeError => new MergeError(what, { where: `--variable ${name}`, fix })
  if (!NAME.test(name)) throw fail(`"${name}" cannot be the name of a variable`, 'use letters without accents, digits and _, and begin with a letter')
  const range = /^\s*(.+?)\s*\.\.\s*([^:]+?)\s*(?::\s*(.+?)\s*)?$/.exec(text)
  if (range) {
    const [low, high, step] = range.slice(1).map(part => (part === undefined ? null : part.trim() === '' ? Number.NaN : Number(part)))
    if (![low, high, step ?? 1].every(Number.isFinite)) throw fail(`"${text}" is not LOW..HIGH:STEP`, `write for example --variable '${name}=0..1:0.05'`)
    return { name, at: null, coordinates: [numberOf(name, [low!, high!], step ?? null, fail)] }
  }
  if (!text.includes('|')) throw fail(`"${text}" is neither a range nor several choices`, `write --variable '${name}=0..1:0.05' or --variable '${name}=ties|task_arithmetic'`)
  return { name, at: null, coordinates: [choiceOf(name, text.split('|').map(plain), fail)] }
}

type Fail = (what: string, fix: string, part: 'range' | 'step') => MergeError

function numberOf(name: string, [low, high]: readonly [number, number], step: number | null, fail: Fail): Coordinate {
  if (high <= low) throw fail(`the range of ${name} is empty: from ${low} to ${high}`, 'write the smaller number first, and another one second', 'range')
  if (step !== null && step <= 0) throw fail(`the step of ${name} is ${step}`, 'write a number above 0, or none for any number of the range', 'step')
  if (step !== null && step > high - low)
    throw fail(`the step of ${name} is ${step}, and its range only ${Number((high - low).toPrecision(6))} wide`, 'write a smaller step', 'step')
  const width = step ?? (high - low) / FINE
  const count = Math.floor((high - low) / width + 1e-6) + 1 // 1 / 0.05 may be a little less than 20
  if (count > MAX_STEPS) throw fail(`the step of ${name} gives ${count} values; at most ${MAX_STEPS} are possible`, 'write a larger step', 'step')
  return { kind: 'number', name, variable: name, low, step: width, count, isContinuous: step === null }
}

/** Words stand in the text as they are, so that they must not end what they stand in. */
const WORD = /^[\p{L}\p{N}_./@-][\p{L}\p{N}_./@+-]*$/u

function choiceOf(name: string, values: readonly Choice[], fail: (what: string, fix: string) => MergeError): Coordinate {
  if (values.length < 2) throw fail(`${name} has ${values.length === 0 ? 'no choices' : 'only one choice'}`, `write at least two: \`${name}: ${CHOICES_EXAMPLE}\``)
  const strange = values.find(value => typeof value === 'string' && !WORD.test(value))
  if (strange !== undefined) throw fail(`"${strange}" cannot be a choice of ${name}`, 'choices are words, paths, numbers, true or false')
  const twice = values.find((value, i) => values.indexOf(value) < i)
  if (twice !== undefined) throw fail(`${twice} is twice among the choices of ${name}`, 'remove one of the two')
  return { kind: 'choice', name, variable: name, values, count: values.length }
}

function plain(text: string): Choice {
  const word = text.trim()
  if (word === 'true' || word === 'false') return word === 'true'
  return word !== '' && Number.isFinite(Number(word)) ? Number(word) : word
}

const grouped = (number: Coordinate, groups: number | null): readonly Coordinate[] =>
  groups === null ? [number] : Array.from({ length: groups }, (_, g) => ({ ...number, name: `${number.variable}[${g + 1}]` }))

function groupsIn(source: SourceText, map: MapValue): number | null {
  const entry = entryOf(map, 'groups')
  if (!entry) return null
  const groups = numberIn(entry.value)
  if (groups !== null && Number.isInteger(groups) && groups >= 2 && groups <= MAX_GROUPS) return groups
  throw faultAt(source, entry.value.at, `groups must be a whole number from 2 to ${MAX_GROUPS}`, 'write for example `groups: 4`: a gradient of four numbers over the layers')
}

function rangeIn(source: SourceText, map: MapValue, name: string, at: At): { readonly values: readonly [number, number]; readonly at: At } {
  const entry = entryOf(map, 'range')
  if (!entry) throw faultAt(source, at, `${name} has neither a range nor choices`, `write \`${name}: ${EXAMPLE}\` or \`${name}: ${CHOICES_EXAMPLE}\``)
  const [low, high, ...more] = entry.value.kind === 'list' ? entry.value.items.map(numberIn) : []
  if (typeof low !== 'number' || typeof high !== 'number' || more.length > 0) throw faultAt(source, entry.value.at, 'a range is two numbers', 'write for example `range: [0, 1]`')
  return { values: [low, high], at: entry.value.at }
}

function choicesIn(source: SourceText, { value }: Entry): readonly Choice[] {
  if (value.kind !== 'list') throw faultAt(source, value.at, 'choices are a list', 'write for example `choices: [ties, task_arithmetic]`')
  return value.items.map(item => {
    if (item.kind === 'scalar' && item.value !== null) return item.value
    throw faultAt(source, item.at, 'a choice is a word or a number', 'write for example `choices: [ties, task_arithmetic]`')
  })
}

const numberIn = (value: Value): number | null => (value.kind === 'scalar' && typeof value.value === 'number' && Number.isFinite(value.value) ? value.value : null)
