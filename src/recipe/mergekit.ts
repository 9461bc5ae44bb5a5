import type { Entry, MapValue } from './document.ts'
import { checkKeys, DEFAULT_SHARD_BYTES, dtypeAt, entryOf, seedOf, textOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { methodAt } from './lookup.ts'
import { callOf, type Reader, readMember, readModels } from './members.ts'
import { readParts } from './modules.ts'
import type { At, Expression, ModelRef, Note, Recipe, SourceText } from './recipe.ts'
import { readSettings } from './settings.ts'
import { readSlices } from './slices.ts'
import { readChatTemplate, readTokenizer } from './tokenizer.ts'
import { modelsIn } from './walk.ts'

const CONTENTS = ['models', 'slices', 'modules'] as const
export const MERGEKIT_KEYS = [
  'merge_method',
  'models',
  'base_model',
  'parameters',
  'dtype',
  'out_dtype',
  'seed',
  'random_seed',
  'slices',
  'modules',
  'tokenizer_source',
  'tokenizer',
  'chat_template',
] as const

/** The result of another document of the recipe, if `name` is one; `at` is where it is named. */
export type Stages = (name: string, at: At) => Expression | null

/** Reads the form with `merge_method:`, as mergekit v0.1.4 understands it. */
export function readMergekit(source: SourceText, root: MapValue, stages: Stages = () => null): Recipe {
  const top = root.entries
  if (top.has('merge'))
    throw faultAt(source, top.get('merge')!.keyAt, 'merge_method and merge are both given', 'keep merge_method for a mergekit recipe, or merge for an expression')
  checkKeys(source, root, [...MERGEKIT_KEYS, 'name'], { parameters: true, ignore: /^(x-|_)/ })
  refuseTwo(source, root)
  const methodEntry = top.get('merge_method')!
  const name = textOf(source, methodEntry.value, 'merge_method', 'merge_method: linear')
  const method = methodAt(source, methodEntry.value.at, name)
  const contents = contentsOf(source, root)
  const models = new Map<string, ModelRef>()
  const notes: Note[] = []
  const reader: Reader = { source, notes, name, method, at: methodEntry, models, stages }
  const baseEntry = entryOf(root, 'base_model')
  const base = baseEntry && readMember(reader, baseEntry.value, 'base_model')
  const merge = readContents({ ...reader, base }, root, contents)
  const donor = base?.expression.kind === 'model' ? base.name : null
  return {
    form: 'mergekit',
    source,
    models: Object.fromEntries(models),
    merge,
    rules: [],
    stages: [],
    output: { dtype: dtypeAt(source, root, 'out_dtype') ?? dtypeAt(source, root, 'dtype'), shardSize: DEFAULT_SHARD_BYTES, configFrom: donor, tokenizerFrom: donor },
    tokenizer: readTokenizer(source, root, Object.fromEntries([...models.keys(), ...modelsIn(merge)].map(model => [model, true]))),
    vocabulary: null,
    chatTemplate: readChatTemplate(source, root),
    seed: seedOf(source, root, ['seed', 'random_seed']),
    notes,
  }
}

function readContents(reader: Required<Reader>, root: MapValue, contents: Entry): Expression {
  const { source, notes } = reader
  const parameters = () => readSettings(source, entryOf(root, 'parameters'), notes)
  switch (contents.key) {
    case 'slices':
      return readSlices(reader, contents, parameters())
    case 'modules':
      return readParts(reader, contents, parameters())
    default: {
      const members = readModels(reader, contents) // before the parameters, so that notes stand in the order of the lines
      return callOf(reader, { members, parameters: parameters(), base: reader.base, isSlice: false, at: reader.at.value.at })
    }
  }
}

function refuseTwo(source: SourceText, map: MapValue): void {
  const [first, second] = CONTENTS.flatMap(key => entryOf(map, key) ?? [])
  if (first && second) throw faultAt(source, second.keyAt, `${first.key} and ${second.key} are both given`, 'keep exactly one of models, slices, modules')
}

/** The one entry that says what is merged; an empty one if there is no other. */
function contentsOf(source: SourceText, map: MapValue): Entry {
  const entry = CONTENTS.flatMap(key => entryOf(map, key) ?? [])[0] ?? CONTENTS.flatMap(key => map.entries.get(key) ?? [])[0]
  if (entry) return entry
  const fix = 'add `models:` with entries such as `- {model: path/to/model, parameters: {weight: 0.5}}`'
  throw faultAt(source, map.entries.get('merge_method')!.keyAt, 'the recipe has no models', fix)
}

const TELLTALE = ['base_model', 'parameters', 'slices', 'modules', 'tokenizer_source', 'dtype', 'out_dtype']

/** Whether the keys of a recipe without `merge_method:` show that it was meant in mergekit's form. */
export const looksLikeMergekit = (keys: readonly string[]): boolean => keys.some(key => TELLTALE.includes(key))
