import type { TextData } from '../data.ts'
import { readPassage, surprise, TEXT_OPTIONS, type Text } from './_surprise.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: '−log2 p of the text over its bytes in UTF-8: comparable between tokenizers.',
  better: 'lower',
  unit: '',
  data: ['text'],
  options: TEXT_OPTIONS,
  uses: () => 'likelihoods',
  read: (data, settings): Text => readPassage(data as TextData, settings), // `data` above allows nothing else
  async count(runner, text, settings) {
    const { nats, scored } = await surprise(runner, text, settings)
    const tokens = scored.reduce((a, b) => a + b, 0)
    // All bytes of the text; the share of a window matters only to the interval.
    return { over: nats.map(n => n / Math.LN2), under: scored.map(n => (text.bytes * n) / tokens) }
  },
})
