import type { TextData } from '../data.ts'
import type { Runner, Window } from '../engines/engine.ts'
import { optional, preset, type Settings } from '../options.ts'

export const TEXT_OPTIONS = {
  start: optional('text', 'A token put before every window, such as <s>. Without it the first token of the text is not scored.'),
  context: preset('count', 'Tokens that a window scores and sees, at most.', 128),
  stride: optional(
    'count',
    'Tokens from one window to the next; each token is scored once, by the first window that it is in. Default: the context, so that windows do not overlap.',
  ),
  characters: optional('count', 'Only the first so many characters (Unicode code points) of the text.'),
} as const
export type TextSettings = Settings<typeof TEXT_OPTIONS>

export interface Text {
  readonly text: string
  readonly bytes: number
}

export function readPassage({ text }: TextData, { characters }: TextSettings): Text {
  const part = characters === null ? text : [...text].slice(0, characters).join('')
  return { text: part, bytes: new TextEncoder().encode(part).length }
}

/** −ln p of the text, window by window, and how many tokens each window scored. */
export async function surprise(runner: Runner, { text }: Text, settings: TextSettings): Promise<{ readonly nats: readonly number[]; readonly scored: readonly number[] }> {
  const tokens = await runner.tokens()
  const windows = windowsOf(tokens.encode(text), settings.start === null ? null : tokens.idOf(settings.start), settings.context, settings.stride ?? settings.context)
  const likelihoods = await runner.likelihoods(windows)
  return { nats: likelihoods.map(l => -l.reduce((a, b) => a + b, 0)), scored: likelihoods.map(l => l.length) }
}

/**
 * Windows of `context` tokens that begin every `stride` tokens, the last one shorter: each scores the tokens that no window before it has, given those
 * before them in the window. As in https://huggingface.co/docs/transformers/perplexity.
 */
export function windowsOf(ids: readonly number[], start: number | null, context: number, stride: number): readonly Window[] {
  const windows: Window[] = []
  const step = Math.min(stride, context) // a longer one would leave tokens out
  for (let from = 0, scored = 0; scored < ids.length; from += step) {
    const end = Math.min(from + context, ids.length)
    const before = start ?? (from > 0 ? ids[from - 1]! : null)
    const seen = ids.slice(from, end)
    const inputs = before === null ? seen.slice(0, -1) : [before, ...seen.slice(0, -1)]
    const asked = before === null ? seen.slice(1) : seen
    const first = end - asked.length
    const done = scored
    if (inputs.length > 0) windows.push({ inputs, targets: asked.map((id, i) => (first + i < done ? -1 : id)) })
    scored = end
  }
  return windows
}
