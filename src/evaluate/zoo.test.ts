import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { decode } from '../../test/floats.ts'
import { openFile } from '../bytes/file.ts'
import { type FloatDType, isFloat } from '../dtype.ts'
import safetensors from '../formats/safetensors.ts'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Evaluation } from './evaluation.ts'
import { runInMemory } from './load.ts'
import type { TextName, VisionTask } from './suites.ts'
import { openText, scoreText } from './text.ts'
import { type Accuracy, openVision } from './vision.ts'
import type { Weights } from './weights.ts'

const zoo = fileURLToPath(new URL('../../zoo', import.meta.url))
const expectedOf = (name: string) => JSON.parse(readFileSync(`${zoo}/${name}/expected.json`, 'utf8'))
const PATIENCE_MS = 120_000 // a text model takes about 5 s on two cores
vi.setConfig({ testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS })

async function load(folder: string): Promise<Weights> {
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>()
  for (const file of readdirSync(`${zoo}/${folder}`).filter(name => name.endsWith('.safetensors'))) {
    const source = await openFile(`${zoo}/${folder}/${file}`)
    for (const { name, dtype, shape, start, end } of (await safetensors.readTable(source)).tensors) {
      expect(isFloat(dtype)).toBe(true)
      weights.set(name, { shape, data: Float32Array.from(decode(dtype as FloatDType, await source.read(start, end))) })
    }
  }
  return weights
}

describe('zoo/vision: correct images of the test split', () => {
  // PyTorch computed the expected counts; conventions.arithmetic allows one or two images of difference at decision boundaries.
  const IMAGES_OF_DIFFERENCE = 2
  const tasks: VisionTask[] = ['greek', 'latin', 'balinese', 'sanskrit'] // the smaller ones, with both kinds of heads
  const expected = expectedOf('vision')
  let vision: Evaluation<VisionTask, Accuracy>
  beforeAll(async () => {
    vision = await openVision(`${zoo}/vision`, tasks, 'test')
  })
  afterAll(() => vision.close())

  const check = ({ correct, total }: Accuracy, want: { correct: number; accuracy: number }) => {
    expect(Math.abs(correct - want.correct)).toBeLessThanOrEqual(IMAGES_OF_DIFFERENCE)
    expect(want.correct / total).toBeCloseTo(want.accuracy, 5) // the same number of images
  }

  test('base', async () => {
    const scores = await vision.score(await load('vision/base'))
    for (const task of tasks) check(scores[task], expected.base.test[task])
  })

  test.each(tasks)('expert %s', async task => {
    const scores = await vision.score(await load(`vision/${task}`), [task])
    check(scores[task], expected.experts[task].test[task])
  })
})

describe('zoo/text: bits per byte', () => {
  const names: TextName[] = ['code', 'math']
  const { A_addition, tolerance } = expectedOf('text')
  let text: Evaluation<TextName, number>
  beforeAll(async () => {
    text = await openText(`${zoo}/text`, names, 'test')
  })
  afterAll(() => text.close())

  test.each(['base', 'code', 'math'])('model %s', async model => {
    const scores = await text.score(await load(`text/${model}`))
    for (const name of names) expect(Math.abs(scores[name] - A_addition.reference_bpb.test[model][name]), name).toBeLessThan(tolerance.bpb)
  })

  // README of the zoo: α·(alpha/r)·B·A of both adapters, added to the base.
  test.each([
    ['tuned', A_addition.lora_reference_bpb.test.code],
    ['base + 0.7*code + 0.7*math', A_addition.lora_sum_of_deltas.test],
  ])('adapters: %s', async (formula, expected) => {
    const models = { base: `${zoo}/text/base`, code: `${zoo}/text/code-lora`, math: `${zoo}/text/math-lora`, tuned: `${zoo}/text/base+${zoo}/text/code-lora` }
    const recipe = parse(formula, { models, adapters: new Set(['code', 'math']), output: { dtype: 'F32' } })
    const scores = await text.score(await runInMemory(plan(recipe, await openModels(recipe), { threads: 1 })))
    for (const name of names) expect(Math.abs(scores[name] - expected[name]), name).toBeLessThan(tolerance.bpb)
  })

  test('dev: only the first 24,000 characters count', async () => {
    const scores = await scoreText(`${zoo}/text`, await load('text/base'), ['code'], 'dev')
    expect(Math.abs(scores.code - A_addition.reference_bpb.dev.base.code)).toBeLessThan(tolerance.bpb)
  })
})
