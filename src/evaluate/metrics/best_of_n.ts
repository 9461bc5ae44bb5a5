import { type LineData, numbersField, textsField } from '../data.ts'
import { optional, preset } from '../options.ts'
import { abilityOf, JUDGE_OPTIONS, judge } from './_judge.ts'
import { defineMetric } from './metric.ts'

interface Choice {
  readonly texts: readonly string[]
  readonly worth: readonly number[]
}

export default defineMetric({
  summary: 'Mean worth of the candidate that the model rates highest: a reward model that picks among N samples.',
  better: 'higher',
  unit: '',
  data: ['lines'],
  options: {
    candidates: preset('text', 'The field with the list of texts.', 'candidates'),
    worth: preset('text', 'The field with the worth of each: numbers, or true and false.', 'worth'),
    n: optional('count', 'Only the first so many candidates.'),
    ...JUDGE_OPTIONS,
  },
  uses: ({ by }) => abilityOf(by),
  read: (data, { candidates, worth, n }): readonly Choice[] =>
    (data as LineData).lines.map(line => {
      const texts = textsField(line, candidates, 1)
      const worths = numbersField(line, worth, texts.length)
      return { texts: texts.slice(0, n ?? undefined), worth: worths.slice(0, n ?? undefined) }
    }),
  async count(runner, choices, settings) {
    const ratings = await judge(
      runner,
      choices.flatMap(c => c.texts),
      settings,
    )
    let at = 0
    const picked = choices.map(({ texts, worth }) => {
      const own = ratings.slice(at, (at += texts.length))
      return worth[own.indexOf(own.reduce((a, b) => Math.max(a, b)))]! // the first of equals
    })
    return { over: picked, under: picked.map(() => 1) }
  },
})
