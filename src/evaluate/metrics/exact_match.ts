import { ANSWER_OPTIONS, type Answered, readAnswers } from './_answers.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: 'Share of answers that are, but for white space around them, exactly what is asked for.',
  better: 'higher',
  unit: '%',
  data: ['tensors', 'lines'],
  options: ANSWER_OPTIONS,
  uses: ({ names }) => (names === null ? 'generate' : 'classify'),
  read: (data, settings): Answered => readAnswers(data, settings),
  async count(runner, { answers, references }) {
    const given = await answers(runner)
    return { over: references.map((texts, i) => (texts.some(text => text.trim() === given[i]!.trim()) ? 1 : 0)), under: references.map(() => 1) }
  },
})
