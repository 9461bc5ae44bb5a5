import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { open } from '../src/checkpoint/checkpoint.ts'
import { loadWeights } from '../src/evaluate/load.ts'
import { merganser, temporaryFolder, writeFiles, writeModel } from './front.ts'
import { mergeInMemory } from './golden.ts'

// Merges that look at whole models first, at the front door. Expected numbers are worked out by hand.

const folder = temporaryFolder()
const MODELS = ['--model', 'base=base', '--model', 'a=a', '--model', 'b=b']
const LAYERS = { 'model.layers.0.w.weight': [10, 20], 'model.layers.1.w.weight': [1, -2, 3, -4] }

beforeAll(() => {
  const model = (name: string, of: (v: number) => number): void =>
    writeModel(join(folder, name), Object.fromEntries(Object.entries(LAYERS).map(([tensor, values]) => [tensor, { shape: [values.length], values: values.map(of) }])))
  model('base', () => 0)
  model('a', v => v)
  model('b', v => -v / 2)
  model('nan', v => (v === 3 ? Number.NaN : v))
})

/** Every tensor of what a recipe merges. */
async function merged(out: string, ...args: readonly string[]): Promise<Record<string, number[]>> {
  const { status, stderr } = merganser(folder, 'merge', args[0]!, out, ...args.slice(1))
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('error') })
  return Object.fromEntries([...(await loadWeights(await open(join(folder, out))))].map(([name, { data }]) => [name, [...data]]))
}

test('the largest half of a whole model: all of one layer, one entry of the other', async () => {
  expect(await merged('half', 'base + ties(a - base, density=0.5, trim=global)', ...MODELS)).toEqual({
    'model.layers.0.w.weight': [10, 20],
    'model.layers.1.w.weight': [0, 0, 0, -4],
  })
  expect(await merged('each', 'base + ties(a - base, density=0.5)', ...MODELS)).toEqual({ 'model.layers.0.w.weight': [0, 20], 'model.layers.1.w.weight': [0, 0, 3, -4] })
})

test('rescale restores the norm of the whole model then: 40 ÷ 34', async () => {
  const { 'model.layers.0.w.weight': first } = await merged('rescaled', 'base + ties(a - base, density=0.5, trim=global, rescale=true)', ...MODELS)
  expect(first![1]).toBeCloseTo((20 * 40) / 34, 5)
})

test('only what the call merges counts: not tensors that a rule takes from elsewhere, nor those whose density is 1', async () => {
  writeFiles(folder, {
    'rule.yml': 'models: {base: base, a: a}\nmerge: base + ties(a - base, density=0.5, trim=global)\nrules: [{tensors: "*layers.0*", from: base}]\n',
    'filter.yml':
      'merge_method: ties\nbase_model: base\nmodels:\n  - model: a\n    parameters: {weight: 1, density: [{filter: layers.0, value: 1}, {value: 0.5}]}\nparameters: {trim: global}\n',
  })
  expect(await merged('rule', 'rule.yml')).toEqual({ 'model.layers.0.w.weight': [0, 0], 'model.layers.1.w.weight': [0, 0, 3, -4] })
  expect(await merged('filter', 'filter.yml')).toEqual({ 'model.layers.0.w.weight': [10, 20], 'model.layers.1.w.weight': [0, 0, 3, -4] })
})

test('two calls in one recipe do not mix: each has its own threshold', async () => {
  const both = 'base + ties(a - base, density=0.5, trim=global) + ties(b - base, density=0.2, trim=global)'
  expect(await merged('both', both, ...MODELS)).toEqual({ 'model.layers.0.w.weight': [10, 20 - 10], 'model.layers.1.w.weight': [0, 0, 0, -4] })
})

test('metagpt weighs by squared norms of whole models: 4 to 1', async () => {
  const { 'model.layers.1.w.weight': last } = await merged('metagpt', 'base + metagpt(a - base, b - base)', ...MODELS)
  expect(last!.map(v => Math.fround(v))).toEqual([1, -2, 3, -4].map(v => Math.fround(v * 0.8 - v * 0.1)).map(v => expect.closeTo(v, 6)))
})

test('lines scales the first layer by alpha and the last by alpha + beta, whatever merged the vector', async () => {
  const expression = 'base + lines(ties(a - base, density=0.5, trim=global), alpha=0.5, beta=2)'
  expect(await merged('lines', expression, ...MODELS)).toEqual({ 'model.layers.0.w.weight': [5, 10], 'model.layers.1.w.weight': [0, 0, 0, -10] })
})

// The rows of the models are matched by token before anything is folded: the norms are those of the matched task vectors.
test('metagpt over matched vocabularies weighs what is merged', async () => {
  const names = ['tok-a-ft', 'tok-b']
  const values = async (method: string, weights: readonly number[] = []): Promise<Map<string, Float32Array>> => {
    const models = names.map((name, i) => `{model: ./models/${name}${weights[i] === undefined ? '' : `, parameters: {weight: ${weights[i]}}`}}`)
    const text = `merge_method: ${method}\nbase_model: ./models/tok-a\ndtype: float32\ntokenizer: {source: union}\nmodels: [${models.join(', ')}]\n`
    return new Map([...(await mergeInMemory(text, 'matched'))].map(([name, { bytes }]) => [name, new Float32Array(bytes.slice().buffer)]))
  }
  const vectors = [await values('task_arithmetic', [1, 0]), await values('task_arithmetic', [0, 1])]
  const base = await values('task_arithmetic', [0, 0])
  const delta = (i: number, tensor: string): Float32Array => vectors[i]!.get(tensor)!.map((v, j) => v - base.get(tensor)![j]!)
  const norms = names.map((_, i) => [...base.keys()].reduce((sum, tensor) => sum + delta(i, tensor).reduce((s, v) => s + v * v, 0), 0))
  const shares = norms.map(n => n / (norms[0]! + norms[1]!))
  expect(Math.min(...shares)).toBeGreaterThan(0.01)
  for (const [tensor, got] of await values('metagpt')) {
    const worst = got.reduce((most, v, j) => Math.max(most, Math.abs(v - base.get(tensor)![j]! - shares[0]! * delta(0, tensor)[j]! - shares[1]! * delta(1, tensor)[j]!)), 0)
    expect(worst, tensor).toBeLessThan(1e-6) // weights around 0.1, in float32
  }
})

test('plan says how many passes come first, and counts their bytes', () => {
  const { stdout } = merganser(folder, 'plan', 'base + ties(a - base, b - base, density=0.5, trim=global)', ...MODELS)
  expect(stdout).toContain('first    2 passes over 2 tensors for 2 numbers of the whole merge\ncompute  2 tensors in 1 pass\n')
  const { totals } = JSON.parse(merganser(folder, 'plan', 'base + ties(a - base, b - base, density=0.5, trim=global)', ...MODELS, '--json').stdout)
  expect(totals).toMatchObject({ surveyPasses: 2, passes: 1, read: 3 * (3 * 6 * 4) }) // three times three models of six float32
})

test('the formula shows what is found everywhere', () => {
  const { stdout } = merganser(folder, 'plan', 'base + ties(a - base, density=0.5, trim=global)', ...MODELS, '--formula', '--tensor', 'model.layers.0.w.weight')
  expect(stdout).toContain('everywhere(largest(x2, 0.5 of all))')
})

test('one threshold of two shares is refused at the call, and nothing is written', () => {
  const { stderr, status } = merganser(folder, 'merge', 'base + ties(a - base, density=[0.2, 0.5], trim=global)', 'refused', ...MODELS)
  expect(stderr).toContain(
    'error: the largest entries are chosen over the whole model, as a share that is 0.2 for model.layers.0.w.weight and 0.5 for model.layers.1.w.weight\n  at expression:1:8\n',
  )
  expect(stderr).toContain('fix: give all tensors one density (1 leaves a tensor out), or set trim to tensor')
  expect({ status, isThere: existsSync(join(folder, 'refused')) }).toEqual({ status: 1, isThere: false })
})

test.each([
  ['base + ties(a - base, density=0.5, trim=model)', 'trim must be "tensor" or "global", not "model"'],
  ['base + localize_stitch(a - base, trim=1)', 'trim must be "tensor" or "global", not 1'],
  ['base + pcb(a - base, b - base, density=0)', 'density is 0, and must be above 0 and at most 1'],
  ['base + pcb(a - base)', 'pcb needs at least 2 models, not 1 (a - base)'],
  ['base + lines(a - base, beta=1)', 'lines needs alpha'],
  ['base + lines(a - base, b - base, alpha=1, beta=1)', 'lines takes 1 model, not 2 (a - base, b - base)'],
])('%s is refused: %s', (expression, what) => {
  expect(merganser(folder, 'plan', expression, ...MODELS)).toMatchObject({ status: 1, stderr: expect.stringContaining(`error: ${what}\n  at expression:1:`) })
})

test('metagpt finds its weights itself, and says so of one that is given', () => {
  expect(merganser(folder, 'plan', 'base + metagpt(a - base, weight=2)', ...MODELS).stdout).toContain('note: weight has no effect in metagpt\n')
})

test('a budget that the counters of ranks do not fit is refused, and says what would do', () => {
  const { stderr } = merganser(folder, 'plan', 'base + ties(a - base, b - base, density=0.5, trim=global)', ...MODELS, '--memory', '2MB', '--threads', '1')
  expect(stderr).toContain('ranking the entries of whole models takes')
  const needed = /set --memory to ([\d.]+MB)/.exec(stderr)![1]!
  expect(merganser(folder, 'plan', 'base + ties(a - base, b - base, density=0.5, trim=global)', ...MODELS, '--memory', needed, '--threads', '1').status).toBe(0)
})

test('a NaN is told of as in any merge, and nothing stays', () => {
  const args = ['--model', 'base=base', '--model', 'a=nan']
  const { stderr } = merganser(folder, 'merge', 'base + ties(a - base, density=0.5, trim=global)', 'damaged', ...args)
  expect(stderr).toContain('error: a contains NaN\n  at model.layers.1.w.weight[2]')
  expect(readdirSync(folder).filter(name => name.startsWith('damaged'))).toEqual(['damaged.partial'].filter(name => existsSync(join(folder, name))))
  expect(existsSync(join(folder, 'damaged'))).toBe(false)
})
