import { expect, test } from 'vitest'
import { layersOf } from '../checkpoint/architecture.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { align } from './align.ts'

/** A model of these tensors, by name and shape. */
const model = (shapes: Readonly<Record<string, readonly number[]>>): Checkpoint => ({
  ref: 'model',
  path: 'model',
  files: [],
  tensors: new Map(Object.entries(shapes).map(([name, shape]) => [name, { name, shape, dtype: 'F32', file: 0, start: 0, end: 0 }])),
  config: null,
  configText: null,
  sidecars: [],
  layers: layersOf(Object.keys(shapes)),
  family: null,
  architecture: null,
})
const layers = (prefix: string, kinds: readonly string[]): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries(kinds.map((kind, i) => [`${prefix}.${i}.${kind}`, [2, 2]]))
const found = (lead: Readonly<Record<string, readonly number[]>>, other: Readonly<Record<string, readonly number[]>>) => align(model(lead), model(other))

const NONE = { strip: null, regex: [], layers: null, add: null }
const self = { ...layers('model.layers', ['self', 'self', 'self']), 'model.norm': [2] }

test.each([
  ['a beginning more', { ...layers('lm.model.layers', ['self', 'self', 'self']), 'lm.model.norm': [2] }, { ...NONE, add: 'lm.' }],
  ['a beginning less', { ...layers('layers', ['self', 'self', 'self']), norm: [2] }, { ...NONE, strip: 'model.' }],
  ['another beginning', { ...layers('transformer.layers', ['self', 'self', 'self']), 'transformer.norm': [2] }, { ...NONE, strip: 'model.', add: 'transformer.' }],
  [
    'layers between',
    { ...layers('model.layers', ['self', 'cross', 'self', 'self', 'cross']), 'model.norm': [2] },
    { ...NONE, layers: { of: null, skip: [], gaps: [1, 4], map: null } },
  ],
  [
    'both',
    { ...layers('lm.model.layers', ['cross', 'self', 'self', 'self']), 'lm.model.norm': [2] },
    { ...NONE, layers: { of: null, skip: [], gaps: [0], map: null }, add: 'lm.' },
  ],
])('the model to meet has %s', (_, lead, renaming) => {
  expect(found(lead, self)).toMatchObject({ renamings: [renaming], matched: 4 })
})

test('layers that the model to meet lacks are skipped', () => {
  const other = layers('model.layers', ['self', 'cross', 'self', 'cross', 'self'])
  expect(found({ ...layers('model.layers', ['self', 'self', 'self']) }, other)).toEqual({
    renamings: [{ ...NONE, layers: { of: null, skip: [1, 3], gaps: [], map: null } }],
    matched: 3,
    before: 2,
  })
})

test('nothing is proposed where nothing is gained, or where layers cannot be told apart', () => {
  expect(found(self, self)).toBe(null)
  expect(found(self, { unlike: [3] })).toBe(null)
  expect(found(layers('model.layers', ['self', 'self', 'self', 'self']), layers('model.layers', ['self', 'self', 'self']))).toBe(null)
})

test('two towers that fit alike are both told', () => {
  const towers = { ...layers('text.layers', ['self', 'self']), ...layers('vision.layers', ['self', 'self']) }
  expect(found(layers('layers', ['self', 'self']), towers)!.renamings.map(({ strip }) => strip)).toEqual(['text.', 'vision.'])
})

test('tables of another height meet, other shapes do not', () => {
  expect(found({ 'lm.embed.weight': [8, 2], 'lm.w': [3, 3] }, { 'embed.weight': [5, 2], w: [3, 4] })).toMatchObject({ renamings: [{ add: 'lm.' }], matched: 1, before: 0 })
})
