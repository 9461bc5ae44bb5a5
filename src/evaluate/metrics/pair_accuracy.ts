import { type LineData, textField } from '../data.ts'
import { preset } from '../options.ts'
import { abilityOf, JUDGE_OPTIONS, judge } from './_judge.ts'
import { defineMetric } from './metric.ts'

interface Pair {
  readonly chosen: string
  readonly rejected: string
}

export default defineMetric({
  summary: 'Share of pairs whose better text the model rates higher.',
  better: 'higher',
  unit: '%',
  data: ['lines'],
  options: {
    chosen: preset('text', 'The field with the better text.', 'chosen'),
    rejected: preset('text', 'The field with the worse text.', 'rejected'),
    ...JUDGE_OPTIONS,
  },
  uses: ({ by }) => abilityOf(by),
  read: (data, { chosen, rejected }): readonly Pair[] => (data as LineData).lines.map(line => ({ chosen: textField(line, chosen), rejected: textField(line, rejected) })),
  async count(runner, pairs, settings) {
    const ratings = await judge(
      runner,
      pairs.flatMap(p => [p.chosen, p.rejected]),
      settings,
    )
    return { over: pairs.map((_, i) => (ratings[2 * i]! > ratings[2 * i + 1]! ? 1 : 0)), under: pairs.map(() => 1) }
  },
})
