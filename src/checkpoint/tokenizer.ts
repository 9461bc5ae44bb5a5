import { listFolder, openFile, readText, workingFolder } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import { isObject, parseJsonFile } from '../json.ts'
import { locate } from './_locate.ts'
import { piecesOf } from './_sentencepiece.ts'
import { collectSidecars, type Sidecar } from './_sidecars.ts'
import { type AddedToken, addedTokenOf, checkDistinct, checkId, mappedTokens, specialToken, type Tokens, tokensOfJson, tokensOfLines } from './_tokens.ts'
import type { Checkpoint, OpenOptions } from './checkpoint.ts'

export { type AddedToken, plainToken } from './_tokens.ts'

type Json = Readonly<Record<string, unknown>>

/** A model's vocabulary, and what its files say besides. Ids are rows of the embedding, where it is high enough. */
export interface Tokenizer {
  /** The model, as the user wrote it. */
  readonly ref: string
  /** Every token and its id, in order of ids, which may have holes. No two tokens have one id. */
  readonly ids: ReadonlyMap<string, number>
  /** Those of them that are found in the text first; in order of ids. */
  readonly added: ReadonlyMap<string, AddedToken>
  /** `bos_token` and its like, by the names of tokenizer_config.json. */
  readonly special: Readonly<Record<string, string>>
  /** The default template, where there are several. */
  readonly chatTemplate: string | null
  /** The file that the vocabulary was read from. */
  readonly kind: Kind
  /** Parsed files that change with the vocabulary, by name. */
  readonly json: Readonly<Record<string, Json>>
  /** All its files. */
  readonly files: readonly Sidecar[]
}

/** In the order in which they are looked for. */
const KINDS = ['tokenizer.json', 'vocab.json', 'vocab.txt', 'tokenizer.model'] as const
export type Kind = (typeof KINDS)[number]

const SPECIAL = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const // in transformers' order
const FIX = 'take the tokenizer’s files anew from the model’s source'

/** The tokenizer of an opened model; null where it has none. Throws where its files are damaged, or of a kind that has to be converted first. */
export function readTokenizer({ ref, sidecars, config }: Pick<Checkpoint, 'ref' | 'sidecars' | 'config'>): Promise<Tokenizer | null> {
  return readFiles(
    ref,
    sidecars.filter(({ role }) => role === 'tokenizer'),
    config,
  )
}

/** The tokenizer in a folder that need not hold weights. */
export async function openTokenizer(ref: string, { from = [workingFolder()] }: OpenOptions = {}): Promise<Tokenizer | null> {
  const { folder } = await locate(ref, from)
  const sidecars = await collectSidecars((await listFolder(folder)) ?? [], null, prefixOf(ref))
  return readTokenizer({ ref, sidecars, config: null })
}

/** Errors name files as the user wrote the path. */
const prefixOf = (ref: string): string =>
  ref.endsWith('.safetensors') ? ref.slice(0, Math.max(ref.lastIndexOf('/'), ref.lastIndexOf('\\')) + 1) : `${ref.replace(/[\\/]+$/, '')}/`

async function readFiles(ref: string, files: readonly Sidecar[], config: Json | null): Promise<Tokenizer | null> {
  const prefix = prefixOf(ref)
  const byName = new Map(files.map(file => [file.name, file]))
  const kind = KINDS.find(name => byName.has(name))
  if (!kind) {
    const other = files.find(({ name }) => /\.(?:model|tiktoken|spm)$|^(?:tekken\.json|bpe\.codes|vocab\.bpe)$/.test(name))
    if (other) throw unconverted(prefix + other.name)
    return null
  }
  const json: Record<string, Json> = {}
  for (const name of JSON_FILES) {
    const file = byName.get(name)
    if (file) json[name] = parseJsonFile(prefix + name, await readText(file.path, prefix + name), FIX)
  }
  const tokens = await readTokens(kind, byName.get(kind)!, prefix, json, config)
  addFromConfig(tokens, prefix, kind, json)
  const template = byName.get('chat_template.jinja')
  return {
    ref,
    ids: inOrder(tokens.ids),
    added: new Map([...tokens.added].sort(([a], [b]) => tokens.ids.get(a)! - tokens.ids.get(b)!)),
    special: specialOf(json),
    chatTemplate: template ? await readText(template.path, prefix + template.name) : templateOf(json['tokenizer_config.json']?.['chat_template']),
    kind,
    json,
    files,
  }
}

const JSON_FILES = ['tokenizer.json', 'vocab.json', 'added_tokens.json', 'tokenizer_config.json', 'special_tokens_map.json', 'chat_template.json'] as const
const inOrder = (ids: ReadonlyMap<string, number>): Map<string, number> => new Map([...ids].sort(([, a], [, b]) => a - b))

async function readTokens(kind: Kind, file: Sidecar, prefix: string, json: Readonly<Record<string, Json>>, config: Json | null): Promise<Tokens> {
  const where = prefix + kind
  switch (kind) {
    case 'tokenizer.json':
      return tokensOfJson(where, json[kind]!)
    case 'vocab.json': {
      const ids = mappedTokens(where, json[kind])
      checkDistinct(where, ids)
      return { ids, added: new Map() }
    }
    case 'vocab.txt':
      return { ids: tokensOfLines(await readText(file.path, where)), added: new Map() }
    case 'tokenizer.model': {
      const name: unknown = json['tokenizer_config.json']?.['tokenizer_class'] ?? config?.['model_type']
      // Other classes shift the ids of the file, each in its own way (XLM-R by one, T5 by a hundred more at the end).
      if (typeof name !== 'string' || !/^(?:llama|mistral|mixtral|gemma\d?)/i.test(name)) throw unconverted(where)
      const source = await openFile(file.path, where)
      return { ids: new Map(piecesOf(where, await source.read(0, source.size)).map((piece, id) => [piece, id])), added: new Map() }
    }
    default:
      throw kind satisfies never
  }
}

const unconverted = (where: string): MergeError =>
  new MergeError('a tokenizer of this kind cannot be read', {
    where,
    fix: 'convert it to tokenizer.json: load it with `AutoTokenizer.from_pretrained(folder)` of transformers, and call its `save_pretrained(folder)`',
  })

/** Adds what tokenizer_config.json and added_tokens.json know, as transformers does: the first where it has a list, else the second. */
function addFromConfig({ ids, added }: Tokens, prefix: string, kind: Kind, json: Readonly<Record<string, Json>>): void {
  const config = json['tokenizer_config.json']
  const decoder = config?.['added_tokens_decoder']
  let next = ids.size === 0 ? 0 : [...ids.values()].reduce((a, b) => Math.max(a, b)) + 1
  const taken = new Set(ids.values())
  if (isObject(decoder)) {
    const where = `${prefix}tokenizer_config.json`
    for (const [id, entry] of Object.entries(decoder)) add(addedTokenOf(where, entry), checkId(where, id, Number(id)))
  } else if (json['added_tokens.json']) {
    for (const [token, id] of mappedTokens(`${prefix}added_tokens.json`, json['added_tokens.json'])) add(added.get(token) ?? specialToken(token), id)
  }
  for (const token of namedTokens(json)) if (!added.has(token)) add(specialToken(token), next)

  /** A token that is there keeps its id: tokenizer.json, or the vocabulary file, is what encodes. */
  function add(token: AddedToken, id: number): void {
    if (kind !== 'tokenizer.json' || !added.has(token.content)) added.set(token.content, token)
    if (ids.has(token.content)) return
    const free = taken.has(id) ? next : id
    ids.set(token.content, free)
    taken.add(free)
    next = Math.max(next, free + 1)
  }
}

function specialOf(json: Readonly<Record<string, Json>>): Record<string, string> {
  const special: Record<string, string> = {}
  for (const name of SPECIAL) {
    const token = contentOf(json['tokenizer_config.json']?.[name]) ?? contentOf(json['special_tokens_map.json']?.[name])
    if (token !== null) special[name] = token
  }
  return special
}

/** The special tokens that the configuration names; transformers appends those which the vocabulary lacks. */
function namedTokens(json: Readonly<Record<string, Json>>): readonly string[] {
  const more: unknown = json['tokenizer_config.json']?.['additional_special_tokens'] ?? json['special_tokens_map.json']?.['additional_special_tokens']
  return [...Object.values(specialOf(json)), ...(Array.isArray(more) ? more.flatMap(token => contentOf(token) ?? []) : [])]
}

/** A special token is written as its text, or as an object with content. */
function contentOf(value: unknown): string | null {
  const content = isObject(value) ? value['content'] : value
  return typeof content === 'string' && content !== '' ? content : null
}

/** A template, or a list of named ones of which `default` counts. */
function templateOf(value: unknown): string | null {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return null
  const entry: unknown = value.find(item => isObject(item) && item['name'] === 'default')
  return isObject(entry) && typeof entry['template'] === 'string' ? entry['template'] : null
}
