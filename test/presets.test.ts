import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import analogy from '../src/presets/analogy.ts'
import { merganser, ROOT, run } from './command.ts'
import { temporaryFolder } from './front.ts'

// Each preset through the front door, against the numbers that PyTorch gave (zoo/*/expected.json), copied here.
// Development data where they are enough: fewer than the test data, with the same tolerance.

vi.setConfig({ testTimeout: 600_000 }) // half a minute each on an idle core, and there may be other tests beside them
const folder = temporaryFolder()

interface Printed {
  readonly title?: string
  readonly rows?: readonly (readonly string[])[]
  readonly remarks?: readonly string[]
  readonly isAsExpected?: boolean
  readonly conclusion?: string
}

/** What a preset prints: its tables, then its result. It must come out as the card says. */
async function preset(...args: readonly string[]): Promise<readonly Printed[]> {
  const { code, stdout, stderr } = await merganser(['preset', ...args, '--json', '--no-cache'], folder)
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Printed)
  expect(stderr).toBe('')
  expect(lines.at(-1)).toMatchObject({ isAsExpected: true })
  expect(code).toBe(0)
  return lines
}

/** `1.856 (1.855)` as [ours, the card's]. */
const pair = (cell: string | undefined): readonly number[] => [...(cell ?? '').matchAll(/-?\d+\.\d+/g)].map(Number)

describe('each preset gives the numbers of the cards', () => {
  test('add: pairs of vision experts, λ chosen on dev', async () => {
    const [table] = await preset('add', '--only', 'pairs', '--split', 'dev')
    expect(table!.rows!.map(([name, lambda]) => [name, lambda])).toEqual([
      ['greek + latin', '1'],
      ['greek + katakana', '1'],
      ['balinese + sanskrit', '0.9'],
    ])
    for (const row of table!.rows!) {
      const [sum, noise, base] = [row[7], row[6], row[2]].map(cell => pair(cell)[0]!)
      expect(sum!).toBeGreaterThan(Math.max(...row.slice(2, 7).map(cell => pair(cell)[0]!))) // better than each expert alone, their average, and noise
      expect(Math.abs(noise! - base!)).toBeLessThan(5) // points: noise as long as the vectors does next to nothing
    }
  })

  test('forget: oaths subtracted from the base', async () => {
    const [table] = await preset('forget', '--only', 'base', '--lambda', '1', '--samples', '0', '--split', 'dev')
    const row = (name: string) =>
      table!
        .rows!.find(r => r[0] === name)!
        .slice(1)
        .map(pair)
    const [base, negated, noise, plus] = ['base', 'base - 1*τ', 'base - 1*random(τ)', 'base + 1*τ'].map(row)
    expect(base).toEqual([
      [1.795, 1.795],
      [1.92, 1.92],
    ])
    expect(negated).toEqual([
      [1.938, 1.938],
      [1.994, 1.994],
    ])
    expect(noise![0]![0]! - base![0]![0]!).toBeLessThan(0.02) // it is the direction that matters
    expect(plus![0]![0]!).toBeLessThan(base![0]![0]!) // the other way it learns oaths
  })

  test('analogy: plain Darwin, from Brontë', async () => {
    const [table] = await preset('analogy', '--only', 'text', '--lambda', '0.8', '--split', 'dev')
    const row = (name: string) => pair(table!.rows!.find(r => r[0] === name)![1])
    expect(row('darwin')).toEqual([1.574, 1.574])
    expect(row('darwin + 0.8*(plain - bronte)')[1]).toBe(1.497)
    expect(Math.abs(row('darwin + 0.8*(plain - bronte)')[0]! - 1.49653)).toBeLessThan(0.002) // the card's tolerance
    for (const control of ['darwin + 0.8*random(plain - bronte)', 'darwin - 0.5*(plain - bronte)']) expect(row(control)[0]!).toBeGreaterThan(1.57)
  })

  test('analogy: real speech of two words, λ chosen by the other pairs', async () => {
    const [pairs, means] = await preset('analogy', '--only', 'speech')
    expect(pairs!.rows).toEqual([
      ['zero-one', '0.6', '10.0 (10.0)', '10.0 (10.0)'],
      ['two-three', '0.5', '25.6 (25.6)', '21.1 (21.1)'],
      ['four-five', '0.4', '22.8 (22.8)', '12.2 (12.2)'],
    ])
    expect(means!.remarks!.join()).toContain('do not quote this seed alone')
    const noise = means!.rows!.find(([name]) => name!.includes('random'))!
    expect(pair(noise[1])[0]!).toBeGreaterThan(18.5) // 19.4 without
  })

  test('reward: the sweep and its control, the head kept', async () => {
    const [sweep, chosen] = await preset('reward', '--points', '3', '--split', 'dev')
    expect(sweep!.rows!.map(([lambda, code, english]) => [lambda, pair(code), pair(english)])).toEqual([
      ['0', [51.7, 51.7], [85.4, 85.4]],
      ['0.5', expect.anything(), expect.anything()],
      ['1', expect.anything(), expect.anything()],
    ])
    expect(pair(sweep!.rows![1]![1])).toHaveLength(2) // compared with the card
    expect(chosen!.remarks!.join()).toContain('the effect is within noise')
  })

  test('reward-vision: every tensor as in plain loops, and nothing claimed that the zoo cannot show', async () => {
    const tables = await preset('reward-vision')
    expect(tables[1]!.rows!.find(([name]) => name!.includes('{0,2,3,5}'))).toEqual(['language_model.model.layers.{0,2,3,5}.mlp.up_proj.weight', '4', 'both', 'merged'])
    expect(tables[2]!.rows!.map(([, count]) => Number(count)).reduce((a, b) => a + b)).toBe(14)
    expect(tables[2]!.remarks!.join()).toContain('no accuracy is shown')
  })
})

test('a card with other numbers is noticed', async () => {
  const zoo = join(folder, 'zoo')
  cpSync(join(ROOT, 'zoo/speech'), join(zoo, 'speech'), { recursive: true })
  const file = join(zoo, 'speech/expected.json')
  const card = JSON.parse(readFileSync(file, 'utf8'))
  card.pairs['two-three'].seed0.analogy['0.4'].target_dev.errors += 2 // one may differ
  writeFileSync(file, JSON.stringify(card))
  const steps = analogy.run({ zoo, flags: { only: 'speech', lambda: '0.4', split: 'dev' }, cache: null, tell() {} })
  let step = await steps.next()
  while (!step.done) step = await steps.next()
  expect(step.value.isAsExpected).toBe(false)
  expect(step.value.conclusion).toMatch(/^not as in .*: two-three, target_syn \+ λ\*\(source_real - source_syn\), wrong words of target on dev: \d+, not \d+$/)
})

describe('the command line of presets', () => {
  test.each([
    [['add', '--lamda', '1'], 2, 'error: unknown flag --lamda\n  fix: did you mean --lambda?\n'],
    [['toy', '--budget', '5%'], 2, 'error: preset toy takes no --budget\n  fix: leave it out\n'],
    [['reward', '--samples', '3'], 2, 'error: preset reward takes no --samples\n  fix: it takes --points, --replay, --split\n'],
    [['analogy', '--only', 'speach'], 1, 'error: --only cannot be "speach"\n  fix: did you mean "speech"?\n'],
    [['forget', '--budget', 'much'], 1, 'error: --budget "much" is not a share from 0% to 100%\n  fix: write for example --budget 5%\n'],
    [['forget', '--samples', '1.5'], 1, 'error: --samples "1.5" is not a whole number from 0 to 150\n  fix: write for example --samples 1\n'],
    [['add', '--split', 'train'], 1, 'error: --split cannot be "train"\n  fix: it can be: dev, test\n'],
  ])('%j', async (args, code, stderr) => {
    expect(await merganser(['preset', ...args], folder)).toMatchObject({ code, stderr })
  })

  test('all presets are listed, with their flags in the help', async () => {
    const { stdout } = await merganser(['preset', '--json'], folder)
    expect((JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)).toEqual(['add', 'analogy', 'forget', 'reward', 'reward-vision', 'toy'])
    const help = await merganser(['help', 'preset'], folder)
    for (const flag of ['--all', '--budget', '--lambda', '--only', '--points', '--replay', '--samples', '--split']) expect(help.stdout).toContain(flag)
  })

  test('without the zoo a preset says which folder it needs; one that needs none runs', async () => {
    const installed = join(folder, 'installed')
    for (const part of ['dist', 'package.json']) cpSync(join(ROOT, part), join(installed, part), { recursive: true, dereference: true })
    symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'), 'junction')
    const main = join(installed, 'dist/cli/main.js')
    const missing = await run(main, ['preset', 'analogy'], folder)
    expect(missing).toMatchObject({ code: 1, stderr: 'error: preset analogy needs zoo/text, which the npm package leaves out\n  fix: run it in a clone of the repository\n' })
    expect(await run(main, ['preset', 'reward-vision'], folder)).toMatchObject({ code: 0, stderr: '' })
  })
})
