import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { execute } from '../src/execute/execute.ts'
import { compareModels } from '../src/plan/comparison.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { recipeText } from '../src/plan/provenance.ts'
import { type ParseOptions, parse } from '../src/recipe/parse.ts'
import type { Recipe } from '../src/recipe/recipe.ts'
import { f32, merganser, numbersOf, readModel, type Written, writeModel } from './command.ts'
import { REPOSITORY, temporaryFolder } from './front.ts'

// Models whose tensors have other names, layers or vocabularies than each other's.

async function merge(recipe: string, folder: string, options: ParseOptions = {}): Promise<Record<string, readonly number[]>> {
  const parsed = parse(recipe, options)
  const out = join(folder, 'out')
  for await (const _ of execute(plan(parsed, await openModels(parsed, { from: [folder] })), folderSink(out, { force: true })));
  return numbersOf(out)
}

const tensors = (names: Readonly<Record<string, number>>): Record<string, Written> => Object.fromEntries(Object.entries(names).map(([name, value]) => [name, f32([value])]))

describe('rename', () => {
  const folder = temporaryFolder()
  writeModel(join(folder, 'plain'), tensors({ 'model.layers.0.w': 1, 'model.layers.1.w': 2, 'model.norm.w': 4 }))
  writeModel(join(folder, 'tower'), tensors({ 'language_model.layers.0.w': 10, 'language_model.layers.1.w': 20, 'language_model.norm.w': 40 }))
  writeModel(join(folder, 'tall'), tensors({ 'model.layers.0.w': 10, 'model.layers.1.cross': 5, 'model.layers.2.w': 20, 'model.norm.w': 40 }))

  test('strips and adds beginnings; the output has the names of the model that gives config.json', async () => {
    const recipe = (merge: string): string => `models:
  plain: plain
  tower: { path: tower, rename: { strip: 'language_model.', add: 'model.' } }
merge: ${merge}
`
    expect(await merge(recipe('0.5*plain + 0.5*tower'), folder)).toEqual({ 'model.layers.0.w': [5.5], 'model.layers.1.w': [11], 'model.norm.w': [22] })
    expect(await merge(recipe('0.5*tower + 0.5*plain'), folder)).toEqual({ 'language_model.layers.0.w': [5.5], 'language_model.layers.1.w': [11], 'language_model.norm.w': [22] })
  })

  test('from the command line', async () => {
    const models = ['--model', `plain=${join(folder, 'plain')}`, '--model', `tower=${join(folder, 'tower')}`]
    const rename = "tower={strip: language_model., add: 'model.'}"
    const { code, stderr } = await merganser(['merge', '0.5*plain + 0.5*tower', 'by-flag', ...models, '--rename', rename], folder)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await numbersOf(join(folder, 'by-flag'))).toEqual({ 'model.layers.0.w': [5.5], 'model.layers.1.w': [11], 'model.norm.w': [22] })
    const formula = await merganser(['plan', '0.5*tower + 0.5*plain', ...models, '--rename', rename, '--formula', '--tensor', 'language_model.norm.w'], folder)
    expect(formula.stdout).toBe('out = 0.5 * tower + 0.5 * plain\n')
    const wrong = await merganser(['plan', '0.5*plain + 0.5*tower', ...models, '--rename', 'tower={stripe: a}'], folder)
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('error: unknown key "stripe"\n  at rename of tower:1:2\n') as string })
    const nothing = await merganser(['plan', '0.5*plain + 0.5*tower', ...models, '--rename', 'tower'], folder)
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('--rename "tower" is not NAME={…}') as string })
  })

  test('counts layers anew: skipped in one direction, with gaps in the other, or by a map', async () => {
    const rules = (action: string): string => `rules: [{ tensors: '*cross', ${action} }]`
    const given = (model: 'plain' | 'tall', layers: string, merge: string, action: string): string => {
      const path = (name: string): string => (name === model ? `{ path: ${name}, rename: { layers: ${layers} } }` : name)
      return `models: { plain: ${path('plain')}, tall: ${path('tall')} }\nmerge: ${merge}\n${rules(action)}\n`
    }
    const tall = { 'model.layers.0.w': [5.5], 'model.layers.1.cross': [5], 'model.layers.2.w': [11], 'model.norm.w': [22] }
    expect(await merge(given('plain', '{ gaps: [1] }', '0.5*tall + 0.5*plain', 'from: tall'), folder)).toEqual(tall)
    expect(await merge(given('plain', '{ map: { 0: 0, 1: 2 } }', '0.5*tall + 0.5*plain', 'from: tall'), folder)).toEqual(tall)
    expect(await merge(given('tall', '{ skip: [1] }', '0.5*tall + 0.5*plain', 'from: tall'), folder)).toEqual(tall)
    expect(await merge(given('tall', '{ skip: [1] }', '0.5*plain + 0.5*tall', 'drop: true'), folder)).toEqual({
      'model.layers.0.w': [5.5],
      'model.layers.1.w': [11],
      'model.norm.w': [22],
    })
  })
})

/** Holds a pair in the shape of a text reward model and a vision-language model. */
const pictures = temporaryFolder()

describe('a text reward model and a vision-language model', () => {
  // The decoder of the second has two layers more, for cross-attention, and a token more, for the picture.
  const folder = pictures
  const norms = (prefix: string, layers: readonly number[], first: number): Record<string, Written> =>
    Object.fromEntries(
      layers.flatMap((layer, i) => [
        [`${prefix}.${layer}.input_layernorm.weight`, f32([first + i, 0])],
        [`${prefix}.${layer}.mlp.up_proj.weight`, f32([first + i, 1, 2, 3, 4, 5], [3, 2])],
      ]),
    )
  const cross = (layer: number): Record<string, Written> => ({
    [`language_model.model.layers.${layer}.cross_attn.q_proj.weight`]: f32([layer, 1, 1, 1], [2, 2]),
    [`language_model.model.layers.${layer}.mlp.up_proj.weight`]: f32([layer, 9, 9, 9, 9, 9], [3, 2]),
  })
  const tokens = (list: readonly string[]): Record<string, string> => ({
    'tokenizer.json': JSON.stringify({ added_tokens: [], model: { type: 'WordLevel', vocab: Object.fromEntries(list.map((token, id) => [token, id])), unk_token: 'a' } }),
  })
  writeModel(
    join(folder, 'models/rm'),
    {
      'model.embed_tokens.weight': f32([10, 10, 12, 12], [2, 2]),
      ...norms('model.layers', [0, 1, 2, 3], 100),
      'model.norm.weight': f32([8, 8]),
      'score.weight': f32([5, 6], [1, 2]),
    },
    { 'config.json': '{"architectures": ["LlamaForSequenceClassification"], "model_type": "llama", "num_hidden_layers": 4, "vocab_size": 2}', ...tokens(['a', 'b']) },
  )
  writeModel(
    join(folder, 'models/vlm'),
    {
      'language_model.model.embed_tokens.weight': f32([20, 20, 24, 24, 7, 7], [3, 2]),
      ...norms('language_model.model.layers', [0, 2, 3, 5], 200),
      ...cross(1),
      ...cross(4),
      'language_model.model.norm.weight': f32([4, 4]),
      'language_model.lm_head.weight': f32([1, 2, 3, 4, 5, 6], [3, 2]),
      'vision_model.layers.0.w': f32([1]),
      'vision_model.layers.1.w': f32([2]),
      'multi_modal_projector.weight': f32([3]),
    },
    { 'config.json': '{"architectures": ["Picture"], "text_config": {"num_hidden_layers": 6, "vocab_size": 3}}', ...tokens(['b', 'a', '<image>']) },
  )
  const recipe = (more: string, rm = 'models/rm'): string => `models:\n  vlm: models/vlm\n  rm: ${rm}\nmerge: 0.5*vlm + 0.5*rm\n${more}`
  const proposed = `{ path: "models/rm", rename: { layers: { gaps: [1, 4] }, add: "language_model." } }`

  test('plan says how their names would meet, and what is left to say; merge names plan', async () => {
    writeFileSync(join(folder, 'recipe.yml'), recipe(''))
    const { code, stdout, stderr } = await merganser(['plan', 'recipe.yml'], folder)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: /)
    expect(stdout).toContain(`proposal: 10 tensors of rm meet those of vlm, not 0, when it is renamed\n  rm: ${proposed}\n`)
    expect(stdout).toContain('proposal: the vocabularies differ: merge the rows of tokens that all models share\n  vocab: common\n')
    const rules = stdout.slice(stdout.indexOf('  rules:')).trimEnd().replace(/^ {2}/gm, '')
    expect(rules.split('\n').toSorted()).toEqual(
      [
        'rules:',
        "  - { tensors: 'language_model.model.layers.{1,4}.*', from: vlm } # not in rm",
        "  - { tensors: 'language_model.lm_head.weight', from: vlm } # not in rm",
        "  - { tensors: 'vision_model.*', from: vlm } # not in rm",
        "  - { tensors: 'multi_modal_projector.weight', from: vlm } # not in rm",
        "  - { tensors: 'language_model.score.weight', drop: true } # vlm has none; or `from: rm`",
      ].toSorted(),
    )
    const merged = await merge(recipe(`vocab: common\n${rules}\n`, proposed), folder) // what is proposed can be run
    expect(merged['language_model.lm_head.weight']).toEqual([1, 2, 3, 4, 5, 6])
    const refused = await merganser(['merge', 'recipe.yml', 'nothing'], folder)
    expect(refused.stderr).toMatch(/fix: .*; `merganser plan` shows which tensors match, and what to write\n$/)
  })

  test('merged: layers under their shifted indices, rows by token, the picture’s tower as it was, the head of the reward model', async () => {
    const rules = `rules:
  - { tensors: '{vision_model,multi_modal_projector}.*', from: vlm }
  - { tensors: '*.layers.{1,4}.*', from: vlm }
  - { tensors: '*.score.*', from: rm }
  - { tensors: '*.lm_head.*', drop: true }
`
    expect(await merge(recipe(`vocab: common\n${rules}`, proposed), folder)).toEqual({
      'language_model.model.embed_tokens.weight': [16, 16, 17, 17, 7, 7], // b, a, and the picture's own
      ...Object.fromEntries(
        [0, 2, 3, 5].flatMap((layer, i) => [
          [`language_model.model.layers.${layer}.input_layernorm.weight`, [150 + i, 0]],
          [`language_model.model.layers.${layer}.mlp.up_proj.weight`, [150 + i, 1, 2, 3, 4, 5]],
        ]),
      ),
      ...Object.fromEntries(
        [1, 4].flatMap(layer => [
          [`language_model.model.layers.${layer}.cross_attn.q_proj.weight`, [layer, 1, 1, 1]],
          [`language_model.model.layers.${layer}.mlp.up_proj.weight`, [layer, 9, 9, 9, 9, 9]],
        ]),
      ),
      'language_model.model.norm.weight': [6, 6],
      'language_model.score.weight': [5, 6],
      'vision_model.layers.0.w': [1],
      'vision_model.layers.1.w': [2],
      'multi_modal_projector.weight': [3],
    })
  })

  test('the other way round: the reward model keeps its form, and the cross-attention is left out', async () => {
    const other = `models:
  rm: models/rm
  vlm: { path: models/vlm, rename: { strip: 'language_model.', layers: { skip: [1, 4] } } }
merge: 0.5*rm + 0.5*vlm
vocab: common
rules:
  - { tensors: '*.skipped.*', drop: true }
  - { tensors: '{vision_model,multi_modal_projector,lm_head}.*', drop: true }
  - { tensors: score.*, from: rm }
`
    const out = await merge(other, folder)
    expect(out['model.embed_tokens.weight']).toEqual([17, 17, 16, 16])
    expect(out['model.layers.3.mlp.up_proj.weight']).toEqual([153, 1, 2, 3, 4, 5])
    expect(Object.keys(out)).toHaveLength(1 + 8 + 1 + 1)
  })
})

describe('what only some models have', () => {
  const folder = temporaryFolder()
  const config = (tied: boolean): Record<string, string> => ({
    'config.json': JSON.stringify({ model_type: 'llama', architectures: ['LlamaForCausalLM'], tie_word_embeddings: tied }),
  })
  const embedding = (value: number): Record<string, Written> => ({ 'model.embed_tokens.weight': f32([value, value], [2, 1]) })
  writeModel(join(folder, 'tied'), { ...embedding(2), 'model.norm.weight': f32([2]) }, config(true))
  writeModel(join(folder, 'untied'), { ...embedding(4), 'model.norm.weight': f32([4]), 'lm_head.weight': f32([8, 8], [2, 1]) }, config(false))
  writeModel(join(folder, 'extra'), { ...embedding(6), 'model.norm.weight': f32([6]), 'lm_head.weight': f32([6, 6], [2, 1]), 'model.extra.weight': f32([1]) }, config(false))
  const buffered = (value: number): Record<string, Written> => ({ ...embedding(value), 'model.ids': { dtype: 'I64', shape: [1], values: [value, 0, 0, 0, 0, 0, 0, 0] } })
  writeModel(join(folder, 'buffer-a'), buffered(2), config(true))
  writeModel(join(folder, 'buffer-b'), buffered(4), config(true))

  async function compared(text: string): Promise<ReturnType<typeof compareModels>> {
    const recipe = parse(text)
    return compareModels(recipe, await openModels(recipe, { from: [folder] }))
  }
  const linesOf = async (text: string): Promise<readonly (readonly unknown[])[]> =>
    (await compared(text))!.lines.map(({ tensors: pattern, in: holders, tied, outcome, from }) => [pattern, holders.join(), tied.join(), outcome, from])

  test('a tied embedding serves as the head, once; with skip the output goes without', async () => {
    const recipe = 'models: { t: tied, u: untied }\nmerge: 0.5*t + 0.5*u\n'
    expect(await linesOf(recipe)).toEqual([
      ['model.*', 't,u', '', 'merged', null],
      ['lm_head.weight', 't,u', 't', 'merged', null],
    ])
    expect((await merge(recipe, folder))['lm_head.weight']).toEqual([5, 5])
    expect(JSON.parse(readFileSync(join(folder, 'out/config.json'), 'utf8'))).toMatchObject({ tie_word_embeddings: false })
    expect(await linesOf(`${recipe}vocab: skip\n`)).toEqual([
      ['model.embed_tokens.weight', 't,u', '', 'copied', 't'],
      ['model.norm.weight', 't,u', '', 'merged', null],
      ['lm_head.weight', 't,u', 't', 'dropped', null],
    ])
    expect(await merge(`${recipe}vocab: skip\n`, folder)).toEqual({ 'model.embed_tokens.weight': [2, 2], 'model.norm.weight': [3] })
    expect(JSON.parse(readFileSync(join(folder, 'out/config.json'), 'utf8'))).toMatchObject({ tie_word_embeddings: true })
  })

  test('a tensor too many is an error until a rule says what becomes of it', async () => {
    const recipe = 'models: { u: untied, e: extra }\nmerge: 0.5*u + 0.5*e\n'
    await expect(merge(recipe, folder)).rejects.toThrow('model.extra.weight: in e, but not in u')
    expect((await compared(recipe))!.proposals).toEqual([
      { why: 'say what becomes of the tensors that not all models have alike', lines: ['rules:', "  - { tensors: 'model.extra.weight', drop: true } # u has none; or `from: e`"] },
    ])
    expect(await linesOf(`${recipe}rules: [{ tensors: model.extra.weight, from: e }]\n`)).toContainEqual(['model.extra.weight', 'e', '', 'copied', 'e'])
    expect((await merge(`${recipe}rules: [{ tensors: model.extra.weight, from: e }]\n`, folder))['model.extra.weight']).toEqual([1])
    expect(await merge(`${recipe}rules: [{ tensors: model.extra.weight, drop: true }]\n`, folder)).not.toHaveProperty(['model.extra.weight'])
  })

  test('a tensor too few in one of three is not averaged over two', async () => {
    await expect(merge('models: { u: untied, e: extra, f: extra }\nmerge: linear(u, e, f)\n', folder)).rejects.toThrow('model.extra.weight: in e, f, but not in u')
    const kept = 'models: { e: extra, f: extra, u: untied }\nmerge: linear(e, f, u)\n'
    expect((await compared(kept))!.proposals[0]!.lines).toEqual(['rules:', "  - { tensors: 'model.extra.weight', from: e } # not in u"])
  })

  test('whole numbers are the first model’s', async () => {
    const recipe = 'models: { a: buffer-a, b: buffer-b }\nmerge: 0.5*a + 0.5*b\n'
    expect(await linesOf(recipe)).toContainEqual(['model.ids', 'a,b', '', 'copied', 'a'])
    await merge(recipe, folder)
    expect((await readModel(join(folder, 'out')))['model.ids']!.values).toEqual([2, 0, 0, 0, 0, 0, 0, 0])
  })

  test('recipes that put layers together, and single models, have no table', async () => {
    expect(await compared('models: { u: untied }\nmerge: u\n')).toBe(null)
    expect(
      await compared('merge_method: passthrough\nslices: [{ sources: [{ model: buffer-a, layer_range: [0, 0] }] }, { sources: [{ model: buffer-b, layer_range: [0, 0] }] }]\n'),
    ).toBe(null)
  })

  test('as JSON, beside the plan or the error', async () => {
    const models = ['--model', 'u=untied', '--model', 'e=extra', '--json']
    const good = await merganser(['plan', 'u + 0*(u - u)', '--model', 'u=untied', '--json'], folder)
    expect(JSON.parse(good.stdout)).toMatchObject({ comparison: null })
    const bad = await merganser(['plan', '0.5*u + 0.5*e', ...models], folder)
    expect(bad.code).toBe(1)
    expect(JSON.parse(bad.stdout)).toMatchObject({
      comparison: { models: ['u', 'e'], proposals: [{}] },
      error: { what: 'model.extra.weight: in e, but not in u', where: 'expression' },
    })
  })
})

describe('a recipe that is kept in the output', () => {
  test.each([
    [
      'names',
      '0.5*vlm + 0.5*rm',
      { rename: { vlm: { strip: 'language_model.', layers: { skip: [1, 4] }, regex: [{ from: '^(model)\\.', to: '$1.' }], add: 'm.' }, rm: { add: 'm.' } } },
    ],
    ['vocabularies', 'vlm + 0*(vlm - vlm)', { vocab: 'common' }],
  ] as const)('says the same of %s', async (_, text, more) => {
    const recipe = parse(text, { models: { vlm: 'models/vlm', ...(text.includes('rm') ? { rm: 'models/rm' } : {}) }, ...more })
    const again = parse(recipeText(recipe))
    const plainly = (models: Recipe['models']) => Object.values(models).map(({ path, rename }) => ({ path, rename: rename && { ...rename, at: null } }))
    expect(plainly(again.models)).toEqual(plainly(recipe.models))
    expect(again.vocabulary?.policy).toBe(recipe.vocabulary?.policy)
  })
})

test('an adapter is renamed with the model that it is for', async () => {
  const folder = temporaryFolder()
  const adapters = new Set(['math'])
  const models = { base: 'zoo/text/base', math: 'zoo/text/math-lora' }
  const bytes = async (options: ParseOptions): Promise<Buffer> => {
    const recipe = parse('base + 0.5*math', { models, adapters, ...options })
    for await (const _ of execute(plan(recipe, await openModels(recipe, { from: [REPOSITORY] })), folderSink(join(folder, 'out'), { force: true })));
    return readFileSync(join(folder, 'out/model.safetensors'))
  }
  const dataOf = (file: Buffer): Buffer => file.subarray(8 + Number(file.readBigUInt64LE(0)))
  expect(dataOf(await bytes({ rename: { base: { add: 'lm.' } } })).equals(dataOf(await bytes({})))).toBe(true)
  expect(() => parse('base + 0.5*math', { models, adapters, rename: { math: { add: 'lm.' } } })).toThrow(
    'math is an adapter, and goes by the names of the model that the merge builds on',
  )
})

describe('docs/structure.md', () => {
  for (const [name, end] of Object.entries({ base: '</s>', chat: '<eos>' })) {
    const tokenizer = { added_tokens: [], model: { type: 'WordLevel', vocab: { a: 0, [end]: 1 }, unk_token: 'a' } }
    writeModel(join(pictures, 'models', name), { 'model.embed_tokens.weight': f32([1, 2], [2, 1]) }, { 'tokenizer.json': JSON.stringify(tokenizer) })
  }
  const blocks = [...readFileSync(join(REPOSITORY, 'docs/structure.md'), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text!)

  test('has recipes', () => expect(blocks).toHaveLength(4))
  test.each(blocks)('%s', async text => {
    const recipe = parse(text)
    const { tasks } = plan(recipe, await openModels(recipe, { from: [pictures, REPOSITORY] }))
    expect(tasks.length).toBeGreaterThan(0)
  })

  test('a reward model and a language model: decoders mixed, the reward head bit for bit', async () => {
    const folder = temporaryFolder()
    const recipe = parse(blocks[0]!)
    for await (const _ of execute(plan(recipe, await openModels(recipe, { from: [REPOSITORY] })), folderSink(join(folder, 'out'))));
    const [out, rm, code] = await Promise.all([join(folder, 'out'), ...['rm', 'code'].map(name => join(REPOSITORY, 'zoo/text', name))].map(readModel))
    expect(out!['score.weight']).toEqual(rm!['score.weight'])
    expect(Object.keys(out!).toSorted()).toEqual(Object.keys(rm!).toSorted())
    for (const name of ['model.norm.weight', 'model.embed_tokens.weight', 'model.layers.2.mlp.up_proj.weight']) {
      const error = out![name]!.values.map((value, i) => Math.abs(value - (0.7 * rm![name]!.values[i]! + 0.3 * code![name]!.values[i]!)) / (Math.abs(value) + 1e-3))
      expect(error.reduce((a, b) => Math.max(a, b))).toBeLessThan(2 ** -8) // half a unit of bfloat16, which has 8 bits
    }
  })
})
