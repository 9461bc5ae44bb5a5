import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { execute } from '../src/execute/execute.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { type ParseOptions, parse } from '../src/recipe/parse.ts'
import { f32, merganser, numbersOf, type Written, writeModel } from './command.ts'
import { temporaryFolder } from './front.ts'

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

describe('a text reward model and a vision-language model', () => {
  // The decoder of the second has two layers more, for cross-attention, and a token more, for the picture.
  const folder = temporaryFolder()
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
    join(folder, 'rm'),
    {
      'model.embed_tokens.weight': f32([10, 10, 12, 12], [2, 2]),
      ...norms('model.layers', [0, 1, 2, 3], 100),
      'model.norm.weight': f32([8, 8]),
      'score.weight': f32([5, 6], [1, 2]),
    },
    { 'config.json': '{"architectures": ["LlamaForSequenceClassification"], "model_type": "llama", "num_hidden_layers": 4, "vocab_size": 2}', ...tokens(['a', 'b']) },
  )
  writeModel(
    join(folder, 'vlm'),
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
  const recipe = (more: string, rm = 'rm'): string => `models:\n  vlm: vlm\n  rm: ${rm}\nmerge: 0.5*vlm + 0.5*rm\n${more}`
  const proposed = `{ path: "rm", rename: { layers: { gaps: [1, 4] }, add: "language_model." } }`

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
  rm: rm
  vlm: { path: vlm, rename: { strip: 'language_model.', layers: { skip: [1, 4] } } }
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
