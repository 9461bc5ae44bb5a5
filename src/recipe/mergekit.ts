import type { AnyMethod } from '../methods/method.ts'
import type { Entry, MapValue, Value } from './document.ts'
import { checkKeys, DEFAULT_SHARD_BYTES, dtypeAt, entryOf, mapOf, seedOf, textOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { methodAt, own } from './lookup.ts'
import type { Argument, At, Expression, Note, Recipe, Settings, SourceText } from './recipe.ts'
import { readSettings } from './settings.ts'
import { readChatTemplate, readTokenizer } from './tokenizer.ts'

const LATER = {
  slices: 'merge whole models with `models:`',
  modules: 'merge whole models with `models:`',
} as const
export const MERGEKIT_KEYS = [
  'merge_method',
  'models',
  'base_model',
  'parameters',
  'dtype',
  'out_dtype',
  'seed',
  'random_seed',
  'tokenizer_source',
  'tokenizer',
  'chat_template',
  ...Object.keys(LATER),
] as const

/** Reads the form with `merge_method:`, as mergekit v0.1.4 understands it. */
export function readMergekit(source: SourceText, root: MapValue): Recipe {
  const top = root.entries
  if (top.has('merge'))
    throw faultAt(source, top.get('merge')!.keyAt, 'merge_method and merge are both given', 'keep merge_method for a mergekit recipe, or merge for an expression')
  checkKeys(source, root, MERGEKIT_KEYS, { parameters: true, ignore: /^(x-|_)/ })
  refuseLater(source, root)
  const methodEntry = top.get('merge_method')!
  const name = textOf(source, methodEntry.value, 'merge_method', 'merge_method: linear')
  const method = methodAt(source, methodEntry.value.at, name)
  const notes: Note[] = []
  const listed = readModels(source, root, notes)
  const parameters = readSettings(source, entryOf(root, 'parameters'), notes)
  const baseEntry = entryOf(root, 'base_model')
  const base = baseEntry && readRef(source, baseEntry.value, 'base_model')
  if (!base && (method.base === 'required' || method.base === 'first')) {
    throw faultAt(
      source,
      methodEntry.at,
      `${name} needs base_model`,
      `add the line \`base_model: ${listed[0]?.model ?? 'path/to/base'}\`, with the model that the others were fine-tuned from`,
    )
  }
  if (base) refuseUnweightedBase(source, name, method, base, listed, parameters)
  const [theta, members] = placeBase(method, base, listed)
  if (theta) noteBaseParameters(name, base!, listed, notes)
  const call: Expression = {
    kind: 'call',
    method: name,
    arguments: members.map((m): Argument => ({ expression: { kind: 'model', model: m.model, at: m.at }, parameters: m.parameters })),
    base: theta && { kind: 'model', model: theta.model, at: theta.at },
    parameters,
    at: methodEntry.value.at,
  }
  const models = [...(base ? [base] : []), ...listed].filter((m, i, all) => all.findIndex(o => o.model === m.model) === i)
  const refs = Object.fromEntries(models.map(m => [m.model, { path: m.model, at: m.at }]))
  const dtype = dtypeAt(source, root, 'dtype')
  return {
    form: 'mergekit',
    source,
    models: refs,
    merge: call,
    rules: [],
    output: { dtype: dtypeAt(source, root, 'out_dtype') ?? dtype, shardSize: DEFAULT_SHARD_BYTES, configFrom: base?.model ?? null, tokenizerFrom: base?.model ?? null },
    tokenizer: readTokenizer(source, root, refs),
    chatTemplate: readChatTemplate(source, root),
    seed: seedOf(source, root, ['seed', 'random_seed']),
    notes,
  }
}

function refuseLater(source: SourceText, root: MapValue): void {
  const given = (keys: readonly string[]): Entry[] => keys.flatMap(key => entryOf(root, key) ?? [])
  const [first, second] = given(['models', 'slices', 'modules'])
  if (first && second) throw faultAt(source, second.keyAt, `${first.key} and ${second.key} are both given`, 'keep exactly one of models, slices, modules')
  for (const [key, fix] of Object.entries(LATER)) {
    const entry = entryOf(root, key)
    if (entry) throw faultAt(source, entry.keyAt, `${key} is not supported in this version of Merganser yet`, fix)
  }
}

interface Member {
  readonly model: string
  readonly at: At
  readonly parameters: Settings
}

function readModels(source: SourceText, root: MapValue, notes: Note[]): readonly Member[] {
  const entry = root.entries.get('models')
  const example = '- {model: path/to/model, parameters: {weight: 0.5}}'
  if (!entry) throw faultAt(source, root.entries.get('merge_method')!.keyAt, 'the recipe has no models', `add \`models:\` with entries such as \`${example}\``)
  const { value } = entry
  if (value.kind !== 'list' || value.items.length === 0) {
    const what = value.kind === 'list' || value.kind === 'scalar' ? 'models lists no model' : 'models must be a list'
    throw faultAt(source, value.kind === 'list' ? entry.at : entry.keyAt, what, `write entries such as \`${example}\``)
  }
  const members: Member[] = []
  for (const item of value.items) {
    const member = readMember(source, item, members, notes)
    const before = members.find(m => m.model === member.model)
    if (before) {
      throw faultAt(source, member.at, `${member.model} is listed twice, on lines ${before.at.line} and ${member.at.line}`, 'keep one entry, with the sum of the weights')
    }
    members.push(member)
  }
  return members
}

function readMember(source: SourceText, item: Value, before: readonly Member[], notes: Note[]): Member {
  if (item.kind === 'scalar' && typeof item.value === 'string') throw faultAt(source, item.at, 'an entry of models must be a mapping', `write \`- model: ${item.value}\``)
  const map = mapOf(source, item, 'an entry of models', '- {model: path/to/model, parameters: {weight: 0.5}}')
  const parameters = map.entries.get('parameters')
  const misplaced = [...map.entries.values()].find(e => ['path', 'name'].includes(e.key))
  if (misplaced && !map.entries.has('model'))
    throw faultAt(source, misplaced.keyAt, `an entry of models has ${misplaced.key}, not model`, `write \`model:\` in place of \`${misplaced.key}:\``)
  checkKeys(source, map, ['model', 'parameters'], { parameters: true })
  const model = entryOf(map, 'model')
  if (!model) {
    const above = before.at(-1)
    const fix =
      parameters && above
        ? `if these parameters belong to ${above.model} (line ${above.at.line}), remove the "-" and indent them to stand under its \`model:\``
        : 'add `model: path/to/model`'
    throw faultAt(source, map.at, `entry ${before.length + 1} of models has no model`, fix)
  }
  return { ...readRef(source, model.value, 'model'), parameters: readSettings(source, entryOf(map, 'parameters'), notes) }
}

/** A model as `path`, `{path: …}` or `{model: {path: …}}`. The text is kept whole: whether `@` and `+` mean anything is known when the path is looked up. */
function readRef(source: SourceText, value: Value, key: string): Member {
  if (value.kind !== 'map') return { model: textOf(source, value, key, `${key}: path/to/model`), at: value.at, parameters: {} }
  for (const later of ['revision', 'lora', 'override_architecture']) {
    const entry = entryOf(value, later)
    if (entry) throw faultAt(source, entry.keyAt, `${later} is not supported in this version of Merganser yet`, 'download or bake the model into a folder, and name the folder')
  }
  checkKeys(source, value, ['model', 'path', 'revision', 'lora'])
  const inner = entryOf(value, 'model') ?? entryOf(value, 'path')
  if (!inner) throw faultAt(source, value.at, `${key} has no path`, `write \`${key}: path/to/model\``)
  return readRef(source, inner.value, 'path')
}

/** θ₀, and the models that are merged. */
function placeBase(method: AnyMethod, base: Member | null, listed: readonly Member[]): [Member | null, readonly Member[]] {
  if (!base) return [null, listed]
  const entry = listed.find(m => m.model === base.model)
  const others = listed.filter(m => m !== entry)
  switch (method.base) {
    case 'required':
    case 'optional':
      return [base, others]
    case 'first':
      return [null, [entry ?? base, ...others]]
    case 'unused':
      return [null, entry ? listed : [...listed, base]]
    default:
      throw method.base satisfies never
  }
}

function refuseUnweightedBase(source: SourceText, name: string, method: AnyMethod, base: Member, listed: readonly Member[], parameters: Settings): void {
  if (method.base !== 'unused' || listed.some(m => m.model === base.model)) return
  for (const [parameter, spec] of Object.entries(method.params)) {
    if (spec.scope !== 'model' || spec.default !== undefined || own(parameters, parameter)) continue
    const fix = `list it: \`- {model: ${base.model}, parameters: {${parameter}: 1}}\`, or remove base_model`
    throw faultAt(source, base.at, `base_model takes part in ${name} and needs a ${parameter}`, fix)
  }
}

function noteBaseParameters(name: string, base: Member, listed: readonly Member[], notes: Note[]): void {
  const set = Object.entries(listed.find(m => m.model === base.model)?.parameters ?? {})
  for (const [parameter, setting] of set) notes.push({ text: `${parameter} of ${base.model} has no effect: it is the base of ${name}`, at: setting.at })
}

const TELLTALE = ['base_model', 'parameters', 'slices', 'modules', 'tokenizer_source', 'dtype', 'out_dtype']

/** Whether the keys of a recipe without `merge_method:` show that it was meant in mergekit's form. */
export const looksLikeMergekit = (keys: readonly string[]): boolean => keys.some(key => TELLTALE.includes(key))
