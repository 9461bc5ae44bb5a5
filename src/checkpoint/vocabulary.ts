import { type AddedToken, plainToken } from './_tokens.ts'
import type { Tokenizer } from './tokenizer.ts'

/** A model as its vocabulary sees it. */
export interface Vocabulary {
  /** Token → id. */
  readonly ids: ReadonlyMap<string, number>
  readonly added: ReadonlyMap<string, AddedToken>
  /** Height of its embedding: tokens with an id from here on have no row. */
  readonly rows: number
}

/** The rows of the output's embeddings. Plain data. */
export interface OutputVocabulary {
  /** Of each row; null where a row has no token. */
  readonly tokens: readonly (string | null)[]
  /**
   * Rows from here on are padding that the recipe asked for: new, each the mean of the rows with a token. Rows without a token
   * before it are the source's own: holes among its ids, and the padding of its embedding.
   */
  readonly padding: number
  /** Tokens that the source's tokenizer has to learn, or to treat in another way, in order of rows. */
  readonly learned: readonly (AddedToken & { readonly id: number })[]
  /** Tokens of the source's tokenizer that have no row in its embedding, which it must forget. */
  readonly forgotten: readonly string[]
}

export interface VocabularyChoice {
  /** Whose tokenizer it is, to begin with; ids stay. */
  readonly source: Vocabulary
  /** Models whose other tokens are appended. */
  readonly union: readonly Vocabulary[]
  /** Tokens that must be there; appended if no model has them. */
  readonly wanted: readonly string[]
  /** Where `wanted` tokens find out how they are matched in the text. */
  readonly models: readonly Vocabulary[]
  readonly padToMultipleOf: number | null
}

/**
 * The output's vocabulary. Appended are first plain tokens, then added ones, each model by model in order of ids, so that the same
 * inputs always give the same rows (mergekit's order changes with every run). As in mergekit, appended tokens are matched in the text
 * before the source's own rules see it: its merges stay what they are.
 */
export function chooseVocabulary({ source, union, wanted, models, padToMultipleOf }: VocabularyChoice): OutputVocabulary {
  const tokens: (string | null)[] = []
  const rowOf = new Map<string, number>()
  const forgotten: string[] = []
  for (const [token, id] of source.ids) {
    if (id >= source.rows) {
      forgotten.push(token)
      continue
    }
    while (tokens.length < id) tokens.push(null)
    rowOf.set(token, tokens.push(token) - 1)
  }
  const added = addedTokens(union)
  const learned = new Map<string, AddedToken>()
  for (const model of union) for (const [token, id] of model.ids) if (id < model.rows && !added.has(token) && !rowOf.has(token)) learn(plainToken(token))
  for (const token of added.values()) if (!sameToken(token, source.added.get(token.content))) learn(token)
  // A token that some model finds in the text as a special one stays special; mergekit makes it an ordinary one.
  const known = addedTokens([source, ...models])
  for (const token of wanted) if (!(rowOf.has(token) && source.added.has(token)) && !learned.has(token)) learn(known.get(token) ?? plainToken(token))
  const end = tokens.length
  // mergekit cuts the padding of the source's embedding away; models are trained and served with it.
  const rows = padToMultipleOf === null ? Math.max(end, Number.isFinite(source.rows) ? source.rows : 0) : Math.ceil(end / padToMultipleOf) * padToMultipleOf
  while (tokens.length < rows) tokens.push(null)
  return {
    tokens,
    padding: padToMultipleOf === null ? rows : end,
    learned: [...learned.values()].map(token => ({ ...token, id: rowOf.get(token.content)! })).sort((a, b) => a.id - b.id),
    forgotten,
  }

  function learn(token: AddedToken): void {
    learned.set(token.content, token)
    if (!rowOf.has(token.content)) rowOf.set(token.content, tokens.push(token.content) - 1)
  }
}

/** The added tokens that have a row, as the first model to have each matches it. */
function addedTokens(models: readonly Vocabulary[]): Map<string, AddedToken> {
  const added = new Map<string, AddedToken>()
  for (const { ids, added: own, rows } of models) for (const [token, how] of own) if (ids.get(token)! < rows && !added.has(token)) added.set(token, how)
  return added
}

const sameToken = (a: AddedToken, b: AddedToken | undefined): boolean => b !== undefined && (Object.keys(a) as (keyof AddedToken)[]).every(key => a[key] === b[key]) // the keys of an AddedToken are its keys

/** A tokenizer with the height of the embedding it belongs to. */
export const vocabularyOf = ({ ids, added }: Tokenizer, rows: number): Vocabulary => ({ ids, added, rows })
