import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { execute } from '../src/execute/execute.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { type ParseOptions, parse } from '../src/recipe/parse.ts'
import { f32, numbersOf, type Written, writeModel } from './command.ts'
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
