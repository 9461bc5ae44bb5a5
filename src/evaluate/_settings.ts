import type { MergeError } from '../errors.ts'
import type { Entry, MapValue, Value } from '../recipe/document.ts'
import { faultAt, suggest } from '../recipe/locate.ts'
import type { SourceText } from '../recipe/recipe.ts'
import type { Option, Setting } from './options.ts'

/** Where a suite is read: its text, and what the words in braces stand for. */
export interface Context {
  readonly source: SourceText
  readonly split: string
  /** `{task}` and `{split}` in texts. */
  readonly words: Readonly<Record<string, string>>
  /** Paths become absolute. */
  resolve(path: string): string
}

/** What a suite says for an option, checked. A mapping of `dev` and `test` has the value of each split. */
export function readSetting(context: Context, { key, value }: Entry, option: Option): Setting {
  const chosen = ofSplit(context, key, value)
  const fault = (must: string, example: string): MergeError => faultAt(context.source, chosen.at, `${key} must be ${must}`, `write for example \`${key}: ${example}\``)
  switch (option.kind) {
    case 'text':
    case 'path': {
      const text = textIn(context, chosen)
      if (text === null) throw fault(option.kind === 'path' ? 'a path' : 'text', option.kind === 'path' ? 'graph.onnx' : 'logits')
      if (option.choices && !option.choices.includes(text)) throw faultAt(context.source, chosen.at, `${key} cannot be "${text}"`, suggest(text, option.choices, 'it can be'))
      return option.kind === 'path' ? context.resolve(text) : text
    }
    case 'texts': {
      const texts = chosen.kind === 'list' ? chosen.items.map(item => textIn(context, item)) : null
      if (!texts || texts.length === 0 || texts.includes(null)) throw fault('a list of texts', '[zero, one]')
      return texts as readonly string[] // includes has looked
    }
    case 'count':
      return wholeNumber(chosen) ?? raise(fault('a whole number above 0', '128'))
    case 'number':
      return numberIn(chosen) ?? raise(fault('a number', '0.8'))
    case 'numbers':
      return numbersIn(chosen) ?? raise(fault('a list of whole numbers from 0', '[0, 1, 2]'))
    case 'names': {
      const entries = chosen.kind === 'map' ? [...chosen.entries.values()].map(e => [e.key, textIn(context, e.value)] as const) : []
      if (entries.length === 0 || entries.some(([, text]) => text === null)) throw fault('a mapping of names', '{ images: pixels }')
      return Object.fromEntries(entries) as Readonly<Record<string, string>> // some has looked
    }
    case 'sets': {
      const entries = chosen.kind === 'map' ? [...chosen.entries.values()].map(e => [e.key, numbersIn(e.value)] as const) : []
      if (entries.length === 0 || entries.some(([, numbers]) => numbers === null)) throw fault('a mapping of fields to lists of whole numbers', '{ labels: [0, 1] }')
      return Object.fromEntries(entries) as Readonly<Record<string, readonly number[]>> // some has looked
    }
    default:
      throw option.kind satisfies never
  }
}

const SPLITS = ['dev', 'test']

/** The value itself, or of a mapping of splits the one that is evaluated. */
export function ofSplit({ source, split }: Context, key: string, value: Value): Value {
  if (value.kind !== 'map' || ![...value.entries.keys()].every(k => SPLITS.includes(k)) || value.entries.size === 0) return value
  const entry = value.entries.get(split)
  if (entry) return entry.value
  throw faultAt(source, value.at, `${key} says nothing for the split "${split}"`, `add it: \`${key}: { dev: …, test: … }\`, or evaluate another split with --split`)
}

/** Text with its words in braces replaced; null for what is no text. Numbers are taken as they are written. */
export function textIn({ words }: Context, value: Value): string | null {
  if (value.kind !== 'scalar' || value.value === null) return null
  const text = typeof value.value === 'string' ? value.value : value.placed.text
  return text.trim() === '' ? null : text.replace(/\{(\w+)\}/g, (whole, word: string) => (Object.hasOwn(words, word) ? words[word]! : whole))
}

export function wholeNumber(value: Value): number | null {
  const number = numberIn(value)
  return number !== null && Number.isSafeInteger(number) && number > 0 ? number : null
}

export const numberIn = (value: Value): number | null => (value.kind === 'scalar' && typeof value.value === 'number' && Number.isFinite(value.value) ? value.value : null)

function numbersIn(value: Value): readonly number[] | null {
  const numbers = value.kind === 'list' ? value.items.map(numberIn) : []
  return numbers.length > 0 && numbers.every(n => n !== null && Number.isSafeInteger(n) && n >= 0) ? (numbers as readonly number[]) : null // every has looked
}

function raise(error: MergeError): never {
  throw error
}

/** The entries of several mappings by key, the later ones winning. */
export const combined = (...maps: readonly (MapValue | null)[]): ReadonlyMap<string, Entry> => new Map(maps.flatMap(map => (map ? [...map.entries] : [])))
