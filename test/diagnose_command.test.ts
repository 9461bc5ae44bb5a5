import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { merganser, ROOT } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'merganser-diagnose-command-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const run = (...args: readonly string[]) => merganser(['diagnose', ...args], ROOT)
const toy = (network: string): string[] => [`zoo/toy/${network}/a`, `zoo/toy/${network}/b`, '--base', `zoo/toy/${network}/base`]

test('a verdict, its reasons, every measure, a map of the matrices, and what was not looked at', async () => {
  const { code, stdout, stderr } = await run(...toy('shared-neuron'))
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^UNSAFE {2}do not expect this merge to keep the skills of its models\n {2}- 100 % of what a changes lies in neurons that b rewrites too/)
  expect(stdout).toMatch(/\nrewritten_rows +a by b +1\n/)
  expect(stdout).toMatch(/\nneurons\.weight +█ 0\.67 +▁ 0\.00 +█ 1\.00\n/)
  expect(stdout).toContain('\nnot looked at\n')
  expect(stdout).toContain('no predictor yet')
  expect(stdout).toContain('damage is that of adding all task vectors with weight 1')
})

test('docs/diagnose.md shows what the command prints', async () => {
  const { stdout } = await run(...toy('shared-neuron'))
  const printed = stdout.slice(0, stdout.lastIndexOf('\n\n')) // the last line tells the time that it took
  expect(readFileSync(join(ROOT, 'docs/diagnose.md'), 'utf8')).toContain(`\`\`\`\n${printed}\n\`\`\``)
})

test('adapters are task vectors already', async () => {
  const { code, stdout } = await run('zoo/vision/lora/latin', 'zoo/vision/lora/korean', '--base', 'zoo/vision/base', '--quick')
  expect(code).toBe(0)
  expect(stdout).toMatch(/\nrelative_norm +latin +0\.\d+\n +korean +0\.\d+\n/)
})

test('layers are blocks of one line, in their order', async () => {
  const { stdout } = await run('zoo/vision-hard/mnist', 'zoo/vision-hard/greek', '--base', 'zoo/vision-hard/base', '--quick')
  expect(stdout).toMatch(/^OPEN {2}/)
  expect(stdout).toMatch(/\nencoder\.layers\.\{\}\.mlp\.fc1\.weight +[▁▂▃▄▅▆▇█]{3} 0\.\d\d /)
  expect(stdout).toContain('\n  - directional damage\n')
})

test('a recipe file is diagnosed as it is, and the numbers come as one JSON object', async () => {
  const at = (model: string): string => JSON.stringify(join(ROOT, 'zoo/toy/shared-parameter', model))
  const recipe = join(folder, 'recipe.yml')
  writeFileSync(recipe, `models: { base: ${at('base')}, a: ${at('a')}, b: ${at('b')} }\nmerge: base + 0.25*(a - base)\n`)
  const { code, stdout } = await run(recipe, '--json')
  expect(code).toBe(0)
  const found = JSON.parse(stdout)
  expect(found.base).toBe('base')
  const damage = found.measures.find((m: { measure: string; of: string[] }) => m.measure === 'own_rows_damage' && m.of[0] === 'a')
  expect(damage).toMatchObject({ value: 0.5625, tensors: { 'neurons.weight': 0.5625 } }) // (1 - 1/4)²
})

test.each([
  [['zoo/toy/separate/a', 'zoo/toy/separate/b'], 'several models are diagnosed against their base', 'add --base PATH'],
  [['0.5*a + 0.5*b', '--model', 'a=zoo/toy/separate/a', '--model', 'b=zoo/toy/separate/b'], 'the recipe names no base', 'say which of its models is the base: a, b'],
  [['0.5*a + 0.5*b', '--model', 'a=zoo/toy/separate/a', '--model', 'b=zoo/toy/separate/b', '--base', 'c'], '--base c is none of the recipe’s models', 'name one of a, b'],
])('%j: %s', async (args, what, fix) => {
  const { code, stdout, stderr } = await run(...args)
  expect(code).toBeGreaterThan(0)
  expect(stdout).toBe('')
  expect(stderr).toContain(what)
  expect(stderr).toContain(fix)
})
