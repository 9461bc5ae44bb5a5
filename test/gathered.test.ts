import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { memorySink } from '../src/bytes/sink.ts'
import { bytesOf, type FloatDType, sizeOf } from '../src/dtype.ts'
import { execute } from '../src/execute/execute.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { openModels } from '../src/plan/open_models.ts'
import { type Plan, type PlanOptions, plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'
import { decode } from './floats.ts'
import { merganser, temporaryFolder, writeFiles, writeModel } from './front.ts'
import { gatherNaively } from './gather.ts'

// Embeddings whose rows are matched by token, from files to files. Golden cases say that the rows are mergekit's; here is what must hold besides.

const folder = temporaryFolder()
const EMBEDDING = 'model.embed_tokens.weight'
const HEAD = 'lm_head.weight'
const NORM = 'model.norm.weight'

interface Toy {
  readonly tokens: readonly string[]
  readonly dtype?: FloatDType
  readonly width?: number
  /** Height of the embedding, and of the head, where they are not the number of tokens. */
  readonly rows?: number
  readonly head?: number
  readonly values?: (i: number) => number
  readonly config?: object
  readonly files?: Readonly<Record<string, string>>
}

const tokenizerOf = (tokens: readonly string[]): string =>
  JSON.stringify({ added_tokens: [], model: { type: 'WordLevel', unk_token: '<unk>', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])) } })

function writeToy(
  name: string,
  { tokens, dtype = 'F32', width = 3, rows = tokens.length, head = rows, values = i => Math.sin(i + name.length), config = {}, files = {} }: Toy,
): void {
  const table = (height: number, shift: number) => ({ dtype, shape: [height, width], values: Array.from({ length: height * width }, (_, i) => values(i + shift)) })
  writeModel(
    join(folder, name),
    {
      [EMBEDDING]: table(rows, 0),
      'model.layers.0.mlp.up_proj.weight': table(2, 7),
      [NORM]: { dtype, shape: [width], values: Array.from({ length: width }, (_, i) => values(i)) },
      [HEAD]: table(head, 1000),
    },
    { architectures: ['LlamaForCausalLM'], model_type: 'llama', num_hidden_layers: 1, vocab_size: rows, tie_word_embeddings: false, ...config },
  )
  writeFiles(join(folder, name), { 'tokenizer.json': tokenizerOf(tokens), 'tokenizer_config.json': JSON.stringify({ eos_token: tokens[1] }), ...files })
}

async function planOf(text: string, options: PlanOptions = { threads: 1 }): Promise<Plan> {
  const recipe = parse(text, { name: 'recipe.yml' })
  return plan(recipe, await openModels(recipe, { from: [folder] }), options)
}

/** The bytes of every tensor of the output. */
async function run(merge: Plan): Promise<ReadonlyMap<string, Buffer>> {
  const sink = memorySink()
  for await (const _ of execute(merge, sink)) {
    // only the result matters
  }
  return new Map(
    merge.outputs.flatMap(file => file.tensors.map(t => [t.name, Buffer.from(sink.files.get(file.name)!.slice(t.at, t.at + sizeOf(t.shape) * bytesOf(t.dtype)))] as const)),
  )
}
const floats = (merged: ReadonlyMap<string, Buffer>, tensor: string, dtype: FloatDType = 'F32'): number[] => [...decode(dtype, merged.get(tensor)!)]

const linear = (models: readonly string[], more = '', base = models[0]!): string =>
  `merge_method: linear\nbase_model: ${base}\nmodels:\n${models.map((m, i) => `  - {model: ${m}, parameters: {weight: ${[0.4, 0.6, 0.3][i]}}}\n`).join('')}${more}`
const ties = (base: string, models: readonly string[], more = ''): string =>
  `merge_method: ties\nbase_model: ${base}\nmodels:\n${models.map((m, i) => `  - {model: ${m}, parameters: {weight: ${[0.5, 0.25][i]}, density: 0.4}}\n`).join('')}${more}`

const A = ['<unk>', '</s>', 'one', 'two', 'three']
const B = ['two', 'four', '</s>', '<end>', '<unk>', 'one']
const C = ['four', '<unk>', 'five', '<end>']

beforeAll(() => {
  writeToy('a', { tokens: A, dtype: 'BF16' })
  writeToy('b', { tokens: B, dtype: 'F32' })
  writeToy('c', { tokens: C, dtype: 'F16', rows: 7, head: 6 })
  writeToy('a2', { tokens: A, dtype: 'BF16', values: i => Math.cos(i) })
})

describe('a merge over one vocabulary is the merge of models that were brought to it beforehand', () => {
  const TOKENIZER = 'tokenizer: {source: union, pad_to_multiple_of: 8, tokens: {five: {source: {kind: zero}}, one: {source: b, force: true}}}\n'
  test.each([
    ['linear', linear(['a', 'b', 'c'], TOKENIZER)],
    ['ties', ties('a', ['b', 'c'], TOKENIZER)],
    ['slerp', `merge_method: slerp\nbase_model: b\nmodels: [{model: b}, {model: a}]\nparameters: {t: 0.3}\n${TOKENIZER}`],
    ['passthrough', `merge_method: passthrough\nmodels: [{model: c}]\ntokenizer: {source: a, pad_to_multiple_of: 4}\n`],
    ['float64', linear(['a', 'b', 'c'], `dtype: float64\n${TOKENIZER}`)],
  ])('%s', async (name, recipe) => {
    const merge = await planOf(recipe)
    const brought = new Map<string, Record<string, { dtype: FloatDType; shape: readonly number[]; bytes: Uint8Array }>>()
    for (const task of merge.tasks) {
      for (const { model, file, at, rows } of task.sources) {
        const dtype = merge.programs[task.program]!.sources[task.sources.findIndex(s => s.model === model)] as FloatDType
        const bytesIn = (f: number, first: number, length?: number): Uint8Array =>
          Uint8Array.from(readFileSync((merge.inputs[f]!.locator as { file: string }).file).subarray(first, length === undefined ? undefined : first + length))
        const bytes = rows
          ? gatherNaively(
              merge.rowMaps[rows.map]!,
              rows.model,
              rows.tables.map(table => ({ dtype: table.dtype as FloatDType, bytes: bytesIn(table.file, table.at) })),
              rows.width,
            )
          : bytesIn(file, at, task.size * bytesOf(dtype))
        brought.set(model, { ...brought.get(model), [task.name]: { dtype, shape: task.shape, bytes } })
      }
    }
    for (const [model, tensors] of brought)
      writeModel(join(folder, `${name}-${model}`), tensors, { architectures: ['LlamaForCausalLM'], model_type: 'llama', num_hidden_layers: 1 })
    const plain = recipe.replace(/^tokenizer.*\n/m, '').replace(/model: (\w+)/g, `model: ${name}-$1`)
    const [got, want] = [await run(merge), await run(await planOf(plain))]
    expect(merge.tasks.some(t => t.sources.some(s => s.rows))).toBe(true)
    for (const [tensor, bytes] of want) expect({ tensor, same: got.get(tensor)!.equals(bytes) }).toEqual({ tensor, same: true })
  })
})

test.each([
  ['union', 'tokenizer_source: union\n'],
  ['base', 'tokenizer: {source: base}\n'],
  ['the other model', 'tokenizer_source: a2\n'],
])('%s of one tokenizer twice is the plain merge, byte for byte', async (_, tokenizer) => {
  const [with_, without] = [await planOf(ties('a', ['a2'], tokenizer)), await planOf(ties('a', ['a2']))]
  const read = (merge: Plan) => merge.tasks.map(({ output: _, ...task }) => task) // the recipe in the header moves the output
  expect(read(with_)).toEqual(read(without))
  expect(with_.rowMaps).toEqual([])
  const [got, want] = [await run(with_), await run(without)]
  for (const [tensor, bytes] of want) expect({ tensor, same: got.get(tensor)!.equals(bytes) }).toEqual({ tensor, same: true })
  const files = (merge: Plan) => merge.companions.filter(c => c.name !== 'README.md').map(c => [c.name, 'text' in c ? c.text : readFileSync(c.path, 'utf8')])
  expect(files(with_)).toEqual(files(without))
})

describe('threads, memory and tiling change no byte', () => {
  const WIDTH = 4099 // chunks and blocks begin anywhere in a row
  const SHARED = Array.from({ length: 4080 }, (_, i) => `t${i}`)
  const RECIPE = ties('large-a', ['large-b', 'large-c'], 'tokenizer: {source: union, pad_to_multiple_of: 64}\n') // 4,160 rows: more than 256 blocks, so that threads share them

  function writeLarge(name: string, tokens: readonly string[], dtype: 'BF16' | 'F32', seed: number): void {
    const tensors = [
      { name: EMBEDDING, dtype, shape: [tokens.length, WIDTH] },
      { name: HEAD, dtype, shape: [tokens.length, 65] },
    ]
    const { header, offsets, size } = headerOf(tensors, {})
    const file = new Uint8Array(size)
    file.set(header)
    let x = seed
    for (const [t, { shape }] of tensors.entries()) {
      const width = bytesOf(dtype)
      const view = new DataView(file.buffer, offsets[t]!)
      for (let i = 0; i < sizeOf(shape); i++) {
        x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0
        const bits = 0x3c00 | ((x >>> 16) & 0x81ff) // sign, two bits of exponent, mantissa: weights around 0.01
        if (width === 2) view.setUint16(2 * i, bits, true)
        else view.setUint32(4 * i, (bits << 16) | (x & 0xffff), true)
      }
    }
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'model.safetensors'), file)
    writeFiles(join(folder, name), {
      'config.json': JSON.stringify({ architectures: ['LlamaForCausalLM'], model_type: 'llama', vocab_size: tokens.length }),
      'tokenizer.json': tokenizerOf(tokens),
    })
  }

  async function hashOf(options: PlanOptions): Promise<string> {
    const merge = await planOf(RECIPE, options)
    expect(merge.memory.total).toBeLessThanOrEqual(merge.memory.budget)
    for await (const _ of execute(merge, folderSink(join(folder, 'out'), { force: true }))) {
      // only the result matters
    }
    return createHash('sha256')
      .update(readFileSync(join(folder, 'out/model.safetensors')))
      .digest('hex')
  }

  test('ties over three vocabularies, two dtypes, with means and padding', { timeout: 240_000 }, async () => {
    writeLarge('large-a', SHARED, 'BF16', 1)
    writeLarge('large-b', [...SHARED.toReversed(), ...Array.from({ length: 20 }, (_, i) => `c${i}`)], 'F32', 2)
    writeLarge('large-c', [...Array.from({ length: 30 }, (_, i) => `c${i}`), ...SHARED.filter((_, i) => i % 2 === 0)], 'BF16', 3)
    const expected = await hashOf({ threads: 1 })
    const MB = 2 ** 20
    for (const options of [{ threads: 2 }, { threads: 3, memory: 24 * MB }, { threads: 1, memory: 8 * MB }, { threads: 2, tiling: { chunk: 4096 } }] satisfies PlanOptions[])
      expect({ options, hash: await hashOf(options) }).toEqual({ options, hash: expected })
  })
})

describe('what is written beside the tensors', () => {
  test('vocab_size, and ids that follow their tokens, in config.json and generation_config.json', async () => {
    const config = { eos_token_id: 1, bos_token_id: null, big: 1, text_config: { vocab_size: 5, eos_token_id: [1, 2] } }
    const generation = '{\n  "eos_token_id": 1,\n  "seed": 12345678901234567890,\n  "temperature": 0.60\n}\n'
    writeToy('ids', { tokens: A, config, files: { 'generation_config.json': generation } })
    const merge = await planOf(linear(['ids', 'b'], 'tokenizer_source: b\n'))
    const textOf = (name: string): string => (merge.companions.find(c => c.name === name) as { readonly text: string }).text
    expect(JSON.parse(textOf('config.json'))).toMatchObject({ vocab_size: 6, eos_token_id: 2, bos_token_id: null, text_config: { vocab_size: 6, eos_token_id: [2, 5] } })
    expect(textOf('generation_config.json')).toBe(generation.replace('"eos_token_id": 1', '"eos_token_id": 2')) // and nothing else
    expect(merge.notes).toEqual([
      'config.json: eos_token_id goes from 1 to 2, where its token is now',
      'config.json: text_config.eos_token_id goes from [1,2] to [2,5], where its token is now',
      'generation_config.json: eos_token_id goes from 1 to 2, where its token is now',
    ])
    expect(merge.companions.map(c => c.name)).toEqual(['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'README.md'])
  })

  test('files that nothing changes are copied', async () => {
    const merge = await planOf(linear(['a', 'b'], 'tokenizer_source: base\n'))
    expect(merge.companions.filter(c => 'path' in c).map(c => c.name)).toEqual(['tokenizer.json', 'tokenizer_config.json'])
  })

  test('a chat template alone, without a word of the vocabulary', async () => {
    const merge = await planOf(linear(['a', 'a2'], 'chat_template: chatml\n'))
    const [config, template] = ['tokenizer_config.json', 'chat_template.jinja'].map(name => (merge.companions.find(c => c.name === name) as { readonly text: string }).text)
    expect(template).toContain('<|im_start|>')
    expect(JSON.parse(config!)).toEqual({ eos_token: '</s>', chat_template: template })
    expect(merge.rowMaps).toEqual([])
  })

  test('the tokenizer of a folder that holds no weights', async () => {
    writeFiles(join(folder, 'only-tokenizer'), { 'tokenizer.json': tokenizerOf(['two', '</s>', 'nine']) })
    const merge = await planOf(linear(['a', 'b'], 'tokenizer_source: {path: only-tokenizer}\n'))
    expect(merge.outputs[0]!.tensors.find(t => t.name === EMBEDDING)!.shape).toEqual([3, 3])
    expect(merge.notes).toEqual(['1 token of the output in none of the models: their rows are zero: "nine"'])
    expect(floats(await run(merge), EMBEDDING, 'BF16').slice(6)).toEqual([0, 0, 0])
  })
})

describe('which tensors have rows for tokens', () => {
  const rowsOf = (merge: Plan) => Object.fromEntries(merge.outputs.flatMap(o => o.tensors.map(t => [t.name, t.shape])))
  const pair = (name: string, tensors: (rows: number) => Parameters<typeof writeModel>[1], config: object): string => {
    for (const [i, tokens] of [A, B].entries()) {
      writeModel(join(folder, `${name}-${i}`), tensors(tokens.length), config)
      writeFiles(join(folder, `${name}-${i}`), { 'tokenizer.json': tokenizerOf(tokens) })
    }
    return linear([`${name}-0`, `${name}-1`], 'tokenizer_source: union\n')
  }
  const FAMILIES: readonly (readonly [
    type: string,
    byToken: readonly (readonly [string, readonly (number | 'V')[]])[],
    others: readonly (readonly [string, readonly number[]])[],
  ])[] = [
    [
      'gpt2',
      [['transformer.wte.weight', ['V', 2]]],
      [
        ['transformer.wpe.weight', [5, 2]],
        ['transformer.h.0.mlp.c_fc.weight', [2, 2]],
      ],
    ],
    ['gpt2', [['wte.weight', ['V', 2]]], [['wpe.weight', [5, 2]]]],
    [
      'internlm2',
      [
        ['model.tok_embeddings.weight', ['V', 2]],
        ['output.weight', ['V', 2]],
      ],
      [['model.norm.weight', [2]]],
    ],
    [
      'phi',
      [
        ['model.embed_tokens.weight', ['V', 2]],
        ['lm_head.weight', ['V', 2]],
        ['lm_head.bias', ['V']],
      ],
      [['model.final_layernorm.bias', [5]]],
    ],
    [
      'bert',
      [
        ['bert.embeddings.word_embeddings.weight', ['V', 2]],
        ['cls.predictions.bias', ['V']],
        ['cls.predictions.decoder.weight', ['V', 2]],
        ['cls.predictions.decoder.bias', ['V']],
      ],
      [['bert.embeddings.position_embeddings.weight', [5, 2]]],
    ],
    [
      't5',
      [
        ['shared.weight', ['V', 2]],
        ['encoder.embed_tokens.weight', ['V', 2]],
        ['lm_head.weight', ['V', 2]],
      ],
      [['encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', [5, 2]]],
    ],
    [
      'bart',
      [
        ['model.shared.weight', ['V', 2]],
        ['final_logits_bias', [1, 'V']],
      ],
      [['model.encoder.embed_positions.weight', [5, 2]]],
    ],
    [
      'whisper',
      [
        ['model.decoder.embed_tokens.weight', ['V', 2]],
        ['proj_out.weight', ['V', 2]],
      ],
      [['model.decoder.embed_positions.weight', [5, 2]]],
    ],
    ['mamba', [['backbone.embeddings.weight', ['V', 2]]], [['backbone.norm_f.weight', [5]]]],
    [
      'chatglm',
      [
        ['transformer.embedding.word_embeddings.weight', ['V', 2]],
        ['transformer.output_layer.weight', ['V', 2]],
      ],
      [['transformer.encoder.final_layernorm.weight', [5]]],
    ],
    [
      'gemma3',
      [
        ['language_model.model.embed_tokens.weight', ['V', 2]],
        ['language_model.lm_head.weight', ['V', 2]],
      ],
      [['multi_modal_projector.mm_input_projection_weight', [5, 2]]],
    ],
    [
      'unknown',
      [
        ['net.embed_tokens.weight', ['V', 2]],
        ['lm_head.weight', ['V', 2]],
      ],
      [['net.layers.0.shared.weight', [5, 2]]],
    ],
  ]
  test.each(FAMILIES.map(([type, ...rest], i) => [`${type}, ${rest[0][0]![0]}`, `${type}-${i}`, type, ...rest] as const))('%s', async (_, name, type, byToken, others) => {
    const shapeOf = (shape: readonly (number | 'V')[], rows: number): number[] => shape.map(n => (n === 'V' ? rows : n))
    const recipe = pair(name, rows => Object.fromEntries([...byToken, ...others].map(([tensor, shape]) => [tensor, { shape: shapeOf(shape, rows) }])), {
      model_type: type,
      architectures: ['One'],
    })
    const merge = await planOf(recipe)
    expect(rowsOf(merge)).toEqual(Object.fromEntries([...byToken, ...others].map(([tensor, shape]) => [tensor, shapeOf(shape, 7)]))) // the union has 7 tokens
    await run(merge)
  })

  test('an element for each token: the bias of a head', async () => {
    for (const [i, tokens] of [A, B].entries()) {
      const values = Array.from({ length: tokens.length }, (_, row) => 10 ** i * (row + 1))
      const name = `bias-${i}`
      writeModel(
        join(folder, name),
        { [EMBEDDING]: { shape: [tokens.length, 1], values }, 'lm_head.bias': { shape: [tokens.length], values }, final_logits_bias: { shape: [1, tokens.length], values } },
        { model_type: 'phi' },
      )
      writeFiles(join(folder, name), { 'tokenizer.json': tokenizerOf(tokens) })
    }
    const merge = await planOf(
      `merge_method: linear\nbase_model: bias-0\nmodels: [{model: bias-0}, {model: bias-1}]\nparameters: {weight: 1, normalize: false}\ntokenizer_source: union\n`,
    )
    const got = await run(merge)
    const expected = [1 + 50, 2 + 30, 3 + 60, 4 + 10, 5 + 5, 20 + 20, 40 + 40].map(String)
    for (const tensor of [EMBEDDING, 'lm_head.bias', 'final_logits_bias']) expect({ tensor, values: floats(got, tensor).map(String) }).toEqual({ tensor, values: expected })
  })

  test('a tied embedding serves as the head of another model', async () => {
    writeModel(
      join(folder, 'tied'),
      { [EMBEDDING]: { shape: [4, 3], values: [...Array(12).keys()] }, 'model.layers.0.mlp.up_proj.weight': { shape: [2, 3] }, [NORM]: { shape: [3] } },
      { architectures: ['LlamaForCausalLM'], model_type: 'llama', num_hidden_layers: 1, vocab_size: 4, tie_word_embeddings: true },
    )
    writeFiles(join(folder, 'tied'), { 'tokenizer.json': tokenizerOf(C) })
    const merge = await planOf(
      `merge_method: linear\nbase_model: b\nmodels: [{model: b, parameters: {weight: 0}}, {model: tied, parameters: {weight: 1}}]\ntokenizer_source: union\n`,
    )
    const got = await run(merge)
    const tokens = [...B, 'five'] // of the output, b's first
    for (const [row, token] of C.entries()) {
      const at = 3 * tokens.indexOf(token)
      const own = [3 * row, 3 * row + 1, 3 * row + 2]
      expect({ token, embedding: floats(got, EMBEDDING).slice(at, at + 3), head: floats(got, HEAD).slice(at, at + 3) }).toEqual({ token, embedding: own, head: own })
    }
  })
})

describe('slices and stages', () => {
  test('embedding and head from different models, over one vocabulary', async () => {
    const slices = 'merge_method: passthrough\nslices:\n  - sources: [{model: b, layer_range: [0, 1]}]\n  - sources: [{model: c, layer_range: [0, 1]}]\n'
    const merge = await planOf(`${slices}dtype: float32\ntokenizer_source: union\n`)
    const tokens = [...B, 'five']
    const [got, b, c] = [
      await run(merge),
      ...(await Promise.all(['b', 'c'].map(async name => run(await planOf(`merge_method: passthrough\nmodels: [{model: ${name}}]\ndtype: float32\n`))))),
    ] as const
    const rowOf = (merged: ReadonlyMap<string, Buffer>, tensor: string, row: number): number[] => floats(merged, tensor).slice(3 * row, 3 * row + 3)
    for (const [row, token] of B.entries()) expect(rowOf(got, EMBEDDING, tokens.indexOf(token))).toEqual(rowOf(b!, EMBEDDING, row))
    for (const [row, token] of C.entries()) expect(rowOf(got, HEAD, tokens.indexOf(token))).toEqual(rowOf(c!, HEAD, row))
    expect(rowOf(got, HEAD, tokens.indexOf('two'))).toEqual([0, 0, 0])
    expect(merge.notes.filter(note => note.includes('zeros'))).toEqual([
      'model.embed_tokens.weight comes from b: a token that only other models have gets a row of zeros, e.g. "five"',
      'lm_head.weight comes from c: 3 tokens that only other models have get rows of zeros, e.g. "two"',
    ])
  })

  test('a stage that is the base, and a token of a model that only a stage names', async () => {
    const stage = `${linear(['a', 'c'])}name: both\n---\n`
    const merge = await planOf(
      `${stage}merge_method: task_arithmetic\nbase_model: both\nmodels: [{model: b, parameters: {weight: 1}}]\ntokenizer: {source: base, tokens: {five: {source: c}}}\n`,
    )
    expect(merge.outputs[0]!.tensors.find(t => t.name === EMBEDDING)!.shape).toEqual([6, 3])
    expect(merge.notes).not.toContainEqual(expect.stringContaining('names no base_model'))
    await run(merge)
  })
})

describe('in Merganser’s own form', () => {
  const own = (more: string): string => `models: {a: a, b: b, c: c}\nmerge: a + 0.5*(b - a)\noutput: {dtype: fp32}\n${more}`

  test('a token that only one task vector has comes through whole; models that are not merged have no say', async () => {
    const merge = await planOf(own('tokenizer: {source: union}\nchat_template: chatml\n'))
    const got = await run(merge)
    const tokens = [...A, '<end>', 'four'] // four is b's eos_token: added tokens come last
    expect(merge.outputs[0]!.tensors.find(t => t.name === EMBEDDING)!.shape).toEqual([tokens.length, 3])
    const b = await run(await planOf('models: {b: b}\nmerge: b\n'))
    for (const token of ['four', '<end>']) {
      const [ours, theirs] = [floats(got, EMBEDDING).slice(3 * tokens.indexOf(token)), floats(b, EMBEDDING).slice(3 * B.indexOf(token))]
      for (const c of [0, 1, 2]) expect(Math.abs(ours[c]! - theirs[c]!)).toBeLessThanOrEqual(2 ** -9) // in a's place it is rounded to bfloat16, as a's rows are
    }
    expect(merge.notes).toEqual(['model "c" is never used'])
    expect(merge.companions.map(c => c.name)).toContain('chat_template.jinja')
  })

  test('the base is the model that the merge builds on; a tokenizer may be that of a model named for nothing else', async () => {
    const tokensOf = async (more: string) => {
      const merge = await planOf(own(more))
      const { companions, notes } = merge
      const file = companions.find(c => c.name === 'tokenizer.json')!
      return [Object.keys(JSON.parse('text' in file ? file.text : readFileSync(file.path, 'utf8')).model.vocab), notes]
    }
    expect(await tokensOf('tokenizer: {source: base}\n')).toEqual([A, ['model "c" is never used']])
    expect(await tokensOf('tokenizer: {source: c}\n')).toEqual([C, ['1 token of the output in none of the models: their rows are zero: "five"']])
  })

  test('a rule takes rows over the same vocabulary', async () => {
    const merge = await planOf(own(`rules: [{tensors: ${HEAD}, from: b}]\ntokenizer: {source: base, tokens: {one: {source: {kind: zero}, force: true}}}\n`))
    const [got, b] = [await run(merge), await run(await planOf('models: {b: b}\nmerge: b\n'))]
    const rowOf = (token: string): number[] => floats(b, HEAD).slice(3 * B.indexOf(token), 3 * B.indexOf(token) + 3)
    expect(floats(got, HEAD)).toEqual([...rowOf('<unk>'), ...rowOf('</s>'), 0, 0, 0, ...rowOf('two'), 0, 0, 0])
    expect(merge.notes).toContain('lm_head.weight comes from b: a token that only other models have gets a row of zeros, e.g. "three"')
  })
})

describe('damage', () => {
  test('a NaN is told where the model has it, whatever row it goes to, and whoever lends the row', async () => {
    const nanAt = (row: number) => (i: number) => (i === 3 * row + 1 ? Number.NaN : 1)
    writeToy('nan-b', { tokens: B, values: nanAt(4), dtype: 'F64', head: 2 }) // <unk>, which is row 0 of the output
    const fails = async (recipe: string) => expect(run(await planOf(recipe))).rejects
    await (await fails(linear(['a', 'nan-b'], 'tokenizer_source: base\n'))).toThrow(/^nan-b contains NaN\n {2}at model\.embed_tokens\.weight\[4, 1\]/)
    writeToy('nan-b2', { tokens: B, values: nanAt(1), head: 2 }) // four, which a lacks: its row stands in
    await (await fails(linear(['a', 'nan-b2'], 'tokenizer_source: union\n'))).toThrow(/^nan-b2 contains NaN\n {2}at model\.embed_tokens\.weight\[1, 1\]/)
  })

  test('a file that is cut off while it is read', async () => {
    writeToy('cut', { tokens: B })
    const merge = await planOf(linear(['a', 'cut'], 'tokenizer_source: union\n'))
    writeFileSync(join(folder, 'cut/model.safetensors'), readFileSync(join(folder, 'cut/model.safetensors')).subarray(0, -20))
    await expect(run(merge)).rejects.toThrow('the file shrank while in use')
  })

  test('a merge is not gone on with when a tokenizer has changed meanwhile', async () => {
    writeToy('changing', { tokens: B })
    const recipe = linear(['a', 'changing'], 'tokenizer_source: base\n')
    const goOn = async (resume: boolean, signal?: AbortSignal) => {
      for await (const _ of execute(await planOf(recipe), folderSink(join(folder, 'stopped'), { resume }), { signal })) {
        // only the end matters
      }
    }
    await expect(goOn(false, AbortSignal.abort())).rejects.toThrow('the merge was stopped')
    writeFiles(join(folder, 'changing'), { 'tokenizer.json': tokenizerOf(B.with(0, 'three')) })
    await expect(goOn(true)).rejects.toThrow('was another one: its recipe, its inputs')
    writeFiles(join(folder, 'changing'), { 'tokenizer.json': tokenizerOf(B) })
    await goOn(true)
  })
})

describe('the plan', () => {
  test('counts the bytes that are read, row by row', async () => {
    const merge = await planOf(linear(['a', 'b'], 'tokenizer_source: base\n'))
    // Of embedding and head: all rows of a, in b's place its four and one of a as float32; of the rest all.
    const embedding = 5 * 3 * 2 + (4 * 3 * 4 + 3 * 2)
    const rest = (6 + 3) * (2 + 4)
    expect(merge.totals.read).toBe(2 * embedding + rest)
    const events: number[] = []
    for await (const event of execute(merge, memorySink())) if (event.kind === 'done') events.push(event.read)
    expect(events).toEqual([merge.totals.read])
  })

  test('the memory that a refusal names is enough', async () => {
    const recipe = ties('a', ['b', 'c'], 'tokenizer_source: union\n')
    for (const threads of [1, 2]) {
      const error = await planOf(recipe, { threads, memory: 1_000_000 }).then(
        () => null,
        (e: Error) => e.message,
      )
      expect(error).toMatch(/^a memory budget of 1 MB is too small for this merge\n {2}at matching the rows of embeddings takes [\d.]+ MB, in \d threads? and this one\n/)
      const asked = Number(/set --memory to ([\d.]+)MB/.exec(error!)![1]) * 1e6
      expect((await planOf(recipe, { threads, memory: asked })).memory.total).toBeLessThanOrEqual(asked)
    }
  })

  test('on the command line: where the rows come from', () => {
    writeFiles(folder, { 'table.yml': linear(['a', 'b', 'c'], 'tokenizer: {source: union, pad_to_multiple_of: 3, tokens: {one: {source: {kind: zero}}}}\n') })
    const { stdout, stderr } = merganser(folder, 'plan', 'table.yml')
    expect(stderr).toBe('')
    expect(stdout.split('\n').slice(-11, -1)).toEqual([
      '',
      'rows  of model.embed_tokens.weight, lm_head.weight  for example',
      '────  ────────────────────────────────────────────  ──────────────',
      '   1  in every model                                "<unk>"',
      '   2  in a and b: the row of a in the others        "</s>" "two"',
      '   1  by a rule of the recipe                       "one"',
      '   1  only in a: its row everywhere                 "three"',
      '   2  in b and c: their mean in the others          "<end>" "four"',
      '   1  only in c: its row everywhere                 "five"',
      '   1  padding: the mean of the rows above',
    ])
    const json = JSON.parse(merganser(folder, 'plan', 'table.yml', '--json').stdout) as Plan
    expect(json.rowMaps[0]!.isPadding).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1])
  })
})
