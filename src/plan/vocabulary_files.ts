import { commonTemplate } from '../checkpoint/chat_template.ts'
import { moveTokenIds } from '../checkpoint/token_ids.ts'
import type { Tokenizer } from '../checkpoint/tokenizer.ts'
import { type TokenizerFile, tokenizerFiles } from '../checkpoint/tokenizer_files.ts'
import { isObject, show } from '../json.ts'
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

/**
 * A config.json or generation_config.json after the vocabulary has changed: vocab_size where it had one, and the ids of special tokens.
 * `from` is the tokenizer of the model whose file it is, null where unknown.
 */
export function adaptConfig(
  name: string,
  config: Readonly<Record<string, unknown>>,
  from: Tokenizer | null,
  { output, source }: Pick<VocabularyPlan, 'output' | 'source'>,
): { readonly config: Readonly<Record<string, unknown>>; readonly notes: readonly string[] } {
  const changed: Record<string, unknown> = { ...config }
  const notes: string[] = []
  const rows = output.tokens.length
  if ('vocab_size' in config) changed['vocab_size'] = rows
  for (const [key, part] of Object.entries(config)) if (isObject(part) && 'vocab_size' in part && key === 'text_config') changed[key] = { ...part, vocab_size: rows }
  if (from) {
    const ids = moveTokenIds(config, from, output.tokens, source.special)
    Object.assign(changed, ids.changed)
    for (const [key, id] of Object.entries(ids.changed)) notes.push(`${name}: ${key} goes from ${JSON.stringify(config[key])} to ${JSON.stringify(id)}, where its token is now`)
    for (const { key, token } of ids.lost) notes.push(`${name}: ${key} means ${show(token)}, which the output's vocabulary lacks; correct it by hand`)
  }
  return { config: changed, notes }
}
