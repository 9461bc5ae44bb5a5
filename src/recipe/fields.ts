import { DTYPES, dtypeNamed, type FloatDType, isFloat, torchName } from '../dtype.ts'
import type { MergeError } from '../errors.ts'
import type { Entry, MapValue, TextValue, Value } from './document.ts'
import { faultAt, nearest } from './locate.ts'
import { parameterNames } from './lookup.ts'
import type { SourceText } from './recipe.ts'
import { parseSize } from './size.ts'

/** A mapping, or an error that shows how to write it. */
export function mapOf(source: SourceText, value: Value, what: string, example: string): MapValue {
  if (value.kind === 'map') return value
  throw faultAt(source, value.at, `${what} must be a mapping`, `write for example \`${example}\``)
}

/** The entry under `key`, unless it is absent or null. */
export function entryOf(map: MapValue, key: string): Entry | null {
  const entry = map.entries.get(key)
  return entry && !(entry.value.kind === 'scalar' && entry.value.value === null) ? entry : null
}

/** Throws at the first key that `allowed` does not name. */
export function checkKeys(source: SourceText, map: MapValue, allowed: readonly string[], options: { readonly parameters?: boolean; readonly ignore?: RegExp } = {}): void {
  for (const entry of map.entries.values()) {
    if (!allowed.includes(entry.key) && !options.ignore?.test(entry.key)) throw unknownKey(source, entry, allowed, options.parameters ?? false)
  }
}

/** `parameters`: whether a method's parameter, written here, should have been under `parameters:`. */
function unknownKey(source: SourceText, entry: Entry, allowed: readonly string[], parameters: boolean): MergeError {
  const near = nearest(entry.key, allowed)
  const parameter = parameters && near === null ? nearest(entry.key, parameterNames()) : null
  const value = entry.value.kind === 'scalar' ? String(entry.value.value) : '…'
  const fix = parameter ? `it belongs under parameters: \`parameters: {${parameter}: ${value}}\`` : near === null ? `keys here: ${allowed.join(', ')}` : `did you mean "${near}"?`
  return faultAt(source, entry.keyAt, `unknown key "${entry.key}"`, fix)
}

/** Non-empty text. */
export function textOf(source: SourceText, value: Value, what: string, example: string): string {
  if (value.kind === 'scalar' && value.value !== null) {
    const text = typeof value.value === 'string' ? value.value : value.placed.text
    if (text.trim() !== '') return text
  }
  throw faultAt(source, value.at, `${what} must be text`, `write for example \`${example}\``)
}

/** The float dtype under `key`; null when the key is absent. */
export function dtypeAt(source: SourceText, map: MapValue, key: string): FloatDType | null {
  const entry = entryOf(map, key)
  if (!entry) return null
  const name = textOf(source, entry.value, key, `${key}: bfloat16`)
  const dtype = dtypeNamed(name)
  if (dtype && isFloat(dtype)) return dtype
  const floats = (Object.keys(DTYPES) as (keyof typeof DTYPES)[]).filter(isFloat) // the keys of DTYPES are its dtypes
  const choices = floats.map(torchName)
  const near = dtype ? null : nearest(name, [...choices, ...floats.flatMap(f => DTYPES[f].aliases), ...floats.map(f => f.toLowerCase())])
  const what = dtype ? `${name} is not a floating-point dtype` : `unknown dtype "${name}"`
  throw faultAt(source, entry.value.at, what, `${near ? `did you mean "${near}"? U` : 'u'}se one of: ${choices.join(', ')}`)
}

export const DEFAULT_SHARD_BYTES = 5_000_000_000 // what mergekit and transformers write
export const MIN_SHARD_BYTES = 1_000_000 // below this a model becomes thousands of files

/** The shard size under `shard_size`; the usual one when absent. */
export function shardSizeOf(source: SourceText, map: MapValue): number {
  const entry = entryOf(map, 'shard_size')
  if (!entry) return DEFAULT_SHARD_BYTES
  const text = textOf(source, entry.value, 'shard_size', 'shard_size: 5GB')
  const bytes = parseSize(text)
  if (bytes === null) throw faultAt(source, entry.value.at, `"${text}" is not a size`, 'write a number with a unit: 5GB, 500MB, 1.5GiB')
  if (bytes >= MIN_SHARD_BYTES) return bytes
  const meant = bytes < 1000 && bytes > 0 && /^\s*\d+\s*$/.test(text) ? `did you mean ${bytes}GB?` : 'write at least 1MB'
  throw faultAt(source, entry.value.at, `a shard of ${text}${/\d\s*$/.test(text) ? ' bytes' : ''} is too small`, meant)
}

/** The seed under `seed` or another of `keys`; 0 when absent. */
export function seedOf(source: SourceText, map: MapValue, keys: readonly string[]): number {
  const given = keys.flatMap(key => entryOf(map, key) ?? [])
  const [entry, other] = given
  if (!entry) return 0
  if (other) throw faultAt(source, other.keyAt, `${entry.key} and ${other.key} are both given`, 'keep one of the two')
  const seed = entry.value.kind === 'scalar' ? entry.value.value : null
  if (entry.value.kind === 'scalar') refuseLeadingZero(source, entry.value)
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0) return seed
  throw faultAt(source, entry.value.at, `${entry.key} must be a whole number from 0 to 2^53 - 1`, `write for example \`${entry.key}: 42\``)
}

const LEADING_ZERO = /^[+-]?0\d+$/

/** `010` is 8 to PyYAML, with which mergekit reads, and 10 in YAML 1.2: nobody should have to guess. */
export function refuseLeadingZero(source: SourceText, value: TextValue): void {
  const { text } = value.placed
  if (typeof value.value === 'number' && LEADING_ZERO.test(text))
    throw faultAt(source, value.at, `${text} means different numbers to different readers of YAML`, 'write it without the leading 0')
}
