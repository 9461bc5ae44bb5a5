import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { encode } from './floats.ts'
import { CLI, merganser, temporaryFolder, writeModel } from './front.ts'

// A merge may be killed at any moment: then there is nothing under the final name, or a whole model; and `--resume` gives the same bytes.

const folder = temporaryFolder()
const LAYERS = 40
const COLUMNS = 512
const ROWS = 1024 // half a million elements a tensor, 40 MB a model: long enough to be killed in the middle

beforeAll(() => {
  for (const [m, name] of ['base', 'code', 'math'].entries()) {
    const bytes = encode(
      'F16',
      Array.from({ length: ROWS * COLUMNS }, (_, i) => Math.sin(i * (m + 1)) / 10),
    )
    writeModel(
      join(folder, name),
      Object.fromEntries(Array.from({ length: LAYERS }, (_, l) => [`model.layers.${l}.w.weight`, { dtype: 'F16' as const, shape: [ROWS, COLUMNS], bytes }])),
    )
  }
  writeFileSync(join(folder, 'recipe.yml'), RECIPE)
  expect(merganser(folder, 'merge', 'recipe.yml', 'undisturbed').status).toBe(0)
})

const RECIPE = 'models: { base: base, code: code, math: math }\nmerge: base + ties(code - base, math - base, density=0.3)\n'
const modelOf = (out: string): Buffer => readFileSync(join(folder, out, 'model.safetensors'))
const isWhole = (out: string): boolean => modelOf(out).equals(modelOf('undisturbed'))
const finishedIn = (out: string): number => {
  const journal = join(folder, `${out}.partial/journal.jsonl`)
  if (!existsSync(journal)) return 0
  return [...readFileSync(journal, 'utf8').matchAll(/"done":\[([^\]]*)\]/g)].flatMap(m => m[1]!.split(',')).length
}

/** Starts a merge and kills it as soon as `when` holds; false if it ended before. */
async function killedWhen(
  when: (child: ChildProcess) => boolean,
  args: readonly string[],
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<{ child: ChildProcess; stderr: string; status: number | null }> {
  const child = spawn(process.execPath, [CLI, 'merge', 'recipe.yml', ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr!.on('data', text => (stderr += text))
  const ended = new Promise<number | null>(resolve => child.on('close', resolve))
  let isSent = false // one signal: a second Ctrl-C would end at once
  const poll = setInterval(() => {
    if (!isSent && when(child)) isSent = child.kill(signal)
  }, 1)
  const status = await ended
  clearInterval(poll)
  return { child, stderr, status }
}

test('killed again and again, and resumed: the same bytes, whatever the threads and the memory', async () => {
  const settings = [['--threads', '1'], ['--threads', '3'], ['--threads', '2', '--memory', '8MB'], []]
  let kills = 0
  for (let goal = 0; goal < LAYERS && !existsSync(join(folder, 'killed')); goal += 5) {
    const { status } = await killedWhen(() => finishedIn('killed') > goal, ['killed', '--resume', ...settings[kills % settings.length]!])
    if (status === null) kills++
    if (existsSync(join(folder, 'killed'))) expect(isWhole('killed')).toBe(true)
  }
  expect(kills).toBeGreaterThanOrEqual(3)
  if (!existsSync(join(folder, 'killed'))) expect(merganser(folder, 'merge', 'recipe.yml', 'killed', '--resume').status).toBe(0)
  expect(isWhole('killed')).toBe(true)
  expect(readdirSync(folder).filter(name => name.includes('partial'))).toEqual([])
})

test('killed before the first tensor, or while the folder is being made', async () => {
  for (const delay of [60, 150, 250, 300]) {
    const begun = Date.now()
    await killedWhen(() => Date.now() - begun > delay, ['early'])
    if (existsSync(join(folder, 'early'))) expect(isWhole('early')).toBe(true)
  }
  rmSync(join(folder, 'early'), { recursive: true, force: true })
  expect(merganser(folder, 'merge', 'recipe.yml', 'early').status).toBe(0)
  expect(isWhole('early')).toBe(true)
})

test('killed while replacing a model with --force: the old one or the new one is there, whole', async () => {
  mkdirSync(join(folder, 'forced'))
  writeFileSync(join(folder, 'forced/model.safetensors'), 'the old model')
  await killedWhen(() => finishedIn('forced') > LAYERS / 2, ['forced', '--force'])
  expect(modelOf('forced').toString('utf8', 0, 13)).toBe('the old model')
  expect(merganser(folder, 'merge', 'recipe.yml', 'forced', '--force', '--resume').status).toBe(0)
  expect(isWhole('forced')).toBe(true)
})

test('killed between the two renames of --force: the next run puts the old model back first', () => {
  mkdirSync(join(folder, 'between.partial/replaced'), { recursive: true })
  writeFileSync(join(folder, 'between.partial/replaced/model.safetensors'), 'the old model')
  const refused = merganser(folder, 'merge', 'recipe.yml', 'between')
  expect(refused.stderr).toBe('error: the output folder between exists and is not empty\n  fix: choose another name, or replace the model in it with --force\n')
  expect(modelOf('between').toString()).toBe('the old model')
})

test('a journal whose last line was cut is read up to there', async () => {
  await killedWhen(() => finishedIn('cut') > 10, ['cut'])
  appendFileSync(join(folder, 'cut.partial/journal.jsonl'), '{"done":[38,3')
  const resumed = merganser(folder, 'merge', 'recipe.yml', 'cut', '--resume')
  expect(resumed.stderr).toMatch(/^note: \d+ tensors finished before; \d+ tensors to go\n$/)
  expect(isWhole('cut')).toBe(true)
})

test('another recipe does not go on where this one stopped', async () => {
  await killedWhen(() => finishedIn('changed') > 10, ['changed'])
  writeFileSync(join(folder, 'other.yml'), RECIPE.replace('0.3', '0.4'))
  const { stderr, status } = merganser(folder, 'merge', 'other.yml', 'changed', '--resume')
  expect(stderr).toBe(
    'error: the unfinished merge in changed.partial was another one: its recipe, its inputs or this version of Merganser have changed\n  fix: start over without --resume\n',
  )
  expect(status).toBe(1)
  expect(existsSync(join(folder, 'changed'))).toBe(false)
})

test('an input that was touched since does not go on either', async () => {
  await killedWhen(() => finishedIn('touched') > 10, ['touched'])
  utimesSync(join(folder, 'math/model.safetensors'), new Date(), new Date())
  expect(merganser(folder, 'merge', 'recipe.yml', 'touched', '--resume').status).toBe(1)
  expect(merganser(folder, 'merge', 'recipe.yml', 'touched').status).toBe(0) // starting over is always possible
  expect(isWhole('touched')).toBe(true)
})

test('two merges into one folder: the second is refused', async () => {
  let second: ReturnType<typeof merganser> | undefined
  await killedWhen(
    child => {
      if (finishedIn('shared') <= 5) return false
      child.kill('SIGSTOP') // holds the first while the second starts
      second = merganser(folder, 'merge', 'recipe.yml', 'shared')
      return true
    },
    ['shared'],
  )
  expect(second!.stderr).toMatch(/^error: another merge is writing to shared\n {2}at process \d+\n {2}fix: wait until it ends, or choose another output folder\n$/)
})

test('Ctrl-C stops between tensors and says how to go on', async () => {
  const { stderr, status } = await killedWhen(() => finishedIn('stopped') > 5, ['stopped'], 'SIGINT')
  expect(stderr).toBe('error: the merge was stopped\n  at stopped\n  fix: run the same command with --resume to go on\n')
  expect(status).toBe(1)
  expect(merganser(folder, 'merge', 'recipe.yml', 'stopped', '--resume').status).toBe(0)
  expect(isWhole('stopped')).toBe(true)
})
