import { commonTemplate } from '../checkpoint/chat_template.ts'
import { moveTokenIds } from '../checkpoint/token_ids.ts'
import type { Tokenizer } from '../checkpoint/tokenizer.ts'
import { type TokenizerFile, tokenizerFiles } from '../checkpoint/tokenizer_files.ts'
import { isObject, show } from '../json.ts'
import type { JsonValue } from '../patch_json.ts'
import { faultAt } from '../recipe/locate.ts'
import type { ChatTemplateRequest, SourceText } from '../recipe/recipe.ts'
import type { VocabularyPlan } from './vocabulary.ts'

export interface VocabularyFiles {
  readonly files: readonly TokenizerFile[]
  readonly notes: readonly string[]
}

/**
 * The tokenizer's files of the output. `donor` is the tokenizer that it has without a plan; `all` are those of the recipe's models in
 * order, the base's first, for `chat_template: auto`.
 */
export function planTokenizerFiles(
  text: SourceText,
  chat: ChatTemplateRequest | null,
  plan: Pick<VocabularyPlan, 'source' | 'output'> | null,
  donor: Tokenizer | null,
  all: readonly (Tokenizer | null)[],
): VocabularyFiles {
  const tokenizer = plan?.source ?? donor
  if (!tokenizer) {
    if (chat)
      throw faultAt(text, chat.at, 'a chat template needs a tokenizer, and the output has none', 'take one from a model that has it, with `tokenizer_source: path/to/model`')
    return { files: [], notes: [] }
  }
  const common = chat?.kind === 'auto' ? commonTemplate(all.map(t => t?.chatTemplate ?? null)) : null
  const notes = chat?.kind === 'auto' && common === null ? ['chat_template: auto finds no template in any of the models'] : []
  const asked = chat?.kind === 'text' ? chat.text : common
  const chatTemplate = asked ?? (plan ? tokenizer.chatTemplate : null)
  return { files: tokenizerFiles(tokenizer, { learned: plan?.output.learned ?? [], forgotten: plan?.output.forgotten ?? [], chatTemplate }), notes }
}

/** The model whose file config.json or generation_config.json is. */
export interface Owner {
  /** Null where it has none. */
  readonly tokenizer: Tokenizer | null
  /** Height of its embedding; null where none is recognised. */
  readonly rows: number | null
}

/**
 * What a config.json or generation_config.json must say anew after the vocabulary has changed: vocab_size where it had one, and the ids of special
 * tokens; also of the language model within, `text_config` and its like. By the keys that lead there, with dots between.
 */
export function vocabularyChanges(
  name: string,
  config: Json,
  owner: Owner,
  { output, source }: Pick<VocabularyPlan, 'output' | 'source'>,
): { readonly changes: Readonly<Record<string, JsonValue>>; readonly notes: readonly string[] } {
  const changes: Record<string, JsonValue> = {}
  const notes: string[] = []
  const height = output.tokens.length
  const used = output.tokens.findLastIndex(token => token !== null) + 1
  const nested = Object.entries(config).filter((entry): entry is [string, Json] => isObject(entry[1]) && !entry[0].includes('.')) // dots part the keys of a change
  const parts = nested.filter(([key, part]) => key === 'text_config' || ('vocab_size' in part && part['vocab_size'] === owner.rows))
  for (const [prefix, part] of [['', config] as const, ...parts.map(([key, part]) => [`${key}.`, part] as const)]) {
    // One that counts fewer rows than there were goes on doing so, as long as it counts all tokens.
    const isKept = owner.rows === height && Number(part['vocab_size']) >= used
    if ('vocab_size' in part && part['vocab_size'] !== height && !isKept) changes[`${prefix}vocab_size`] = height
    if (!owner.tokenizer) continue
    const ids = moveTokenIds(part, owner.tokenizer, output.tokens, source.special)
    for (const [key, id] of Object.entries(ids.changed)) {
      changes[prefix + key] = id
      notes.push(`${name}: ${prefix}${key} goes from ${JSON.stringify(part[key])} to ${JSON.stringify(id)}, where its token is now`)
    }
    for (const { key, token } of ids.lost) notes.push(`${name}: ${prefix}${key} means ${show(token)}, which the output's vocabulary lacks; correct it by hand`)
  }
  return { changes, notes }
}

type Json = Readonly<Record<string, unknown>>
