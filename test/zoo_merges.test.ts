import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Evaluation, mergeSubject, openEvaluation, openModels, parse, plan, readSuite } from '../src/index.ts'
import { REPOSITORY } from './front.ts'

// Eight experts of zoo/vision merged into one model: the accuracies that PyTorch found.

const zoo = join(REPOSITORY, 'zoo/vision')
const {
  merge8,
  tasks,
  task_order: order,
} = JSON.parse(readFileSync(join(zoo, 'expected.json'), 'utf8')) as {
  merge8: Record<string, { readonly best: { readonly lambda: number; readonly test: { readonly accuracy: number; readonly correct: readonly number[] } } }>
  task_order: readonly string[]
  tasks: Record<string, { readonly test: number }>
}
const POINTS = 0.005 // of mean accuracy; conventions.arithmetic allows one or two images a task, which is less
const PATIENCE_MS = 120_000
vi.setConfig({ testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS })

let vision: Evaluation
beforeAll(async () => {
  vision = await openEvaluation(await readSuite(join(zoo, 'suite.yml')))
})
afterAll(() => vision.close())

const each = (method: string, rest = ''): string => `${method}(${order.map(task => `${task} - base`).join(', ')}${rest})`

// What each formula of the reference is in our recipes, at the lambda that was best on dev: conventions in expected.json.
test.each([
  ['average', () => `base + ${1 / order.length}*${each('task_arithmetic')}`],
  ['task_arithmetic', (lambda: number) => `base + ${lambda}*${each('task_arithmetic')}`],
  ['ties_tensor', (lambda: number) => `base + ${each('ties', `, density=0.2, lambda=${lambda}`)}`],
  ['ties_global', (lambda: number) => `base + ${each('ties', `, density=0.2, lambda=${lambda}, trim=global`)}`],
  ['tsvm', (lambda: number) => `base + ${each('tsv_m', `, lambda=${lambda}`)}`],
  ['iso_c', (lambda: number) => `base + ${each('iso_c', `, lambda=${lambda}`)}`],
  ['swudi', (lambda: number) => `base + ${each('swudi', `, lambda=${lambda}`)}`],
])('%s', async (name, recipeFor) => {
  const { lambda, test: wanted } = merge8[name]!.best
  const models = Object.fromEntries(['base', ...order].map(model => [model, join(zoo, model)]))
  const recipe = parse(recipeFor(lambda), { models, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  const scores = await vision.evaluate(mergeSubject(plan(recipe, await openModels(recipe), { threads: 1 }), name))
  expect(scores.map(s => s.task)).toEqual(order)
  expect(Math.abs(scores.reduce((sum, s) => sum + s.value, 0) / scores.length - wanted.accuracy)).toBeLessThanOrEqual(POINTS)
  for (const [i, { task, value, counts }] of scores.entries()) {
    expect(counts.over).toHaveLength(tasks[task]!.test)
    expect(Math.abs(value * counts.over.length - wanted.correct[i]!), task).toBeLessThanOrEqual(2.01)
  }
})
