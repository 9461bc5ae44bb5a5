import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Evaluation } from '../src/evaluate/evaluation.ts'
import { runInMemory } from '../src/evaluate/load.ts'
import { VISION_TASKS, type VisionTask } from '../src/evaluate/suites.ts'
import { type Accuracy, openVision } from '../src/evaluate/vision.ts'
import { openModels, parse, plan } from '../src/index.ts'
import { REPOSITORY } from './front.ts'

// Eight experts of zoo/vision merged by TIES, trimmed within each tensor and over the whole model: PyTorch's accuracies.

const zoo = join(REPOSITORY, 'zoo/vision')
const { merge8, tasks } = JSON.parse(readFileSync(join(zoo, 'expected.json'), 'utf8')) as {
  merge8: Record<string, { readonly best: { readonly lambda: number; readonly test: { readonly accuracy: number; readonly correct: readonly number[] } } }>
  tasks: Record<VisionTask, { readonly test: number }>
}
const POINTS = 0.005 // of mean accuracy; conventions.arithmetic allows one or two images a task, which is less
const PATIENCE_MS = 120_000
vi.setConfig({ testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS })

let vision: Evaluation<VisionTask, Accuracy>
beforeAll(async () => {
  vision = await openVision(zoo, VISION_TASKS, 'test')
})
afterAll(() => vision.close())

test.each([
  ['ties_tensor', 'tensor'],
  ['ties_global', 'global'],
] as const)('%s', async (name, trim) => {
  const { lambda, test: wanted } = merge8[name]!.best
  const models = Object.fromEntries(['base', ...VISION_TASKS].map(model => [model, join(zoo, model)]))
  const deltas = VISION_TASKS.map(task => `${task} - base`).join(', ')
  const recipe = parse(`base + ties(${deltas}, density=0.2, lambda=${lambda}, trim=${trim})`, { models, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  const scores = await vision.score(await runInMemory(plan(recipe, await openModels(recipe), { threads: 1 })))
  const accuracies = VISION_TASKS.map(task => scores[task].correct / scores[task].total)
  expect(Math.abs(accuracies.reduce((a, b) => a + b) / accuracies.length - wanted.accuracy)).toBeLessThanOrEqual(POINTS)
  for (const [i, task] of VISION_TASKS.entries()) {
    expect(scores[task].total).toBe(tasks[task].test)
    expect(Math.abs(scores[task].correct - wanted.correct[i]!), task).toBeLessThanOrEqual(2)
  }
})
