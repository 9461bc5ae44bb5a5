import type { Runner } from '../engines/engine.ts'
import { optional, preset, type Settings } from '../options.ts'
import { idsOf } from './_tokens.ts'

export const SAMPLING = {
  start: optional('text', 'A token put before every text, such as <s>.'),
  stop: optional('text', 'A token that ends what is written, such as </s>.'),
  banned: preset('numbers', 'Ids of tokens that are never written.', []),
  length: preset('count', 'New tokens, at most.', 64),
  context: preset('count', 'Most tokens that the model sees at once.', 2048),
  seed: preset('number', 'Of samples: the same seed gives the same texts, whatever the batches.', 0),
} as const

/** What the model writes after each prompt. */
export async function generateTexts(
  runner: Runner,
  prompts: readonly (string | readonly number[])[],
  { start, stop, banned, length, context, seed, temperature }: Settings<typeof SAMPLING> & { readonly temperature: number },
): Promise<readonly string[]> {
  const tokens = await runner.tokens()
  const before = start === null ? [] : [tokens.idOf(start)]
  const written = await runner.generate(
    prompts.map(prompt => [...before, ...idsOf(tokens, prompt)]),
    { length, temperature, seed, banned, stop: stop === null ? -1 : tokens.idOf(stop), context },
  )
  return written.map(ids => tokens.decode(ids))
}
