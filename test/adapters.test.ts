import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { openReader } from '../src/bytes/file.ts'
import { folderSink } from '../src/bytes/folder.ts'
import type { LowRankFile } from '../src/bytes/low_rank.ts'
import { memorySink } from '../src/bytes/sink.ts'
import { bytesOf, type FloatDType, sizeOf } from '../src/dtype.ts'
import { execute } from '../src/execute/execute.ts'
import { createLowRankReaders } from '../src/execute/low_rank.ts'
import { openModels } from '../src/plan/open_models.ts'
import { findAdapters } from '../src/plan/open_reference.ts'
import { type Plan, type PlanOptions, plan } from '../src/plan/plan.ts'
import { parse, readReferences } from '../src/recipe/parse.ts'
import { decode, encode } from './floats.ts'
import { merganser, type TensorSpec, temporaryFolder, writeAdapter, writeFiles, writeModel } from './front.ts'

// What an adapter adds is compared with PEFT and mergekit in golden.test.ts (test/golden/more/lora-*). Here is what must hold besides.

const folder = temporaryFolder()
const UP = 'model.layers.0.mlp.up_proj'
const DOWN = 'model.layers.0.mlp.down_proj'
const EMBEDDING = 'model.embed_tokens'
const HEAD = 'lm_head'
const NORM = 'model.norm.weight'

/** Numbers without a pattern that arithmetic could hide in. */
const numbers = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233) * 0.5))
const filled = (shape: readonly number[], seed: number, dtype: FloatDType = 'F32'): TensorSpec => ({ dtype, shape, values: numbers(sizeOf(shape), seed) })

const LLAMA = { architectures: ['LlamaForCausalLM'], model_type: 'llama', num_hidden_layers: 1, vocab_size: 5, tie_word_embeddings: false }
const SHAPES = { [`${EMBEDDING}.weight`]: [5, 3], [`${UP}.weight`]: [4, 3], [`${DOWN}.weight`]: [3, 4], [NORM]: [3], [`${HEAD}.weight`]: [5, 3] } as const
const base = (seed: number, dtype: FloatDType = 'F32') => Object.fromEntries(Object.entries(SHAPES).map(([name, shape], i) => [name, filled(shape, seed + i, dtype)]))
const lora = (module: string, [out, into]: readonly [number, number], rank: number, seed: number) => ({
  [`${module}.lora_A.weight`]: filled([rank, into], seed),
  [`${module}.lora_B.weight`]: filled([out, rank], seed + 1),
})

beforeAll(() => {
  writeModel(join(folder, 'base'), base(1), LLAMA)
  writeModel(join(folder, 'half'), base(1, 'BF16'), LLAMA)
  writeAdapter(join(folder, 'math'), { ...lora(UP, [4, 3], 2, 20), ...lora(DOWN, [3, 4], 2, 30) }, { r: 2, lora_alpha: 3 })
  writeAdapter(join(folder, 'code'), { ...lora(UP, [4, 3], 1, 40) }, { r: 1, lora_alpha: 0.5 })
})

async function planOf(text: string, paths: Readonly<Record<string, string>>, options: PlanOptions = { threads: 1 }): Promise<Plan> {
  const from = { from: [folder] }
  const models = { models: paths }
  const recipe = parse(text, { ...models, adapters: await findAdapters(readReferences(text, models), from), output: { dtype: 'F32' } })
  return plan(recipe, await openModels(recipe, from), options)
}

const merge = async (text: string, paths: Readonly<Record<string, string>>) => run(await planOf(text, paths))

/** A recipe in YAML. */
async function mergeRecipe(text: string): Promise<Map<string, readonly number[]>> {
  const recipe = parse(text)
  return run(plan(recipe, await openModels(recipe, { from: [folder] }), { threads: 1 }))
}

async function run(merging: Plan): Promise<Map<string, readonly number[]>> {
  const sink = memorySink()
  for await (const _ of execute(merging, sink)) {
    // only the result matters
  }
  return new Map(
    merging.outputs.flatMap(file =>
      file.tensors.map(t => [t.name, [...decode('F32', sink.files.get(file.name)!.slice(t.at, t.at + sizeOf(t.shape) * bytesOf(t.dtype)))]] as const),
    ),
  )
}

/** scale·(B·A), as numbers of float64. */
function dense(b: readonly number[], a: readonly number[], [out, rank, into]: readonly [number, number, number], scale: number): number[] {
  return Array.from({ length: out * into }, (_, i) => {
    const [row, column] = [Math.floor(i / into), i % into]
    return scale * Array.from({ length: rank }, (_, k) => b[row * rank + k]! * a[k * into + column]!).reduce((sum, x) => sum + x, 0)
  })
}

const MATH = { [`${UP}.weight`]: dense(numbers(8, 21), numbers(6, 20), [4, 2, 3], 1.5), [`${DOWN}.weight`]: dense(numbers(6, 31), numbers(8, 30), [3, 2, 4], 1.5) }
const CODE = { [`${UP}.weight`]: dense(numbers(4, 41), numbers(3, 40), [4, 1, 3], 0.5) }

/** base + Σ weight·delta, of each tensor. */
function sumOf(...terms: readonly (readonly [number, Readonly<Record<string, readonly number[]>>])[]): Map<string, readonly number[]> {
  return new Map(
    Object.entries(base(1)).map(([name, { values }]) => [name, values!.map((w, i) => terms.reduce((sum, [weight, delta]) => sum + weight * (delta[name]?.[i] ?? 0), w))]),
  )
}

function expectClose(got: ReadonlyMap<string, readonly number[]>, want: ReadonlyMap<string, readonly number[]>): void {
  expect([...got.keys()].sort()).toEqual([...want.keys()].sort())
  for (const [name, values] of want) {
    const worst = got.get(name)!.reduce((most, x, i) => Math.max(most, Math.abs(x - values[i]!)), 0)
    expect(worst, name).toBeLessThanOrEqual(1e-5) // of values below 2; float32 is good for 1e-7
  }
}

describe('an adapter alone is a task vector', () => {
  test('half of it added to the base', async () => {
    expectClose(await merge('base + 0.5*math', { base: 'base', math: 'math' }), sumOf([0.5, MATH]))
  })

  test('two of them, one subtracted, written before the base', async () => {
    expectClose(await merge('0.7*math - 0.25*code + base', { code: 'code', math: 'math', base: 'base' }), sumOf([0.7, MATH], [-0.25, CODE]))
  })

  test('as arguments of a method, which also sees the zeros of the tensors between', async () => {
    expectClose(await merge('base + linear(math, code, weight=(0.7, 0.3))', { base: 'base', code: 'code', math: 'math' }), sumOf([0.7, MATH], [0.3, CODE]))
  })

  test('added whole it is the model with the adapter', async () => {
    const [alone, together] = [await merge('base + math', { base: 'base', math: 'math' }), await merge('x', { x: 'base+math' })]
    expectClose(alone, together)
    expectClose(together, sumOf([1, MATH]))
  })

  test('what it does not change is copied', async () => {
    const { tasks, programs } = await planOf('base + 0.5*math', { base: 'base', math: 'math' })
    expect(
      tasks
        .filter(t => programs[t.program]!.copy)
        .map(t => t.name)
        .sort(),
    ).toEqual([NORM, `${HEAD}.weight`, `${EMBEDDING}.weight`].sort())
  })

  test('the base may be in bfloat16, and its dtype is that of the output', async () => {
    const models = { half: 'half', math: 'math', tuned: 'half+math' }
    const from = { from: [folder] }
    for (const text of ['half + math', 'tuned']) {
      const recipe = parse(text, { models, adapters: await findAdapters(readReferences(text, { models }), from) })
      const planned = plan(recipe, await openModels(recipe, from), { threads: 1 })
      expect([...new Set(planned.outputs.flatMap(f => f.tensors.map(t => t.dtype)))]).toEqual(['BF16'])
    }
  })
})

test('an adapter of a sliced, repeated model goes with its layers', async () => {
  writeModel(
    join(folder, 'two'),
    { 'model.layers.0.mlp.up_proj.weight': filled([4, 3], 1), 'model.layers.1.mlp.up_proj.weight': filled([4, 3], 2) },
    { ...LLAMA, num_hidden_layers: 2 },
  )
  writeAdapter(join(folder, 'second'), lora('model.layers.1.mlp.up_proj', [4, 3], 1, 7))
  const slice = (model: string, from: number) => `{sources: [{model: ${model}, layer_range: [${from}, ${from + 1}]}]}`
  const got = await mergeRecipe(`merge_method: passthrough\nslices: [${slice('two+second', 1)}, ${slice('two', 0)}, ${slice('two+second', 1)}]\n`)
  const tuned = dense(numbers(4, 8), numbers(3, 7), [4, 1, 3], 1).map((x, i) => x + numbers(12, 2)[i]!)
  const layer = (index: number, values: readonly number[]) => [`model.layers.${index}.mlp.up_proj.weight`, values] as const
  expectClose(got, new Map([layer(0, tuned), layer(1, numbers(12, 1)), layer(2, tuned)]))
})

test('rows that are matched by token are those of the model with its adapter', async () => {
  const tokens = (...names: readonly string[]) =>
    JSON.stringify({ added_tokens: [], model: { type: 'WordLevel', unk_token: '<unk>', vocab: Object.fromEntries(names.map((t, id) => [t, id])) } })
  const [first, second] = [
    ['<unk>', 'a', 'b', 'c', 'd'],
    ['d', 'c', '<unk>', 'a', 'b'],
  ] as const
  for (const [name, own] of [
    ['first', first],
    ['second-order', second],
  ] as const) {
    writeModel(join(folder, name), base(1), LLAMA)
    writeFiles(join(folder, name), { 'tokenizer.json': tokens(...own), 'tokenizer_config.json': '{}' })
  }
  const [a, b] = [filled([2, 5], 50), filled([3, 2], 51)]
  writeAdapter(join(folder, 'words'), { [`${EMBEDDING}.lora_embedding_A`]: a, [`${EMBEDDING}.lora_embedding_B`]: b }, { r: 2, lora_alpha: 2 })
  const text = 'models: {first: first, tuned: second-order+words}\nmerge: tuned + 0*(first - first)\ntokenizer: {source: first}\noutput: {dtype: f32}\n'
  const got = (await mergeRecipe(text)).get(`${EMBEDDING}.weight`)!
  const delta = dense(b.values!, a.values!, [3, 2, 5], 1) // columns are tokens
  const rows = first.flatMap(token => [0, 1, 2].map(c => numbers(15, 1)[second.indexOf(token as 'a') * 3 + c]! + delta[c * 5 + second.indexOf(token as 'a')]!))
  expect(Math.max(...got.map((x, i) => Math.abs(x - rows[i]!)))).toBeLessThan(1e-6)
})

describe('the readers of tensors of low rank', () => {
  /** By the words of bytes/low_rank.ts, one operation after the other; of a rank below 512. */
  const naive = (w: readonly number[] | null, l: readonly number[], r: readonly number[], [rows, rank, columns]: readonly [number, number, number], scale: number): Float32Array =>
    Float32Array.from({ length: rows * columns }, (_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns]
      let sum = 0
      for (let k = 0; k < rank; k++) sum = Math.fround(sum + Math.fround(l[row * rank + k]! * r[k * columns + column]!))
      return Math.fround(Math.fround(sum * Math.fround(scale)) + (w ? w[i]! : 0))
    })
  const transposed = (m: readonly number[], rows: number, columns: number): number[] => Array.from({ length: m.length }, (_, i) => m[(i % rows) * columns + Math.floor(i / rows)]!)
  const DTYPES: readonly FloatDType[] = ['F32', 'BF16', 'F16', 'F64']

  function fileOf(
    [rows, rank, columns]: readonly [number, number, number],
    { scale, isBare, dtypes, flips }: { scale: number; isBare: boolean; dtypes: readonly FloatDType[]; flips: readonly boolean[] },
  ) {
    const parts = [numbers(rows * columns, 1), numbers(rows * rank, 2), numbers(rank * columns, 3)].map((values, i) => [...decode(dtypes[i]!, encode(dtypes[i]!, values))])
    const [w, l, r] = parts as [number[], number[], number[]]
    const laid = [w, flips[0] ? transposed(l, rows, rank) : l, flips[1] ? transposed(r, rank, columns) : r]
    const bytes = laid.map((values, i) => encode(dtypes[i]!, values))
    const file: LowRankFile = {
      files: bytes.map(memory => ({ memory: Uint8Array.from(memory) })),
      tensors: [
        {
          start: 0,
          end: rows * columns * 4,
          rows,
          columns,
          base: isBare ? null : { file: 0, at: 0, dtype: dtypes[0]! },
          product: {
            rank,
            scale,
            left: { file: 1, at: 0, dtype: dtypes[1]!, isTransposed: flips[0]! },
            right: { file: 2, at: 0, dtype: dtypes[2]!, isTransposed: flips[1]! },
            lengths: null,
          },
        },
      ],
    }
    return { file, want: naive(isBare ? null : w, l, r, [rows, rank, columns], scale) }
  }

  const read = (file: LowRankFile, from: number, to: number): Uint8Array => {
    const target = new Uint8Array((to - from) * 4)
    const reader = createLowRankReaders([file], openReader)(file)
    void reader.read(target, from * 4)
    reader.close()
    return target
  }

  test('give W + scale·(L·R) to the bit, whatever is stored how', () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 70 })),
        fc.float({ min: -4, max: 4, noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.array(fc.constantFrom(...DTYPES), { minLength: 3, maxLength: 3 }),
        fc.array(fc.boolean(), { minLength: 2, maxLength: 2 }),
        (sizes, scale, isBare, dtypes, flips) => {
          const { file, want } = fileOf(sizes, { scale, isBare, dtypes, flips })
          const got = new Float32Array(read(file, 0, want.length).buffer)
          expect(got.map(x => x + 0)).toEqual(want.map(x => x + 0)) // −0 is 0 here: an empty sum begins at +0
        },
      ),
      { numRuns: 60 },
    )
  })

  test('give the same bytes wherever a read begins and ends, in rows longer than a strip too', () => {
    for (const [sizes, flips] of [
      [
        [3, 5, 40_000],
        [false, false],
      ],
      [
        [40_000, 3, 3],
        [true, true],
      ],
      [
        [50, 600, 90],
        [false, true],
      ],
    ] as const) {
      const { file, want } = fileOf(sizes, { scale: 0.75, isBare: false, dtypes: ['BF16', 'F16', 'F32'], flips })
      const whole = read(file, 0, want.length)
      fc.assert(
        fc.property(fc.nat(want.length - 1), fc.nat(want.length - 1), (a, b) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b) + 1]
          expect(Buffer.from(read(file, from, to)).equals(whole.subarray(from * 4, to * 4))).toBe(true)
        }),
        { numRuns: 12 },
      )
    }
  })
})

describe('threads, memory and tiling change no byte', () => {
  const paths = { base: 'wide-base', math: 'wide-math', tuned: 'wide-base+wide-dora' }
  const TEXT = 'base + ties(0.5*math, tuned - base, density=0.4)'
  beforeAll(() => {
    writeModel(join(folder, 'wide-base'), { 'model.layers.0.mlp.up_proj.weight': filled([1100, 4099], 1, 'BF16'), [NORM]: filled([9], 2, 'BF16') }, LLAMA)
    writeAdapter(join(folder, 'wide-math'), lora(UP, [1100, 4099], 3, 5), { r: 3, lora_alpha: 2 })
    writeAdapter(join(folder, 'wide-dora'), { ...lora(UP, [1100, 4099], 2, 9), [`${UP}.lora_magnitude_vector`]: filled([1100], 11) }, { r: 2, lora_alpha: 2, use_dora: true })
  })

  const hashOf = async (options: PlanOptions): Promise<string> => {
    const out = join(folder, 'out')
    for await (const _ of execute(await planOf(TEXT, paths, options), folderSink(out, { force: true }))) {
      // only the result matters
    }
    return createHash('sha256')
      .update(readFileSync(join(out, 'model.safetensors')))
      .digest('hex')
  }

  test.each([
    ['one thread and chunks of 1,024', { threads: 1, tiling: { chunk: 1024 } }],
    ['three threads', { threads: 3 }],
    ['as little memory as it takes', { threads: 1, memory: 6_500_000 }],
  ])('%s', async (_, options) => {
    expect(await hashOf(options)).toBe(await hashOf({ threads: 1, tiling: { chunk: 65_536 } }))
  })

  test('what adapters take is part of the memory', async () => {
    await expect(planOf(TEXT, paths, { threads: 2, memory: 3_000_000 })).rejects.toThrow('computing with adapters takes 3.9 MB, in 2 threads')
    const asked = /set --memory to ([\d.]+)MB/.exec(String(await planOf(TEXT, paths, { threads: 2, memory: 3_000_000 }).catch(e => e)))![1]!
    expect((await planOf(TEXT, paths, { threads: 2, memory: Number(asked) * 1e6 })).memory.total).toBeLessThanOrEqual(Number(asked) * 1e6)
  })
})

describe('in the cache of the Hugging Face hub', () => {
  const commit = '0123456789abcdef0123456789abcdef01234567'
  beforeAll(() => {
    process.env['HF_HUB_CACHE'] = join(folder, 'hub')
    const repository = join(folder, 'hub/models--org--base')
    writeModel(join(repository, 'snapshots', commit), base(1), LLAMA)
    writeModel(join(repository, 'snapshots/main-commit'), base(3), LLAMA)
    writeFiles(repository, { 'refs/v1': commit, 'refs/refs/pr/1': commit, 'refs/main': 'main-commit\n', 'refs/gone': 'f'.repeat(40) })
    writeAdapter(join(folder, 'hub/models--org--math/snapshots', commit), { ...lora(UP, [4, 3], 2, 20), ...lora(DOWN, [3, 4], 2, 30) }, { r: 2, lora_alpha: 3 })
    writeFiles(join(folder, 'hub/models--org--math'), { 'refs/main': commit })
  })

  test.each(['v1', 'refs/pr/1', commit])('revision %s', async revision => {
    expectClose(await merge('x', { x: `org/base@${revision}` }), sumOf())
  })

  test('without a revision: main', async () => {
    expectClose(await merge('x', { x: 'org/base' }), new Map(Object.entries(base(3)).map(([name, { values }]) => [name, values!])))
  })

  test('an adapter, behind a model and alone', async () => {
    expectClose(await merge('x', { x: 'org/base@v1+org/math@main' }), sumOf([1, MATH]))
    expectClose(await merge('base + 0.5*math', { base: 'org/base@v1', math: 'org/math' }), sumOf([0.5, MATH]))
  })

  test('the output does not tell where the cache is', async () => {
    const { outputs } = await planOf('x', { x: 'org/base@v1+org/math' })
    expect(JSON.parse(outputs[0]!.metadata['merganser.inputs']!)['x']).toMatchObject({ path: 'org/base@v1+org/math' })
    expect(JSON.stringify(outputs)).not.toContain(folder)
  })

  test.each([
    [
      'org/base@v2',
      'no file or folder "org/base@v2", and revision v2 of org/base is not in the local cache of the Hugging Face hub\n  fix: run `hf download org/base --revision v2` first',
    ],
    [
      'org/base@gone',
      'no file or folder "org/base@gone", and revision gone of org/base is not in the local cache of the Hugging Face hub\n  fix: run `hf download org/base --revision gone` first',
    ],
    [
      'org/base@../../base',
      'no file or folder "org/base@../../base", and revision ../../base of org/base is not in the local cache of the Hugging Face hub\n  fix: run `hf download org/base --revision ../../base` first',
    ],
    ['./nowhere@v1', 'no file or folder "./nowhere@v1"\n  fix: check the path'],
  ])('%s is not there', async (path, message) => {
    await expect(merge('x', { x: path })).rejects.toThrow(message)
  })

  test('and neither is an adapter', async () => {
    await expect(merge('x', { x: 'base+org/none' })).rejects.toThrow(
      'no folder "org/none" with an adapter\n  fix: check the path of the adapter, or download it first: `hf download org/none`',
    )
    await expect(merge('x', { x: 'base+org/none@r' })).rejects.toThrow('run `hf download org/none --revision r` first')
  })
})

describe('an adapter that cannot be added', () => {
  const plain = () => lora(UP, [4, 3], 1, 1)
  const tensors = (extra: Readonly<Record<string, TensorSpec>>) => ({ ...plain(), ...extra })
  const CASES: readonly (readonly [what: string, tensors: Readonly<Record<string, TensorSpec>>, config: object, message: string])[] = [
    [
      'one of another base',
      lora(UP, [8, 6], 1, 1),
      {},
      `base_model.model.${UP}.lora_B.weight of shape [8,1] does not fit ${UP}.weight of base, which is [4,3]\n  at bad\n  fix: use the adapter with the model it was trained on (adapter_config.json calls it org/base)`,
    ],
    [
      'a module that the base does not have',
      tensors(lora('model.layers.7.mlp.up_proj', [4, 3], 1, 1)),
      {},
      'base_model.model.model.layers.7.mlp.up_proj.lora_A.weight matches no tensor of base: there is no model.layers.7.mlp.up_proj.weight\n  at bad\n  fix: use the adapter with the model it was trained on (adapter_config.json calls it org/base)',
    ],
    [
      'a saved module that the base does not have',
      tensors({ 'score.weight': filled([2, 3], 1) }),
      { base_model_name_or_path: null },
      'base_model.model.score.weight matches no tensor of base: there is no score.weight\n  at bad\n  fix: use the adapter with the model it was trained on',
    ],
    [
      'a longer head',
      tensors({ [`${HEAD}.weight`]: filled([7, 3], 1) }),
      {},
      'the adapter changes the vocabulary: base_model.model.lm_head.weight has 7 rows for tokens, and lm_head.weight of base has 5\n  at bad\n  fix: resize the embeddings of the model to 7 rows first, as in training, and name the folder of the result',
    ],
    [
      'a longer embedding, as a target',
      { [`${EMBEDDING}.lora_embedding_A`]: filled([1, 7], 1), [`${EMBEDDING}.lora_embedding_B`]: filled([3, 1], 1) },
      {},
      'the adapter changes the vocabulary: base_model.model.model.embed_tokens.lora_embedding_A has 7 rows for tokens, and model.embed_tokens.weight of base has 5',
    ],
    [
      'half of a pair',
      { [`${UP}.lora_A.weight`]: filled([1, 3], 1) },
      {},
      `base_model.model.${UP}.lora_A.weight: there is no lora_B for ${UP}\n  at bad/adapter_model.safetensors`,
    ],
    [
      'factors without a common rank',
      { [`${UP}.lora_A.weight`]: filled([2, 3], 1), [`${UP}.lora_B.weight`]: filled([4, 1], 1) },
      {},
      `${UP}: lora_A of shape [2,3] and lora_B of shape [4,1] have no rank in common`,
    ],
    ['a rank that the config does not tell', plain(), { r: 8 }, `${UP}: its tensors have rank 1, and adapter_config.json says 8`],
    ['nothing', {}, {}, 'the adapter holds no tensors\n  at bad/adapter_model.safetensors'],
    [
      'another kind',
      plain(),
      { peft_type: 'IA3' },
      'the adapter is of kind "IA3", and only LORA is read\n  at bad/adapter_config.json\n  fix: merge the adapter with PEFT, and name the folder of the result',
    ],
    ['no kind', plain(), { peft_type: undefined }, 'peft_type is missing'],
    ['no alpha', plain(), { lora_alpha: undefined }, 'lora_alpha must be a number, found none'],
    ['a flag that is a word', plain(), { use_rslora: 'yes' }, 'use_rslora must be true or false, found "yes"'],
    ['PiSSA', plain(), { init_lora_weights: 'pissa_niter_4' }, 'init_lora_weights is "pissa_niter_4": training has changed the base, and the adapter alone does not tell how'],
    ['repeated layers', plain(), { layer_replication: [[0, 2]] }, 'layer_replication: the adapter was trained on repeated layers'],
    ['rows of single tokens', plain(), { trainable_token_indices: [1] }, 'trainable_token_indices: rows trained for single tokens are not read'],
    ['a pattern that could take forever', plain(), { alpha_pattern: { '(a+)+': 2 } }, 'alpha_pattern: "(a+)+" is not a pattern that is read'],
    ['a pattern that is none', plain(), { rank_pattern: { '(': 2 } }, 'rank_pattern: "(" is not a pattern that is read'],
    [
      'whole numbers',
      { [`${UP}.lora_A.weight`]: { dtype: 'I8', shape: [1, 3] }, [`${UP}.lora_B.weight`]: filled([4, 1], 1) },
      {},
      `base_model.model.${UP}.lora_A.weight is I8, and adapters are floats`,
    ],
    ['magnitudes without DoRA', tensors({ [`${UP}.lora_magnitude_vector`]: filled([4], 1) }), {}, 'the adapter has magnitudes, but use_dora is not set'],
    ['DoRA without magnitudes', plain(), { use_dora: true }, `use_dora is set, but there is no lora_magnitude_vector for ${UP}`],
    [
      'DoRA of an embedding',
      { [`${EMBEDDING}.lora_embedding_A`]: filled([1, 5], 1), [`${EMBEDDING}.lora_embedding_B`]: filled([3, 1], 1), [`${EMBEDDING}.lora_magnitude_vector`]: filled([3], 1) },
      { use_dora: true },
      'DoRA is read for plain linear layers',
    ],
  ]
  for (const [what, own, config, message] of CASES) {
    test(what, async () => {
      rmSync(join(folder, 'bad'), { recursive: true, force: true })
      writeAdapter(join(folder, 'bad'), own, config)
      await expect(merge('x', { x: 'base+bad' })).rejects.toThrow(message)
    })
  }

  test('an output head where the base uses its embedding', async () => {
    const { [`${HEAD}.weight`]: _, ...trunk } = base(1)
    writeModel(join(folder, 'tied'), trunk, { ...LLAMA, tie_word_embeddings: true })
    writeAdapter(join(folder, 'for-head'), lora(HEAD, [5, 3], 1, 1))
    await expect(merge('x', { x: 'tied+for-head' })).rejects.toThrow(
      'base_model.model.lm_head.lora_A.weight changes the output head, which tied does not have: it uses its embedding for one',
    )
  })

  test('a quantised base', async () => {
    writeModel(join(folder, 'quantised'), { ...base(1), [`${UP}.weight`]: { dtype: 'I8', shape: [4, 3] } }, LLAMA)
    await expect(merge('x', { x: 'quantised+math' })).rejects.toThrow(`changes ${UP}.weight, which is I8 in quantised`)
  })

  test('adapters alone that are no differences', async () => {
    writeAdapter(join(folder, 'saved'), tensors({ [`${HEAD}.weight`]: filled([5, 3], 1) }))
    await expect(merge('base + saved', { base: 'base', saved: 'saved' })).rejects.toThrow(
      'base_model.model.lm_head.weight is a whole tensor and no difference, so that the adapter is no task vector by itself\n  at saved\n  fix: name the model with it, `tuned: base+saved`, and write `tuned - base` for what it adds',
    )
    writeAdapter(join(folder, 'dora'), tensors({ [`${UP}.lora_magnitude_vector`]: filled([4], 1) }), { use_dora: true })
    await expect(merge('base + dora', { base: 'base', dora: 'dora' })).rejects.toThrow(
      'an adapter of DoRA is no task vector by itself: what it adds depends on the model’s weights',
    )
  })

  test('folders that are none', async () => {
    await expect(merge('x', { x: 'base+half' })).rejects.toThrow('half is not an adapter: it has no adapter_config.json\n  fix: give a folder that PEFT has written')
    mkdirSync(join(folder, 'old'))
    for (const file of ['adapter_config.json', 'adapter_model.bin']) writeFileSync(join(folder, 'old', file), '{}')
    await expect(merge('x', { x: 'base+old' })).rejects.toThrow('old has no adapter_model.safetensors\n  fix: convert adapter_model.bin to safetensors')
  })

  test('one in the place of a model', async () => {
    const recipe = parse('merge_method: passthrough\nmodels: [{model: math}]\n', { name: 'recipe.yml' })
    await expect(openModels(recipe, { from: [folder] })).rejects.toThrow(
      'math is an adapter, not a model\n  at recipe.yml:2:18\n  2 | models: [{model: math}]\n    |                  ^^^^\n  fix: write it behind the model that it was trained on: `path/to/model+math`',
    )
    await expect(merge('math', { math: 'math', base: 'base' })).rejects.toThrow(
      'this is a task vector, not a model\n  at expression:1:1\n  1 | math\n    | ^^^^\n  fix: add it to a model: `base + math`',
    )
    await expect(merge('0.5*base + 0.5*math', { math: 'math', base: 'base' })).rejects.toThrow('the weights add up to 0.5, not to 1')
  })
})

describe('an adapter alone gives nothing but a difference', () => {
  const refused = (rest: string) => () => parse(`models: {math: ./math, base: base}\nmerge: base + math\n${rest}\n`, { name: 'recipe.yml', adapters: new Set(['math']) })
  test.each([
    ['rules: [{tensors: "*.up_proj.*", from: math}]', 'math is an adapter, and has no whole tensors\n  at recipe.yml:3:10'],
    ['output: {config_from: math}', 'math is an adapter, and has no config or tokenizer\n  at recipe.yml\n  fix: name a model'],
    ['output: {tokenizer_from: math}', 'math is an adapter, and has no config or tokenizer'],
    ['tokenizer: {source: base}', 'the rows of math cannot be matched by token: it is an adapter alone\n  at recipe.yml:3:1\n  3 | tokenizer: {source: base}'],
  ])('%s', (rest, message) => {
    expect(refused(rest)).toThrow(message)
  })

  test('advice names a model, not the adapter', () => {
    const parsed = () => parse('math', { models: { code: 'code', math: 'math', llama: 'base' }, adapters: new Set(['math', 'code']) })
    expect(parsed).toThrow('fix: add it to a model: `llama + math`')
  })
})

describe('on the command line', () => {
  test('a model with an adapter, and an adapter alone', () => {
    expect(merganser(folder, 'merge', 'x', 'together', '--model', 'x=base+math', '--dtype', 'f32')).toMatchObject({ status: 0, stderr: '' })
    expect(merganser(folder, 'merge', 'base + 1*math', 'alone', '--model', 'base=base', '--model', 'math=math', '--dtype', 'f32')).toMatchObject({ status: 0, stderr: '' })
    writeFiles(folder, { 'recipe.yml': 'models: {base: base, math: ./math, tuned: {model: base, lora: math}}\nmerge: base + 0.5*math + 0.5*(tuned - base)\n' })
    expect(merganser(folder, 'merge', 'recipe.yml', 'mixed')).toMatchObject({ status: 0, stderr: '' })
  })

  test('inspect shows a model with its adapter, without files that lie nowhere', () => {
    const { files, tensors } = JSON.parse(merganser(folder, 'inspect', 'base+math', '--json').stdout)
    expect(files.map((f: { name: string }) => f.name)).toEqual(['model.safetensors', 'adapter_model.safetensors'])
    expect(tensors.filter((t: { computed?: boolean }) => t.computed).map((t: { name: string }) => t.name)).toEqual([`${UP}.weight`, `${DOWN}.weight`])
  })

  test('inspect shows what an adapter is', () => {
    const { stdout, status } = merganser(folder, 'inspect', 'math')
    expect(status).toBe(0)
    expect(stdout.split('\n').map(line => line.trim().split(/ {2,}/))).toEqual(
      expect.arrayContaining([
        ['adapter', 'LoRA'],
        ['base', 'org/base'],
        ['rank', '2'],
        ['alpha', '3'],
        ['scale', '1.5', '(alpha/rank)'],
        [UP, '2', '1.5', '[4,2]·[2,3]', 'F32'],
      ]),
    )
    expect(JSON.parse(merganser(folder, 'inspect', 'math', '--json').stdout)).toMatchObject({ adapter: true, base: 'org/base', rank: 2, alpha: 3, scale: 1.5 })
  })
})
