import type { Tokenizer } from './tokenizer.ts'

const KEY = /_token_(?:ids?|index)$/

/** Ids in a configuration that mean other tokens after the merge, and what they become. */
export interface TokenIds {
  /** By key, only those that change. */
  readonly changed: Readonly<Record<string, number | readonly number[]>>
  /** Keys whose token is not in the output's vocabulary; they stay as they are. */
  readonly lost: readonly { readonly key: string; readonly token: string }[]
}

/**
 * What becomes of the `…_token_id`s (and `image_token_index`, as some call it) in a config.json or generation_config.json, when its model's tokenizer gives way to another
 * vocabulary. Each follows its token; where that is gone, `eos_token_id` and its like take what the new tokenizer calls `eos_token`.
 * mergekit leaves them, so that a model with `tokenizer: {source: MODEL}` may stop at another model's token.
 */
export function moveTokenIds(config: Readonly<Record<string, unknown>>, from: Tokenizer, tokens: readonly (string | null)[], special: Tokenizer['special']): TokenIds {
  const tokenOf = new Map([...from.ids].map(([token, id]) => [id, token]))
  const rowOf = new Map(tokens.flatMap((token, row) => (token === null ? [] : [[token, row] as const])))
  const changed: Record<string, number | readonly number[]> = {}
  const lost: { key: string; token: string }[] = []
  for (const [key, value] of Object.entries(config)) {
    if (!KEY.test(key)) continue
    const before: readonly unknown[] = Array.isArray(value) ? value : [value]
    const after = before.map(id => move(key, id))
    if (after.some((id, i) => id !== before[i])) changed[key] = (Array.isArray(value) ? after : after[0]) as number | readonly number[] // what moved was a number, and became one
  }
  return { changed, lost }

  function move(key: string, id: unknown): unknown {
    const token = typeof id === 'number' ? tokenOf.get(id) : undefined
    if (token === undefined) return id // null, −1, or beyond the vocabulary
    const instead = special[key.replace(KEY, '_token')]
    const row = rowOf.get(token) ?? (instead === undefined ? undefined : rowOf.get(instead))
    if (row === undefined) lost.push({ key, token })
    return row ?? id
  }
}
