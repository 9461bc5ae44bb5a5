import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import type { Score } from '../evaluate/evaluate.ts'
import type { Job } from './runner.ts'
import { search } from './search.ts'
import { readTemplate } from './template.ts'
import type { Trials } from './trials.ts'

// The loop of a search on made-up models: `$a`, `$b` are numbers in the text of the recipe, and scores a function of them.

const EXAMPLES = 200

/** A score of a share of right answers out of 200, or the part of them that is read. */
function score(task: string, right: number, { better = 'higher', weight = 1, share = 1 }: { better?: Score['better']; weight?: number; share?: number } = {}): Score {
  const count = Math.ceil(share * EXAMPLES)
  const over = Array.from({ length: count }, (_, i) => Number(i < Math.round(right * count)))
  const value = over.reduce((a, b) => a + b, 0) / count
  return { task, metric: 'accuracy', value, interval: null, better, unit: '%', weight, counts: { over, under: over.map(() => 1) }, isKnown: false }
}

function made(scores: (a: number, b: number, job: Job) => readonly Score[], variables: Readonly<Record<string, string>> = { a: '0..1:0.1' }) {
  const jobs: Job[] = []
  const template = readTemplate(
    Object.keys(variables)
      .map(name => `${name}=$${name}`)
      .join(' '),
    { isExpression: true, variables },
  )
  const trials: Trials = {
    template,
    suites: null as never, // nothing of it is looked at
    async measure(job) {
      jobs.push(job)
      const [a, b] = job.of === 'base' ? [0, 0] : ['a', 'b'].map(name => Number(new RegExp(`${name}=(\\S+)`).exec(job.text)?.[1] ?? 0))
      await new Promise(resolve => setTimeout(resolve, jobs.length % 3)) // answers come in another order than questions
      return { name: 'base', scores: scores(a!, b!, job), notes: ['a note'] }
    },
    close: async () => {},
  }
  return { trials, jobs }
}
const errorOf = async (promise: Promise<unknown>): Promise<MergeError> => {
  const error = await promise.catch((cause: unknown) => cause)
  if (error instanceof MergeError) return error
  throw new Error('no MergeError was thrown')
}

describe('a search', () => {
  const hill = (a: number) => 0.5 + 0.4 * (1 - (a - 0.6) ** 2)

  test('chooses on dev, measures base and best alone on test', async () => {
    const { trials, jobs } = made(a => [score('x', hill(a))])
    const result = await search(trials)
    expect(result.strategy).toBe('grid')
    expect(result.best.values).toEqual({ a: 0.6 })
    expect(result.trials.map(t => t.values['a'])).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    expect(jobs.filter(j => j.split === 'test').map(j => [j.of, j.text])).toEqual([
      ['base', 'a=0.6'],
      ['merge', 'a=0.6'],
    ])
    expect(jobs.filter(j => j.split === 'dev')).toHaveLength(12)
    expect(result.test.gain).toBeCloseTo(hill(0.6) - hill(0), 2)
    expect(result.notes).toEqual(['a note'])
  })

  test('of equal points the weaker', async () => {
    const { trials } = made(a => [score('x', a >= 0.3 ? 0.9 : 0.5)])
    expect((await search(trials)).best.values).toEqual({ a: 0.3 })
  })

  test('the mean is weighted; the worst is the smallest gain over the base; less may be better', async () => {
    const scores = (a: number) => [score('up', 0.5 + 0.3 * a, { weight: 3 }), score('down', 0.8 - 0.4 * a), score('no', 0.9 - 0.9 * a, { weight: 0 })]
    expect((await search(made(scores).trials)).best.values).toEqual({ a: 1 }) // 3·0.3 > 0.4
    expect((await search(made(scores).trials, { goal: { aim: 'worst', keep: {} } })).best.values).toEqual({ a: 0 })
    const errors = (a: number) => [score('errors', 0.5 - 0.3 * a, { better: 'lower' })]
    const { best, judge, dev } = await search(made(errors).trials)
    expect(best.values).toEqual({ a: 1 })
    expect(judge.showGain(dev.gain)).toBe('+30.0 points')
  })

  test('keep: the strongest that costs at most 5 % of what the base scores, and a mean among those', async () => {
    const scores = (a: number) => [score('task', 0.5 - 0.3 * a), score('control', 0.8 - 0.1 * a)]
    const strongest = await search(made(scores).trials, { goal: { aim: 'strongest', keep: { control: 0.05 } } })
    expect(strongest.best.values).toEqual({ a: 0.4 }) // 0.8 − 0.04 = 0.95·0.8
    expect(strongest.best.losses['control']).toBeCloseTo(0.05, 6)
    expect(strongest.noise).toBe(null)
    expect(strongest.warnings).toEqual([expect.stringMatching(/^on dev, control loses 5 %, but by chance it may be up to/), expect.stringMatching(/^on test/)])
    const rising = (a: number) => [score('task', 0.5 + 0.3 * a), score('control', 0.8 - 0.1 * a)]
    expect((await search(made(rising).trials, { goal: { aim: 'mean', keep: { control: 0.05 } } })).best.values).toEqual({ a: 0.4 })
  })

  test('no point keeps what shall be kept: the nearest is named', async () => {
    const { trials } = made(a => [score('x', a), score('control', 0.8 - 0.4 * a)], { a: '0.5..1:0.1' })
    const error = await errorOf(search(trials, { goal: { aim: 'strongest', keep: { control: 0.05 } } }))
    expect(error.what).toBe('none of the 6 points tried keeps control: the nearest, a = 0.5, loses control 25.0 %')
  })

  test('a gain that chance would give as well is called one', async () => {
    const { trials } = made((a, _, { of }) => [score('x', of === 'base' ? 0.5 : 0.5 + (a === 0.3 ? 0.01 : -0.01))])
    const { noise, warnings } = await search(trials)
    expect(noise!.p).toBeGreaterThan(0.05)
    expect(warnings[0]).toMatch(/^the gain over base on dev, \+1\.0 points, is within the noise of 11 points tried \(White’s reality check: p = 0\.\d\d\)$/)
    expect(warnings[1]).toMatch(/^on test the gain is \+1\.0 points \[\+0\.0, \+\d+\.\d\]: it may be nothing$/)
  })

  test('nothing better than the base, and an end of a range, are told', async () => {
    expect((await search(made(a => [score('x', 0.8 - 0.3 * a)], { a: '0.1..1:0.1' }).trials)).warnings).toEqual([
      'no point that was tried is better than base',
      'a = 0.1 is the lower end of its range: better values may lie beyond',
    ])
    expect((await search(made(a => [score('x', 0.3 + 0.3 * a)]).trials)).warnings).toEqual(['a = 1 is the upper end of its range: better values may lie beyond'])
  })

  test('halving compares on the part of the data that both have seen', async () => {
    const { trials, jobs } = made((a, _, { share }) => [score('x', hill(a), { share })])
    const { best, trials: all } = await search(trials, { strategy: 'halving' })
    expect(best.share).toBe(1)
    expect(new Set(jobs.filter(j => j.of === 'base').map(j => j.share))).toEqual(new Set([1, 0.25, 0.5]))
    expect(all.filter(t => t.share === 1).length).toBeLessThanOrEqual(4)
  })

  test('the base of a soup is that of its first member: all weights 0 are no recipe', async () => {
    const { trials, jobs } = made((a, b) => [score('x', 0.5 + 0.2 * a - 0.1 * b)], { a: '0|1', b: '0|1' })
    expect((await search(trials, { strategy: 'greedy' })).best.values).toEqual({ a: 1, b: 0 })
    expect(new Set(jobs.map(j => j.text))).toEqual(new Set(['a=1 b=0', 'a=0 b=1', 'a=1 b=1']))
  })

  test('the usual strategies: grid where it is small, line for one number, CMA-ES for several, coordinate with choices', async () => {
    const strategyOf = async (variables: Readonly<Record<string, string>>) => (await search(made(a => [score('x', hill(a))], variables).trials, { evaluations: 20 })).strategy
    expect(await strategyOf({ a: '0..1:0.1' })).toBe('grid')
    expect(await strategyOf({ a: '0..1' })).toBe('line')
    expect(await strategyOf({ a: '0..1', b: '0..1' })).toBe('cma_es')
    expect(await strategyOf({ a: '0..1', b: 'ties|linear' })).toBe('coordinate')
  })

  test('what cannot be searched', async () => {
    const trials = made(a => [score('x', a)], { a: '0..1:0.0001' }).trials
    const what = async (options: Parameters<typeof search>[1]) => (await errorOf(search(trials, options))).what
    expect(await what({ strategy: 'grid' })).toBe('the grid has 10001 points, and at most 1000 are tried')
    expect(await what({ strategy: 'gird' })).toBe('unknown strategy "gird"')
    expect(await what({ strategy: 'cma_es' })).toBe('CMA-ES needs several variables')
    expect(await what({ goal: { aim: 'strongest', keep: {} } })).toBe('the strongest coefficients of all are the largest')
    expect(await what({ goal: { aim: 'mean', keep: { x: 0.1 } } })).toBe('all tasks are kept, or have no weight: nothing is left to improve')
    expect(await what({ goal: { aim: 'mean', keep: { y: 0.1 } } })).toBe('the suite has no task "y" to keep')
  })

  test('the same for a seed', async () => {
    const run = async (seed: number) =>
      (await search(made((a, b) => [score('x', hill(a) - 0.1 * (b - 0.3) ** 2)], { a: '0..1', b: '0..1' }).trials, { seed, evaluations: 40 })).trials.map(t => t.values)
    expect(await run(1)).toEqual(await run(1))
    expect(await run(1)).not.toEqual(await run(2))
  })
})
