import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { uptime } from 'node:os'
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
  recipe = 'recipe.yml',
): Promise<{ child: ChildProcess; stderr: string; status: number | null }> {
  const child = spawn(process.execPath, [CLI, 'merge', recipe, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
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

// Thresholds and norms of whole models: they are found once, and a resumed run goes on with them.
test('killed and resumed, what was found over the whole merge is not found again, and the bytes are the same', async () => {
  writeFileSync(join(folder, 'global.yml'), RECIPE.replace('density=0.3', 'density=0.3, trim=global, rescale=true'))
  expect(merganser(folder, 'merge', 'global.yml', 'global-undisturbed').status).toBe(0)
  const settings = [
    ['--threads', '1'],
    ['--threads', '3'],
    ['--threads', '2', '--memory', '16MB'],
  ]
  const journal = join(folder, 'global.partial/journal.jsonl')
  for (let kill = 0; kill < 3 && !existsSync(join(folder, 'global')); kill++) {
    await killedWhen(() => finishedIn('global') > 3 + 8 * kill, ['global', '--resume', ...settings[kill]!], 'SIGKILL', 'global.yml')
    if (existsSync(journal)) expect([...readFileSync(journal, 'utf8').matchAll(/"found":\[([^\]]*)\]/g)].map(m => m[1]!.split(',').length)).toEqual([6]) // a threshold and two norms of each model
  }
  expect(existsSync(join(folder, 'global'))).toBe(false)
  const resumed = merganser(folder, 'merge', 'global.yml', 'global', '--resume', '--json')
  const start = JSON.parse(resumed.stdout.split('\n').find(l => l.includes('"start"'))!) as { read: number; tensors: number }
  expect(start.read).toBe(start.tensors * 3 * ROWS * COLUMNS * 2) // of the tensors that are left, once
  expect(modelOf('global').equals(modelOf('global-undisturbed'))).toBe(true)
  expect(modelOf('global').equals(modelOf('undisturbed'))).toBe(false)
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
  writeFileSync(join(folder, 'between.partial/journal.jsonl'), '{"fingerprint":"of the killed merge"}\n')
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

test('an input that is written to while it is read leaves no model: what was read is neither of its two states', async () => {
  const file = join(folder, 'math/model.safetensors')
  const before = readFileSync(file)
  try {
    let isWritten = false
    const { stderr, status } = await killedWhen(() => {
      if (!isWritten && finishedIn('mixed') > 3) {
        writeFileSync(file, before, { flag: 'r+' }) // the same bytes at another time: nobody can tell what stood there in between
        isWritten = true
      }
      return false
    }, ['mixed', '--threads', '1'])
    expect(stderr).toContain('error: model.safetensors of math has changed while it was read\n')
    expect(stderr).toContain('  fix: let nothing else write to the inputs, and start again\n')
    expect(status).toBe(1)
    expect(existsSync(join(folder, 'mixed'))).toBe(false)
    expect(merganser(folder, 'merge', 'recipe.yml', 'mixed').status).toBe(0)
  } finally {
    writeFileSync(file, before)
  }
})

test('starting over says that an unfinished merge is thrown away', async () => {
  await killedWhen(() => finishedIn('again') > 3, ['again'])
  const { stderr, status } = merganser(folder, 'merge', 'recipe.yml', 'again')
  expect(stderr).toMatch(/^note: \d+ tensors of an unfinished merge are written anew: --resume would have gone on with it\n$/)
  expect(status).toBe(0)
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

test('five merges started at the same moment into one folder: one merges, the others are refused', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const child = spawn(process.execPath, [CLI, 'merge', 'recipe.yml', 'contested', '--threads', '1'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
      let stderr = ''
      child.stderr.on('data', text => (stderr += text))
      const status = await new Promise<number | null>(resolve => child.on('close', resolve))
      return { status, stderr }
    }),
  )
  expect(outcomes.filter(({ status }) => status === 0)).toHaveLength(1)
  for (const { stderr } of outcomes.filter(({ status }) => status !== 0)) {
    expect(stderr).toMatch(/^error: (another merge is writing to contested|the output folder contested exists and is not empty)\n/) // the latter when it came after the end
  }
  expect(isWhole('contested')).toBe(true)
  expect(existsSync(join(folder, 'contested.partial'))).toBe(false)
})

test('the lock of a killed merge does not hinder the next', async () => {
  const { child } = await killedWhen(() => finishedIn('orphaned') > 5, ['orphaned'])
  expect(readdirSync(join(folder, 'orphaned.partial')).some(name => name.startsWith(`lock-${child.pid}-`))).toBe(true)
  expect(merganser(folder, 'merge', 'recipe.yml', 'orphaned', '--resume').status).toBe(0)
  expect(existsSync(join(folder, 'orphaned.partial'))).toBe(false)
})

test.runIf(process.platform === 'linux')('after the machine has started anew nothing is trusted: a power cut may have lost what the journal names', async () => {
  await killedWhen(() => finishedIn('rebooted') > 10, ['rebooted'])
  const journal = join(folder, 'rebooted.partial/journal.jsonl')
  const [first] = readFileSync(journal, 'utf8').split('\n')
  const { boot } = JSON.parse(first!)
  expect(boot).toBe(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
  writeFileSync(journal, readFileSync(journal, 'utf8').replace(boot, '00000000-0000-4000-8000-000000000000'))
  writeFileSync(join(folder, 'rebooted.partial/model/model.safetensors'), Buffer.alloc(modelOf('undisturbed').length)) // what a disk may show: the size, and zeros
  const resumed = merganser(folder, 'merge', 'recipe.yml', 'rebooted', '--resume')
  expect({ status: resumed.status, stderr: resumed.stderr }).toEqual({ status: 0, stderr: '' }) // no word of tensors finished before
  expect(isWhole('rebooted')).toBe(true)
})

test('where the system tells no boot, a journal older than the start of the machine is not trusted', async () => {
  await killedWhen(() => finishedIn('dated') > 10, ['dated'])
  const journal = join(folder, 'dated.partial/journal.jsonl')
  const withoutBoot = readFileSync(journal, 'utf8').replace(/"boot":("[^"]*"|null)/, '"boot":null')
  writeFileSync(journal, withoutBoot)
  const before = new Date(Date.now() - uptime() * 1000 - 60_000)
  utimesSync(journal, before, before)
  writeFileSync(join(folder, 'dated.partial/model/model.safetensors'), Buffer.alloc(modelOf('undisturbed').length))
  expect(merganser(folder, 'merge', 'recipe.yml', 'dated', '--resume').stderr).toBe('')
  expect(isWhole('dated')).toBe(true)
})

test('--json whose reader goes away, as with `| head -1`: the merge goes on to its end', async () => {
  const child = spawn(process.execPath, [CLI, 'merge', 'recipe.yml', 'unread', '--json'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', text => (stderr += text))
  child.stdout.once('data', () => child.stdout.destroy())
  const status = await new Promise<number | null>(resolve => child.on('close', resolve))
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(isWhole('unread')).toBe(true)
})

test('Ctrl-C stops between tensors and says how to go on', async () => {
  const { stderr, status } = await killedWhen(() => finishedIn('stopped') > 5, ['stopped'], 'SIGINT')
  expect(stderr).toBe('error: the merge was stopped\n  at stopped\n  fix: run the same command with --resume to go on\n')
  expect(status).toBe(1)
  expect(merganser(folder, 'merge', 'recipe.yml', 'stopped', '--resume').status).toBe(0)
  expect(isWhole('stopped')).toBe(true)
})
