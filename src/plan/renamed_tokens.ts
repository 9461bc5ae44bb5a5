import type { Tokenizer } from '../checkpoint/tokenizer.ts'
import { MergeError } from '../errors.ts'
import { show } from '../json.ts'
import { nearest } from '../recipe/locate.ts'

/**
 * A model's tokenizer with some tokens called as the base calls them: `{'<eos>': '</s>'}` lets the row of this model's <eos> meet that of
 * the base's </s>. For matching rows only; the tokenizer's files keep their names. Throws for a token that is not there, or a name that is taken.
 */
export function renameTokens(tokenizer: Tokenizer, names: Readonly<Record<string, string>>): Tokenizer {
  const renamed = new Map(Object.entries(names))
  for (const token of renamed.keys()) {
    if (tokenizer.ids.has(token)) continue
    const near = nearest(token, tokenizer.ids.keys())
    throw new MergeError(`${tokenizer.ref} has no token ${show(token)}`, { fix: near === null ? 'name a token that it has' : `did you mean ${show(near)}?` })
  }
  const ids = new Map<string, number>()
  for (const [token, id] of tokenizer.ids) {
    const name = renamed.get(token) ?? token
    if (ids.has(name)) throw new MergeError(`${tokenizer.ref} would have two tokens ${show(name)}`, { fix: `rename its own ${show(name)} as well, or leave ${show(name)} out` })
    ids.set(name, id)
  }
  const added = new Map([...tokenizer.added].map(([token, how]) => [renamed.get(token) ?? token, { ...how, content: renamed.get(token) ?? token }]))
  return { ...tokenizer, ids, added }
}
