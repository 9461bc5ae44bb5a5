import type { Entry } from './document.ts'
import { checkKeys, entryOf, mapOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { callOf, type Reader, readModels } from './members.ts'
import type { Expression, Module, Settings } from './recipe.ts'
import { layered, readSettings } from './settings.ts'
import { readSlices } from './slices.ts'

const EXAMPLE = 'modules: {text_decoder: {models: […]}, vision_tower: {models: […]}}'

/** Reads `modules:`. Which modules a model has is known when it is open. */
export function readParts(reader: Reader, { key, keyAt, value }: Entry, outer: Settings): Expression {
  const { source } = reader
  const map = mapOf(source, value, key, EXAMPLE)
  if (map.entries.size === 0) throw faultAt(source, keyAt, 'modules lists no module', `write for example \`${EXAMPLE}\``)
  return { kind: 'modules', modules: [...map.entries.values()].map(entry => readPart(reader, entry, outer)), at: keyAt }
}

function readPart(reader: Reader, { key, keyAt, value }: Entry, outer: Settings): Module {
  const { source, notes } = reader
  const map = mapOf(source, value, `module ${key}`, `${key}: {models: […]}`)
  checkKeys(source, map, ['models', 'slices', 'parameters'], { parameters: true })
  const [contents, other] = ['models', 'slices'].flatMap(name => entryOf(map, name) ?? [])
  if (!contents) throw faultAt(source, keyAt, `module ${key} has neither models nor slices`, 'give it one of the two')
  if (other) throw faultAt(source, other.keyAt, `module ${key} has both models and slices`, 'keep one of the two')
  const parameters = layered(readSettings(source, entryOf(map, 'parameters'), notes), outer)
  const expression =
    contents.key === 'slices'
      ? readSlices(reader, contents, parameters)
      : callOf(reader, { members: readModels(reader, contents), parameters, base: reader.base ?? null, isSlice: false, at: contents.keyAt })
  return { name: key, expression, at: keyAt }
}
