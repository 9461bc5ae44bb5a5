import { MergeError } from '../errors.ts'

/** Text to ids and back, without special tokens of its own accord. */
export interface Tokens {
  encode(text: string): readonly number[]
  decode(ids: readonly number[]): string
  /** The id of one token by its text, such as `</s>`; throws when there is none. */
  idOf(token: string): number
}

/** The tokenizer in the texts of tokenizer.json and, if there is one, tokenizer_config.json; `where` is how errors call it. */
export async function createTokens(json: string, config: string | null, where: string): Promise<Tokens> {
  const { Tokenizer } = await import('@huggingface/tokenizers')
  try {
    const tokenizer = new Tokenizer(JSON.parse(json), JSON.parse(config ?? '{}'))
    return {
      encode: text => tokenizer.encode(text, { add_special_tokens: false }).ids,
      decode: ids => tokenizer.decode([...ids], { skip_special_tokens: true }),
      idOf(token) {
        const id = tokenizer.token_to_id(token)
        if (id === undefined) throw new MergeError(`the tokenizer has no token "${token}"`, { where, fix: 'name a token of this model in the suite' })
        return id
      },
    }
  } catch (cause) {
    throw new MergeError(`this tokenizer cannot be used (${cause instanceof Error ? cause.message : String(cause)})`, {
      where,
      fix: 'use a model with a sound tokenizer.json',
      cause,
    })
  }
}
