import { MergeError } from '../errors.ts'
import { isObject, pythonJson } from '../json.ts'
import type { Sidecar } from './_sidecars.ts'
import type { Tokenizer } from './tokenizer.ts'
import type { OutputVocabulary } from './vocabulary.ts'

/** A file of the output: copied from an input, or written out. */
export type TokenizerFile = Sidecar | { readonly name: string; readonly text: string }

type Json = Readonly<Record<string, unknown>>
type Learned = OutputVocabulary['learned']

export interface TokenizerChanges extends Pick<OutputVocabulary, 'learned' | 'forgotten'> {
  /** Null keeps the tokenizer's own, as its files have it. */
  readonly chatTemplate: string | null
}

/**
 * The files of a tokenizer after it has learned and forgotten tokens; files that nothing changes are copied. A chat template is written
 * where today's transformers looks for it (chat_template.jinja) and where it used to (tokenizer_config.json).
 */
export function tokenizerFiles(tokenizer: Tokenizer, { learned, forgotten, chatTemplate }: TokenizerChanges): readonly TokenizerFile[] {
  const lost = new Set(forgotten)
  if (lost.size > 0 && tokenizer.kind !== 'tokenizer.json') {
    throw new MergeError(`${tokenizer.ref}: its ${tokenizer.kind} has more tokens than its embedding has rows, and only a tokenizer.json can be cut`, {
      fix: 'convert it to tokenizer.json: load it with `AutoTokenizer.from_pretrained(folder)` of transformers, and call its `save_pretrained(folder)`',
    })
  }
  const written = new Map<string, Json>()
  const { json } = tokenizer
  if (learned.length > 0 || lost.size > 0) {
    const added = addedAfter(tokenizer, learned, lost)
    const byToken = Object.fromEntries(added.map(({ content, id }) => [content, id]))
    const byId = Object.fromEntries(added.map(({ id, ...token }) => [String(id), token]))
    if (json['tokenizer.json']) written.set('tokenizer.json', changeTokenizer(json['tokenizer.json'], added, lost))
    // Readers of the older files find new tokens here alone; where a configuration lists added tokens, transformers believes only that.
    if (json['added_tokens.json'] || tokenizer.files.some(isOlder)) written.set('added_tokens.json', byToken)
    const config = json['tokenizer_config.json']
    if (config && isObject(config['added_tokens_decoder'])) written.set('tokenizer_config.json', { ...config, added_tokens_decoder: byId })
  }
  const replaced = chatTemplate !== null && chatTemplate !== tokenizer.chatTemplate
  if (replaced) {
    written.set('tokenizer_config.json', { ...(written.get('tokenizer_config.json') ?? json['tokenizer_config.json']), chat_template: chatTemplate })
    if (json['chat_template.json']) written.set('chat_template.json', { ...json['chat_template.json'], chat_template: chatTemplate })
  }
  // A list of named templates stays where it is: beside a chat_template.jinja it would be lost.
  const template = replaced || typeof json['tokenizer_config.json']?.['chat_template'] === 'string' ? chatTemplate : null
  const files: TokenizerFile[] = tokenizer.files.filter(
    file => !written.has(file.name) && !(template !== null && file.name === 'chat_template.jinja') && !(lost.size > 0 && isOlder(file)),
  )
  for (const [name, json] of written) files.push({ name, text: `${pythonJson(json)}\n` })
  if (template !== null) files.push({ name: 'chat_template.jinja', text: template })
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Files that hold a whole vocabulary, and that tokenizer.json has replaced. */
const isOlder = ({ name }: Sidecar): boolean => /^(?:vocab\.json|vocab\.txt|merges\.txt|tokenizer\.model|spiece\.model)$/.test(name)

/** All added tokens: also those that only the configuration names, whose ids would otherwise depend on what is added before them. */
function addedAfter({ added, ids }: Tokenizer, learned: Learned, lost: ReadonlySet<string>): Learned {
  const before = [...added.values()].filter(({ content }) => !lost.has(content)).map(token => ({ ...token, id: ids.get(token.content)! }))
  return [...new Map([...before, ...learned].map(token => [token.content, token])).values()].sort((a, b) => a.id - b.id)
}

function changeTokenizer(json: Json, added: Learned, lost: ReadonlySet<string>): Json {
  const { model } = json
  return { ...json, added_tokens: added.map(({ id, ...token }) => ({ id, ...token })), ...(lost.size > 0 && isObject(model) ? { model: forget(model, lost) } : {}) }
}

/** The model part of a tokenizer.json without some tokens, and without the merges that need them or make them. */
function forget(model: Json, lost: ReadonlySet<string>): Json {
  const { vocab, merges } = model
  const prefix = typeof model['continuing_subword_prefix'] === 'string' ? model['continuing_subword_prefix'] : ''
  const makes = (a: string, b: string): string => a + (b.startsWith(prefix) ? b.slice(prefix.length) : b)
  const isKept = (merge: unknown): boolean => {
    const [a, b] = (Array.isArray(merge) ? merge : String(merge).split(' ')) as [string, string] // "a b" in older files
    return !lost.has(a) && !lost.has(b) && !lost.has(makes(a, b))
  }
  return {
    ...model,
    // Lost tokens have the highest ids, so those of a list that goes by place do not change.
    vocab: Array.isArray(vocab)
      ? vocab.filter(entry => !lost.has((entry as readonly [string])[0]))
      : Object.fromEntries(Object.entries(vocab as Json).filter(([token]) => !lost.has(token))),
    ...(Array.isArray(merges) ? { merges: merges.filter(isKept) } : {}),
  }
}
