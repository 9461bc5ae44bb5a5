import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { line } from '../src/cli/_progress.ts'
import { decode } from './floats.ts'
import { CLI, merganser, REPOSITORY, temporaryFolder, writeFiles, writeModel } from './front.ts'
import { tensorsOf } from './golden.ts'

// What a user does at the command line, and what comes of it.

const folder = temporaryFolder()
const layers = (start: number) =>
  Object.fromEntries([0, 1, 2].flatMap(l => ['attn', 'mlp'].map(part => [`model.layers.${l}.${part}.weight`, { shape: [2], values: [start + l, start + 10 * l] }])))

beforeAll(() => {
  const model = (start: number, ids: readonly number[]) => ({
    'model.embed.weight': { dtype: 'BF16' as const, shape: [2, 1], values: [start, 2 * start] },
    ...layers(start),
    'model.ids': { dtype: 'U8' as const, shape: [2], values: ids },
    'model.scale': { shape: [], values: [start / 4] },
    'model.empty': { dtype: 'F16' as const, shape: [0, 3] },
    'lm_head.weight': { dtype: 'F16' as const, shape: [1, 2], values: [start, -start] },
  })
  writeModel(join(folder, 'base'), model(1, [7, 8]), { architectures: ['ToyForCausalLM'], torch_dtype: 'float32' })
  writeModel(join(folder, 'code'), model(2, [9, 9]), { architectures: ['ToyForCausalLM'], torch_dtype: 'float32' })
  writeFiles(folder, { 'base/tokenizer.json': '{"of":"base"}', 'code/tokenizer.json': '{"of":"code"}', 'base/generation_config.json': '{}' })
})

const MODELS = ['--model', 'base=base', '--model', 'code=code']
const values = async (out: string, tensor: string): Promise<number[]> => {
  const stored = (await tensorsOf(join(folder, out))).get(tensor)!
  return [...(stored.dtype === 'U8' ? stored.bytes : decode(stored.dtype as 'F32', stored.bytes))]
}

test('an expression merges every tensor; whole numbers pass through from the base', async () => {
  expect(merganser(folder, 'merge', 'base + 0.5*(code - base)', 'expression', ...MODELS).status).toBe(0)
  expect(await values('expression', 'model.layers.2.mlp.weight')).toEqual([3.5, 21.5])
  expect(await values('expression', 'model.embed.weight')).toEqual([1.5, 3])
  expect(await values('expression', 'model.scale')).toEqual([0.375])
  expect(await values('expression', 'model.empty')).toEqual([])
  expect(await values('expression', 'model.ids')).toEqual([7, 8])
})

test('whole numbers that differ in kind or are missing come from the donor, with a note', () => {
  const model = (name: string, more: Parameters<typeof writeModel>[1]) => writeModel(join(folder, name), { 'w.weight': { shape: [1] }, ...more })
  model('ids8', { ids: { dtype: 'U8', shape: [2], values: [1, 2] }, mask: { dtype: 'BOOL', shape: [1], values: [1] }, same: { dtype: 'U8', shape: [1], values: [3] } })
  model('ids16', { ids: { dtype: 'I16', shape: [2], values: [1, 0, 2, 0] }, same: { dtype: 'U8', shape: [1], values: [4] }, extra: { dtype: 'U8', shape: [1], values: [5] } })
  const { stderr, status } = merganser(folder, 'merge', 'a + 0.5*(b - a)', 'ids', '--model', 'a=ids8', '--model', 'b=ids16')
  expect(stderr.split('\n')).toEqual([
    'note: 4 tensors of whole numbers pass through unchanged from a, b, e.g. ids',
    'note: 3 of them differ between the models, e.g. ids (U8 [2] in a, I16 [2] in b)',
    '',
  ])
  expect(status).toBe(0)
})

test('rules: the first that matches wins; layers, globs, from, drop and gradients do what they say', async () => {
  writeFiles(folder, {
    'rules.yml': `
models: { base: base, code: code }
let: { tau: code - base }
merge: base + [0, 1]*tau
rules:
  - { tensors: 'lm_head.*', from: code }
  - { tensors: 'model.embed.*', drop: true }
  - { tensors: '*.mlp.*', layers: [1, 3], merge: base + 100*tau }
  - { tensors: '*.mlp.*', from: base }
output: { dtype: f32, tokenizer_from: code }
`,
  })
  expect(merganser(folder, 'merge', 'rules.yml', 'ruled').stderr).toBe('note: 1 tensor of whole numbers passes through unchanged from base, e.g. model.ids\n')
  expect(await values('ruled', 'lm_head.weight')).toEqual([2, -2])
  expect((await tensorsOf(join(folder, 'ruled'))).has('model.embed.weight')).toBe(false)
  expect(await values('ruled', 'model.layers.0.mlp.weight')).toEqual([1, 1]) // layer 0 is not in [1, 3): from base
  expect(await values('ruled', 'model.layers.1.mlp.weight')).toEqual([102, 111])
  expect(await values('ruled', 'model.layers.0.attn.weight')).toEqual([1, 1]) // the gradient's first value at the first layer
  expect(await values('ruled', 'model.layers.1.attn.weight')).toEqual([2.5, 11.5])
  expect(await values('ruled', 'model.layers.2.attn.weight')).toEqual([4, 22])
  expect(readFileSync(join(folder, 'ruled/tokenizer.json'), 'utf8')).toBe('{"of":"code"}')
  expect(JSON.parse(readFileSync(join(folder, 'ruled/config.json'), 'utf8'))).toEqual({ architectures: ['ToyForCausalLM'], torch_dtype: 'float32' })
  expect(readFileSync(join(folder, 'ruled/generation_config.json'), 'utf8')).toBe('{}')
})

test('a recipe gives the same bytes as the expression it spells, and as itself run from another folder', async () => {
  writeFiles(folder, { 'sub/recipe.yml': 'models: { base: base, code: code }\nmerge: base + 0.5*(code - base)\n' })
  expect(merganser(folder, 'merge', 'sub/recipe.yml', 'one').status).toBe(0)
  const [one, expression] = await Promise.all([tensorsOf(join(folder, 'one')), tensorsOf(join(folder, 'expression'))])
  expect([...one].map(([name, t]) => [name, Buffer.from(t.bytes).toString('hex')])).toEqual([...expression].map(([name, t]) => [name, Buffer.from(t.bytes).toString('hex')]))
})

test('the output tells what it was made of, and config.json its new dtype', () => {
  expect(merganser(folder, 'merge', 'base + 0.5*(code - base)', 'bf16', ...MODELS, '--dtype', 'bf16').status).toBe(0)
  const { files, config } = JSON.parse(merganser(folder, 'inspect', 'bf16', '--json').stdout)
  expect(config.torch_dtype).toBe('bfloat16')
  expect(files[0].metadata['merganser.recipe']).toContain('merge: "base + 0.5*(code - base)"')
  const { base } = JSON.parse(files[0].metadata['merganser.inputs'])
  const [input] = JSON.parse(merganser(folder, 'inspect', 'base', '--json').stdout).files
  expect(base).toEqual({ path: 'base', headers: { 'model.safetensors': `sha256:${input.headerSha256}` } })
})

test('a copied float64 keeps values that float32 could not hold', async () => {
  writeModel(join(folder, 'double'), { w: { dtype: 'F64', shape: [3], values: [1e300, -1.7e308, 5e-324] } })
  expect(merganser(folder, 'merge', 'd', 'double-copy', '--model', 'd=double').stderr).toBe('')
  expect(await values('double-copy', 'w')).toEqual([1e300, -1.7e308, 5e-324])
})

test('an expression may begin with a minus, wherever it stands', async () => {
  expect(merganser(folder, 'merge', '-1*base + 2*code', 'minus', ...MODELS).stderr).toBe('note: 1 tensor of whole numbers passes through unchanged from code, e.g. model.ids\n')
  expect(await values('minus', 'model.layers.0.mlp.weight')).toEqual([3, 3])
  expect(merganser(folder, 'merge', ...MODELS, '- base + 2*code', 'minus2').status).toBe(0)
  expect(merganser(folder, 'merge', '-(base - 2*code)', 'minus3', ...MODELS).status).toBe(0)
  expect(merganser(folder, 'merge', 'base', 'minus4', '-x').stderr).toBe('error: unknown flag -x\n  fix: all flags: `merganser help merge`\n')
})

test('a model may be called by any name, also one that Object has', async () => {
  const ran = merganser(folder, 'merge', '__proto__ + 0.5*(constructor - __proto__)', 'proto', '--model', '__proto__=base', '--model', 'constructor=code')
  expect(ran.stderr).toBe('note: 1 tensor of whole numbers passes through unchanged from __proto__, e.g. model.ids\n')
  expect(await values('proto', 'model.layers.2.mlp.weight')).toEqual([3.5, 21.5])
})

test('the recipe in the output’s metadata gives the same files again', () => {
  const text = join(REPOSITORY, 'zoo/text')
  const models = ['--model', `a=${text}/code`, '--model', `b=${text}/math`]
  expect(merganser(folder, 'merge', '0.5*a + 0.5*b', 'again', ...models, '--shard-size', '1MB', '--dtype', 'f16', '--seed', '3').status).toBe(0)
  const of = (out: string): readonly { name: string; metadata: Record<string, string> }[] => JSON.parse(merganser(folder, 'inspect', out, '--json').stdout).files
  const recipe = of('again')[0]!.metadata['merganser.recipe']!
  expect(recipe).toContain('output: { dtype: f16, shard_size: 1000000 }\nseed: 3\n')
  writeFiles(folder, { 'again.yml': recipe })
  expect(merganser(folder, 'merge', 'again.yml', 'again2').status).toBe(0)
  expect(of('again2').map(f => f.name)).toEqual(of('again').map(f => f.name))
  expect(of('again').length).toBeGreaterThan(1)
})

test('ranges of layers in a pattern are numbers, as `inspect` prints them', async () => {
  writeFiles(folder, { 'ranges.yml': "models: { base: base, code: code }\nmerge: base\nrules:\n  - { tensors: 'model.layers.{1..2}.*', from: code }\n" })
  expect(merganser(folder, 'merge', 'ranges.yml', 'ranges').status).toBe(0)
  expect(await values('ranges', 'model.layers.0.mlp.weight')).toEqual([1, 1])
  expect(await values('ranges', 'model.layers.2.mlp.weight')).toEqual([4, 22])
})

test('names in files cannot drive the terminal, nor begin lines of their own', () => {
  const name = 'w\u001b[2J\u202e\nerror: all is lost'
  writeModel(join(folder, 'evil'), { [name]: { shape: [1], values: [Number.NaN] }, '\u001b]0;x\u0007': { dtype: 'U8', shape: [1] } })
  const model = ['--model', 'evil=evil']
  const shown = [
    merganser(folder, 'inspect', 'evil').stdout,
    merganser(folder, 'merge', 'evil', 'evil-out', ...model).stderr,
    merganser(folder, 'merge', 'evil', 'evil-out', ...model, '--allow-nonfinite').stderr,
    merganser(folder, 'plan', 'evil', ...model).stdout,
    merganser(folder, 'plan', '2*evil - evil', ...model, '--formula').stdout,
  ]
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  for (const text of shown) expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  for (const text of [shown[0], shown[2]]) expect(text).not.toMatch(/^error:/m)
  expect(shown[0]).toContain('w\\u{1b}[2J\\u{202e}\\u{a}error: all is lost')
})

test('a recipe of many rules without effect shows some of its notes, and as JSON all', () => {
  const rules = Array.from({ length: 100 }, (_, i) => `  - { tensors: none${i}, from: base }\n`).join('')
  writeFiles(folder, { 'many.yml': `models: { base: base }\nmerge: base\nrules:\n${rules}` })
  const { stderr } = merganser(folder, 'merge', 'many.yml', 'many')
  expect(stderr.trimEnd().split('\n')).toHaveLength(21)
  expect(stderr).toContain('note: and 81 more notes: `merganser plan … --json` lists all\n')
  expect(JSON.parse(merganser(folder, 'plan', 'many.yml', '--json').stdout).notes).toHaveLength(101)
})

test.skipIf(process.platform === 'win32')('a recipe may come through a pipe', async () => {
  const recipe = 'models: { base: base, code: code }\nmerge: base + 0.5*(code - base)\n'
  const ran = spawnSync('sh', ['-c', `cat | "${process.execPath}" "${CLI}" merge /dev/stdin piped`], { cwd: folder, encoding: 'utf8', input: recipe })
  expect(ran.status).toBe(0)
  expect(await values('piped', 'model.layers.2.mlp.weight')).toEqual([3.5, 21.5])
})

test.skipIf(process.platform === 'win32')('a working folder that is gone', () => {
  const ran = spawnSync('sh', ['-c', `mkdir gone && cd gone && rmdir ../gone && exec "${process.execPath}" "${CLI}" merge a out --model a=/a`], { cwd: folder, encoding: 'utf8' })
  expect(ran.stderr).toBe('error: the working folder does not exist any more\n  fix: change to another folder\n')
  expect(ran.status).toBe(1)
})

test('config.json is the donor’s text but for what changes', () => {
  const config = '{\n    "time_step_limit": [0.0, Infinity],\n    "seed": 12345678901234567890,\n    "torch_dtype": "float32",\n    "eps": 1e-05\n}'
  writeFiles(folder, { 'verbatim/config.json': config })
  copyFileSync(join(folder, 'base/model.safetensors'), join(folder, 'verbatim/model.safetensors'))
  const merged = (out: string, ...more: readonly string[]): string => {
    expect(merganser(folder, 'merge', 'v', out, '--model', 'v=verbatim', ...more).status).toBe(0)
    return readFileSync(join(folder, out, 'config.json'), 'utf8')
  }
  expect(merged('verbatim-same')).toBe(config)
  expect(merged('verbatim-bf16', '--dtype', 'bf16')).toBe(config.replace('"float32"', '"bfloat16"'))
})

test('shard_size cuts the output into files with an index, which opens again', () => {
  const text = join(REPOSITORY, 'zoo/text')
  const ran = merganser(folder, 'merge', '0.5*a + 0.5*b', 'shards', '--model', `a=${text}/code`, '--model', `b=${text}/math`, '--shard-size', '1MB')
  expect(ran.status).toBe(0)
  const { files, tensors } = JSON.parse(merganser(folder, 'inspect', 'shards', '--json').stdout)
  expect(files.map((f: { name: string }) => f.name)).toEqual(['model-00001-of-00003.safetensors', 'model-00002-of-00003.safetensors', 'model-00003-of-00003.safetensors'])
  expect(tensors).toHaveLength(39)
})

test('--json prints one event a line, and nothing else', () => {
  const { stdout, stderr } = merganser(folder, 'merge', 'base + 0.5*(code - base)', 'json', ...MODELS, '--json')
  const events = stdout
    .trimEnd()
    .split('\n')
    .map(l => JSON.parse(l) as { kind: string })
  expect(events.map(e => e.kind).filter((kind, i, all) => kind !== all[i - 1])).toEqual(['note', 'start', 'progress', 'done'])
  expect(stderr).toBe('')
})

test('the bar shows share, bytes, rate and time left', () => {
  expect(line({ bytes: 620_000_000, operations: 0 }, { bytes: 1_000_000_000, operations: 0 }, 0.5)).toBe(
    '█████████████████░░░░░░░░░░░  62 %  620.0 MB of 1.00 GB  1.24 GB/s  0.3 s left',
  )
})

// 20 operations take about as long as a byte: 2.5e12 of 5e12 are half of the work but for a thousandth.
test('the bar shows operations where whole matrices are most of the work, and never more than there are', () => {
  const total = { bytes: 1_000_000_000, operations: 5e12 }
  expect(line({ bytes: 2_000_000_000, operations: 2.5e12 }, total, 60)).toBe('██████████████░░░░░░░░░░░░░░  50 %  2.50 TFLOP of 5.00 TFLOP  60 s left')
  expect(line({ bytes: 2_000_000_000, operations: 6e12 }, total, 60)).toBe('████████████████████████████  100 %  5.00 TFLOP of 5.00 TFLOP  0.0 s left')
})

test('plan shows the mathematics of one tensor', () => {
  const ran = merganser(folder, 'plan', 'base + ties(code - base, density=0.5)', ...MODELS, '--formula', '--tensor', 'model.layers.0.mlp.weight')
  expect(ran.stdout.split('\n')).toEqual([
    'x1 = code - base',
    'x2 = abs(x1)',
    'x3 = where(x2 >= largest(x2, 1), x1, 0)',
    'x4 = x3 * where(x3 >= 0, 1, -1) > 0',
    'x5 = where(x4, 1, 0)',
    'out = base + where(x4, x3, 0) / where(x5 == 0, 1, x5)',
    '',
  ])
})

test('plan reads nothing but headers, and tells passes, bytes, memory and disk', () => {
  const { stdout } = merganser(folder, 'plan', 'base + ties(code - base, density=0.5)', ...MODELS)
  for (const word of ['in 2 passes', 'read ', 'write ', 'memory ', 'disk ', 'ToyForCausalLM', 'base *']) expect(stdout).toContain(word)
})
