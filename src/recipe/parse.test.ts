import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { METHODS } from '../methods/_all.ts'
import { parse } from './parse.ts'
import { partsOf } from './walk.ts'

const GOLDEN = new URL('../../test/golden/', import.meta.url)
const recipeOf = (folder: string): string => readFileSync(new URL(`${folder}/recipe.yml`, GOLDEN), 'utf8')

describe('golden recipes', () => {
  for (const name of readdirSync(new URL('cases', GOLDEN))) {
    const text = recipeOf(`cases/${name}`)
    const method = /^merge_method: *'?(\w+)'?/m.exec(text)?.[1] ?? ''
    if (!Object.hasOwn(METHODS, method)) continue
    test(name, () => expect(partsOf(parse(text).merge)).toContainEqual(expect.objectContaining({ kind: 'call', method })))
  }
})

describe('recipes with a mistake, of which mergekit says little or nothing', () => {
  test.each([
    ['all-zero-weights', 'the weights of linear add up to 0, and the average divides by their sum'],
    ['base-unlisted-linear', 'base_model takes part in linear and needs a weight'],
    ['density-above-one', 'density is 50, and must be above 0 and at most 1'],
    ['density-negative-dare', 'density is -0.3, and must be above 0 and at most 1'],
    ['density-zero', 'density is 0, and must be above 0 and at most 1'],
    ['duplicate-model', './models/ft1 is listed twice, on lines 5 and 6'],
    ['empty-gradient', 'weight is an empty list'],
    ['empty-models', 'models lists no model'],
    ['missing-base-slerp', 'slerp needs base_model'],
    ['missing-base-ties', 'ties needs base_model'],
    ['models-and-slices', 'models and slices are both given'],
    ['random-seed-in-parameters', 'random_seed is not a parameter of dare_ties'],
    ['base-not-in-slices', './models/base is base_model, but not a source of this slice'],
    ['slice-length-mismatch', 'slice 1 merges layers one by one, and takes 3 of ./models/ft1, but 2 of ./models/ft2'],
    ['slice-negative-length', 'layer_range [3, 1] is reversed'],
    ['scale-passthrough-two-models', 'passthrough takes 1 model, not 2 (./models/ft1, ./models/ft2)'],
    ['slerp-missing-t', 'slerp needs t'],
    ['slerp-three-models', 'slerp takes 2 models, not 3 (./models/base, ./models/ft1, ./models/ft2)'],
    ['tokenizer-both-keys', 'tokenizer and tokenizer_source are both given'],
    ['typo-parameter-density', './models/ft2: unknown parameter "densty" of ties'],
    ['typo-parameter-weight', './models/ft1: unknown parameter "wieght" of linear'],
    ['unknown-block-paramters', 'unknown key "paramters"'],
    ['unknown-method', 'unknown method "dare-ties"'],
    ['unknown-top-level-key', 'unknown key "normalise"'],
    ['yaml-indent', 'entry 2 of models has no model'],
    ['yaml-weight-text', 'weight must be a number, not "half"'],
    ['zero-weight-sum', 'the weights of linear add up to 0, and the average divides by their sum'],
  ])('%s: %s', (name, message) => expect(() => parse(recipeOf(`errors/${name}`))).toThrow(message))

  test.each([
    ['filter-order', 'the entry for "mlp" has no effect: an entry before it matches every tensor, and the first match wins'],
    ['parameter-of-other-method', './models/ft2: density has no effect in task_arithmetic'],
    ['slerp-t-range', 't is 5, outside the usual range from 0 to 1'],
  ])('%s: %s', (name, note) => expect(parse(recipeOf(`errors/${name}`)).notes.map(n => n.text)).toEqual([note]))

  test.each(['conditional-not-in-list', 'dtype-alias', 'path-with-at', 'path-with-plus'])('%s is no mistake here', name =>
    expect(parse(recipeOf(`errors/${name}`)).notes).toEqual([]),
  )
})

describe('options', () => {
  const models = { base: 'models/base', math: 'models/math' }

  test('with models the text is one expression', () => {
    expect(parse('base + 0.5*(math - base)', { models })).toMatchObject({
      form: 'expression',
      source: { name: 'expression', text: 'base + 0.5*(math - base)' },
      models: { base: { path: 'models/base', at: null }, math: { path: 'models/math', at: null } },
      output: { dtype: null, shardSize: 5_000_000_000, configFrom: null, tokenizerFrom: null },
      seed: 0,
      notes: [],
    })
  })

  test('output and seed are taken instead of what the recipe says', () => {
    const recipe = parse('models: {a: x}\nmerge: a\noutput: {dtype: f16, shard_size: 1GB}\nseed: 1\n', { output: { dtype: 'F32' }, seed: 2 })
    expect(recipe).toMatchObject({ output: { dtype: 'F32', shardSize: 1_000_000_000 }, seed: 2 })
  })

  test.each([
    ['2x', { models: { ties: 'x' } }, '"ties" is the name of a merge method\n  fix: choose another name'],
    ['a', { models: { a: ' ' } }, 'model "a" has no path\n  fix: give it as a=path/to/model'],
    ['a', { models: { a: 'x' }, seed: -1 }, 'the seed is -1\n  fix: give a whole number from 0 to 2^53 - 1'],
    ['a', { models: { a: 'x' }, output: { configFrom: 'b' } }, 'unknown model "b"\n  fix: models: a'],
    ['a', { models: {} }, 'unknown name "a"\n  at expression:1:1\n  1 | a\n    | ^\n  fix: no models are given; on the command line: `--model base=path/to/base`'],
  ])('%s with %o', (text, options, message) => expect(() => parse(text, options)).toThrow(message))
})
