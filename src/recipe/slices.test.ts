import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'
import { show } from './show.ts'
import { partsOf } from './walk.ts'

describe('recipes', () => {
  test('slices become a stack of merges of layers', () => {
    const recipe = parse(`merge_method: slerp
base_model: a
slices:
  - sources: [{model: a, layer_range: [0, 4]}]
  - sources:
      - {model: b, layer_range: [2, 8]}
      - {model: a, layer_range: [4, 10]}
    parameters: {t: 0.25}
parameters: {t: 0.5}
`)
    expect(show(recipe.merge)).toBe('stack(layers(a, 0, 4), slerp(layers(a, 4, 10), layers(b, 2, 8), t=0.25), after=layers(b, 2, 8))')
    expect(Object.keys(recipe.models)).toEqual(['a', 'b'])
    expect(recipe.output.configFrom).toBe('a')
  })

  test('a base is the source whose model is base_model, the slice’s before that of the recipe; it is never added', () => {
    const recipe = parse(`merge_method: task_arithmetic
base_model: a
slices:
  - sources: [{model: b, layer_range: [0, 1]}, {model: a, layer_range: [0, 1]}]
  - base_model: c
    sources: [{model: a, layer_range: [1, 2]}, {model: c, layer_range: [1, 2]}]
parameters: {weight: 0.5}
`)
    expect(show(recipe.merge)).toBe('stack(task_arithmetic(layers(b, 0, 1), weight=0.5, base=layers(a, 0, 1)), task_arithmetic(layers(a, 1, 2), weight=0.5, base=layers(c, 1, 2)))')
    const linear = parse('merge_method: linear\nbase_model: a\nslices: [{sources: [{model: b, layer_range: [0, 1]}]}]\nparameters: {weight: 1}\n')
    expect(show(linear.merge)).toBe('stack(linear(layers(b, 0, 1), weight=1))')
  })

  test('source before slice before module before top; filters that do not match fall through', () => {
    const recipe = parse(`merge_method: linear
modules:
  default:
    parameters: {weight: [{filter: norm, value: 3}], normalize: false}
    slices:
      - sources: [{model: a, layer_range: [0, 1], parameters: {weight: [{filter: mlp, value: 1}]}}]
        parameters: {weight: [{filter: attn, value: 2}]}
parameters: {weight: 4, normalize: true}
`)
    const call = partsOf(recipe.merge).find(e => e.kind === 'call')
    expect(call?.arguments[0]?.parameters['weight']).toMatchObject({ value: [{ filter: 'mlp', value: 1 }], filtered: true })
    expect(call?.parameters['weight']).toMatchObject({
      value: [
        { filter: 'attn', value: 2 },
        { filter: 'norm', value: 3 },
        { filter: null, value: 4 },
      ],
      filtered: true,
    })
    expect(call?.parameters['normalize']).toMatchObject({ value: false, filtered: false })
  })

  test('what is said of a source goes before what is said of all', () => {
    const recipe = parse('merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 1], parameters: {scale: 2}}]}]\nparameters: {scale: 3}\n')
    expect(show(recipe.merge)).toBe('stack(passthrough(layers(a, 0, 1), scale=(2), scale=3))')
    expect(recipe.notes).toEqual([])
  })
})

describe('notes', () => {
  const notes = (text: string) => parse(text).notes.map(n => n.text)
  const slice = (...models: readonly string[]) => `  - sources: [${models.map(m => `{model: ${m}}`).join(', ')}]\n`

  test('a slice without layers that is neither first nor last', () => {
    const ranges = [slice('a, layer_range: [0, 1]'), slice('b, layer_range: [1, 1]'), slice('a, layer_range: [1, 2]')]
    expect(notes(`merge_method: passthrough\nslices:\n${ranges.join('')}`)).toEqual(['slice 2 has no effect: it has no layers, and is neither the first nor the last'])
  })

  test('fewer sources in the first slice than in the last', () => {
    const ranges = [slice('a, layer_range: [0, 1]'), slice('b, layer_range: [1, 2]', 'a, layer_range: [1, 2]')]
    expect(notes(`merge_method: linear\nslices:\n${ranges.join('')}parameters: {weight: 1}\n`)).toEqual([
      'as in mergekit, final norm and head come from b alone and not from all sources of the last slice, since the first slice has 1 source',
    ])
  })

  test('parameters of a base, once', () => {
    const text = `merge_method: ties
base_model: b
slices:
  - sources: [{model: b, layer_range: [0, 1]}]
  - sources: [{model: b, layer_range: [1, 2], parameters: {weight: 1}}, {model: a, layer_range: [1, 2], parameters: {weight: 1, density: 0.5}}]
`
    expect(notes(text).filter(n => n.startsWith('weight'))).toEqual(['weight of b has no effect: it is the base of ties'])
  })
})

describe('slices', () => {
  refuses(
    `
merge_method: passthrough
slices:
`,
    `
slices must be a list
  at recipe.yml:2:1
  2 | slices:
    | ^^^^^^
  fix: write entries such as \`- sources: [{model: path/to/model, layer_range: [0, 16]}]\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices: []
`,
    `
slices lists no slice
  at recipe.yml:2:1
  2 | slices: []
    | ^^^^^^^^^^
  fix: write entries such as \`- sources: [{model: path/to/model, layer_range: [0, 16]}]\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices: {sources: []}
`,
    `
slices must be a list
  at recipe.yml:2:1
  2 | slices: {sources: []}
    | ^^^^^^
  fix: write entries such as \`- sources: [{model: path/to/model, layer_range: [0, 16]}]\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices: [a]
`,
    `
an entry of slices must be a mapping
  at recipe.yml:2:10
  2 | slices: [a]
    |          ^
  fix: write for example \`- sources: [{model: path/to/model, layer_range: [0, 16]}]\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - {model: a, layer_range: [0, 2]}
`,
    `
slice 1 has model, but no sources
  at recipe.yml:3:6
  3 |   - {model: a, layer_range: [0, 2]}
    |      ^^^^^
  fix: write \`- sources: [{model: path/to/model, layer_range: [0, 16]}]\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - parameters: {scale: 1}
`,
    `
slice 1 has no sources
  at recipe.yml:3:5
  3 |   - parameters: {scale: 1}
    |     ^^^^^^^^^^^^^^^^^^^^^^
  fix: write \`- sources: [{model: path/to/model, layer_range: [0, 16]}]\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - source: [{model: a, layer_range: [0, 2]}]
`,
    `
unknown key "source"
  at recipe.yml:3:5
  3 |   - source: [{model: a, layer_range: [0, 2]}]
    |     ^^^^^^
  fix: did you mean "sources"?
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: []
`,
    `
slice 1 lists no source
  at recipe.yml:3:5
  3 |   - sources: []
    |     ^^^^^^^^^^^
  fix: write entries such as \`- {model: path/to/model, layer_range: [0, 16]}\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: {model: a}
`,
    `
sources must be a list
  at recipe.yml:3:5
  3 |   - sources: {model: a}
    |     ^^^^^^^
  fix: write entries such as \`- {model: path/to/model, layer_range: [0, 16]}\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [a]
`,
    `
a source must be a mapping
  at recipe.yml:3:15
  3 |   - sources: [a]
    |               ^
  fix: write for example \`- {model: path/to/model, layer_range: [0, 16]}\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{layer_range: [0, 2]}]
`,
    `
a source of slice 1 has no model
  at recipe.yml:3:15
  3 |   - sources: [{layer_range: [0, 2]}]
    |               ^^^^^^^^^^^^^^^^^^^^^
  fix: add \`model: path/to/model\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a}]
`,
    `
a has no layer_range in slice 1
  at recipe.yml:3:23
  3 |   - sources: [{model: a}]
    |                       ^
  fix: write \`- {model: path/to/model, layer_range: [0, 16]}\`
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: 4}]
`,
    `
layer_range must be two whole numbers, [start, end)
  at recipe.yml:3:39
  3 |   - sources: [{model: a, layer_range: 4}]
    |                                       ^
  fix: write for example \`layer_range: [0, 8]\` for layers 0 to 7
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 1.5]}]
`,
    `
layer_range must be two whole numbers, [start, end)
  at recipe.yml:3:39
  3 |   - sources: [{model: a, layer_range: [0, 1.5]}]
    |                                       ^^^^^^^^
  fix: write for example \`layer_range: [0, 8]\` for layers 0 to 7
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 4, 8]}]
`,
    `
layer_range must be two whole numbers, [start, end)
  at recipe.yml:3:39
  3 |   - sources: [{model: a, layer_range: [0, 4, 8]}]
    |                                       ^^^^^^^^^
  fix: write for example \`layer_range: [0, 8]\` for layers 0 to 7
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [-2, 4]}]
`,
    `
layer_range [-2, 4] is negative
  at recipe.yml:3:39
  3 |   - sources: [{model: a, layer_range: [-2, 4]}]
    |                                       ^^^^^^^
  fix: count layers from 0 at the input side of the model
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [8, 4]}]
`,
    `
layer_range [8, 4] is reversed
  at recipe.yml:3:39
  3 |   - sources: [{model: a, layer_range: [8, 4]}]
    |                                       ^^^^^^
  fix: did you mean [4, 8]?
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_ranges: [0, 4]}]
`,
    `
unknown key "layer_ranges"
  at recipe.yml:3:26
  3 |   - sources: [{model: a, layer_ranges: [0, 4]}]
    |                          ^^^^^^^^^^^^
  fix: did you mean "layer_range"?
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 4], scale: 2}]
`,
    `
unknown key "scale"
  at recipe.yml:3:47
  3 |   - sources: [{model: a, layer_range: [0, 4], scale: 2}]
    |                                               ^^^^^
  fix: it belongs under parameters: \`parameters: {scale: 2}\`
`,
  )
  refuses(
    `
merge_method: linear
parameters: {weight: 1}
slices:
  - sources:
      - {model: a, layer_range: [0, 4]}
      - {model: b, layer_range: [0, 3]}
`,
    `
slice 1 merges layers one by one, and takes 4 of a, but 3 of b
  at recipe.yml:6:33
  6 |       - {model: b, layer_range: [0, 3]}
    |                                 ^^^^^^
  fix: give all sources of a slice ranges of one length, e.g. \`layer_range: [0, 4]\` here
`,
  )
  refuses(
    `
merge_method: linear
parameters: {weight: 1}
slices:
  - sources:
      - {model: a, layer_range: [0, 4]}
      - {model: a, layer_range: [4, 8]}
`,
    `
a is listed twice, on lines 5 and 6
  at recipe.yml:6:17
  6 |       - {model: a, layer_range: [4, 8]}
    |                 ^
  fix: keep one of the two: a slice merges one range of each model
`,
  )
  refuses(
    `
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [0, 4]}]
`,
    `
passthrough takes 1 model, not 2 (a, b)
  at recipe.yml:3:5
  3 |   - sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [0, 4]}]
    |     ^^^^^^^
  fix: keep 1, or use a method for any number of models, such as linear
`,
  )
  refuses(
    `
merge_method: slerp
base_model: a
parameters: {t: 0.5}
slices:
  - sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [0, 4]}, {model: c, layer_range: [0, 4]}]
`,
    `
slerp takes 2 models, not 3 (a, b, c)
  at recipe.yml:5:5
  5 |   - sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [0, 4]}, {model: c, layer_range: [0, 4]}]
    |     ^^^^^^^
  fix: keep 2, or use a method for any number of models, such as linear; base_model counts as one
`,
  )
  refuses(
    `
merge_method: slerp
base_model: a
parameters: {t: 0.5}
slices:
  - sources: [{model: b, layer_range: [0, 4]}, {model: c, layer_range: [0, 4]}]
`,
    `
a is base_model, but not a source of this slice
  at recipe.yml:5:5
  5 |   - sources: [{model: b, layer_range: [0, 4]}, {model: c, layer_range: [0, 4]}]
    |     ^^^^^^^
  fix: add a source: \`- {model: a, layer_range: [start, end]}\`
`,
  )
  refuses(
    `
merge_method: ties
base_model: a
parameters: {weight: 1, density: 0.5}
slices:
  - sources: [{model: b, layer_range: [0, 4]}]
`,
    `
a is base_model, but not a source of this slice
  at recipe.yml:5:5
  5 |   - sources: [{model: b, layer_range: [0, 4]}]
    |     ^^^^^^^
  fix: add a source: \`- {model: a, layer_range: [start, end]}\`
`,
  )
  refuses(
    `
merge_method: ties
parameters: {weight: 1}
slices:
  - sources: [{model: b, layer_range: [0, 4]}]
`,
    `
ties needs base_model
  at recipe.yml:1:1
  1 | merge_method: ties
    | ^^^^^^^^^^^^^^^^^^
  fix: add the line \`base_model: b\`, with the model that the others were fine-tuned from
`,
  )
  refuses(
    `
merge_method: linear
slices:
  - sources: [{model: b, layer_range: [0, 4]}]
`,
    `
linear needs a weight for b
  at recipe.yml:3:23
  3 |   - sources: [{model: b, layer_range: [0, 4]}]
    |                       ^
  fix: add \`parameters: {weight: 1}\` to this entry, or \`weight: 1\` to the top-level parameters
`,
  )
  refuses(
    `
merge_method: linear
slices:
  - sources: [{model: b, layer_range: [0, 4], parameters: {wieght: 1}}]
`,
    `
b: unknown parameter "wieght" of linear
  at recipe.yml:3:60
  3 |   - sources: [{model: b, layer_range: [0, 4], parameters: {wieght: 1}}]
    |                                                            ^^^^^^^^^
  fix: did you mean "weight"?
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: a, layer_range: [0, 4]}]
`,
    `
layer_range stands in slices, and this is an entry of models
  at recipe.yml:2:21
  2 | models: [{model: a, layer_range: [0, 4]}]
    |                     ^^^^^^^^^^^
  fix: put the model under \`slices: [{sources: […]}]\`, or remove layer_range
`,
  )
})

describe('modules', () => {
  refuses(
    `
merge_method: passthrough
modules: {}
`,
    `
modules lists no module
  at recipe.yml:2:1
  2 | modules: {}
    | ^^^^^^^
  fix: write for example \`modules: {text_decoder: {models: […]}, vision_tower: {models: […]}}\`
`,
  )
  refuses(
    `
merge_method: passthrough
modules: [a]
`,
    `
modules must be a mapping
  at recipe.yml:2:10
  2 | modules: [a]
    |          ^^^
  fix: write for example \`modules: {text_decoder: {models: […]}, vision_tower: {models: […]}}\`
`,
  )
  refuses(
    `
merge_method: passthrough
modules: {default: {}}
`,
    `
module default has neither models nor slices
  at recipe.yml:2:11
  2 | modules: {default: {}}
    |           ^^^^^^^
  fix: give it one of the two
`,
  )
  refuses(
    `
merge_method: passthrough
modules: {default: {models: [{model: a}], slices: []}}
`,
    `
module default has both models and slices
  at recipe.yml:2:43
  2 | modules: {default: {models: [{model: a}], slices: []}}
    |                                           ^^^^^^
  fix: keep one of the two
`,
  )
  refuses(
    `
merge_method: passthrough
modules: {default: {model: a}}
`,
    `
unknown key "model"
  at recipe.yml:2:21
  2 | modules: {default: {model: a}}
    |                     ^^^^^
  fix: did you mean "models"?
`,
  )
  refuses(
    `
merge_method: passthrough
modules: {default: {slices: [{sources: [{model: a, layer_range: [0, 1]}]}], models: [{model: a}]}}
`,
    `
module default has both models and slices
  at recipe.yml:2:21
  2 | modules: {default: {slices: [{sources: [{model: a, layer_range: [0, 1]}]}], models: [{model: a}]}}
    |                     ^^^^^^
  fix: keep one of the two
`,
  )
  refuses(
    `
merge_method: passthrough
modules: {a: {models: [{model: a}]}}
slices: [{sources: [{model: a, layer_range: [0, 1]}]}]
`,
    `
slices and modules are both given
  at recipe.yml:2:1
  2 | modules: {a: {models: [{model: a}]}}
    | ^^^^^^^
  fix: keep exactly one of models, slices, modules
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
