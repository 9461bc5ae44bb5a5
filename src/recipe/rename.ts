import type { Entry, MapValue, Value } from './document.ts'
import { readDocuments } from './document.ts'
import { checkKeys, entryOf, mapOf, textOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { checkPattern, checkReplacement } from './pattern.ts'
import type { At, LayerRename, Rename, SourceText } from './recipe.ts'

/** `rename:` as plain values, for recipes that are written in code. */
export interface RenameOptions {
  readonly strip?: string
  readonly regex?: readonly { readonly from: string; readonly to: string }[]
  readonly layers?: { readonly of?: string; readonly skip?: readonly number[]; readonly gaps?: readonly number[]; readonly map?: Readonly<Record<number, number>> }
  readonly add?: string
}

const EXAMPLE = "rename: {strip: 'language_model.'}"
const LAYERS_EXAMPLE = 'layers: {gaps: [3, 8]}'

/** Reads `rename:` of a model. Whether the names are there only the model tells. */
export function readRename(source: SourceText, { keyAt, value }: Entry): Rename {
  return renameIn(source, mapOf(source, value, 'rename', EXAMPLE), keyAt)
}

/** Reads a `rename` that stands alone, as text (`{add: 'language_model.'}`) or as values; `name` is what errors call it. */
export function readLoneRename(name: string, given: string | RenameOptions): Rename {
  const source = { name, text: typeof given === 'string' ? given : JSON.stringify(given) }
  const [value] = readDocuments(source)
  return { ...renameIn(source, mapOf(source, value!, 'rename', "{strip: 'language_model.'}"), value!.at), at: null } // an empty text has been refused
}

/** `{ strip: "language_model.", layers: { gaps: [3, 8] } }`: a rename as a recipe has it. */
export function spellRename({ strip, regex, layers, add }: Pick<Rename, 'strip' | 'regex' | 'layers' | 'add'>): string {
  const quoted = (text: string): string => JSON.stringify(text)
  const fields = (all: readonly (string | false)[]): string => `{ ${all.filter(field => field !== false).join(', ')} }`
  const layered =
    layers &&
    fields([
      layers.of !== null && `of: ${quoted(layers.of)}`,
      layers.skip.length > 0 && `skip: [${layers.skip.join(', ')}]`,
      layers.gaps.length > 0 && `gaps: [${layers.gaps.join(', ')}]`,
      layers.map !== null && `map: { ${layers.map.map(pair => pair.join(': ')).join(', ')} }`,
    ])
  return fields([
    strip !== null && `strip: ${quoted(strip)}`,
    regex.length > 0 && `regex: [${regex.map(({ from, to }) => `{ from: ${quoted(from)}, to: ${quoted(to)} }`).join(', ')}]`,
    layered !== null && `layers: ${layered}`,
    add !== null && `add: ${quoted(add)}`,
  ])
}

function renameIn(source: SourceText, map: MapValue, at: At): Rename {
  checkKeys(source, map, ['strip', 'regex', 'layers', 'add'])
  const text = (key: string): string | null => {
    const entry = entryOf(map, key)
    return entry && textOf(source, entry.value, key, `${key}: 'language_model.'`)
  }
  const rename = { strip: text('strip'), regex: readRegexes(source, entryOf(map, 'regex')), layers: readLayers(source, entryOf(map, 'layers')), add: text('add'), at }
  if (rename.strip === null && rename.regex.length === 0 && rename.layers === null && rename.add === null)
    throw faultAt(source, at, 'rename changes nothing', 'give it one of strip, regex, layers, add; or remove it')
  return rename
}

function readRegexes(source: SourceText, entry: Entry | null): Rename['regex'] {
  if (!entry) return []
  const example = "regex: [{from: '^transformer\\.', to: 'model.'}]"
  if (entry.value.kind !== 'list') throw faultAt(source, entry.value.at, 'regex must be a list', `write for example \`${example}\``)
  return entry.value.items.map(item => {
    const map = mapOf(source, item, 'an entry of regex', example)
    checkKeys(source, map, ['from', 'to'])
    const [from, to] = [map.entries.get('from'), map.entries.get('to')]
    if (!from || !to) throw faultAt(source, map.at, `the entry has no ${from ? 'to' : 'from'}`, `write for example \`${example}\``)
    const pattern = textOf(source, from.value, 'from', "from: '^transformer\\.'")
    const groups = checkPattern(source, from.value.at, pattern)
    const target = to.value.kind === 'scalar' && typeof to.value.value === 'string' ? to.value.value : null
    if (target === null) throw faultAt(source, to.value.at, 'to must be text', "write for example `to: 'model.$1'`, or `to: ''` for nothing")
    checkReplacement(source, to.value.at, target, groups)
    return { from: pattern, to: target }
  })
}

function readLayers(source: SourceText, entry: Entry | null): LayerRename | null {
  if (!entry) return null
  const map = mapOf(source, entry.value, 'layers', LAYERS_EXAMPLE)
  checkKeys(source, map, ['of', 'skip', 'gaps', 'map'])
  const [of, skip, gaps, pairs] = ['of', 'skip', 'gaps', 'map'].map(key => entryOf(map, key))
  const other = skip ?? gaps
  if (pairs && other) throw faultAt(source, other.keyAt, `map and ${other.key} are both given`, 'keep one of the two: `map` says all')
  if (!pairs && !other) throw faultAt(source, entry.keyAt, 'layers says nothing of the layers', 'give it `skip: [3, 8]`, `gaps: [3, 8]` or `map: {0: 0, 1: 2}`')
  return {
    of: of ? textOf(source, of.value, 'of', 'of: model.layers').replace(/\.$/, '') : null,
    skip: skip ? readIndices(source, skip) : [],
    gaps: gaps ? readIndices(source, gaps) : [],
    map: pairs ? readMap(source, pairs) : null,
  }
}

function readIndices(source: SourceText, { key, value }: Entry): readonly number[] {
  const example = `write for example \`${key}: [3, 8]\``
  if (value.kind !== 'list' || value.items.length === 0) throw faultAt(source, value.at, `${key} must be a list of layers`, example)
  const indices = value.items.map(item => indexOf(source, item, example))
  const twice = indices.findIndex((index, i) => indices.indexOf(index) < i)
  if (twice >= 0) throw faultAt(source, value.items[twice]!.at, `${key} names layer ${indices[twice]} twice`, 'remove one of the two')
  return indices
}

function readMap(source: SourceText, { value }: Entry): LayerRename['map'] {
  const example = 'write for example `map: {0: 0, 1: 1, 2: 3}`, own index first'
  if (value.kind !== 'map' || value.entries.size === 0) throw faultAt(source, value.at, 'map must say which layer becomes which', example)
  const seen = new Map<number, number>() // new index → own
  return [...value.entries.values()].map(({ key, keyAt, value: to }) => {
    const own = Number(key)
    if (!/^\d{1,6}$/.test(key)) throw faultAt(source, keyAt, `"${key}" is no layer`, example)
    const index = indexOf(source, to, example)
    const before = seen.get(index)
    if (before !== undefined) throw faultAt(source, to.at, `layers ${before} and ${own} both become layer ${index}`, 'give each an index of its own')
    seen.set(index, own)
    return [own, index]
  })
}

function indexOf(source: SourceText, value: Value, fix: string): number {
  const index = value.kind === 'scalar' ? value.value : null
  if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < 1e6) return index
  throw faultAt(source, value.at, 'a layer is a whole number from 0', fix)
}
