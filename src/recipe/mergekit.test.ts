import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'
import type { Recipe } from './recipe.ts'

function callOf({ merge }: Recipe) {
  if (merge.kind !== 'call') throw new Error('a mergekit recipe is one call')
  const nameOf = (e: (typeof merge)['base']) => (e?.kind === 'model' ? e.model : null)
  return { ...merge, names: merge.arguments.map(a => nameOf(a.expression)), baseName: nameOf(merge.base) }
}

describe('recipes', () => {
  test('a recipe becomes one call whose arguments carry their parameters', () => {
    const recipe = parse(`merge_method: ties
base_model: ./base
dtype: float32
out_dtype: torch.bfloat16
models:
  - model: ./a
    parameters: {weight: [0, 1], density: [{filter: mlp, value: 0.5}, {value: 1}]}
  - {model: ./b, parameters: {weight: "0.25"}}
parameters: {normalize: 0}
seed: 7
`)
    const at = (line: number, column: number, end: number) => ({ line, column, end })
    expect(recipe.merge).toEqual({
      kind: 'call',
      method: 'ties',
      arguments: [
        {
          expression: { kind: 'model', model: './a', at: at(6, 12, 15) },
          parameters: {
            weight: { value: [0, 1], filtered: false, at: at(7, 18, 32) },
            density: {
              value: [
                { filter: 'mlp', value: 0.5, at: at(7, 58, 68) },
                { filter: null, value: 1, at: at(7, 72, 80) },
              ],
              filtered: true,
              at: at(7, 34, 82),
            },
          },
        },
        { expression: { kind: 'model', model: './b', at: at(8, 13, 16) }, parameters: { weight: { value: 0.25, filtered: false, at: at(8, 31, 45) } } },
      ],
      base: { kind: 'model', model: './base', at: at(2, 13, 19) },
      parameters: { normalize: { value: 0, filtered: false, at: at(9, 14, 26) } },
      at: at(1, 15, 19),
    })
    expect(Object.keys(recipe.models)).toEqual(['./base', './a', './b'])
    expect(recipe).toMatchObject({
      form: 'mergekit',
      rules: [],
      seed: 7,
      notes: [],
      tokenizer: null,
      chatTemplate: null,
      output: { dtype: 'BF16', shardSize: 5_000_000_000, configFrom: './base', tokenizerFrom: './base' },
    })
  })

  test('a base that is θ₀ leaves the models', () => {
    const call = callOf(parse('merge_method: task_arithmetic\nbase_model: b\nmodels: [{model: b}, {model: a, parameters: {weight: 1}}]\n'))
    expect([call.names, call.baseName]).toEqual([['a'], 'b'])
  })

  test('a base to move away from comes first, listed or not', () => {
    expect(callOf(parse('merge_method: slerp\nbase_model: b\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0.5}\n')).names).toEqual(['b', 'a'])
    expect(callOf(parse('merge_method: slerp\nbase_model: b\nmodels: [{model: a}]\nparameters: {t: 0.5}\n')).names).toEqual(['b', 'a'])
  })

  test('a base that the method does not know is one more model', () => {
    const call = callOf(parse('merge_method: linear\nbase_model: b\nmodels: [{model: a}]\nparameters: {weight: 0.5}\n'))
    expect([call.names, call.baseName]).toEqual([['a', 'b'], null])
    expect(callOf(parse('merge_method: linear\nbase_model: b\nmodels: [{model: b}, {model: a}]\nparameters: {weight: 0.5}\n')).names).toEqual(['b', 'a'])
  })

  test('a model may be a mapping, and keeps @ and + in its path', () => {
    expect(callOf(parse('merge_method: linear\nmodels: [{model: {path: me@corp/a}}, {model: {model: {path: c++/b}}}]\nparameters: {weight: 1}\n')).names).toEqual([
      'me@corp/a',
      'c++/b',
    ])
  })

  test('a filter that stands alone is a list of one', () => {
    const { arguments: given } = callOf(parse('merge_method: linear\nmodels: [{model: a, parameters: {weight: {filter: mlp, value: 2}}}]\n'))
    expect(given[0]?.parameters['weight']).toMatchObject({ filtered: true, value: [{ filter: 'mlp', value: 2 }] })
  })

  test('without dtype each tensor keeps its own', () => {
    expect(parse('merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n').output.dtype).toBe(null)
  })

  test('random_seed is another name of seed', () => {
    expect(parse('merge_method: linear\nrandom_seed: 9\nmodels: [{model: a, parameters: {weight: 1}}]\n').seed).toBe(9)
  })
})

describe('notes', () => {
  const notes = (text: string) => parse(text).notes

  test('an entry after one that matches everything', () => {
    expect(notes('merge_method: linear\nmodels: [{model: a, parameters: {weight: [{value: 1}, {filter: mlp, value: 2}, {value: 3}]}}]\n')).toEqual([
      { text: 'the entry for "mlp" has no effect: an entry before it matches every tensor, and the first match wins', at: { line: 2, column: 69, end: 77 } },
      { text: 'this entry has no effect: an entry before it matches every tensor, and the first match wins', at: { line: 2, column: 81, end: 89 } },
    ])
  })

  test('a filter within the tensors of an earlier one', () => {
    expect(notes('merge_method: linear\nmodels: [{model: a, parameters: {weight: [{filter: mlp, value: 1}, {filter: mlp.up, value: 2}, {value: 3}]}}]\n')).toEqual([
      { text: 'the entry for "mlp.up" has no effect: "mlp" before it matches all its tensors, and the first match wins', at: { line: 2, column: 85, end: 93 } },
    ])
  })

  test('parameters of the base, and of the whole merge at one model', () => {
    expect(
      notes('merge_method: ties\nbase_model: b\nmodels:\n  - {model: b, parameters: {weight: 1}}\n  - {model: a, parameters: {weight: 1, density: 0.5, normalize: false}}\n'),
    ).toEqual([
      { text: 'weight of b has no effect: it is the base of ties', at: { line: 4, column: 29, end: 38 } },
      { text: 'a: normalize has no effect here: it belongs to the whole merge, under the top-level parameters', at: { line: 5, column: 54, end: 70 } },
    ])
  })
})

describe('keys', () => {
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: 1}}]
paramters: {normalize: false}
`,
    `
unknown key "paramters"
  at recipe.yml:3:1
  3 | paramters: {normalize: false}
    | ^^^^^^^^^
  fix: did you mean "parameters"?
`,
  )
  refuses(
    `
merge_method: linear
normalise: false
models: [{model: a}]
`,
    `
unknown key "normalise"
  at recipe.yml:2:1
  2 | normalise: false
    | ^^^^^^^^^
  fix: it belongs under parameters: \`parameters: {normalize: false}\`
`,
  )
  refuses(
    `
merge_method: linear
zebra: 1
models: [{model: a}]
`,
    `
unknown key "zebra"
  at recipe.yml:2:1
  2 | zebra: 1
    | ^^^^^
  fix: keys here: merge_method, models, base_model, parameters, dtype, out_dtype, seed, random_seed, slices, modules, tokenizer_source, tokenizer, chat_template, name
`,
  )
  refuses(
    `
merge_method: linear
models:
  - model: a
    weight: 0.5
`,
    `
unknown key "weight"
  at recipe.yml:4:5
  4 |     weight: 0.5
    |     ^^^^^^
  fix: it belongs under parameters: \`parameters: {weight: 0.5}\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - modle: a
`,
    `
unknown key "modle"
  at recipe.yml:3:5
  3 |   - modle: a
    |     ^^^^^
  fix: did you mean "model"?
`,
  )
  refuses(
    `
merge_method: [linear]
`,
    `
merge_method must be text
  at recipe.yml:1:15
  1 | merge_method: [linear]
    |               ^^^^^^^^
  fix: write for example \`merge_method: linear\`
`,
  )
  refuses(
    `
merge_method: dare-ties
`,
    `
unknown method "dare-ties"
  at recipe.yml:1:15
  1 | merge_method: dare-ties
    |               ^^^^^^^^^
  fix: did you mean "dare_ties"? All methods: \`merganser methods\`
`,
  )
  refuses(
    `
merge_method: zebra
`,
    `
unknown method "zebra"
  at recipe.yml:1:15
  1 | merge_method: zebra
    |               ^^^^^
  fix: all methods: \`merganser methods\`
`,
  )
})

describe('two of what there is one of', () => {
  refuses(
    `
tokenizer: {source: union}
tokenizer_source: base
merge_method: linear
models: [{model: a, parameters: {weight: 1}}]
`,
    `
tokenizer and tokenizer_source are both given
  at recipe.yml:2:1
  2 | tokenizer_source: base
    | ^^^^^^^^^^^^^^^^
  fix: keep one of the two
`,
  )
  refuses(
    `
slices: []
models: []
merge_method: linear
`,
    `
models and slices are both given
  at recipe.yml:1:1
  1 | slices: []
    | ^^^^^^
  fix: keep exactly one of models, slices, modules
`,
  )
})

describe('models', () => {
  refuses(
    `
merge_method: linear
`,
    `
the recipe has no models
  at recipe.yml:1:1
  1 | merge_method: linear
    | ^^^^^^^^^^^^
  fix: add \`models:\` with entries such as \`- {model: path/to/model, parameters: {weight: 0.5}}\`
`,
  )
  refuses(
    `
merge_method: linear
models: []
`,
    `
models lists no model
  at recipe.yml:2:1
  2 | models: []
    | ^^^^^^^^^^
  fix: write entries such as \`- {model: path/to/model, parameters: {weight: 0.5}}\`
`,
  )
  refuses(
    `
merge_method: linear
models:
`,
    `
models lists no model
  at recipe.yml:2:1
  2 | models:
    | ^^^^^^
  fix: write entries such as \`- {model: path/to/model, parameters: {weight: 0.5}}\`
`,
  )
  refuses(
    `
merge_method: linear
models: {a: b}
`,
    `
models must be a list
  at recipe.yml:2:1
  2 | models: {a: b}
    | ^^^^^^
  fix: write entries such as \`- {model: path/to/model, parameters: {weight: 0.5}}\`
`,
  )
  refuses(
    `
merge_method: linear
models: [a]
`,
    `
an entry of models must be a mapping
  at recipe.yml:2:10
  2 | models: [a]
    |          ^
  fix: write \`- model: a\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - path: a
`,
    `
an entry of models has path, not model
  at recipe.yml:3:5
  3 |   - path: a
    |     ^^^^
  fix: write \`model:\` in place of \`path:\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - model: a
  - parameters: {weight: 1}
`,
    `
entry 2 of models has no model
  at recipe.yml:4:5
  4 |   - parameters: {weight: 1}
    |     ^^^^^^^^^^^^^^^^^^^^^^^
  fix: if these parameters belong to a (line 3), remove the "-" and indent them to stand under its \`model:\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - {}
`,
    `
entry 1 of models has no model
  at recipe.yml:3:5
  3 |   - {}
    |     ^^
  fix: add \`model: path/to/model\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - model: {}
`,
    `
model has no path
  at recipe.yml:3:12
  3 |   - model: {}
    |            ^^
  fix: write \`model: path/to/model\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - {model: a, parameters: {weight: 1}}
  - {model: a, parameters: {weight: 2}}
`,
    `
a is listed twice, on lines 3 and 4
  at recipe.yml:4:13
  4 |   - {model: a, parameters: {weight: 2}}
    |             ^
  fix: keep one entry, with the sum of the weights
`,
  )
  refuses(
    `
merge_method: linear
models:
  - {model: a, parameters: 3}
`,
    `
parameters must be a mapping
  at recipe.yml:3:28
  3 |   - {model: a, parameters: 3}
    |                            ^
  fix: write for example \`parameters: {weight: 0.5}\`
`,
  )
})

describe('base model', () => {
  refuses(
    `
merge_method: ties
models: [{model: a, parameters: {weight: 1}}]
`,
    `
ties needs base_model
  at recipe.yml:1:1
  1 | merge_method: ties
    | ^^^^^^^^^^^^^^^^^^
  fix: add the line \`base_model: a\`, with the model that the others were fine-tuned from
`,
  )
  refuses(
    `
merge_method: slerp
models: [{model: a}, {model: b}]
parameters: {t: 0.5}
`,
    `
slerp needs base_model
  at recipe.yml:1:1
  1 | merge_method: slerp
    | ^^^^^^^^^^^^^^^^^^^
  fix: add the line \`base_model: a\`, with the model that the others were fine-tuned from
`,
  )
  refuses(
    `
merge_method: linear
base_model: base
models: [{model: a, parameters: {weight: 1}}]
`,
    `
base_model takes part in linear and needs a weight
  at recipe.yml:2:13
  2 | base_model: base
    |             ^^^^
  fix: list it: \`- {model: base, parameters: {weight: 1}}\`, or remove base_model
`,
  )
  refuses(
    `
merge_method: passthrough
base_model: a
models: [{model: b}]
`,
    `
passthrough takes 1 model, not 2 (b, a)
  at recipe.yml:1:15
  1 | merge_method: passthrough
    |               ^^^^^^^^^^^
  fix: keep 1, or use a method for any number of models, such as linear; base_model counts as one
`,
  )
})

describe('parameters', () => {
  refuses(
    `
merge_method: linear
models:
  - model: a
  - {model: b, parameters: {weight: 1}}
`,
    `
linear needs a weight for a
  at recipe.yml:3:12
  3 |   - model: a
    |            ^
  fix: add \`parameters: {weight: 1}\` to this entry, or \`weight: 1\` to the top-level parameters
`,
  )
  refuses(
    `
merge_method: linear
models:
  - {model: a, parameters: {normalize: true}}
`,
    `
linear needs a weight for a
  at recipe.yml:3:13
  3 |   - {model: a, parameters: {normalize: true}}
    |             ^
  fix: add \`weight: 1\` to its parameters, or to the top-level parameters
`,
  )
  refuses(
    `
merge_method: slerp
base_model: a
models: [{model: b}]
`,
    `
slerp needs t
  at recipe.yml:1:15
  1 | merge_method: slerp
    |               ^^^^^
  fix: add the line \`parameters: {t: 0.5}\`
`,
  )
  refuses(
    `
merge_method: slerp
base_model: a
models: [{model: b, parameters: {t: 0.5}}]
`,
    `
t of slerp is one value for the whole merge, not one for each model
  at recipe.yml:3:34
  3 | models: [{model: b, parameters: {t: 0.5}}]
    |                                  ^^^^^^
  fix: move t to the top-level parameters
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {wieght: 0.5}}]
`,
    `
a: unknown parameter "wieght" of linear
  at recipe.yml:2:34
  2 | models: [{model: a, parameters: {wieght: 0.5}}]
    |                                  ^^^^^^^^^^^
  fix: did you mean "weight"?
`,
  )
  refuses(
    `
merge_method: ties
base_model: a
models: [{model: b, parameters: {weight: 1, density: 50}}]
`,
    `
density is 50, and must be above 0 and at most 1
  at recipe.yml:3:45
  3 | models: [{model: b, parameters: {weight: 1, density: 50}}]
    |                                             ^^^^^^^^^^^
  fix: did you mean 0.5?
`,
  )
  refuses(
    `
merge_method: ties
base_model: a
models: [{model: b, parameters: {weight: 1, density: [{filter: mlp, value: 20}, {value: 1}]}}]
`,
    `
density is 20, and must be above 0 and at most 1
  at recipe.yml:3:69
  3 | models: [{model: b, parameters: {weight: 1, density: [{filter: mlp, value: 20}, {value: 1}]}}]
    |                                                                     ^^^^^^^^^
  fix: did you mean 0.2?
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: half}}]
`,
    `
weight must be a number, not "half"
  at recipe.yml:2:34
  2 | models: [{model: a, parameters: {weight: half}}]
    |                                  ^^^^^^^^^^^^
  fix: write a number such as 0.5
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: .inf}}]
`,
    `
weight must be a finite number, not .inf
  at recipe.yml:2:42
  2 | models: [{model: a, parameters: {weight: .inf}}]
    |                                          ^^^^
  fix: write a number such as 0.5
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: }}]
`,
    `
weight has no value
  at recipe.yml:2:42
  2 | models: [{model: a, parameters: {weight: }}]
    |                                          ^
  fix: write a value, or remove weight
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: []}}]
`,
    `
weight is an empty list
  at recipe.yml:2:42
  2 | models: [{model: a, parameters: {weight: []}}]
    |                                          ^^
  fix: write at least one number, or leave it out
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: [1, half]}}]
`,
    `
a gradient of weight holds numbers only
  at recipe.yml:2:46
  2 | models: [{model: a, parameters: {weight: [1, half]}}]
    |                                              ^^^^
  fix: write for example \`[0.2, 0.8]\`
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: [1, {value: 1}]}}]
`,
    `
weight mixes numbers and filters in one list
  at recipe.yml:2:43
  2 | models: [{model: a, parameters: {weight: [1, {value: 1}]}}]
    |                                           ^
  fix: write the number as an entry: \`- {value: 0.5}\`
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: [{filter: mlp}]}}]
`,
    `
an entry of weight has no value
  at recipe.yml:2:43
  2 | models: [{model: a, parameters: {weight: [{filter: mlp}]}}]
    |                                           ^^^^^^^^^^^^^
  fix: write \`- {filter: mlp, value: 0.5}\`
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: [{fliter: mlp, value: 1}]}}]
`,
    `
unknown key "fliter"
  at recipe.yml:2:44
  2 | models: [{model: a, parameters: {weight: [{fliter: mlp, value: 1}]}}]
    |                                            ^^^^^^
  fix: did you mean "filter"?
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: [{value: [{value: 1}]}]}}]
`,
    `
filters of weight stand inside filters
  at recipe.yml:2:51
  2 | models: [{model: a, parameters: {weight: [{value: [{value: 1}]}]}}]
    |                                                   ^^^^^^^^^^^^
  fix: write one list of \`- {filter: …, value: …}\`
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: [{filter: [mlp], value: 1}]}}]
`,
    `
a filter must be text
  at recipe.yml:2:52
  2 | models: [{model: a, parameters: {weight: [{filter: [mlp], value: 1}]}}]
    |                                                    ^^^^^
  fix: write a part of the tensor names: \`filter: mlp\`
`,
  )
  refuses(
    `
merge_method: dare_ties
base_model: a
models: [{model: b, parameters: {weight: 1, density: 0.5}}]
parameters: {random_seed: 7}
`,
    `
random_seed is not a parameter of dare_ties
  at recipe.yml:4:14
  4 | parameters: {random_seed: 7}
    |              ^^^^^^^^^^^^^^
  fix: the seed stands at the top level: \`seed: 7\`
`,
  )
  refuses(
    `
merge_method: linear
models:
  - {model: a, parameters: {weight: 1}}
  - {model: b, parameters: {weight: -1}}
`,
    `
the weights of linear add up to 0, and the average divides by their sum
  at recipe.yml:1:15
  1 | merge_method: linear
    |               ^^^^^^
  fix: change a weight, or add them without dividing: \`parameters: {normalize: false}\`
`,
  )
})

describe('the rest', () => {
  refuses(
    `
merge_method: linear
dtype: bfloat17
models: [{model: a, parameters: {weight: 1}}]
`,
    `
unknown dtype "bfloat17"
  at recipe.yml:2:8
  2 | dtype: bfloat17
    |        ^^^^^^^^
  fix: did you mean "bfloat16"? Use one of: float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2
`,
  )
  refuses(
    `
merge_method: linear
out_dtype: int8
models: [{model: a, parameters: {weight: 1}}]
`,
    `
int8 is not a floating-point dtype
  at recipe.yml:2:12
  2 | out_dtype: int8
    |            ^^^^
  fix: use one of: float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2
`,
  )
  refuses(
    `
merge_method: linear
seed: -1
models: [{model: a, parameters: {weight: 1}}]
`,
    `
seed must be a whole number from 0 to 2^53 - 1
  at recipe.yml:2:7
  2 | seed: -1
    |       ^^
  fix: write for example \`seed: 42\`
`,
  )
  refuses(
    `
merge_method: linear
seed: 1
random_seed: 2
models: [{model: a, parameters: {weight: 1}}]
`,
    `
seed and random_seed are both given
  at recipe.yml:3:1
  3 | random_seed: 2
    | ^^^^^^^^^^^
  fix: keep one of the two
`,
  )
})

/** One test: `parse` refuses `text` with exactly this message. */
function refuses(text: string, expected: string): void {
  test(`${expected.split('\n')[1]}: ${text.trim().split('\n').at(-1)}`, () => {
    let message = 'no error'
    try {
      parse(text.replace(/^\n/, ''), { name: 'recipe.yml' })
    } catch (error) {
      message = error instanceof MergeError ? error.message : String(error)
    }
    expect(`\n${message}\n`).toBe(expected)
  })
}
