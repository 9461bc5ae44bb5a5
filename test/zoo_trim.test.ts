import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Evaluation, mergeSubject, openEvaluation, openModels, parse, plan, readSuite } from '../src/index.ts'
import { REPOSITORY } from './front.ts'

// Eight experts of zoo/vision merged by TIES, trimmed within each tensor and over the whole model: PyTorch's accuracies.

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

test.each([
  ['ties_tensor', 'tensor'],
  ['ties_global', 'global'],
] as const)('%s', async (name, trim) => {
  const { lambda, test: wanted } = merge8[name]!.best
  const models = Object.fromEntries(['base', ...order].map(model => [model, join(zoo, model)]))
  const deltas = order.map(task => `${task} - base`).join(', ')
  const recipe = parse(`base + ties(${deltas}, density=0.2, lambda=${lambda}, trim=${trim})`, { models, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  const scores = await vision.evaluate(mergeSubject(plan(recipe, await openModels(recipe), { threads: 1 }), name))
  expect(scores.map(s => s.task)).toEqual(order)
  expect(Math.abs(scores.reduce((sum, s) => sum + s.value, 0) / scores.length - wanted.accuracy)).toBeLessThanOrEqual(POINTS)
  for (const [i, { task, value, counts }] of scores.entries()) {
    expect(counts.over).toHaveLength(tasks[task]!.test)
    expect(Math.abs(value * counts.over.length - wanted.correct[i]!), task).toBeLessThanOrEqual(2.01)
  }
})
