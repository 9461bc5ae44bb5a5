import type { TextData } from '../data.ts'
import { readPassage, surprise, TEXT_OPTIONS, type Text } from './_surprise.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: 'e to the mean −ln p of a token. Compare only models of one tokenizer.',
  better: 'lower',
  unit: '',
  data: ['text'],
  options: TEXT_OPTIONS,
  uses: () => 'likelihoods',
  read: (data, settings): Text => readPassage(data as TextData, settings), // `data` above allows nothing else
  async count(runner, text, settings) {
    const { nats, scored } = await surprise(runner, text, settings)
    return { over: nats, under: scored }
  },
  score: Math.exp,
})
