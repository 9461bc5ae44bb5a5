import { expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import { METHODS } from '../src/methods/_all.ts'
import { type AnyModel, everywhereIn } from '../src/methods/method.ts'
import { run } from './engine.ts'
import { mergeInMemory } from './golden.ts'

// What methods must give where mergekit has no such method, or goes wrong. Expected numbers are worked out by hand.

interface Given {
  readonly base?: readonly number[]
  /** θ₁ … θₙ, each with its own parameters if it has any. */
  readonly models: readonly (readonly number[])[]
  readonly own?: readonly Readonly<Record<string, number>>[]
  readonly parameters?: Readonly<Record<string, number | boolean>>
}

/** Merges tensors of one dimension with a method; parameters that are not given have their defaults, weight 1. */
async function merge(name: string, { base, models, own = [], parameters = {} }: Given): Promise<number[]> {
  const method = METHODS[name]!
  const inputs = [...(base ? [base] : []), ...models].map(i => Float32Array.from(i))
  const shape = [models[0]!.length]
  const zero = base ? Tensor.source(0, shape) : Tensor.constant(0)
  const defaults = (scope: 'model' | 'other') =>
    Object.fromEntries(Object.entries(method.params).flatMap(([key, p]) => ((p.scope === 'model') === (scope === 'model') ? [[key, p.default ?? 1]] : [])))
  const given = models.map((_, index): AnyModel => {
    const tensor = Tensor.source(index + (base ? 1 : 0), shape)
    return { ...defaults('model'), ...own[index], index, tensor, delta: tensor.sub(zero) } as AnyModel
  })
  const root = method.merge(
    { name: 'tensor', shape, isMatrix: false, base: zero, models: given, random: label => Tensor.random(String(label), shape), everywhere: everywhereIn(''), position: 0.5 },
    { ...defaults('other'), ...parameters },
  )
  return [...(await run(root, inputs))]
}

/** Some roundings to float32 of numbers around 1. */
const near = (numbers: readonly number[]): unknown => numbers.map(n => expect.closeTo(n, 6))
const NOTHING = [0, 0, 0, 0]

test('consensus keeps what two tasks need: more than threshold times the others, not what one needs alone', async () => {
  //                 both   one  both, opposite  nobody
  const a = [1, 1, 1, 0]
  const b = [2, 0.25, -1, 0]
  // 0.25 > 0.4·1 is false, so the second coordinate has one task; 1 > 0.4·1 in the third, whose sum is 0.
  expect(await merge('consensus', { base: NOTHING, models: [a, b] })).toEqual([3, 0, 0, 0])
  expect(await merge('consensus', { base: NOTHING, models: [a, b], own: [{}, { threshold: 0.2 }], parameters: { lambda: 0.5 } })).toEqual([1.5, 0.625, 0, 0])
})

test('localize_stitch keeps the largest entries of each and averages where they overlap', async () => {
  const models = [
    [4, 3, 1, 0],
    [2, 1, -6, 0],
  ]
  expect(await merge('localize_stitch', { base: [1, 1, 1, 1], models: models.map(m => m.map(v => v + 1)), own: [{ density: 0.5 }, { density: 0.5 }] })).toEqual([4, 4, -5, 1])
  expect(await merge('localize_stitch', { base: NOTHING, models, own: [{ density: 1 }, { density: 1 }], parameters: { lambda: 2 } })).toEqual([6, 4, -5, 0]) // a zero takes no part
})

test('geometric_median of a right isosceles triangle is its Fermat point', async () => {
  const models = [
    [0, 0],
    [1, 0],
    [0, 1],
  ]
  const x = (3 - Math.sqrt(3)) / 6
  expect(await merge('geometric_median', { models, parameters: { max_iter: 50 } })).toEqual(near([x, x]))
  expect(await merge('geometric_median', { models, parameters: { max_iter: 0 } })).toEqual(near([1 / 3, 1 / 3]))
})

test('geometric_median lies on a model whose weight is at least the pull of the others, and a far model does not move it', async () => {
  const models = [
    [1, 1],
    [2, 1],
    [1, 2],
    [500, 900],
  ]
  const [x, y] = await merge('geometric_median', { models, own: [{ weight: 5 }, {}, {}, {}], parameters: { max_iter: 50 } })
  expect(Math.hypot(x! - 1, y! - 1)).toBeLessThan(5e-4) // it comes nearer with every iteration
  const far = await merge('geometric_median', { models, parameters: { max_iter: 50 } })
  const farther = await merge('geometric_median', { models: [...models.slice(0, 3), [5000, 9000]], parameters: { max_iter: 50 } })
  expect(Math.hypot(far[0]! - farther[0]!, far[1]! - farther[1]!)).toBeLessThan(0.01)
  expect(Math.hypot(far[0]! - 1, far[1]! - 1)).toBeLessThan(1)
})

test('geometric_median of close models does not drown in their size', async () => {
  const models = [
    [1000, 1000],
    [1000.5, 1000],
    [1000, 1000.5],
  ]
  const x = 1000 + (3 - Math.sqrt(3)) / 12
  const median = await merge('geometric_median', { models, parameters: { max_iter: 50 } })
  for (const v of median) expect(Math.abs(v - x)).toBeLessThanOrEqual(2 * 2 ** -14) // two units in the last place of a thousand
})

const onCircle = (degrees: number, length = 1): number[] => [length * Math.cos((degrees * Math.PI) / 180), length * Math.sin((degrees * Math.PI) / 180)]

test('karcher of three directions in a plane is the mean of their angles, times the mean length', async () => {
  const models = [onCircle(0, 1), onCircle(30, 2), onCircle(90, 3)]
  expect(await merge('karcher', { models, parameters: { max_iter: 50, tol: 0 } })).toEqual(near(onCircle(40, 2)))
  expect(await merge('karcher', { models: [onCircle(0), onCircle(80), onCircle(80)], parameters: { max_iter: 50, tol: 0 } })).toEqual(near(onCircle(160 / 3)))
})

test('karcher of opposite models is the first of them; zeros count in the length only', async () => {
  const [x, y] = onCircle(20, 3)
  expect(
    await merge('karcher', {
      models: [
        [x!, y!],
        [-x!, -y!],
      ],
    }),
  ).toEqual(near([x!, y!]))
  expect(await merge('karcher', { models: [onCircle(20, 3), [0, 0], onCircle(40, 3)] })).toEqual(near(onCircle(30, 2)))
  expect(
    await merge('karcher', {
      models: [
        [0, 0],
        [0, 0],
      ],
    }),
  ).toEqual([0, 0])
})

test('multislerp falls back on the weighted sum where the directions cancel, for any number of models', async () => {
  const models = [onCircle(0, 1), onCircle(120, 2), onCircle(240, 3)]
  const want = models[0]!.map((_, i) => models.reduce((t, m) => t + m[i]! / 3, 0))
  expect(await merge('multislerp', { models })).toEqual(near(want))
  expect(
    await merge('multislerp', {
      models: [
        [0, 0],
        [0, 0],
        [0, 0],
      ],
    }),
  ).toEqual([0, 0]) // biases that nobody trained
})

test('nuslerp takes the straight line between opposite vectors', async () => {
  const models = [
    [3, -1.5],
    [-6, 3],
  ]
  expect(await merge('nuslerp', { models, own: [{ weight: 1 }, { weight: 3 }] })).toEqual(near([-3.75, 1.875]))
})

test('model_stock stays at the base where task vectors are opposite', async () => {
  expect(
    await merge('model_stock', {
      base: [1, 2],
      models: [
        [2, 4],
        [0, 0],
      ],
    }),
  ).toEqual([1, 2])
})

test('breadcrumbs keeps entries that tie with the largest or the smallest one kept', async () => {
  const delta = [5, 3, -3, 2, 1, -1, 0.5, 0]
  // Of eight, one outlier goes and three stay: 3, −3, 2. With two outliers 3 is the first kept, and both threes stay.
  const crumbs = (density: number, gamma: number) => merge('breadcrumbs', { base: delta.map(() => 0), models: [delta], own: [{ density, gamma }] })
  expect(await crumbs(0.375, 0.125)).toEqual([0, 3, -3, 2, 0, 0, 0, 0])
  expect(await crumbs(0.25, 0.25)).toEqual([0, 3, -3, 2, 0, 0, 0, 0])
  expect(await crumbs(0.5, 0.125)).toEqual([0, 3, -3, 2, 1, -1, 0, 0])
  expect(await crumbs(0.75, 0.9)).toEqual([0, 0, 0, 2, 1, -1, 0.5, 0].map((v, i) => [0, 3, -3][i] ?? v)) // two outliers at most; the second ties with the first kept
})

test('breadcrumbs drops no outlier where gamma amounts to none, and everything where density does', async () => {
  const crumbs = (density: number) => merge('breadcrumbs', { base: NOTHING, models: [[4, 3, 2, 1]], own: [{ density, gamma: 0.2 }] })
  expect(await crumbs(0.5)).toEqual([4, 3, 0, 0]) // mergekit gives zeros
  expect(await crumbs(0.2)).toEqual(NOTHING)
})

test('nearswap moves each entry by at most t', async () => {
  expect(await merge('nearswap', { base: [1, 1, 1, 1], models: [[1.125, 0.5, 3, 1]], parameters: { t: 0.5 } })).toEqual([1.125, 0.5, 1.5, 1])
})

test('sce counts shares of varying coordinates, 0.29 of a hundred being 29', async () => {
  const size = 120
  const a = Array.from({ length: size }, (_, i) => (i < 100 ? i + 1 : 0)) // 20 in which the models agree
  const merged = await merge('sce', { base: a.map(() => 0), models: [a, a.map(() => 0)], parameters: { select_topk: 0.29 } })
  expect(merged.filter(v => v !== 0)).toHaveLength(29)
  expect(merged.slice(0, 71).every(v => v === 0)).toBe(true)
})

test('sce selects all coordinates that tie with the last one, and none of a single model', async () => {
  expect(await merge('sce', { base: NOTHING, models: [[1, -1, 4, 1], NOTHING], parameters: { select_topk: 0.5 } })).toEqual([1, -1, 4, 1])
  expect(await merge('sce', { base: [1, 1, 1, 1], models: [[5, 6, 7, 8]], parameters: { select_topk: 0.5 } })).toEqual([1, 1, 1, 1])
})

test('ramplus_tl amplifies lone changes by how many are shared; without lone ones it is ram', async () => {
  const models = [
    [1, 0, 4, 2],
    [3, 2, 0, 4],
  ]
  // Each model shares two changes and has one of its own: 2 ÷ 1, at most alpha.
  expect(await merge('ramplus_tl', { base: NOTHING, models, parameters: { r: 0.5, alpha: 1 } })).toEqual([2, 3, 6, 3])
  expect(await merge('ram', { base: NOTHING, models })).toEqual([2, 2, 4, 3])
  const shared = [
    [1, 2],
    [3, 4],
  ]
  expect(await merge('ramplus_tl', { base: [0, 0], models: shared, parameters: { epsilon: 0 } })).toEqual([2, 3])
})

test('weights that leave nothing to divide by are refused, at their place in the recipe', async () => {
  const entries = (...weights: readonly number[]): string => weights.map((w, i) => `  - {model: ./models/ft${i + 1}, parameters: {weight: ${w}}}\n`).join('')
  const recipe = (method: string, ...weights: readonly number[]): string => `merge_method: ${method}\nmodels:\n${entries(...weights)}`
  await expect(mergeInMemory(recipe('multislerp', 0.3, 0.1, -0.4), 'x')).rejects.toThrow(
    /the weights of multislerp add up to 0, and are divided by their sum\n {2}at x\/recipe\.yml:1:15[\s\S]*fix: change a weight, or set normalize_weights to false/,
  )
  await expect(mergeInMemory(recipe('geometric_median', 0, 0), 'x')).rejects.toThrow(/the weights of geometric_median are all 0\n {2}at x\/recipe\.yml:1:15/)
})
