import type { AnyMethod } from '../methods/method.ts'
import type { Entry, Value } from './document.ts'
import { checkKeys, entryOf, mapOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { own } from './lookup.ts'
import type { Stages } from './mergekit.ts'
import type { Argument, At, Expression, ModelRef, Note, Settings, SourceText } from './recipe.ts'
import { readReference, referenceText } from './references.ts'
import { readSettings } from './settings.ts'

/** What the parts of a mergekit recipe are read with. */
export interface Reader {
  readonly source: SourceText
  readonly notes: Note[]
  /** The merge method: its name, itself, and the line that names it. */
  readonly name: string
  readonly method: AnyMethod
  readonly at: Entry
  /** Every model met, in order. */
  readonly models: Map<string, ModelRef>
  readonly stages: Stages
  readonly base?: Member | null
}

/** A model, or a stage, as a recipe lists it. */
export interface Member {
  readonly name: string
  readonly expression: Expression
  readonly parameters: Settings
  readonly at: At
}

export const MODEL_EXAMPLE = '- {model: path/to/model, parameters: {weight: 0.5}}'

/** Reads `models:`. */
export function readModels(reader: Reader, { key, keyAt, at, value }: Entry): readonly Member[] {
  const { source } = reader
  if (value.kind !== 'list' || value.items.length === 0) {
    const what = value.kind === 'list' || value.kind === 'scalar' ? `${key} lists no model` : `${key} must be a list`
    throw faultAt(source, value.kind === 'list' ? at : keyAt, what, `write entries such as \`${MODEL_EXAMPLE}\``)
  }
  const members: Member[] = []
  for (const item of value.items) {
    const member = readEntry(reader, item, members)
    const before = members.find(m => m.name === member.name)
    if (before) throw twice(source, member, before, 'keep one entry, with the sum of the weights')
    members.push(member)
  }
  return members
}

export const twice = (source: SourceText, member: Member, before: Member, fix: string) =>
  faultAt(source, member.at, `${member.name} is listed twice, on lines ${before.at.line} and ${member.at.line}`, fix)

function readEntry(reader: Reader, item: Value, before: readonly Member[]): Member {
  const { source } = reader
  if (item.kind === 'scalar' && typeof item.value === 'string') throw faultAt(source, item.at, 'an entry of models must be a mapping', `write \`- model: ${item.value}\``)
  const map = mapOf(source, item, 'an entry of models', MODEL_EXAMPLE)
  const parameters = map.entries.get('parameters')
  const misplaced = [...map.entries.values()].find(e => ['path', 'name'].includes(e.key))
  if (misplaced && !map.entries.has('model'))
    throw faultAt(source, misplaced.keyAt, `an entry of models has ${misplaced.key}, not model`, `write \`model:\` in place of \`${misplaced.key}:\``)
  const range = map.entries.get('layer_range')
  if (range)
    throw faultAt(source, range.keyAt, 'layer_range stands in slices, and this is an entry of models', 'put the model under `slices: [{sources: […]}]`, or remove layer_range')
  checkKeys(source, map, ['model', 'parameters'], { parameters: true })
  const model = entryOf(map, 'model')
  if (!model) {
    const above = before.at(-1)
    const fix =
      parameters && above
        ? `if these parameters belong to ${above.name} (line ${above.at.line}), remove the "-" and indent them to stand under its \`model:\``
        : 'add `model: path/to/model`'
    throw faultAt(source, map.at, `entry ${before.length + 1} of models has no model`, fix)
  }
  return { ...readMember(reader, model.value, 'model'), parameters: readSettings(source, entryOf(map, 'parameters'), reader.notes) }
}

/** Reads the name of a model or of a stage, and notes the model down. */
export function readMember({ source, models, stages }: Reader, value: Value, key: string): Member {
  const { at } = value
  const text = value.kind === 'scalar' && value.value !== null ? (typeof value.value === 'string' ? value.value : value.placed.text) : null
  const stage = text === null ? null : stages(text, at)
  if (text !== null && stage) return { name: text, expression: { kind: 'stage', name: text, of: stage, at }, parameters: {}, at }
  const reference = readReference(source, value, key)
  const name = referenceText(reference)
  if (!models.has(name)) models.set(name, reference)
  const place = reference.at ?? at
  return { name, expression: { kind: 'model', model: name, at: place }, parameters: {}, at: place }
}

interface Call {
  readonly members: readonly Member[]
  readonly parameters: Settings
  readonly base: Member | null
  /** Whether the members are sources of a slice, to which no base is added. */
  readonly isSlice: boolean
  readonly at: At
}

/** The merge of some members; what becomes of the base model is the method's to say. */
export function callOf(reader: Reader, { members, parameters, base, isSlice, at }: Call): Expression {
  const { source, name, method } = reader
  if (!base && (method.base === 'required' || method.base === 'first')) {
    const fix = `add the line \`base_model: ${members[0]?.name ?? 'path/to/base'}\`, with the model that the others were fine-tuned from`
    throw faultAt(source, reader.at.at, `${name} needs base_model`, fix)
  }
  const entry = members.find(m => m.name === base?.name)
  const others = members.filter(m => m !== entry)
  if (isSlice && isTakenAsItIs(method, members, entry)) return members[0]!.expression
  if (isSlice && base && !entry && (method.base === 'required' || method.base === 'first')) {
    throw faultAt(source, at, `${base.name} is base_model, but not a source of this slice`, `add a source: \`- {model: ${base.name}, layer_range: [start, end]}\``)
  }
  if (base && !isSlice) refuseUnweightedBase(reader, base, entry, parameters)
  const merged = argumentsOf(method, members, others, isSlice ? (entry ?? null) : (entry ?? base))
  const theta = method.base === 'required' || method.base === 'optional' ? (isSlice ? entry : base) : null
  if (theta && entry) noteBaseParameters(reader, entry)
  return {
    kind: 'call',
    method: name,
    arguments: merged.map((m): Argument => ({ expression: m.expression, parameters: m.parameters })),
    base: theta?.expression ?? null,
    parameters,
    at,
  }
}

/** In slices mergekit copies the one source of a method that merges several, and a base without fine-tunes. */
const isTakenAsItIs = ({ base, models }: AnyMethod, members: readonly Member[], entry: Member | undefined): boolean =>
  members.length === 1 && (base === 'first' || (models?.min ?? 1) > 1 || (base === 'required' && entry !== undefined))

/** The models that are merged; `base` is one of them where the method has no θ₀. */
function argumentsOf(method: AnyMethod, members: readonly Member[], others: readonly Member[], base: Member | null): readonly Member[] {
  switch (method.base) {
    case 'required':
    case 'optional':
      return others
    case 'first':
      return base ? [base, ...others] : others
    case 'unused':
      return base && !members.includes(base) ? [...members, base] : members
    default:
      throw method.base satisfies never
  }
}

function refuseUnweightedBase({ source, name, method }: Reader, base: Member, entry: Member | undefined, parameters: Settings): void {
  if (method.base !== 'unused' || entry) return
  for (const [parameter, spec] of Object.entries(method.params)) {
    if (spec.scope !== 'model' || spec.default !== undefined || own(parameters, parameter)) continue
    const fix = `list it: \`- {model: ${base.name}, parameters: {${parameter}: 1}}\`, or remove base_model`
    throw faultAt(source, base.at, `base_model takes part in ${name} and needs a ${parameter}`, fix)
  }
}

function noteBaseParameters({ name: method, notes }: Reader, { name, parameters }: Member): void {
  for (const [parameter, { at }] of Object.entries(parameters)) {
    if (notes.some(note => note.at === at)) continue // the members may be merged twice, for the layers and for what comes after
    notes.push({ text: `${parameter} of ${name} has no effect: it is the base of ${method}`, at })
  }
}
