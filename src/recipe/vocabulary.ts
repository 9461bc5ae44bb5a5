import type { Entry, MapValue } from './document.ts'
import { checkKeys, entryOf, mapOf, textOf } from './fields.ts'
import { faultAt, suggest } from './locate.ts'
import { modelNamed } from './names.ts'
import { type At, type SourceText, type TokenizerRequest, VOCABULARY_POLICIES, type VocabularyPolicy, type VocabularyRequest } from './recipe.ts'
import { readMultiple } from './tokenizer.ts'

const EXAMPLE = 'vocab: common'

/** Reads `vocab:`, a policy or a mapping with more to say; null where it is not given. */
export function readVocabulary(
  source: SourceText,
  root: MapValue,
  models: Readonly<Record<string, unknown>>,
): { readonly vocabulary: VocabularyRequest; readonly tokenizer: TokenizerRequest | null } | null {
  const entry = entryOf(root, 'vocab')
  if (!entry) return null
  const other = entryOf(root, 'tokenizer') ?? entryOf(root, 'tokenizer_source')
  if (other) throw faultAt(source, other.keyAt, `vocab and ${other.key} are both given`, 'keep one of the two: `vocab` takes the tokenizer of the model that the merge builds on')
  const { value, keyAt: at } = entry
  if (value.kind !== 'map') return requestOf({ policy: policyOf(source, value.at, textOf(source, value, 'vocab', EXAMPLE)), tokens: {}, at }, null)
  checkKeys(source, value, ['policy', 'tokens', 'pad_to_multiple_of'])
  const named = entryOf(value, 'policy')
  if (!named) throw faultAt(source, at, 'vocab has no policy', `write \`policy: ${VOCABULARY_POLICIES.join('`, `policy: ')}\``)
  const policy = policyOf(source, named.value.at, textOf(source, named.value, 'policy', 'policy: common'))
  const [tokens, padding] = [entryOf(value, 'tokens'), entryOf(value, 'pad_to_multiple_of')]
  if (tokens && policy === 'skip') throw faultAt(source, tokens.keyAt, 'with skip no rows are matched, and tokens have no effect', 'remove tokens, or write `policy: common`')
  if (padding && policy !== 'union')
    throw faultAt(source, padding.keyAt, `${policy} keeps the rows as they are, also their number`, 'remove pad_to_multiple_of, or write `policy: union`')
  return requestOf({ policy, tokens: tokens ? readTokens(source, tokens, models) : {}, at }, readMultiple(source, padding))
}

/** A policy in the terms of the tokenizer: none for `skip`. */
export function requestOf(
  vocabulary: VocabularyRequest,
  padToMultipleOf: number | null = null,
): { readonly vocabulary: VocabularyRequest; readonly tokenizer: TokenizerRequest | null } {
  const { policy, at } = vocabulary
  if (policy === 'skip') return { vocabulary, tokenizer: null }
  return { vocabulary, tokenizer: { source: { kind: policy === 'common' ? 'base' : 'union', at }, tokens: [], padToMultipleOf, at } }
}

function policyOf(source: SourceText, at: At, text: string): VocabularyPolicy {
  const policy = VOCABULARY_POLICIES.find(p => p === text)
  if (policy) return policy
  throw faultAt(source, at, `unknown policy "${text}" of vocabularies`, suggest(text, VOCABULARY_POLICIES, 'policies'))
}

function readTokens(source: SourceText, { value }: Entry, models: Readonly<Record<string, unknown>>): VocabularyRequest['tokens'] {
  const example = "tokens: {chat: {'<eos>': '</s>'}}"
  return Object.fromEntries(
    [...mapOf(source, value, 'tokens', example).entries.values()].map(({ key, keyAt, value: names }) => {
      const model = modelNamed(source, keyAt, key, models)
      const pairs = [...mapOf(source, names, `tokens of ${model}`, example).entries.values()].map(({ key: token, value: name }) => {
        if (name.kind === 'scalar' && typeof name.value === 'string' && name.value !== '') return [token, name.value] as const
        throw faultAt(source, name.at, `the name of token "${token}" must be text`, "write for example `'<eos>': '</s>'`, in quotes")
      })
      return [model, Object.fromEntries(pairs)]
    }),
  )
}
