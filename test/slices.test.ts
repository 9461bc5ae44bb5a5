import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { memorySink } from '../src/bytes/sink.ts'
import { sizeOf } from '../src/dtype.ts'
import { execute } from '../src/execute/execute.ts'
import { openModels } from '../src/plan/open_models.ts'
import { type Plan, plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'
import { decode } from './floats.ts'
import { merganser, temporaryFolder, writeFiles, writeModel } from './front.ts'
import { GOLDEN, mergeInMemory, planInGolden } from './golden.ts'

// What slices, modules and stages give, in models small enough to see through: every tensor is one number, layer and model: 203 is layer 3 of model 2.

const folder = temporaryFolder()
const one = (value: number) => ({ shape: [1], values: [value] })

/** A Llama whose tensors tell where they are from. */
function llama(model: number, layers: number, { head = true } = {}) {
  const blocks = Array.from({ length: layers }, (_, i) => [`model.layers.${i}.mlp.up_proj.weight`, one(100 * model + i)] as const)
  return {
    'model.embed_tokens.weight': one(100 * model + 50),
    ...Object.fromEntries(blocks),
    'model.norm.weight': one(100 * model + 60),
    ...(head ? { 'lm_head.weight': one(100 * model + 70) } : {}),
  }
}
const config = (layers: number, extra: object = {}) => ({ architectures: ['LlamaForCausalLM'], model_type: 'llama', num_hidden_layers: layers, ...extra })

beforeAll(() => {
  writeModel(join(folder, 'one'), llama(1, 4), config(4, { layer_types: ['a0', 'a1', 'a2', 'a3'], tie_word_embeddings: false }))
  writeModel(join(folder, 'two'), llama(2, 4), config(4, { layer_types: ['b0', 'b1', 'b2', 'b3'], tie_word_embeddings: false }))
  writeModel(join(folder, 'tied'), llama(3, 4, { head: false }), config(4, { tie_word_embeddings: true }))
  writeModel(join(folder, 'unlisted'), llama(4, 2), { architectures: ['ToyForCausalLM'], model_type: 'toy', n_layers: 2 })
  writeModel(join(folder, 'deepseek'), llama(4, 4), config(3, { architectures: ['DeepseekV3ForCausalLM'], model_type: 'deepseek_v3' }))
  writeModel(join(folder, 'moe'), llama(5, 4), config(4, { model_type: 'qwen3_moe', mlp_only_layers: [0, 3], decoder_sparse_step: 2 }))
  const gpt2 = (model: number, prefix: string) => ({
    [`${prefix}wte.weight`]: one(100 * model + 50),
    [`${prefix}h.0.ln_1.weight`]: one(100 * model),
    [`${prefix}h.1.ln_1.weight`]: one(100 * model + 1),
    [`${prefix}ln_f.weight`]: one(100 * model + 60),
  })
  writeModel(join(folder, 'gpt2'), gpt2(6, 'transformer.'), { model_type: 'gpt2', n_layer: 2 })
  writeModel(join(folder, 'gpt2-bare'), gpt2(7, ''), { model_type: 'gpt2', n_layer: 2 })
  const t5 = (model: number) => ({
    'shared.weight': one(100 * model + 50),
    'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': one(100 * model + 55),
    ...Object.fromEntries([0, 1].map(i => [`encoder.block.${i}.layer.0.layer_norm.weight`, one(100 * model + i)])),
    'encoder.final_layer_norm.weight': one(100 * model + 60),
    'decoder.block.0.layer.0.layer_norm.weight': one(100 * model + 80),
    'decoder.final_layer_norm.weight': one(100 * model + 90),
  })
  for (const model of [8, 9]) writeModel(join(folder, `t5-${model}`), t5(model), { model_type: 't5', num_layers: 2, num_decoder_layers: 1 })
})

async function planOf(text: string): Promise<Plan> {
  const recipe = parse(text, { name: 'recipe.yml' })
  return plan(recipe, await openModels(recipe, { from: [folder] }), { threads: 1 })
}

/** What the merge writes: each tensor as its one number, and config.json. */
async function merged(text: string): Promise<{ tensors: Record<string, number>; config: Record<string, unknown>; notes: readonly string[] }> {
  const merge = await planOf(text)
  const sink = memorySink()
  for await (const _ of execute(merge, sink)) {
    // only the result matters
  }
  const values = merge.outputs.flatMap(file => file.tensors.map(t => [t.name, decode('F32', sink.files.get(file.name)!.slice(t.at, t.at + 4 * sizeOf(t.shape)))[0]!] as const))
  const companion = merge.companions.find(c => c.name === 'config.json') as { readonly text: string }
  return { tensors: Object.fromEntries(values), config: JSON.parse(companion.text) as Record<string, unknown>, notes: merge.notes }
}

const stack = (...slices: readonly string[]): string => `merge_method: passthrough\nslices:\n${slices.map(s => `  - sources: [{model: ${s}}]\n`).join('')}`
const layer = (i: number): string => `model.layers.${i}.mlp.up_proj.weight`

describe('slices', () => {
  test('layers are renumbered; the front comes from the first slice, the end from the last', async () => {
    const { tensors, config: written } = await merged(stack('one, layer_range: [0, 2]', 'two, layer_range: [1, 4]', 'one, layer_range: [1, 2]'))
    expect(tensors).toEqual({
      'model.embed_tokens.weight': 150,
      [layer(0)]: 100,
      [layer(1)]: 101,
      [layer(2)]: 201,
      [layer(3)]: 202,
      [layer(4)]: 203,
      [layer(5)]: 101,
      'model.norm.weight': 160,
      'lm_head.weight': 170,
    })
    expect(written).toMatchObject({ num_hidden_layers: 6, layer_types: ['a0', 'a1', 'b1', 'b2', 'b3', 'a1'] })
  })

  test('slices of no layers choose the front and the end', async () => {
    const { tensors } = await merged(stack('two, layer_range: [0, 0]', 'one, layer_range: [2, 4]', 'two, layer_range: [4, 4]'))
    expect(tensors).toEqual({ 'model.embed_tokens.weight': 250, [layer(0)]: 102, [layer(1)]: 103, 'model.norm.weight': 260, 'lm_head.weight': 270 })
  })

  test('as many layers in another order: lists of config.json follow', async () => {
    const { config: written } = await merged(stack('one, layer_range: [2, 4]', 'one, layer_range: [0, 2]'))
    expect(written).toMatchObject({ num_hidden_layers: 4, layer_types: ['a2', 'a3', 'a0', 'a1'] })
  })

  test('lists of indices follow; a rule by index that may not hold is noted', async () => {
    const { config: written, notes } = await merged(stack('moe, layer_range: [0, 1]', 'moe, layer_range: [2, 4]', 'moe, layer_range: [3, 4]'))
    expect(written).toMatchObject({ num_hidden_layers: 4, mlp_only_layers: [0, 2, 3], decoder_sparse_step: 2 })
    expect(notes).toContain("config.json's decoder_sparse_step tells layers apart by their index, and layer 1 was layer 2: check that it still holds")
  })

  test('gradients begin anew in each slice; a lone layer is at the end of its gradient, what is outside at its beginning', async () => {
    const { tensors } = await merged(`merge_method: linear
parameters: {normalize: false}
slices:
  - sources: [{model: one, layer_range: [0, 3], parameters: {weight: [1, 3]}}]
  - sources: [{model: two, layer_range: [0, 1], parameters: {weight: [5, 7]}}]
`)
    expect(tensors).toEqual({
      'model.embed_tokens.weight': 150,
      [layer(0)]: 100,
      [layer(1)]: 202,
      [layer(2)]: 306,
      [layer(3)]: 1400,
      'model.norm.weight': 1300,
      'lm_head.weight': 1350,
    })
  })

  test('filters of a source see its own tensors’ names, those of the whole merge the output’s', async () => {
    const { tensors } = await merged(`merge_method: task_arithmetic
base_model: one
slices:
  - sources: [{model: one, layer_range: [0, 1]}, {model: two, layer_range: [3, 4], parameters: {weight: [{filter: layers.3., value: 1}, {value: 0}]}}]
  - sources: [{model: one, layer_range: [0, 1]}, {model: two, layer_range: [3, 4], parameters: {weight: 1}}]
parameters: {lambda: [{filter: layers.1., value: 2}, {value: 1}]}
`)
    expect([tensors[layer(0)], tensors[layer(1)]]).toEqual([100 + 103, 100 + 2 * 103])
  })

  test('a head that only some models have: the last slice’s tied embedding is written out', async () => {
    const { tensors, config: written, notes } = await merged(stack('one, layer_range: [0, 1]', 'tied, layer_range: [3, 4]'))
    expect(tensors).toEqual({ 'model.embed_tokens.weight': 150, [layer(0)]: 100, [layer(1)]: 303, 'model.norm.weight': 360, 'lm_head.weight': 350 })
    expect(written).toMatchObject({ tie_word_embeddings: false })
    expect(notes).toContain('tied has no output head of its own: its embedding takes part as the head, as its config.json ties the two')
  })

  test('two tied models stay tied', async () => {
    const { tensors, config: written } = await merged(stack('tied, layer_range: [0, 1]', 'tied, layer_range: [0, 1]'))
    expect(Object.keys(tensors)).toEqual(['model.embed_tokens.weight', layer(0), layer(1), 'model.norm.weight'])
    expect(written).toMatchObject({ tie_word_embeddings: true, num_hidden_layers: 2 })
  })

  test('an unlisted architecture: what was assumed', async () => {
    const { config: written, notes } = await merged(stack('unlisted, layer_range: [0, 2]', 'unlisted, layer_range: [1, 2]'))
    expect(written).toMatchObject({ n_layers: 3 })
    expect(notes).toContain(
      'ToyForCausalLM is not one that Merganser knows; by the names, its layers are 2 in model.layers; before them: model.embed_tokens.weight; after them: model.norm.weight, lm_head.weight',
    )
  })

  test('a layer that config.json does not count is none: it has no place in slices or gradients', async () => {
    const { tensors, config: written, notes } = await merged(stack('deepseek, layer_range: [0, 3]', 'deepseek, layer_range: [2, 3]'))
    expect(tensors).toEqual({
      'model.embed_tokens.weight': 450,
      [layer(0)]: 400,
      [layer(1)]: 401,
      [layer(2)]: 402,
      [layer(3)]: 402,
      'model.norm.weight': 460,
      'lm_head.weight': 470,
    })
    expect(written).toMatchObject({ num_hidden_layers: 4 })
    expect(notes).toContain('deepseek: 1 tensor of layers that its config.json does not count is left out of the slices, e.g. model.layers.3.mlp.up_proj.weight')
    const whole = await merged('merge_method: linear\nmodels: [{model: deepseek, parameters: {weight: [1, 3]}}]\nparameters: {normalize: false}\n')
    expect([tensors, whole.tensors].map(t => Object.keys(t).length)).toEqual([7, 7])
    expect([0, 1, 2, 3].map(i => whole.tensors[layer(i)])).toEqual([400, 802, 1206, 403])
  })

  test('in an expression, of arithmetic too', async () => {
    const models = { one: 'one', two: 'two' }
    const recipe = parse('stack(layers(one, 0, 1), layers(one + [0, 1]*(two - one), 1, 4))', { models })
    const merge = plan(recipe, await openModels(recipe, { from: [folder] }), { threads: 1 })
    const sink = memorySink()
    for await (const _ of execute(merge, sink)) {
      // only the result matters
    }
    const value = (name: string): number => {
      const { at } = merge.outputs[0]!.tensors.find(t => t.name === name)!
      return decode('F32', sink.files.get('model.safetensors')!.slice(at, at + 4))[0]!
    }
    expect(value(layer(0))).toBe(100)
    expect(value(layer(1))).toBeCloseTo(101 + 100 / 3, 4) // layer 1 of 4: the gradient runs over the layers of the model
    expect(value(layer(3))).toBe(203)
    expect(value('lm_head.weight')).toBe(170)
  })
})

test('embedding and head of different vocabularies are refused', async () => {
  const text = `merge_method: passthrough
slices:
  - sources: [{model: ./models/tok-a, layer_range: [0, 1]}]
  - sources: [{model: ./models/tok-b, layer_range: [1, 2]}]
`
  await expect(planInGolden(text, 'mixed')).rejects.toThrow(
    'model.embed_tokens.weight has 48 rows and lm_head.weight 53: they come from models of different vocabularies, ./models/tok-a and ./models/tok-b',
  )
  const ended = await planInGolden(`${text}  - sources: [{model: ./models/tok-a, layer_range: [2, 2]}]\n`, 'ended')
  expect(ended.tasks.length).toBe(21)
})

describe('models whose names differ by the prefix of their family', () => {
  test('are one kind', async () => {
    const { tensors } = await merged('merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: gpt2}, {model: gpt2-bare}]\n')
    expect(tensors).toEqual({ 'transformer.wte.weight': 700, 'transformer.h.0.ln_1.weight': 650, 'transformer.h.1.ln_1.weight': 651, 'transformer.ln_f.weight': 710 })
  })

  test('stack in the spelling of the first', async () => {
    const { tensors } = await merged(stack('gpt2-bare, layer_range: [0, 1]', 'gpt2, layer_range: [0, 2]'))
    expect(tensors).toEqual({ 'wte.weight': 750, 'h.0.ln_1.weight': 700, 'h.1.ln_1.weight': 600, 'h.2.ln_1.weight': 601, 'ln_f.weight': 660 })
  })
})

describe('modules', () => {
  const modules = (encoder: string, decoder = '{models: [{model: t5-9}]}', shared = '{models: [{model: t5-8}]}'): string =>
    `merge_method: passthrough\nmodules:\n  encoder: ${encoder}\n  decoder: ${decoder}\n  shared: ${shared}\n`

  test('each tensor is its module’s; what stands in the first layer for all of them stays there', async () => {
    const { tensors, config: written } = await merged(modules('{slices: [{sources: [{model: t5-8, layer_range: [1, 2]}]}, {sources: [{model: t5-9, layer_range: [0, 2]}]}]}'))
    expect(tensors).toEqual({
      'shared.weight': 850,
      'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': 855,
      'encoder.block.0.layer.0.layer_norm.weight': 801,
      'encoder.block.1.layer.0.layer_norm.weight': 900,
      'encoder.block.2.layer.0.layer_norm.weight': 901,
      'encoder.final_layer_norm.weight': 960,
      'decoder.block.0.layer.0.layer_norm.weight': 980,
      'decoder.final_layer_norm.weight': 990,
    })
    expect(written).toMatchObject({ num_layers: 3, num_decoder_layers: 1 })
  })

  test('modules may be called as stacks are', async () => {
    const { tensors } = await merged(
      'merge_method: passthrough\nmodules:\n  default: {models: [{model: t5-8}]}\n  encoder.block: {models: [{model: t5-8}]}\n  decoder.block: {models: [{model: t5-9}]}\n',
    )
    expect(tensors).toMatchObject({ 'decoder.block.0.layer.0.layer_norm.weight': 980, 'decoder.final_layer_norm.weight': 890 })
  })

  test('slices of no layers, where a module has none', async () => {
    const slice = '{slices: [{sources: [{model: t5-9, layer_range: [0, 0]}]}]}'
    expect((await merged(modules('{models: [{model: t5-8}]}', undefined, slice))).tensors['shared.weight']).toBe(950)
  })
})

describe('laws', () => {
  const LAYERS = 3 // of the golden models

  // Cutting a merge into slices and stacking them again is the same merge, when no parameter is a gradient.
  test.each([
    ['linear', 'weight: 0.4', []],
    ['ties', 'weight: 0.7, density: 0.5', ['./models/base']],
    ['task_arithmetic', 'weight: 0.3, lambda: 1.5', ['./models/base']],
  ])('%s cut into slices', async (method, parameters, base) => {
    const models = [...base, './models/ft2', './models/ft4']
    const head = `merge_method: ${method}\nparameters: {${parameters}}\n${base.length > 0 ? `base_model: ${base[0]}\n` : ''}`
    const whole = await mergeInMemory(`${head}models: [${models.map(m => `{model: ${m}}`).join(', ')}]\n`, 'whole')
    const cuts = fc.uniqueArray(fc.integer({ min: 0, max: LAYERS }), { maxLength: 4 }).map(c => [0, ...c.sort((a, b) => a - b), LAYERS])
    await fc.assert(
      fc.asyncProperty(cuts, async bounds => {
        const slices = bounds.slice(1).map((end, i) => `  - sources: [${models.map(m => `{model: ${m}, layer_range: [${bounds[i]}, ${end}]}`).join(', ')}]\n`)
        const sliced = await mergeInMemory(`${head}slices:\n${slices.join('')}`, 'sliced')
        expect([...sliced.keys()].sort()).toEqual([...whole.keys()].sort())
        for (const [name, { bytes }] of whole) expect(Buffer.from(sliced.get(name)!.bytes).equals(Buffer.from(bytes)), name).toBe(true)
      }),
      { numRuns: 8 },
    )
  })

  test('a stage in the pass is the stage written out in float32 and read again', () => {
    const first = `merge_method: ties\nbase_model: ./models/base\nmodels: [{model: ./models/ft2}, {model: ./models/ft3}]\nparameters: {weight: [0.9, 0.2], density: 0.5}\n`
    const second = (stage: string) =>
      `merge_method: slerp\nbase_model: ./models/ft4\nslices: [{sources: [{model: ${stage}, layer_range: [0, 2]}, {model: ./models/ft4, layer_range: [1, 3]}]}]\nparameters: {t: [0.2, 0.7]}\n`
    writeFiles(folder, { 'first.yml': first, 'second.yml': second(join(folder, 'first')), 'both.yml': `name: first\n${first}---\n${second('first')}` })
    for (const name of ['first', 'second', 'both']) expect(merganser(GOLDEN, 'merge', join(folder, `${name}.yml`), join(folder, name)).status).toBe(0)
    const tensors = (name: string): Buffer => {
      const bytes = readFileSync(join(folder, name, 'model.safetensors'))
      return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)))
    }
    expect(tensors('both').equals(tensors('second'))).toBe(true)
  })

  test('random numbers of a stage are not those of the merge around it', async () => {
    const dare = (model: string): string =>
      `merge_method: dare_linear\nbase_model: ./models/base\nmodels: [{model: ${model}, parameters: {weight: 1, density: 0.5}}]\nparameters: {rescale: false}\n`
    const once = await mergeInMemory(dare('./models/ft2'), 'once')
    const twice = await mergeInMemory(`name: inner\n${dare('./models/ft2')}---\n${dare('inner')}`, 'twice')
    const base = await mergeInMemory('merge_method: passthrough\nmodels: [{model: ./models/base}]\n', 'base')
    const name = 'model.embed_tokens.weight'
    const values = (merge: typeof base) => decode('F32', merge.get(name)!.bytes)
    const kept = (merge: typeof base): number => values(merge).filter((v, i) => v !== values(base)[i]).length / values(merge).length
    expect(kept(once)).toBeGreaterThan(0.4)
    expect(kept(twice)).toBeLessThan(0.35) // a quarter, where the same numbers again would keep the half that was kept
  })
})
