import { describe, expect, test } from 'vitest'
import { METHODS } from '../methods/_all.ts'
import { coerce, positionOf, resolveParameters, resolveSetting, scalarAt } from './parameters.ts'
import { parse } from './parse.ts'
import type { Setting } from './recipe.ts'

const AT = { line: 1, column: 1, end: 2 }

function resolve(text: string, tensorName: string, position: number) {
  const recipe = parse(text, { name: 'recipe.yml' })
  if (recipe.merge.kind !== 'call') throw new Error('expected a call')
  return resolveParameters(recipe, recipe.merge, METHODS[recipe.merge.method]!, { output: tensorName, inputs: recipe.merge.arguments.map(() => tensorName) }, position)
}

describe('positions and gradients', () => {
  test('layers go from 0 to 1; a lone layer is at 1; other tensors at 0', () => {
    expect([0, 1, 2].map(index => positionOf({ index, count: 3 }))).toEqual([0, 0.5, 1])
    expect(positionOf({ index: 0, count: 1 })).toBe(1)
    expect(positionOf(null)).toBe(0)
  })

  test('values are straight between neighbours', () => {
    const gradient = [0, 0.5, 0.25]
    expect([0, 0.25, 0.5, 0.75, 1].map(t => scalarAt(gradient, t))).toEqual([0, 0.25, 0.5, 0.375, 0.25])
    expect(scalarAt([0.7], 0.3)).toBe(0.7)
    expect(scalarAt(0.7, 0.3)).toBe(0.7)
  })
})

describe('resolveSetting', () => {
  const setting: Setting = {
    filtered: true,
    at: AT,
    value: [
      { filter: 'q_proj', value: 1, at: AT },
      { filter: 'attn', value: [0, 1], at: AT },
    ],
  }

  test('the first filter that is part of the name wins', () => {
    expect(resolveSetting(setting, 'layers.0.attn.q_proj.weight', 0.5)).toBe(1)
    expect(resolveSetting(setting, 'layers.0.attn.k_proj.weight', 0.5)).toBe(0.5)
    expect(resolveSetting(setting, 'norm.weight', 0.5)).toBe(undefined)
  })
})

describe('coerce', () => {
  const { normalize, rescale, weight } = METHODS['dare_ties']!.params

  test('numbers, flags and choices as recipes in the wild write them', () => {
    expect([true, false, 0.5].map(v => coerce(weight!, v))).toEqual([1, 0, 0.5])
    expect([1, 0, 'yes', 'Off', 2, 'maybe'].map(v => coerce(normalize!, v))).toEqual([true, false, true, false, undefined, undefined])
    expect(['paper', true, 0, 'no', 'papr'].map(v => coerce(rescale!, v))).toEqual(['paper', true, false, false, undefined])
    expect(coerce(weight!, 'half')).toBe(undefined)
  })
})

describe('resolveParameters', () => {
  const RECIPE = `merge_method: ties
base_model: base
models:
  - {model: a, parameters: {weight: [{filter: mlp, value: [0, 1]}]}}
  - {model: b, parameters: {density: 0.5}}
parameters: {weight: 0.3, normalize: 0}
`

  test("a model's own value, else the call's, else the default", () => {
    expect(resolve(RECIPE, 'layers.1.mlp.up.weight', 0.25)).toEqual({
      models: [
        { weight: 0.25, density: 1 },
        { weight: 0.3, density: 0.5 },
      ],
      merge: { lambda: 1, normalize: false, rescale: false, trim: 'tensor' },
    })
    expect(resolve(RECIPE, 'norm.weight', 0).models.map(m => m['weight'])).toEqual([0.3, 0.3])
  })

  test('what is said of the only model goes before what is said of all', () => {
    expect(resolve('merge_method: passthrough\nmodels: [{model: a}]\n', 'x', 0).models).toEqual([{ scale: 1 }])
    expect(resolve('merge_method: passthrough\nmodels: [{model: a}]\nparameters: {scale: 3}\n', 'x', 0).models).toEqual([{ scale: 3 }])
    expect(resolve('merge_method: passthrough\nmodels: [{model: a, parameters: {scale: 2}}]\nparameters: {scale: 3}\n', 'x', 0).models).toEqual([{ scale: 2 }])
  })

  test('in an expression a weight is 1 unless it is written', () => {
    const recipe = parse('linear(a, b)', { models: { a: 'x', b: 'y' } })
    if (recipe.merge.kind !== 'call') throw new Error('expected a call')
    expect(resolveParameters(recipe, recipe.merge, METHODS['linear']!, { output: 'x', inputs: ['x', 'x'] }, 0).models).toEqual([{ weight: 1 }, { weight: 1 }])
  })

  test('a filter that leaves a tensor without a value', () => {
    expect(() => resolve('merge_method: linear\nmodels:\n  - {model: a, parameters: {weight: [{filter: mlp, value: 0.9}]}}\n', 'embed.weight', 0)).toThrow(
      [
        'embed.weight: linear has no weight for a',
        '  at recipe.yml:3:29',
        '  3 |   - {model: a, parameters: {weight: [{filter: mlp, value: 0.9}]}}',
        '    |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^',
        '  fix: none of its filters matches this tensor; add a last entry for the rest: `- {value: 1}`',
      ].join('\n'),
    )
  })

  test('a filter that leaves a tensor without a value of the whole merge', () => {
    expect(() => resolve('merge_method: slerp\nbase_model: a\nmodels: [{model: b}]\nparameters:\n  t:\n    - {filter: mlp, value: 0.5}\n', 'embed.weight', 0)).toThrow(
      [
        'embed.weight: slerp has no t',
        '  at recipe.yml:5:3',
        '  5 |   t:',
        '    |   ^',
        '  fix: none of its filters matches this tensor; add a last entry for the rest: `- {value: 1}`',
      ].join('\n'),
    )
  })

  test('weights that add up to zero for one tensor only', () => {
    const recipe = 'merge_method: linear\nmodels:\n  - {model: a, parameters: {weight: [1, 0.1]}}\n  - {model: b, parameters: {weight: -0.1}}\n'
    expect(resolve(recipe, 'layers.0.weight', 0).models).toEqual([{ weight: 1 }, { weight: -0.1 }])
    expect(() => resolve(recipe, 'layers.1.weight', 1)).toThrow(
      [
        'layers.1.weight: the weights of linear add up to 0, and the average divides by their sum',
        '  at recipe.yml:1:15',
        '  1 | merge_method: linear',
        '    |               ^^^^^^',
        '  fix: change a weight, or add them without dividing: `parameters: {normalize: false}`',
      ].join('\n'),
    )
  })
})
