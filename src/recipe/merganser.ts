import type { Entry, MapValue } from './document.ts'
import { checkKeys, dtypeAt, entryOf, mapOf, seedOf, shardSizeOf, textOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { type Let, modelNamed, nameFault, scopeOf } from './names.ts'
import type { Expression, ModelRef, Note, Recipe, Rule, SourceText } from './recipe.ts'
import { readReference, referenceOf, referenceText } from './references.ts'
import { readRename } from './rename.ts'
import { expressionOf, readRules } from './rules.ts'
import { readChatTemplate, readTokenizer } from './tokenizer.ts'
import { readVocabulary } from './vocabulary.ts'
import { modelsIn, modelsInRules } from './walk.ts'

export const MERGANSER_KEYS = ['models', 'let', 'merge', 'rules', 'vocab', 'tokenizer', 'chat_template', 'output', 'seed'] as const
const MODELS_EXAMPLE = 'models: {base: path/to/base, math: path/to/math}'

type Models = Readonly<Record<string, ModelRef>>

/** Reads Merganser's own form: named models, and an expression under `merge:`. Gives the lets besides, to be checked where they stand. */
export function readMerganser(source: SourceText, root: MapValue): { recipe: Recipe; lets: readonly Expression[] } {
  checkKeys(source, root, MERGANSER_KEYS, { ignore: /^(x-|_)/ })
  const models = readModels(source, root)
  const named = readLets(source, root, models)
  const scope = scopeOf(source, models, named)
  const lets = scope.define()
  const merge = expressionOf(scope, root.entries.get('merge')!.value, 'merge')
  const notes: Note[] = []
  const rulesEntry = entryOf(root, 'rules')
  const rules = rulesEntry ? readRules(scope, models, rulesEntry, notes) : []
  const output = readOutput(source, root, models)
  const { vocabulary, tokenizer } = readVocabulary(source, root, models) ?? { vocabulary: null, tokenizer: readTokenizer(source, root, models) }
  const used = scope.used()
  notes.push(...unusedNotes(models, merge, rules, output, tokenizer), ...named.filter(l => !used.has(l.name)).map(l => ({ text: `let "${l.name}" is never used`, at: l.at })))
  return {
    recipe: {
      form: 'merganser',
      source,
      models,
      merge,
      rules,
      stages: [],
      output,
      tokenizer,
      vocabulary,
      chatTemplate: readChatTemplate(source, root),
      seed: seedOf(source, root, ['seed']),
      notes,
    },
    lets,
  }
}

function readModels(source: SourceText, root: MapValue): Models {
  const entry = entryOf(root, 'models')
  if (!entry) throw faultAt(source, root.entries.get('merge')!.keyAt, 'the recipe names no models', `add \`${MODELS_EXAMPLE}\``)
  if (entry.value.kind === 'list') throw faultAt(source, entry.keyAt, 'with `merge:`, models must be a mapping of names to paths', `write \`${MODELS_EXAMPLE}\``)
  const { entries } = mapOf(source, entry.value, 'models', MODELS_EXAMPLE)
  if (entries.size === 0) throw faultAt(source, entry.at, 'the recipe names no models', `write \`${MODELS_EXAMPLE}\``)
  return Object.fromEntries([...entries.values()].map(e => [nameOf(source, e), readPath(source, e)]))
}

function readPath(source: SourceText, { key, value }: Entry): ModelRef {
  if (value.kind !== 'map') return referenceOf(textOf(source, value, `the path of ${key}`, `${key}: path/to/model`), value.at)
  const rename = entryOf(value, 'rename')
  const reference = readReference(source, { ...value, entries: new Map([...value.entries].filter(([field]) => field !== 'rename')) }, key)
  return rename ? { ...reference, rename: readRename(source, rename) } : reference
}

function nameOf(source: SourceText, { key, keyAt }: Entry): string {
  const fault = nameFault(key)
  if (fault) throw faultAt(source, keyAt, fault.what, fault.fix)
  return key
}

function readLets(source: SourceText, root: MapValue, models: Models): readonly Let[] {
  const entry = entryOf(root, 'let')
  if (!entry) return []
  return [...mapOf(source, entry.value, 'let', 'let: {tau: math - base}').entries.values()].map(e => {
    const name = nameOf(source, e)
    if (Object.hasOwn(models, name)) throw faultAt(source, e.keyAt, `"${name}" is already the name of a model`, 'choose another name')
    if (e.value.kind === 'map') throw faultAt(source, e.value.at, `let "${name}" must be an expression`, `put it in quotes: \`${name}: 'math - base'\``)
    if (e.value.kind === 'scalar' && e.value.value === null) throw faultAt(source, e.keyAt, `let "${name}" has no expression`, `write for example \`${name}: math - base\``)
    return { name, at: e.keyAt, placed: e.value.placed }
  })
}

function readOutput(source: SourceText, root: MapValue, models: Models): Recipe['output'] {
  const entry = entryOf(root, 'output')
  const map: MapValue = entry ? mapOf(source, entry.value, 'output', 'output: {dtype: bfloat16}') : { kind: 'map', entries: new Map(), at: root.at }
  checkKeys(source, map, ['dtype', 'shard_size', 'config_from', 'tokenizer_from', 'card'])
  const donor = (key: string): string | null => {
    const given = entryOf(map, key)
    return given && modelNamed(source, given.value.at, textOf(source, given.value, key, `${key}: base`), models)
  }
  const card = entryOf(map, 'card')
  const isWanted = card?.value.kind === 'scalar' ? card.value.value : true
  if (card && typeof isWanted !== 'boolean') throw faultAt(source, card.value.at, 'card must be true or false', 'write `card: false` for an output without README.md')
  return {
    dtype: dtypeAt(source, map, 'dtype'),
    shardSize: shardSizeOf(source, map),
    configFrom: donor('config_from'),
    tokenizerFrom: donor('tokenizer_from'),
    ...(isWanted === false ? { card: false } : {}),
  }
}

/** A note for each model that nothing refers to, and for each path that has two names. */
export function unusedNotes(models: Models, merge: Expression, rules: readonly Rule[], output: Recipe['output'], tokenizer: Recipe['tokenizer']): Note[] {
  const named = [tokenizer?.source, ...(tokenizer?.tokens.map(t => t.source) ?? [])].flatMap(source => (source && 'model' in source ? [source.model] : []))
  const used = new Set<string | null>([output.configFrom, output.tokenizerFrom, ...named, ...modelsIn(merge), ...modelsInRules(rules)])
  const entries = Object.entries(models)
  const unused = entries.filter(([name]) => !used.has(name)).map(([name, { at }]) => ({ text: `model "${name}" is never used`, at }))
  const twice = entries.flatMap(([name, reference], i) => {
    const path = referenceText(reference)
    const before = entries.slice(0, i).find(([, other]) => referenceText(other) === path)
    return before ? [{ text: `"${before[0]}" and "${name}" are the same path, ${path}`, at: reference.at }] : []
  })
  return [...unused, ...twice]
}
