import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { open } from '../src/checkpoint/checkpoint.ts'
import { divisionsOf } from '../src/checkpoint/divisions.ts'
import { embeddingOf, findTensor, tokenAxis } from '../src/checkpoint/find.ts'
import { type Renaming, renameTensors } from '../src/checkpoint/renamed.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'
import { f32, type Written, writeModel } from './command.ts'
import { temporaryFolder } from './front.ts'

// What is known of a model's family follows its tensors to their new names.

const folder = temporaryFolder()
const NONE: Renaming = { strip: null, regex: [], layers: null, add: null }
const layers = (prefix: string, count: number): Record<string, Written> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}.${i}.w`, f32([i])]))

writeModel(
  join(folder, 'gpt2'),
  { 'transformer.wte.weight': f32([1, 2], [2, 1]), ...layers('transformer.h', 3), 'transformer.ln_f.weight': f32([1]) },
  { 'config.json': '{"model_type": "gpt2", "n_layer": 2}' },
)
writeModel(
  join(folder, 'llava'),
  {
    ...layers('vision_tower.encoder.layers', 2),
    'multi_modal_projector.weight': f32([1]),
    'language_model.model.embed_tokens.weight': f32([1, 2], [2, 1]),
    ...layers('language_model.model.layers', 3),
    'language_model.model.norm.weight': f32([1]),
  },
  { 'config.json': '{"model_type": "llava", "text_config": {"num_hidden_layers": 3}}' },
)

describe('a model of a known family', () => {
  test('its embedding still serves as its head, and config.json still counts its layers', async () => {
    const view = renameTensors(await open(join(folder, 'gpt2')), { ...NONE, regex: [{ from: '^transformer\\.h\\.', to: 'model.layers.' }], add: 'x.' })
    expect([...view.tensors.keys()]).toEqual(['x.transformer.wte.weight', 'x.model.layers.0.w', 'x.model.layers.1.w', 'x.model.layers.2.w', 'x.transformer.ln_f.weight'])
    expect(findTensor(view, 'x.lm_head.weight')).toMatchObject({ as: 'embedding', tensor: { name: 'x.transformer.wte.weight' } })
    expect(embeddingOf(view)?.name).toBe('x.transformer.wte.weight')
    expect(tokenAxis(view, 'x.transformer.wte.weight')).toBe('rows')
    expect([...view.layers.stacks]).toEqual([['x.model.layers', 2]])
    expect(view.layers.of('x.model.layers.2.w')).toBe(null) // config.json does not count it
    expect(view.renamed?.get('x.model.layers.1.w')).toBe('transformer.h.1.w')
  })

  test('its parts are told by the new names', async () => {
    const view = renameTensors(await open(join(folder, 'llava')), { ...NONE, strip: 'language_model.', layers: { of: null, skip: [1], gaps: [], map: null } })
    const division = divisionsOf(view)[0]!
    expect([...view.layers.stacks]).toEqual([
      ['vision_tower.encoder.layers', 2],
      ['model.layers', 2],
    ])
    expect(division.modules.map(name => [name, division.stackOf(name)])).toEqual([
      ['multi_modal_projector', null],
      ['vision_tower', 'vision_tower.encoder.layers'],
      ['text_decoder', 'model.layers'],
    ])
    expect(division.of('model.norm.weight')).toBe('text_decoder')
    expect([...view.tensors.keys()].filter(name => name.includes('skipped'))).toEqual(['model.layers.skipped.1.w'])
  })

  test('its layers can be put together where another model gives the names', async () => {
    writeModel(join(folder, 'plain'), { 'wte.weight': f32([1, 2], [2, 1]), ...layers('h', 2), 'ln_f.weight': f32([1]) }, { 'config.json': '{"model_type": "gpt2", "n_layer": 2}' })
    const recipe = (merge: string) => parse(`models: { p: plain, g: { path: gpt2, rename: { strip: transformer. } } }\nmerge: ${merge}\n`)
    const planned = async (merge: string) => plan(recipe(merge), await openModels(recipe(merge), { from: [folder] }))
    const { tasks } = await planned('stack(layers(p, 0, 1), layers(g, 0, 2))')
    expect(tasks.map(task => task.name).toSorted()).toEqual(['h.0.w', 'h.1.w', 'h.2.w', 'ln_f.weight', 'wte.weight'])
    await expect(planned('stack(layers(g, 0, 1), layers(p, 0, 2))')).rejects.toThrow('g is renamed, and layers that are put together would have no names in its own way')
  })
})
