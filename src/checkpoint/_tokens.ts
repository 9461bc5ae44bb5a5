import { MergeError } from '../errors.ts'
import { isObject, kindOf, show } from '../json.ts'

/** A token that is found in the text before the tokenizer's own rules see it, and how. Names as in tokenizer.json. */
export interface AddedToken {
  readonly content: string
  readonly single_word: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
  readonly normalized: boolean
  /** Left out when text is made for people. */
  readonly special: boolean
}

/** What tokenizers make of a token that is added by its text alone. */
export const plainToken = (content: string): AddedToken => ({ content, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false })
export const specialToken = (content: string): AddedToken => ({ ...plainToken(content), normalized: false, special: true })

/** Tokens and their ids, as files name them one by one. */
export interface Tokens {
  readonly ids: Map<string, number>
  readonly added: Map<string, AddedToken>
}

const MAX_ID = 2 ** 31 - 1 // rows are counted in 32 bits; the largest vocabularies have under 2^19
const FIX = 'take the tokenizer’s files anew from the model’s source'

export function checkId(where: string, token: string, id: unknown): number {
  if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 && id <= MAX_ID) return id
  throw new MergeError(`token ${show(token)}: its id must be a whole number from 0, found ${id === undefined ? 'none' : typeof id === 'number' ? id : kindOf(id)}`, {
    where,
    fix: FIX,
  })
}

/** Throws if two tokens have one id: no row of an embedding could be told theirs. */
export function checkDistinct(where: string, ids: ReadonlyMap<string, number>): void {
  const byId = new Map<number, string>()
  for (const [token, id] of ids) {
    const other = byId.get(id)
    if (other !== undefined) throw new MergeError(`tokens ${show(other)} and ${show(token)} both have the id ${id}`, { where, fix: FIX })
    byId.set(id, token)
  }
}

/** The contents of a tokenizer.json. */
export function tokensOfJson(where: string, json: Readonly<Record<string, unknown>>): Tokens {
  const { model } = json
  if (!isObject(model)) throw new MergeError(`model must be an object, found ${model === undefined ? 'none' : kindOf(model)}`, { where, fix: FIX })
  const ids = Array.isArray(model['vocab']) ? listedTokens(where, model['vocab']) : mappedTokens(where, model['vocab'])
  const added = new Map<string, AddedToken>()
  const listed: unknown = json['added_tokens'] ?? []
  if (!Array.isArray(listed)) throw new MergeError(`added_tokens must be a list, found ${kindOf(listed)}`, { where, fix: FIX })
  for (const entry of listed) {
    const token = addedTokenOf(where, entry)
    added.set(token.content, token)
    if (!ids.has(token.content)) ids.set(token.content, checkId(where, token.content, entry.id))
  }
  checkDistinct(where, ids)
  return { ids, added }
}

/** BPE, WordPiece and WordLevel: `{token: id}`; also vocab.json and added_tokens.json. */
export function mappedTokens(where: string, vocabulary: unknown): Map<string, number> {
  if (!isObject(vocabulary)) throw new MergeError(`the vocabulary must be an object, found ${vocabulary === undefined ? 'none' : kindOf(vocabulary)}`, { where, fix: FIX })
  return new Map(Object.entries(vocabulary).map(([token, id]) => [token, checkId(where, token, id)]))
}

/** Unigram: `[[token, score], …]`, the id is the place. */
function listedTokens(where: string, vocabulary: readonly unknown[]): Map<string, number> {
  const ids = new Map<string, number>()
  vocabulary.forEach((entry: unknown, id) => {
    const token: unknown = Array.isArray(entry) ? entry[0] : null
    if (typeof token !== 'string') throw new MergeError(`entry ${id} of the vocabulary must be a pair of token and score, found ${show(entry)}`, { where, fix: FIX })
    ids.set(token, id) // of equal tokens the last one counts, as in the tokenizers library
  })
  return ids
}

/** vocab.txt: a token a line, the id is the line. Of equal tokens the last one counts, as in transformers. */
export function tokensOfLines(text: string): Map<string, number> {
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return new Map(lines.map((token, id) => [token, id]))
}

/** An entry of added_tokens, or of added_tokens_decoder. */
export function addedTokenOf(where: string, entry: unknown): AddedToken {
  if (!isObject(entry) || typeof entry['content'] !== 'string') throw new MergeError(`an added token must be an object with content, found ${show(entry)}`, { where, fix: FIX })
  const flag = (name: keyof AddedToken, otherwise: boolean): boolean => (typeof entry[name] === 'boolean' ? entry[name] : otherwise)
  const special = flag('special', false)
  return {
    content: entry['content'],
    single_word: flag('single_word', false),
    lstrip: flag('lstrip', false),
    rstrip: flag('rstrip', false),
    normalized: flag('normalized', !special),
    special,
  }
}
