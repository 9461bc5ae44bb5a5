import { type LineData, promptField } from '../data.ts'
import { oneOf, preset, required } from '../options.ts'
import { generateTexts, SAMPLING } from './_generate.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: 'Share of generated texts with a word of a list in them, or how often such words come among all words.',
  better: 'lower',
  unit: '%',
  data: ['lines'],
  options: {
    words: required('texts', 'The words: whole words, of any case.'),
    per: oneOf('What is counted: texts with such a word, or such words among all.', 'text', 'word'),
    prompt: preset('text', 'The field with the prompt, text or token ids.', 'prompt'),
    ...SAMPLING,
    temperature: preset('number', 'Of samples; 0 takes the likeliest token each time.', 1),
  },
  uses: () => 'generate',
  read: (data, { prompt }): readonly (string | readonly number[])[] => (data as LineData).lines.map(line => promptField(line, prompt)),
  async count(runner, prompts, settings) {
    const listed = wordsPattern(settings.words)
    const texts = await generateTexts(runner, prompts, settings)
    const found = texts.map(text => text.match(listed)?.length ?? 0)
    if (settings.per === 'text') return { over: found.map(n => Math.min(n, 1)), under: found.map(() => 1) }
    return { over: found, under: texts.map(text => text.match(WORD)?.length ?? 0) }
  },
})

const WORD = /[\p{L}\p{N}_]+(?:['-][\p{L}\p{N}_]+)*/gu

/** The longest first: of `damn` and `damned` the second is found where it stands. */
function wordsPattern(words: readonly string[]): RegExp {
  const escaped = words.toSorted((a, b) => b.length - a.length).map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`(?<![\\p{L}\\p{N}_])(?:${escaped.join('|')})(?![\\p{L}\\p{N}_])`, 'giu')
}
