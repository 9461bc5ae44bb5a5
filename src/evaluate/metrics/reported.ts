import { MergeError } from '../../errors.ts'
import { isObject, show } from '../../json.ts'
import { oneOf, optional, required } from '../options.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: 'A number that the engine reports itself: for programs that evaluate a model and print JSON.',
  better: 'higher',
  unit: '',
  data: [],
  options: {
    value: required('texts', 'The keys that lead to the number in the JSON: `[results, gsm8k, "acc,none"]`.'),
    stderr: optional('texts', 'The keys that lead to its standard error, for an interval.'),
    aim: oneOf('Whether more is better.', 'higher', 'lower'),
  },
  aim: ({ aim }) => (aim === 'lower' ? 'lower' : 'higher'),
  uses: () => 'report',
  read: () => null,
  async count(runner, _, { value, stderr }) {
    const report = await runner.report()
    return { over: [numberAt(report, value)], under: [1], halfWidth: stderr === null ? undefined : 1.96 * numberAt(report, stderr) }
  },
})

function numberAt(report: unknown, keys: readonly string[]): number {
  let at = report
  for (const [i, key] of keys.entries()) {
    const inner = isObject(at) && key in at ? at[key] : undefined
    if (inner === undefined) {
      const there = isObject(at) ? `keys there: ${Object.keys(at).slice(0, 12).map(show).join(', ') || 'none'}` : `there is ${show(at)}`
      throw new MergeError(
        `the command printed no ${keys
          .slice(0, i + 1)
          .map(show)
          .join(' → ')}`,
        { fix: `correct \`value\` in the suite; ${there}` },
      )
    }
    at = inner
  }
  if (typeof at === 'number' && Number.isFinite(at)) return at
  throw new MergeError(`${keys.map(show).join(' → ')} is no finite number: ${show(at)}`, { fix: 'let `value` in the suite lead to a number' })
}
