import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { merganser, type Outcome, ROOT } from './command.ts'
import { temporaryFolder, writeFiles, writeModel } from './front.ts'

// `merganser evaluate` as a user meets it. The network is the head of zoo/vision: features [N,128] → logits [N,C] by head.weight [C,128] and head.bias [C].

const folder = temporaryFolder()
const cache = join(folder, 'cache')
const run = (...args: readonly string[]): Promise<Outcome> => merganser(['evaluate', ...args], folder, { XDG_CACHE_HOME: cache })
const WIDTH = 128

/** A model of two classes that looks at the first feature: class 1 where `sign` times it is positive. */
function model(name: string, sign: number): void {
  const weight = new Array<number>(2 * WIDTH).fill(0)
  weight[WIDTH] = sign
  writeModel(join(folder, name), { 'head.weight': { shape: [2, WIDTH], values: weight }, 'head.bias': { shape: [2], values: [0, 0] } })
}

/** Examples whose first feature is `firsts[i]`, with labels. */
function data(name: string, firsts: readonly number[], labels: readonly number[]): void {
  const features = firsts.flatMap(first => [first, ...new Array<number>(WIDTH - 1).fill(0)])
  writeModel(join(folder, 'made'), {
    features: { shape: [firsts.length, WIDTH], values: features },
    labels: { dtype: 'U8', shape: [labels.length], values: labels },
  })
  copyFileSync(join(folder, 'made/model.safetensors'), join(folder, `data/${name}.safetensors`))
}

const SUITE = `
name: signs
engine: onnx
graph: head.onnx
metric: accuracy
data: data/{task}.{split}.safetensors
tasks: [plain, turned]
`

beforeAll(() => {
  mkdirSync(join(folder, 'data'))
  copyFileSync(join(ROOT, 'zoo/vision/head.onnx'), join(folder, 'head.onnx'))
  model('up', 1)
  model('down', -1)
  data('plain.test', [1, 2, -1, -2], [1, 1, 0, 1])
  data('turned.test', [1, 2, -1, -2], [0, 0, 1, 1])
  data('plain.dev', [1, -1], [1, 0])
  data('turned.dev', [1, -1], [0, 1])
  writeFiles(folder, { 'suite.yml': SUITE, 'recipe.yml': 'models: { up: up, down: down }\nmerge: 0.25*up + 0.75*down\n' })
})

const json = (outcome: Outcome) => {
  expect(outcome.stderr).toBe('')
  return JSON.parse(outcome.stdout)
}
const valuesOf = (report: { models: { name: string; tasks: { value: number }[] }[] }) => Object.fromEntries(report.models.map(m => [m.name, m.tasks.map(t => t.value)]))

describe('models and merges', () => {
  test('a model, a recipe file and expressions, side by side; nothing is written', async () => {
    const before = readdirSync(folder)
    const report = json(await run('up', 'down', 'recipe.yml', '0.75*a + 0.25*b', '--model', 'a=up', '--model', 'b=down', '--suite', 'suite.yml', '--json', '--no-cache'))
    expect(valuesOf(report)).toEqual({ up: [0.75, 0], down: [0.25, 1], 'recipe.yml': [0.25, 1], '0.75*a + 0.25*b': [0.75, 0] })
    expect(readdirSync(folder)).toEqual(before)
    expect(report.models[1].tasks[1].difference).toEqual({ value: 1, interval: { low: 1, high: 1 } })
    expect(report.models[0].tasks[0]).toMatchObject({ task: 'plain', metric: 'accuracy', better: 'higher', examples: 4, difference: null, cached: false })
  })

  test('a model by the name that --model gives it', async () => {
    const report = json(await run('b', '--model', 'b=down', '--suite', 'suite.yml', '--json', '--no-cache'))
    expect(valuesOf(report)).toEqual({ b: [0.25, 1] })
  })

  test('dev, one task, a limit', async () => {
    expect(valuesOf(json(await run('up', '--suite', 'suite.yml', '--split', 'dev', '--task', 'turned', '--json', '--no-cache')))).toEqual({ up: [0] })
    expect(valuesOf(json(await run('up', '--suite', 'suite.yml', '--limit', '3', '--json', '--no-cache')))).toEqual({ up: [1, 0] })
  })

  test('the table: scores with intervals, clear differences marked, the mean', async () => {
    const { stdout } = await run('up', 'down', '--suite', 'suite.yml', '--no-cache')
    expect(stdout).toBe(`signs, test: 2 tasks

accuracy, %                  up                    down
───────────  ──────────────────  ──────────────────────
plain        75.0 [25.0, 100.0]      25.0 [0.0, 75.0]
turned           0.0 [0.0, 0.0]  100.0 [100.0, 100.0] *
mean          37.5 [12.5, 50.0]     62.5 [50.0, 87.5]

In brackets: 95 % intervals from resampling the examples. *: differs from up by more than chance, on the same examples.
`)
  })

  test('a merge is evaluated as it would be written: rounded to its dtype', async () => {
    // 1 + 2⁻¹⁰ is not a bf16: rounded it is 1, and the two classes tie, so that the first is chosen
    const weight = new Array<number>(2 * WIDTH).fill(0)
    weight[0] = 1
    weight[WIDTH] = 1 + 2 ** -10
    writeModel(join(folder, 'fine'), { 'head.weight': { shape: [2, WIDTH], values: weight }, 'head.bias': { shape: [2], values: [0, 0] } })
    const value = async (dtype: string) =>
      valuesOf(json(await run('1*fine', '--model', 'fine=fine', '--dtype', dtype, '--suite', 'suite.yml', '--task', 'plain', '--split', 'dev', '--json', '--no-cache')))[
        '1*fine'
      ]![0]
    expect(await value('f32')).toBe(1) // label 1 where the feature is 1
    expect(await value('bf16')).toBe(0.5)
  })
})

describe('the cache', () => {
  const cachedOf = async (...args: readonly string[]): Promise<boolean[]> =>
    json(await run('kept', '--suite', 'kept.yml', '--json', ...args)).models[0].tasks.map((t: { cached: boolean }) => t.cached)

  test('knows a finished task again by contents, and forgets what has changed', async () => {
    model('kept', 1)
    writeFiles(folder, { 'kept.yml': SUITE })
    expect(await cachedOf('--task', 'plain')).toEqual([false]) // as when the evaluation was killed after its first task
    expect(await cachedOf()).toEqual([true, false])
    expect(await cachedOf()).toEqual([true, true])
    expect(await cachedOf('--no-cache')).toEqual([false, false])
    writeFiles(folder, { 'kept.yml': SUITE.replace('[plain, turned]', '{ plain: , turned: { among: [0, 1] } }') })
    expect(await cachedOf()).toEqual([true, false])
    data('plain.test', [1, 2, -1, 2], [1, 1, 0, 1])
    expect(await cachedOf()).toEqual([false, true])
    data('plain.test', [1, 2, -1, -2], [1, 1, 0, 1])
    expect(await cachedOf()).toEqual([true, true])
    model('kept', -1) // of the same size
    expect(await cachedOf()).toEqual([false, false])
  })

  test('what is damaged in it is computed again', async () => {
    for (const file of readdirSync(cache, { recursive: true, encoding: 'utf8' })) if (/score-\w+$/.test(file)) writeFileSync(join(cache, file), '{"over": [1')
    expect(await cachedOf()).toEqual([false, false])
  })
})

describe('a command', () => {
  const suite = (command: string, more = ''): string => `engine: command\ncommand: ${command}\nmetric: reported\n${more}\ntasks:\n  signs: { value: [results, signs] }\n`
  const script = `
const { readdirSync } = require('node:fs')
console.log('loading …')
console.error('a warning')
console.log(JSON.stringify({ results: { signs: 0.5, error: 0.1, files: readdirSync(process.argv[2]) } }, null, 1))
`

  test('gets the folder of a model, or of a merge that is gone afterwards, and its JSON is read', async () => {
    writeFiles(folder, { 'eval.cjs': script, 'command.yml': suite('[node, eval.cjs, "{model}"]', 'stderr: [results, error]') })
    const report = json(await run('up', 'recipe.yml', '--suite', 'command.yml', '--json', '--no-cache'))
    expect(valuesOf(report)).toEqual({ up: [0.5], 'recipe.yml': [0.5] })
    expect(report.models[0].tasks[0].interval).toEqual({ low: 0.5 - 0.196, high: 0.5 + 0.196 })
  })

  test.each([
    ['fails', '[node, -e, "console.error(\'no GPU\'); process.exit(3)"]', '', 'up on signs: the command ended with code 3\n  it said:\n    no GPU\n'],
    ['prints no JSON', "[node, -e, \"console.log('done'); console.error('hm')\"]", '', 'the command printed no JSON object\n  it said:\n    hm\n'],
    ['prints nothing', '[node, -e, "0"]', '', 'the command printed nothing, where JSON was expected\n'],
    ['is not there', '[no-such-program-at-all]', '', 'the command cannot be started (spawn no-such-program-at-all ENOENT)'],
    ['takes too long', '[node, -e, "setInterval(() => {}, 1000)"]', 'timeout: 0.3', 'the command was ended after 0.3 s\n'],
    ['lacks the number', '[node, -e, "console.log(\'{}\')"]', '', 'the command printed no "results"\n  fix: correct `value` in the suite; keys there: none'],
    ['gives no number', '[node, -e, "console.log(JSON.stringify({ results: { signs: null } }))"]', '', '"results" → "signs" is no finite number: null'],
  ])('that %s', async (_, command, more, message) => {
    writeFiles(folder, { 'broken.yml': suite(command, more) })
    const { code, stdout, stderr } = await run('up', '--suite', 'broken.yml', '--json')
    expect(stderr).toContain(message)
    const told = JSON.parse(stdout)
    expect(told.kind).toBe('error')
    expect(told.what).toContain(message.split('\n')[0])
    expect(told).not.toHaveProperty('models')
    expect(code).toBe(1)
  })
})

describe('bad input', () => {
  const fails = async (suite: string, message: string, ...args: readonly string[]): Promise<void> => {
    writeFiles(folder, { 'bad.yml': suite })
    const { code, stdout, stderr } = await run('up', '--suite', 'bad.yml', '--no-cache', ...args)
    expect(stderr).toContain(message)
    expect(stdout).toBe('')
    expect(code).toBe(1)
  }

  test.each([
    ['an unknown engine', SUITE.replace('onnx\n', 'onx\n'), 'error: unknown engine "onx"\n  at bad.yml:3:9\n  3 | engine: onx\n    |         ^^^\n  fix: did you mean "onnx"?\n'],
    ['an unknown metric', SUITE.replace('metric: accuracy', 'metric: acuracy'), 'error: unknown metric "acuracy"\n  at bad.yml:5:9\n'],
    ['no metric', SUITE.replace('metric: accuracy\n', ''), 'error: the task "plain" has no metric\n  at bad.yml:6:9\n'],
    ['an unknown key', SUITE.replace('graph:', 'grpah:'), 'error: unknown key "grpah"\n  at bad.yml:4:1\n  4 | grpah: head.onnx\n    | ^^^^^\n  fix: did you mean "graph"?\n'],
    [
      'a key that belongs to another metric',
      SUITE.replace('[plain, turned]', '{ plain: { stride: 4 } }'),
      'error: unknown key "stride" for a task of the engine onnx and the metric accuracy',
    ],
    ['no tasks', SUITE.replace('[plain, turned]', '[]'), 'error: the suite has no tasks'],
    ['an empty file', '# nothing\n', 'error: the suite is empty\n  at bad.yml\n'],
    ['a limit of nothing', `${SUITE}limit: 0\n`, 'error: limit must be a whole number above 0\n  at bad.yml:8:8\n'],
    [
      'a metric the engine cannot serve',
      SUITE.replace('engine: onnx', 'engine: command\ncommand: [x]'),
      'error: the engine command cannot give what the metric accuracy needs (classify)',
    ],
    ['data of another kind', SUITE.replace('.safetensors', '.txt'), 'error: the metric accuracy takes a safetensors file, not a text file\n'],
    ['data that are not there', SUITE.replace('[plain, turned]', '[plain, truned]'), 'data/truned.test.safetensors: no such file'],
    ['a split without data', SUITE.replace('data/{task}.{split}.safetensors', '{ dev: data/plain.dev.safetensors }'), 'error: data says nothing for the split "test"\n'],
    ['rows that `where` does not find', `${SUITE}where: { labels: [7] }\n`, 'error: no row of the data is as `where` wants it\n'],
    ['a field that is not there', `${SUITE}labels: label\n`, 'error: the data has no field "label"\n'],
  ])('%s', (_, suite, message) => fails(suite, message))

  test('empty data, and a label out of range, at their place', async () => {
    writeFiles(folder, { 'data/none.jsonl': '\n\n' })
    await fails('engine: onnx\ngraph: head.onnx\nmetric: pair_accuracy\ndata: data/none.jsonl\ntasks: [a]\n', 'error: there is no data in this file\n')
    data('high.test', [1, 2], [1, 5])
    await fails(SUITE.replace('[plain, turned]', '[high]'), 'error: up on high: the label 5 is out of range: the model’s classes are from 0 to 1\n  at ')
  })

  test('a broken line of jsonl, with line and column', async () => {
    writeFiles(folder, { 'data/broken.jsonl': '{"chosen": "a", "rejected": "b"}\n{"chosen": "a" "rejected": "b"}\n' })
    await fails('engine: onnx\ngraph: head.onnx\nmetric: pair_accuracy\ndata: data/broken.jsonl\ntasks: [a]\n', 'broken.jsonl:2:1:16\n')
  })

  test('tensors missing in the model are listed, shapes that do not fit are told, and no score of the other task is printed', async () => {
    writeModel(join(folder, 'other'), { 'head.weigth': { shape: [2, WIDTH] } })
    const missing = await run('up', 'other', '--suite', 'suite.yml', '--no-cache')
    expect(missing.stderr).toContain('error: other on plain: the model lacks 2 of the 2 tensors this graph needs: head.weight, head.bias\n')
    expect(missing.stdout).toBe('')
    writeModel(join(folder, 'narrow'), { 'head.weight': { shape: [2, 72] }, 'head.bias': { shape: [2] } })
    expect((await run('narrow', '--suite', 'suite.yml', '--no-cache')).stderr).toContain('error: narrow on plain: head.weight: shape [2,72], where the graph needs [C,128]\n')
  })

  test.each([
    [['up'], 'error: evaluate needs a suite\n', 2],
    [['up', '--suite', 'suite.yml', '--split', 'train'], 'error: --split "train" is no split\n', 2],
    [['up', '--suite', 'suite.yml', '--task', 'plian'], 'error: the suite has no task "plian"\n  at suite.yml\n  fix: did you mean "plain"?\n', 1],
    [['up', '--suite', 'no.yml'], 'error: no.yml does not exist\n', 1],
    [['upp', '--suite', 'suite.yml'], 'error: ', 1],
  ])('%s', async (args, message, code) => {
    const outcome = await run(...args)
    expect(outcome.stderr).toContain(message)
    expect(outcome.code).toBe(code)
  })
})

test('suites of the zoo can be read in both splits', async () => {
  const { readSuite } = await import('../src/evaluate/suite.ts')
  for (const path of ['vision/suite.yml', 'vision-hard/suite.yml', 'speech/suite.yml', ...['suite', 'analogy', 'oaths', 'reward', 'likelihood'].map(n => `text/${n}.yml`)]) {
    for (const split of ['dev', 'test'] as const) {
      const { tasks } = await readSuite(join(ROOT, 'zoo', path), { split })
      expect(tasks.length).toBeGreaterThan(1)
      for (const task of tasks) expect(() => readFileSync(task.data!), `${path}: ${task.name}`).not.toThrow()
    }
  }
})
