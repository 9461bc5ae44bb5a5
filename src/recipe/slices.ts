import type { Entry, MapValue, Value } from './document.ts'
import { checkKeys, entryOf, mapOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { callOf, type Member, type Reader, readMember, twice } from './members.ts'
import type { At, Expression, Settings } from './recipe.ts'
import { layered, readSettings } from './settings.ts'

const EXAMPLE = '- sources: [{model: path/to/model, layer_range: [0, 16]}]'
const SOURCE_EXAMPLE = '- {model: path/to/model, layer_range: [0, 16]}'

type Layers = Extract<Expression, { kind: 'layers' }>
type Source = Member & { readonly expression: Layers }

/** A slice as read: its merge can be had of its first sources alone. */
interface Slice {
  readonly sources: readonly Source[]
  mergeOf(sources: readonly Source[]): Expression
  readonly at: At
}

/** Reads `slices:`. `outer` are the parameters of the levels above, which a slice's own go before. */
export function readSlices(reader: Reader, { key, keyAt, at, value }: Entry, outer: Settings): Expression {
  const { source, notes } = reader
  if (value.kind !== 'list') throw faultAt(source, keyAt, `${key} must be a list`, `write entries such as \`${EXAMPLE}\``)
  if (value.items.length === 0) throw faultAt(source, at, `${key} lists no slice`, `write entries such as \`${EXAMPLE}\``)
  const slices = value.items.map((item, i) => readSlice(reader, item, i + 1, outer))
  slices.forEach(({ sources, at: place }, i) => {
    if (lengthOf(sources[0]!) === 0 && i > 0 && i < slices.length - 1)
      notes.push({ text: `slice ${i + 1} has no effect: it has no layers, and is neither the first nor the last`, at: place })
  })
  return { kind: 'stack', slices: slices.map(s => s.mergeOf(s.sources)), after: afterLayers(reader, slices), at: keyAt }
}

/**
 * mergekit counts the sources of the first slice, and of the last one takes no more into the final norm and the head.
 * Null where that is all of them, or where it then fails for want of its base.
 */
function afterLayers({ notes, method }: Reader, slices: readonly Slice[]): Expression | null {
  const [first, last] = [slices[0]!, slices.at(-1)!]
  const taken = last.sources.slice(0, first.sources.length)
  const whole = last.mergeOf(last.sources)
  if (taken.length === last.sources.length || (method.base !== 'unused' && whole.kind === 'call' && !holdsBase(whole, taken))) return null
  const why = `the first slice has ${first.sources.length} source${first.sources.length === 1 ? '' : 's'}`
  notes.push({
    text: `as in mergekit, final norm and head come from ${taken.map(s => s.name).join(', ')} alone and not from all sources of the last slice, since ${why}`,
    at: last.at,
  })
  return last.mergeOf(taken)
}

/** Whether a call's base, or the first of two models, is among `sources`. */
function holdsBase({ base, arguments: given }: Extract<Expression, { kind: 'call' }>, sources: readonly Source[]): boolean {
  return (sources.length === 1 && base === null) || sources.some(s => s.expression === (base ?? given[0]!.expression))
}

function readSlice(reader: Reader, item: Value, number: number, outer: Settings): Slice {
  const { source, notes } = reader
  const map = mapOf(source, item, 'an entry of slices', EXAMPLE)
  const direct = map.entries.has('sources') ? undefined : (map.entries.get('model') ?? map.entries.get('layer_range'))
  if (direct) throw faultAt(source, direct.keyAt, `slice ${number} has ${direct.key}, but no sources`, `write \`${EXAMPLE}\``)
  checkKeys(source, map, ['sources', 'base_model', 'parameters'], { parameters: true })
  const entry = entryOf(map, 'sources')
  if (!entry) throw faultAt(source, map.at, `slice ${number} has no sources`, `write \`${EXAMPLE}\``)
  const sources = readSources(reader, entry, number)
  const length = lengthOf(sources[0]!)
  const other = sources.find(s => lengthOf(s) !== length)
  if (other) {
    const spell = (s: Source) => `${lengthOf(s)} of ${s.name}`
    const fix = `give all sources of a slice ranges of one length, e.g. \`layer_range: [${other.expression.start}, ${other.expression.start + length}]\` here`
    throw faultAt(source, other.expression.at, `slice ${number} merges layers one by one, and takes ${spell(sources[0]!)}, but ${spell(other)}`, fix)
  }
  const baseEntry = entryOf(map, 'base_model')
  const base = baseEntry ? readMember(reader, baseEntry.value, 'base_model') : (reader.base ?? null)
  const parameters = layered(readSettings(source, entryOf(map, 'parameters'), notes), outer)
  const at = entry.keyAt
  return { sources, at, mergeOf: members => callOf(reader, { members, parameters, base, isSlice: true, at }) }
}

function readSources(reader: Reader, { keyAt, at, value }: Entry, number: number): readonly Source[] {
  const { source } = reader
  if (value.kind !== 'list') throw faultAt(source, keyAt, 'sources must be a list', `write entries such as \`${SOURCE_EXAMPLE}\``)
  if (value.items.length === 0) throw faultAt(source, at, `slice ${number} lists no source`, `write entries such as \`${SOURCE_EXAMPLE}\``)
  const members: Source[] = []
  for (const item of value.items) {
    const member = readSource(reader, mapOf(source, item, 'a source', SOURCE_EXAMPLE), number)
    const before = members.find(m => m.name === member.name)
    if (before) throw twice(source, member, before, 'keep one of the two: a slice merges one range of each model')
    members.push(member)
  }
  return members
}

function readSource(reader: Reader, map: MapValue, number: number): Source {
  const { source } = reader
  checkKeys(source, map, ['model', 'layer_range', 'parameters'], { parameters: true })
  const model = entryOf(map, 'model')
  if (!model) throw faultAt(source, map.at, `a source of slice ${number} has no model`, 'add `model: path/to/model`')
  const member = readMember(reader, model.value, 'model')
  const range = entryOf(map, 'layer_range')
  if (!range) throw faultAt(source, member.at, `${member.name} has no layer_range in slice ${number}`, `write \`${SOURCE_EXAMPLE}\``)
  const [start, end] = readRange(reader, range)
  const parameters = readSettings(source, entryOf(map, 'parameters'), reader.notes)
  return { ...member, parameters, expression: { kind: 'layers', of: member.expression, start, end, at: range.value.at } }
}

/** Reads layers [start, end); equal bounds choose a model's embeddings or head without any layer. */
function readRange({ source }: Reader, { value }: Entry): readonly [number, number] {
  const bounds = value.kind === 'list' ? value.items.map(item => (item.kind === 'scalar' && item.value !== '' ? Number(item.value ?? NaN) : NaN)) : []
  const [start, end] = bounds
  if (bounds.length !== 2 || !Number.isSafeInteger(start) || !Number.isSafeInteger(end)) {
    throw faultAt(source, value.at, 'layer_range must be two whole numbers, [start, end)', 'write for example `layer_range: [0, 8]` for layers 0 to 7')
  }
  if (start! < 0 || end! < 0) throw faultAt(source, value.at, `layer_range [${start}, ${end}] is negative`, 'count layers from 0 at the input side of the model')
  if (start! > end!) throw faultAt(source, value.at, `layer_range [${start}, ${end}] is reversed`, `did you mean [${end}, ${start}]?`)
  return [start!, end!]
}

const lengthOf = ({ expression }: Source): number => expression.end - expression.start
