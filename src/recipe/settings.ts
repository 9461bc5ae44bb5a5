import type { Entry, MapValue, TextValue, Value } from './document.ts'
import { checkKeys, entryOf, mapOf, refuseLeadingZero } from './fields.ts'
import { MAX_GRADIENT } from './gradient.ts'
import { faultAt } from './locate.ts'
import { own } from './lookup.ts'
import { filteredOf, unfilteredOf } from './parameters.ts'
import type { FilteredValue, Note, Scalar, Setting, Settings, SourceText } from './recipe.ts'

/** Reads a `parameters:` block; harmless oddities go to `notes`. Names and ranges are for check.ts. */
export function readSettings(source: SourceText, entry: Entry | null, notes: Note[]): Settings {
  if (!entry) return {}
  const map = mapOf(source, entry.value, 'parameters', 'parameters: {weight: 0.5}')
  return Object.fromEntries([...map.entries.values()].map(e => [e.key, readSetting(source, e, notes)]))
}

/** `inner` where it has something to say for a tensor, else `outer`: filters of an inner level that do not match fall through. */
export function layered(inner: Settings, outer: Settings): Settings {
  const names = [...new Set([...Object.keys(inner), ...Object.keys(outer)])]
  return Object.fromEntries(names.map(name => [name, fallThrough(own(inner, name), own(outer, name))]))
}

function fallThrough(inner: Setting | undefined, outer: Setting | undefined): Setting {
  if (!inner || !outer) return (inner ?? outer)! // one of the two named it
  const entries = inner.filtered ? filteredOf(inner) : []
  if (!inner.filtered || entries.some(e => e.filter === null)) return inner
  const rest = outer.filtered ? filteredOf(outer) : [{ filter: null, value: unfilteredOf(outer), at: outer.at }]
  return { value: [...entries, ...rest], filtered: true, at: inner.at }
}

function readSetting(source: SourceText, { key, value, at }: Entry, notes: Note[]): Setting {
  if (value.kind === 'map') return { value: [readFiltered(source, key, value)], filtered: true, at }
  if (value.kind === 'scalar' || !value.items.some(item => item.kind === 'map')) return { value: readScalar(source, key, value), filtered: false, at }
  const entries = value.items.map(item => {
    if (item.kind === 'map') return readFiltered(source, key, item)
    throw faultAt(source, item.at, `${key} mixes numbers and filters in one list`, 'write the number as an entry: `- {value: 0.5}`')
  })
  noteDeadEntries(entries, notes)
  return { value: entries, filtered: true, at }
}

function readFiltered(source: SourceText, name: string, map: MapValue): FilteredValue {
  checkKeys(source, map, ['filter', 'value'])
  const value = entryOf(map, 'value')
  if (!value) throw faultAt(source, map.at, `an entry of ${name} has no value`, 'write `- {filter: mlp, value: 0.5}`')
  if (value.value.kind === 'map' || (value.value.kind === 'list' && value.value.items.some(i => i.kind !== 'scalar'))) {
    throw faultAt(source, value.value.at, `filters of ${name} stand inside filters`, 'write one list of `- {filter: …, value: …}`')
  }
  const filter = entryOf(map, 'filter')?.value
  if (filter && filter.kind !== 'scalar') throw faultAt(source, filter.at, 'a filter must be text', 'write a part of the tensor names: `filter: mlp`')
  const text = filter ? (typeof filter.value === 'string' ? filter.value : filter.placed.text) : '*'
  return { filter: text === '*' || text === '' ? null : text, value: readScalar(source, name, value.value), at: value.at }
}

function noteDeadEntries(entries: readonly FilteredValue[], notes: Note[]): void {
  entries.forEach((entry, i) => {
    const earlier = entries.slice(0, i).find(e => e.filter === null || entry.filter?.includes(e.filter))
    if (!earlier) return
    const which = entry.filter === null ? 'this entry' : `the entry for "${entry.filter}"`
    const why = earlier.filter === null ? 'an entry before it matches every tensor' : `"${earlier.filter}" before it matches all its tensors`
    notes.push({ text: `${which} has no effect: ${why}, and the first match wins`, at: entry.at })
  })
}

function readScalar(source: SourceText, name: string, value: Value): Scalar | boolean | string {
  if (value.kind === 'map') throw faultAt(source, value.at, `${name} must be a number, a list of numbers, or a list of {filter, value}`, 'write for example `0.5`')
  if (value.kind === 'scalar') return readPlain(source, name, value)
  if (value.items.length === 0) throw faultAt(source, value.at, `${name} is an empty list`, 'write at least one number, or leave it out')
  if (value.items.length > MAX_GRADIENT) throw faultAt(source, value.at, `a gradient of ${value.items.length} values; at most ${MAX_GRADIENT} are possible`)
  return value.items.map(item => {
    const number = item.kind === 'scalar' ? readPlain(source, name, item) : null
    if (typeof number === 'number' || typeof number === 'boolean') return Number(number)
    throw faultAt(source, item.at, `a gradient of ${name} holds numbers only`, 'write for example `[0.2, 0.8]`')
  })
}

const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i

/** A number, also one written as text (`"0.25"`), true, false or a word. */
function readPlain(source: SourceText, name: string, value: TextValue): number | boolean | string {
  refuseLeadingZero(source, value)
  const plain = typeof value.value === 'string' && NUMBER.test(value.value) ? Number(value.value) : value.value
  if (plain === null || plain === '') throw faultAt(source, value.at, `${name} has no value`, `write a value, or remove ${name}`)
  if (typeof plain === 'number' && !Number.isFinite(plain)) {
    throw faultAt(source, value.at, `${name} must be a finite number, not ${value.placed.text}`, 'write a number such as 0.5')
  }
  return plain
}
