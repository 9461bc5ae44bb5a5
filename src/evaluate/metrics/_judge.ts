import type { Runner, Window } from '../engines/engine.ts'
import { oneOf, optional, preset, type Settings } from '../options.ts'
import { idsOf } from './_tokens.ts'

export const JUDGE_OPTIONS = {
  by: oneOf('What judges a text: the number that a reward model gives, or the ln p that a language model gives.', 'reward', 'likelihood'),
  start: optional('text', 'A token put before every text, such as <s>.'),
  end: optional('text', 'A token put behind every text, such as </s>.'),
  context: preset('count', 'Most tokens, with those before and behind: of longer texts the first ones.', 2048),
} as const
export type JudgeSettings = Settings<typeof JUDGE_OPTIONS>

export const abilityOf = (by: string): 'rewards' | 'likelihoods' => (by === 'reward' ? 'rewards' : 'likelihoods')

/** What the model thinks of each text: more is better. */
export async function judge(runner: Runner, texts: readonly string[], { by, start, end, context }: JudgeSettings): Promise<readonly number[]> {
  const tokens = await runner.tokens()
  const before = start === null ? [] : [tokens.idOf(start)]
  const behind = end === null ? [] : [tokens.idOf(end)]
  const sequences = texts.map(text => [...before, ...idsOf(tokens, text).slice(0, context - before.length - behind.length), ...behind])
  if (by === 'reward') return runner.rewards(sequences)
  const likelihoods = await runner.likelihoods(sequences.map((ids): Window => ({ inputs: ids.slice(0, -1), targets: ids.slice(1) })))
  return likelihoods.map(l => l.reduce((a, b) => a + b, 0))
}
