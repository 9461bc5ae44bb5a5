import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Evaluation } from './evaluation.ts'
import { runInMemory } from './load.ts'
import type { VisionTask } from './suites.ts'
import { type Accuracy, openVision } from './vision.ts'

const vision = fileURLToPath(new URL('../../zoo/vision', import.meta.url))
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 }) // eight merged and evaluated tasks take some 10 s on two cores

interface Point {
  readonly lambda: number
  readonly test: { readonly accuracy: number; readonly correct: readonly number[] }
}
const expected = JSON.parse(readFileSync(`${vision}/expected.json`, 'utf8')) as { task_order: VisionTask[]; merge8: Record<string, { best: Point }> }
const tasks = expected.task_order

// The reference was computed in PyTorch: conventions.arithmetic allows one or two images of difference a task, at decision boundaries.
const IMAGES_OF_DIFFERENCE = 2
const HALF_A_POINT = 0.005 // of the mean over tasks of correct ÷ total

let evaluation: Evaluation<VisionTask, Accuracy>
beforeAll(async () => {
  evaluation = await openVision(vision, tasks, 'test')
})
afterAll(() => evaluation.close())

const each = (call: string, rest = ''): string => `${call}(${tasks.map(t => `${t} - base`).join(', ')}${rest})`

// What each method is in our recipes, at the lambda that did best on the dev split, as conventions in expected.json have it.
test.each([
  ['average', () => `base + ${1 / tasks.length}*${each('task_arithmetic')}`],
  ['task_arithmetic', (lambda: number) => `base + ${lambda}*${each('task_arithmetic')}`],
  ['ties_tensor', (lambda: number) => `base + ${each('ties', `, density=0.2, lambda=${lambda}`)}`],
  ['tsvm', (lambda: number) => `base + ${each('tsv_m', `, lambda=${lambda}`)}`],
  ['iso_c', (lambda: number) => `base + ${each('iso_c', `, lambda=${lambda}`)}`],
  ['swudi', (lambda: number) => `base + ${each('swudi', `, lambda=${lambda}`)}`],
])('eight tasks merged by %s: the accuracy that PyTorch found', async (name, recipeFor) => {
  const { lambda, test: want } = expected.merge8[name]!.best
  const models = Object.fromEntries(['base', ...tasks].map(model => [model, `${vision}/${model}`]))
  const recipe = parse(recipeFor(lambda), { models, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  const weights = await runInMemory(plan(recipe, await openModels(recipe), { threads: 1 }))
  const scores = await evaluation.score(weights)
  const accuracies = tasks.map(task => scores[task].correct / scores[task].total)
  const accuracy = accuracies.reduce((sum, a) => sum + a, 0) / tasks.length
  for (const [i, task] of tasks.entries()) expect(Math.abs(scores[task].correct - want.correct[i]!), task).toBeLessThanOrEqual(IMAGES_OF_DIFFERENCE)
  expect(Math.abs(accuracy - want.accuracy), `${accuracy} instead of ${want.accuracy}`).toBeLessThanOrEqual(HALF_A_POINT)
})
