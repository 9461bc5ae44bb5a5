import { CHAT_TEMPLATES } from './chat_templates.ts'
import type { Entry, MapValue, Value } from './document.ts'
import { checkKeys, entryOf, mapOf, textOf } from './fields.ts'
import { faultAt, nearest } from './locate.ts'
import { own } from './lookup.ts'
import { modelNamed } from './names.ts'
import type { ChatTemplateRequest, RowSource, SourceText, TokenizerRequest, TokenRule } from './recipe.ts'
import { readReference, referenceText } from './references.ts'

/** The models of a recipe, by name. */
type Names = Readonly<Record<string, unknown>>

/** Reads `tokenizer:` or mergekit's older `tokenizer_source:`; null where neither is given. `models` are those of the recipe. */
export function readTokenizer(source: SourceText, root: MapValue, models: Names): TokenizerRequest | null {
  const entry = entryOf(root, 'tokenizer')
  const legacy = entryOf(root, 'tokenizer_source')
  if (entry && legacy) throw faultAt(source, legacy.keyAt, 'tokenizer and tokenizer_source are both given', 'keep one of the two')
  if (legacy) return { source: readSource(source, legacy.value, 'tokenizer_source', models), tokens: [], padToMultipleOf: null, at: legacy.keyAt }
  if (!entry) return null
  const map = mapOf(source, entry.value, 'tokenizer', 'tokenizer: {source: union}')
  checkKeys(source, map, ['source', 'tokens', 'pad_to_multiple_of'])
  const from = entryOf(map, 'source')
  return {
    source: from ? readSource(source, from.value, 'source', models) : { kind: 'union', at: entry.keyAt }, // mergekit's default
    tokens: readTokens(source, entryOf(map, 'tokens'), models),
    padToMultipleOf: readMultiple(source, entryOf(map, 'pad_to_multiple_of')),
    at: entry.keyAt,
  }
}

function readSource(source: SourceText, value: Value, key: string, models: Names): TokenizerRequest['source'] {
  const reference = readReference(source, value, key, `${key}: union`)
  const name = referenceText(reference)
  if (value.kind !== 'map' && (name === 'union' || name === 'base')) return { kind: name, at: value.at }
  const near = own(models, name) ? null : nearest(name, ['union', 'base'])
  if (near) throw faultAt(source, value.at, `${key} is "${name}"`, `did you mean "${near}"? If it is a model's folder, write ./${name}`)
  return { kind: 'model', model: name, reference, at: value.at }
}

function readTokens(source: SourceText, entry: Entry | null, models: Names): readonly TokenRule[] {
  if (!entry) return []
  return [...mapOf(source, entry.value, 'tokens', "tokens: {'<|im_end|>': {source: path/to/model}}").entries.values()].map(rule => {
    refuseChangedKey(source, rule)
    const map = mapOf(source, rule.value, `the rule of token "${rule.key}"`, 'source: path/to/model')
    checkKeys(source, map, ['source', 'force'])
    const from = entryOf(map, 'source')
    if (!from) throw faultAt(source, rule.keyAt, `token "${rule.key}" has no source`, 'name one: `source: path/to/model`, `source: {kind: zero}`, or remove the rule')
    return { token: rule.key, source: readRow(source, from.value, models), force: readForce(source, entryOf(map, 'force')), at: rule.keyAt }
  })
}

/** YAML turns an unquoted 007 into 7: not the token that was written. */
function refuseChangedKey(source: SourceText, { key, keyAt }: Entry): void {
  if (key === '') throw faultAt(source, keyAt, 'a token is empty', 'write the text of a token')
  const written = (source.text.split('\n')[keyAt.line - 1] ?? '').slice(keyAt.column - 1, keyAt.end - 1)
  const isPlain = !/^['"?|>*&!]/.test(written)
  if (isPlain && written !== key) throw faultAt(source, keyAt, `YAML reads the token ${written} as ${key}`, `put it in quotes: '${written}'`)
}

const KINDS = ['zero', 'model_token'] as const

function readRow(source: SourceText, value: Value, models: Names): RowSource {
  const kindEntry = value.kind === 'map' ? value.entries.get('kind') : undefined
  if (value.kind !== 'map' || (!kindEntry && !value.entries.has('token') && !value.entries.has('token_id'))) {
    const name = referenceText(readReference(source, value, 'source'))
    return { kind: 'model', model: modelNamed(source, value.at, name, models), at: value.at }
  }
  const kind = kindEntry ? textOf(source, kindEntry.value, 'kind', 'kind: zero') : null
  switch (kind as (typeof KINDS)[number] | null) {
    case 'zero':
      checkKeys(source, value, ['kind'])
      return { kind: 'zero', at: value.at }
    case 'model_token':
    case null: // a token of a model can mean nothing else
      return readModelToken(source, value, models)
    default:
      throw faultAt(source, kindEntry!.value.at, `unknown kind "${kind}"`, suggestKind(kind!))
  }
}

function suggestKind(kind: string): string {
  const near = nearest(kind, KINDS)
  return near ? `did you mean "${near}"?` : 'write `source: path/to/model`, `source: {kind: zero}` or `source: {kind: model_token, model: path/to/model, token: ...}`'
}

function readModelToken(source: SourceText, map: MapValue, models: Names): RowSource {
  checkKeys(source, map, ['kind', 'model', 'token', 'token_id'])
  const [model, token, id] = [entryOf(map, 'model'), entryOf(map, 'token'), entryOf(map, 'token_id')]
  if (!model) throw faultAt(source, map.at, 'model_token has no model', 'add `model: path/to/model`')
  if (token && id) throw faultAt(source, id.keyAt, 'token and token_id are both given', 'keep one of the two')
  const name = modelNamed(source, model.value.at, referenceText(readReference(source, model.value, 'model')), models)
  if (token) return { kind: 'model_token', model: name, token: textIn(source, token), at: token.value.at }
  if (!id) throw faultAt(source, map.at, 'model_token has neither token nor token_id', "add `token: '<s>'` or `token_id: 1`")
  const row = id.value.kind === 'scalar' ? id.value.value : null
  if (typeof row === 'number' && Number.isSafeInteger(row) && row >= 0) return { kind: 'model_token', model: name, token: row, at: id.value.at }
  throw faultAt(source, id.value.at, 'token_id must be a whole number from 0', 'write for example `token_id: 1`, or give the token by its text with `token`')
}

/** A token's text: unlike other texts it may be white space. */
function textIn(source: SourceText, { key, value }: Entry): string {
  if (value.kind === 'scalar' && typeof value.value === 'string' && value.value !== '') return value.value
  if (value.kind === 'scalar' && typeof value.value === 'number' && String(value.value) === value.placed.text) return value.placed.text
  throw faultAt(source, value.at, `${key} must be text`, `write for example \`${key}: '<s>'\`, in quotes`)
}

function readForce(source: SourceText, entry: Entry | null): boolean {
  if (!entry) return false
  if (entry.value.kind === 'scalar' && typeof entry.value.value === 'boolean') return entry.value.value
  throw faultAt(source, entry.value.at, 'force must be true or false', 'write `force: true`, or remove the line')
}

const MAX_MULTIPLE = 2 ** 20 // hardware asks for 8 to 512; beyond this every vocabulary would be mostly padding

export function readMultiple(source: SourceText, entry: Entry | null): number | null {
  if (!entry) return null
  const multiple = entry.value.kind === 'scalar' ? entry.value.value : null
  if (typeof multiple === 'number' && Number.isSafeInteger(multiple) && multiple >= 1 && multiple <= MAX_MULTIPLE) return multiple
  throw faultAt(source, entry.value.at, `pad_to_multiple_of must be a whole number from 1 to ${MAX_MULTIPLE}`, 'write for example `pad_to_multiple_of: 64`')
}

const MIN_LITERAL = 20 // characters: mergekit's own line between a misspelt name and a template

/** Reads `chat_template:`; null where it is not given. */
export function readChatTemplate(source: SourceText, root: MapValue): ChatTemplateRequest | null {
  const entry = entryOf(root, 'chat_template')
  if (!entry) return null
  const { value } = entry
  const text = textOf(source, value, 'chat_template', 'chat_template: auto')
  if (text === 'auto') return { kind: 'auto', at: value.at }
  const named = own(CHAT_TEMPLATES, text)
  if (named !== undefined) return { kind: 'text', name: text, text: named, at: value.at }
  if (text.length >= MIN_LITERAL && text.includes('{')) return { kind: 'text', name: null, text, at: value.at }
  const names = ['auto', ...Object.keys(CHAT_TEMPLATES)]
  const near = nearest(text, names)
  const fix = `${near ? `did you mean "${near}"? K` : 'k'}nown names: ${names.join(', ')}; or write out a Jinja template`
  throw faultAt(source, value.at, `unknown chat template "${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text}"`, fix)
}

const MAX_SHOWN = 60 // characters of a text that an error repeats
