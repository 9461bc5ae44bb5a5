import { describe, expect, test } from 'vitest'
import { uniforms } from './_random.ts'
import { keyOf, type Point, type Space, valueAt } from './space.ts'
import { STRATEGIES } from './strategies/_all.ts'
import type { Ask } from './strategies/strategy.ts'

const number = (name: string, low: number, step: number, count: number): Space[number] => ({ kind: 'number', name, variable: name, low, step, count, isContinuous: false })
const choice = (name: string, ...values: readonly (string | number)[]): Space[number] => ({ kind: 'choice', name, variable: name, values, count: values.length })

interface Run {
  readonly asked: readonly { readonly point: Point; readonly share: number }[]
  readonly batches: readonly number[]
  readonly best: Point
}

/** Runs a strategy against a function of the values; points that are known cost nothing. */
async function run(name: string, space: Space, f: (values: readonly (string | number | boolean)[]) => number, evaluations = 1000, seed = 0): Promise<Run> {
  const known = new Map<string, number>()
  const asked: Run['asked'][number][] = []
  const batches: number[] = []
  const scoreOf = (point: Point): number => f(space.map((c, i) => valueAt(c, point[i]!)))
  const ask: Ask = async (points, share = 1) => {
    const fresh = [...new Map(points.filter(p => !known.has(`${share} ${keyOf(p)}`)).map(p => [keyOf(p), p])).values()]
    const room = share < 1 ? fresh.length : evaluations - asked.filter(a => a.share === 1).length
    for (const point of fresh.slice(0, room)) {
      expect(point.every((index, i) => Number.isInteger(index) && index >= 0 && index < space[i]!.count)).toBe(true)
      known.set(`${share} ${keyOf(point)}`, scoreOf(point))
      asked.push({ point, share })
    }
    batches.push(Math.min(room, fresh.length))
    return fresh.length > room ? null : points.map(p => known.get(`${share} ${keyOf(p)}`)!)
  }
  await STRATEGIES[name]!.run(space, ask, { evaluations, random: uniforms(seed) })
  const whole = asked.filter(a => a.share === 1).map(a => a.point)
  return { asked, batches, best: whole.reduce((best, point) => (scoreOf(point) > scoreOf(best) ? point : best)) }
}

const hill = ([x]: readonly (string | number | boolean)[]): number => -((Number(x) - 0.62) ** 2)
const lambda = number('lambda', 0, 0.05, 21)

describe('strategies', () => {
  test('grid: every point once', async () => {
    const { asked } = await run('grid', [number('a', 0, 1, 3), choice('m', 'x', 'y')], () => 0)
    expect(asked.map(a => a.point)).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
      [2, 0],
      [2, 1],
    ])
  })

  test('line: the top of a hill of 21 points with 11 of them, wherever it is', async () => {
    for (let top = 0; top <= 20; top++) {
      const { best, asked } = await run('line', [lambda], ([x]) => -Math.abs(Number(x) - top * 0.05))
      expect(best).toEqual([top])
      expect(asked.length).toBeLessThanOrEqual(11)
    }
  })

  test('line: the top of a hill of 1,001 points with fewer than 30', async () => {
    const { best, asked } = await run('line', [number('x', 0, 0.001, 1001)], hill)
    expect(best).toEqual([620])
    expect(asked.length).toBeLessThan(30)
  })

  test('coordinate: the top of a sum of hills, and the right choice', async () => {
    const space = [lambda, number('b', -1, 0.1, 21), choice('m', 'low', 'high', 'middle')]
    const { best, asked } = await run('coordinate', space, ([a, b, m]) => -((Number(a) - 0.35) ** 2) - (Number(b) - 0.8) ** 2 + (m === 'high' ? 1 : 0))
    expect(best).toEqual([7, 18, 1])
    expect(asked.length).toBeLessThan(60) // of 1,323
  })

  test('cma_es: along a narrow ridge that coordinates do not follow', async () => {
    const space = [number('a', 0, 0.01, 101), number('b', 0, 0.01, 101), number('c', 0, 0.01, 101)]
    const ridge = ([a, b, c]: readonly (string | number | boolean)[]): number => {
      const [x, y, z] = [Number(a), Number(b), Number(c)]
      return -100 * (x - y) ** 2 - 100 * (y - z) ** 2 - (x + y + z - 2.4) ** 2
    }
    for (let seed = 0; seed < 5; seed++) {
      const { best } = await run('cma_es', space, ridge, 400, seed)
      expect(best.every(index => Math.abs(index - 80) <= 4)).toBe(true) // four of the five seeds find 80, 80, 80
    }
    expect((await run('coordinate', space, ridge, 400)).best.every(index => index < 70)).toBe(true)
  })

  test('cma_es: the last evaluation is that of the mean', async () => {
    const space = [number('a', 0, 0.01, 101), number('b', 0, 0.01, 101)]
    const { asked, batches } = await run('cma_es', space, ([a, b]) => hill([a!]) + hill([b!]), 30)
    expect(asked.length).toBeLessThanOrEqual(30)
    expect(batches).toEqual([6, 6, 6, 6, 1])
    expect(STRATEGIES['cma_es']!.refuses(space, { evaluations: 17 })?.what).toBe('CMA-ES needs at least 18 evaluations for 2 numbers')
  })

  test('cma_es: an optimum in a corner', async () => {
    const space = Array.from({ length: 4 }, (_, i) => number(`x${i}`, 0, 0.05, 21))
    const { best } = await run('cma_es', space, values => values.reduce<number>((sum, v) => sum + Number(v), 0), 300)
    expect(best).toEqual([20, 20, 20, 20])
  })

  test('random: different points, as many as are allowed, all where there are no more', async () => {
    const space = [lambda, number('b', 0, 0.1, 11)]
    const { asked } = await run('random', space, () => 0, 50)
    expect(new Set(asked.map(a => keyOf(a.point))).size).toBe(50)
    expect((await run('random', [lambda], hill, 50)).best).toEqual([12])
    const vast = Array.from({ length: 20 }, (_, i) => number(`x${i}`, 0, 0.01, 101))
    expect((await run('random', vast, () => 0, 30)).asked).toHaveLength(30)
  })

  test('halving: half as many points on twice as much data', async () => {
    const { asked, best } = await run('halving', [lambda], hill, 21)
    const shares = new Map<number, number>()
    for (const { share } of asked) shares.set(share, (shares.get(share) ?? 0) + 1)
    expect([...shares]).toEqual([
      [0.125, 21],
      [0.25, 11],
      [0.5, 6],
      [1, 3],
    ])
    expect(best).toEqual([12])
  })

  test('greedy: a model joins the soup where the score does not fall', async () => {
    const space = ['a', 'b', 'c', 'd'].map(name => choice(name, 0, 1))
    const worth = [3, 5, -1, 0]
    const { asked, best } = await run('greedy', space, values => values.reduce<number>((sum, v, i) => sum + Number(v) * worth[i]!, 0))
    expect(asked.slice(0, 4).map(a => keyOf(a.point))).toEqual(['1 0 0 0', '0 1 0 0', '0 0 1 0', '0 0 0 1'])
    expect(asked.slice(4).map(a => keyOf(a.point))).toEqual(['1 1 0 0', '1 1 0 1', '1 1 1 1'])
    expect(best).toEqual([1, 1, 0, 0])
  })

  test('cocktail: weights that add up to 1, more for models that do better alone', async () => {
    const space = ['a', 'b', 'c'].map(name => number(name, 0, 0.001, 1001))
    const { asked } = await run('cocktail', space, ([a, b, c]) => 3 * Number(a) + 2 * Number(b) + Number(c))
    expect(asked).toHaveLength(8)
    for (const { point } of asked.slice(3)) {
      expect(Math.abs(point.reduce((x, y) => x + y, 0) - 1000)).toBeLessThanOrEqual(2) // each is rounded
      expect(point[0]).toBeGreaterThan(point[1]!)
      expect(point[1]).toBeGreaterThan(point[2]!)
    }
    // exp(z) over their sum, z = (score − 2) / 0.8165 at the temperature 1
    expect(asked[5]!.point).toEqual([725, 213, 63])
  })
})

describe('every strategy', () => {
  const space = [lambda, number('b', 0, 0.05, 21)]
  const f = ([a, b]: readonly (string | number | boolean)[]): number => hill([a!]) + hill([b!])
  test.each(Object.keys(STRATEGIES).filter(name => name !== 'grid' && name !== 'line'))('%s: the same for a seed, and stops where no more may be tried', async name => {
    const points = async (evaluations: number, seed: number) => (await run(name, space, f, evaluations, seed)).asked.map(a => `${a.share} ${keyOf(a.point)}`)
    expect(await points(30, 1)).toEqual(await points(30, 1))
    const few = await run(name, space, f, 3)
    expect(few.asked.filter(a => a.share === 1).length).toBeLessThanOrEqual(3)
  })
})
