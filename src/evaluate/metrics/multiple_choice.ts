import { indexField, type LineData, textField, textsField } from '../data.ts'
import type { Window } from '../engines/engine.ts'
import { oneOf, optional, preset } from '../options.ts'
import { idsOf } from './_tokens.ts'
import { defineMetric } from './metric.ts'

interface Question {
  readonly text: string
  readonly choices: readonly string[]
  readonly answer: number
}

export default defineMetric({
  summary: 'Share of questions whose right answer is the likeliest continuation.',
  better: 'higher',
  unit: '%',
  data: ['lines'],
  options: {
    question: preset('text', 'The field with the text before the answers.', 'question'),
    choices: preset('text', 'The field with the list of answers, as they follow the question: with the space before them.', 'choices'),
    answer: preset('text', 'The field with the index of the right answer.', 'answer'),
    per: oneOf('What ln p of an answer is divided by: nothing, its tokens, or its bytes.', 'answer', 'token', 'byte'),
    start: optional('text', 'A token put before every question, such as <s>.'),
    context: preset('count', 'Most tokens that the model sees at once: the last ones.', 2048),
  },
  uses: () => 'likelihoods',
  read: (data, { question, choices, answer }): readonly Question[] =>
    (data as LineData).lines.map(line => {
      const texts = textsField(line, choices, 2)
      return { text: textField(line, question), choices: texts, answer: indexField(line, answer, texts.length) }
    }),
  async count(runner, questions, { per, start, context }) {
    const tokens = await runner.tokens()
    const before = start === null ? [] : [tokens.idOf(start)]
    const windows = questions.flatMap(({ text, choices }) => {
      const asked = [...before, ...idsOf(tokens, text)]
      return choices.map((choice): Window => {
        // Encoded together, as they would be read, and cut where the question's own tokens end.
        const whole = [...before, ...idsOf(tokens, text + choice)]
        const from = Math.min(asked.length, whole.length - 1)
        const ids = whole.slice(-context - 1)
        const cut = whole.length - ids.length
        return { inputs: ids.slice(0, -1), targets: ids.slice(1).map((id, i) => (cut + i + 1 < from ? -1 : id)) }
      })
    })
    const likelihoods = await runner.likelihoods(windows)
    let at = 0
    const right = questions.map(({ choices, answer }) => {
      const scores = choices.map(choice => {
        const own = likelihoods[at++]!
        const sum = own.reduce((a, b) => a + b, 0)
        if (per === 'answer') return sum
        return sum / (per === 'token' ? own.length : new TextEncoder().encode(choice).length)
      })
      return scores.indexOf(scores.reduce((a, b) => Math.max(a, b))) === answer ? 1 : 0
    })
    return { over: right, under: right.map(() => 1) }
  },
})
