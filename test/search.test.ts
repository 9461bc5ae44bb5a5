import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { MAIN, merganser, type Outcome, ROOT } from './command.ts'
import { temporaryFolder, writeFiles, writeModel } from './front.ts'

// `merganser search` as a user meets it. The network is the head of zoo/vision, features [N,128] → logits [N,C]: a model says class 1 where
// weight·x + bias > 0, with x the first feature. `base` has bias 0 and weight 1; `shift` adds 1 to the bias, `turn` −2 to the weight.

const folder = temporaryFolder()
const WIDTH = 128
const run = (args: readonly string[], cache = 'cache'): Promise<Outcome> => merganser(['search', ...args], folder, { XDG_CACHE_HOME: join(folder, cache) })

function model(name: string, weight: number, bias: number): void {
  const weights = new Array<number>(2 * WIDTH).fill(0)
  weights[WIDTH] = weight
  writeModel(join(folder, name), { 'head.weight': { dtype: 'F32', shape: [2, WIDTH], values: weights }, 'head.bias': { dtype: 'F32', shape: [2], values: [0, bias] } })
}

/** Examples that are of class 1 where their first feature is above `border`. */
function data(name: string, firsts: readonly number[], border: number): void {
  writeModel(join(folder, 'made'), {
    features: { dtype: 'F32', shape: [firsts.length, WIDTH], values: firsts.flatMap(first => [first, ...new Array<number>(WIDTH - 1).fill(0)]) },
    labels: { dtype: 'U8', shape: [firsts.length], values: firsts.map(first => Number(first > border)) },
  })
  copyFileSync(join(folder, 'made/model.safetensors'), join(folder, `data/${name}.safetensors`))
}

const SUITE = 'name: borders\nengine: onnx\ngraph: head.onnx\nmetric: accuracy\ndata: data/{task}.{split}.safetensors\ntasks: [low, control]\n'
const RECIPE = `models: { base: base, shift: shift, turn: turn }
variables:
  lambda: { range: [0, 1], step: 0.1 }
  mu: { choices: [0, 0.5] }
merge: base + $lambda*(shift - base) + $mu*(turn - base)
`
const EXPRESSION = ['base + $lambda*(shift - base)', '--variable', 'lambda=0..1:0.1', '--model', 'base=base', '--model', 'shift=shift']

beforeAll(() => {
  mkdirSync(join(folder, 'data'))
  copyFileSync(join(ROOT, 'zoo/vision/head.onnx'), join(folder, 'head.onnx'))
  model('base', 1, 0)
  model('shift', 1, 1)
  model('turn', -1, 0)
  const dev = Array.from({ length: 40 }, (_, i) => -0.99 + i * 0.05)
  const test = Array.from({ length: 80 }, (_, i) => -0.995 + i * 0.025)
  data('low.dev', dev, -0.62)
  data('low.test', test, -0.62)
  data('control.dev', dev, 0)
  data('control.test', test, 0)
  data('lone.test', test, 0)
  writeFiles(folder, {
    'suite.yml': SUITE,
    'recipe.yml': RECIPE,
    'no-dev.yml': SUITE.replace('[low, control]', '[low, lone]'),
    'same.yml': SUITE.replace('{split}', 'test'),
  })
})

interface Found {
  readonly best: Readonly<Record<string, unknown>>
  readonly strategy: string
  readonly test: { readonly gain: number; readonly best: readonly { readonly value: number }[] }
  readonly noise: { readonly points: number; readonly p: number } | null
  readonly trials: readonly {
    readonly values: unknown
    readonly goal: number
    readonly kept: boolean
    readonly tasks: readonly { readonly cached: boolean; readonly value: number }[]
  }[]
  readonly warnings: readonly string[]
  readonly recipe: string
}
function found(outcome: Outcome): Found {
  expect(outcome.stderr).toBe('')
  return JSON.parse(outcome.stdout)
}
const withoutCache = (result: Found) => JSON.parse(JSON.stringify(result, (key, value) => (key === 'cached' ? undefined : value)))

describe('a search from the command line', () => {
  test('an expression: every point, the best on dev, and what it does on test', async () => {
    const result = found(await run([...EXPRESSION, '--suite', 'suite.yml', '--task', 'low', '--json', '--no-cache']))
    expect(result.best).toEqual({ lambda: 0.6 })
    expect(result.trials.map(t => t.goal)).toEqual([28, 30, 32, 34, 36, 38, 40, 38, 36, 34, 32].map(right => right / 40)) // class 1 where x > −lambda
    expect(result.test.best[0]!.value).toBe(1)
    expect(result.noise).toMatchObject({ points: 11, correction: "White's reality check" })
    expect(result.recipe).toContain('merge: "base + 0.6*(shift - base)"')
  })

  test('the table shows the whole curve, the choice, and both splits', async () => {
    const { stdout, stderr } = await run([...EXPRESSION, '--suite', 'suite.yml', '--task', 'low', '--no-cache'])
    expect(stderr).toBe('')
    expect(stdout).toContain('borders, dev: 11 points by grid; objective: mean\n')
    expect(stdout).toMatch(/\n {3}0\.6 +100\.0 +100\.0 +█ +← best\n/)
    expect(stdout).toMatch(/\n {5}0 +70\.0 +70\.0 +▁\n/)
    expect(stdout).toMatch(/\nlow % +70\.0 +100\.0 +\d+\.\d +100\.0 +\+/)
    expect(stdout).toMatch(/best: lambda = 0\.6\n/)
  })

  test('workers change nothing, and a second search measures nothing', async () => {
    const args = ['recipe.yml', '--suite', 'suite.yml', '--objective', 'worst', '--json']
    const alone = found(await run([...args, '--workers', '1'], 'one'))
    const many = found(await run([...args, '--workers', '3'], 'three'))
    expect(withoutCache(many)).toEqual(withoutCache(alone))
    expect(many.trials).toHaveLength(22)
    expect(many.trials.some(t => t.tasks[0]!.cached)).toBe(false)
    const again = found(await run([...args, '--workers', '2'], 'one'))
    expect(again.trials.every(t => t.tasks.every(task => task.cached))).toBe(true)
    expect(withoutCache(again)).toEqual(withoutCache(alone))
  })

  test('a search that was killed goes on', async () => {
    const cache = join(folder, 'killed')
    const args = ['recipe.yml', '--suite', 'suite.yml', '--json', '--workers', '1']
    const scores = (): number => (existsSync(cache) ? readdirSync(cache, { recursive: true, encoding: 'utf8' }).filter(f => /score-\w+$/.test(f)).length : 0)
    const child = spawn(process.execPath, [MAIN, 'search', ...args], { cwd: folder, env: { ...process.env, XDG_CACHE_HOME: cache }, stdio: 'ignore' })
    const ended = new Promise(resolve => child.on('exit', resolve))
    while (scores() < 6 && child.exitCode === null) await new Promise(resolve => setTimeout(resolve, 2))
    child.kill('SIGKILL')
    await ended
    const left = scores()
    const result = found(await run(args, 'killed'))
    expect(result.trials.flatMap(t => t.tasks).filter(task => task.cached).length).toBeGreaterThanOrEqual(Math.min(4, left - 2)) // two are the base's
    expect(withoutCache(result)).toEqual(withoutCache(found(await run([...args, '--no-cache']))))
  })

  test('keep: the strongest that costs the control at most 25 %', async () => {
    const result = found(await run([...EXPRESSION, '--suite', 'suite.yml', '--keep', 'control:25%', '--json', '--no-cache']))
    expect(result.best).toEqual({ lambda: 0.5 }) // 30 of 40 right
    expect(result.trials.map(t => t.kept)).toEqual([...new Array<boolean>(6).fill(true), ...new Array<boolean>(5).fill(false)])
  })

  test('-o writes an ordinary recipe that scores what was said', async () => {
    await run(['recipe.yml', '--suite', 'suite.yml', '--task', 'low', '-o', 'best.yml', '--no-cache'])
    const text = readFileSync(join(folder, 'best.yml'), 'utf8')
    expect(text).toMatch(/^# Found by merganser search \S+: lambda = 0\.6, mu = 0\n# Strategy grid, seed 0; 22 points tried on dev of the suite borders\.\n/)
    expect(text).toContain('\n# variables:\n#   lambda: { range: [0, 1], step: 0.1 }\n')
    expect(text).toContain('\nmerge: base + 0.6*(shift - base) + 0*(turn - base)\n')
    const evaluated = await merganser(['evaluate', 'best.yml', '--suite', 'suite.yml', '--task', 'low', '--split', 'dev', '--json', '--no-cache'], folder)
    expect(JSON.parse(evaluated.stdout).models[0].tasks[0].value).toBe(1)
  })
})

describe('bad input', () => {
  const errorOf = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await run(args)
    expect(stdout).toBe('')
    return { code, stderr: stderr.replace(/^error: /, '') }
  }
  test('no data for dev, or the same as for test', async () => {
    expect((await errorOf(...EXPRESSION, '--suite', 'no-dev.yml')).stderr).toMatch(/^the task "lone" has no dev data: there is no data\/lone\.dev\.safetensors\n/)
    expect((await errorOf(...EXPRESSION, '--suite', 'same.yml')).stderr).toMatch(/^the task "low" has the same data for dev and test\n/)
  })

  test('an error of a merge comes from a worker as from the main thread', async () => {
    const args = ['base + $lambda*(shft - base)', ...EXPRESSION.slice(1), '--suite', 'suite.yml']
    const alone = await errorOf(...args, '--workers', '1')
    expect(alone).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^unknown name "shft"\n {2}at expression:1:11\n {2}1 \| base \+ 0\*\(shft - base\)\n.*\n {2}fix: did you mean "shift"\?\n$/),
    })
    expect(await errorOf(...args, '--workers', '2')).toEqual(alone)
  })

  test('the command line', async () => {
    const suite = ['--suite', 'suite.yml']
    expect((await errorOf('recipe.yml')).stderr).toMatch(/^search needs a suite/)
    expect((await errorOf(...EXPRESSION, ...suite, '--keep', 'control=5')).stderr).toMatch(/^--keep "control=5" is not TASK:PERCENT/)
    expect((await errorOf(...EXPRESSION, ...suite, '--objective', 'best')).stderr).toMatch(/^--objective "best" is no objective/)
    expect((await errorOf('recipe.yml', ...suite, '-o', 'recipe.yml')).stderr).toMatch(/^--out recipe\.yml is the recipe itself/)
    expect((await errorOf('recipe.yml', ...suite, '-o', 'nowhere/best.yml')).stderr).toMatch(/^--out nowhere\/best\.yml lies in no folder/)
    expect((await errorOf('recipe.yml', ...suite, '--variable', 'nu=0..1:0.1')).stderr).toMatch(/^the variable "nu" is never used/)
    expect((await errorOf('merge', 'recipe.yml')).code).toBe(2)
    expect(readFileSync(join(folder, 'recipe.yml'), 'utf8')).toBe(RECIPE)
  })
})
