import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'
import { show } from './show.ts'
import { partsOf } from './walk.ts'

const STAGE = 'merge_method: passthrough\nmodels: [{model: a}]\n'

describe('several documents', () => {
  test('one that is named is a model to the others, in whatever order they stand', () => {
    const recipe = parse(`merge_method: linear
models: [{model: mix, parameters: {weight: 1}}, {model: c, parameters: {weight: 2}}]
---
name: mix
merge_method: slerp
base_model: a
models: [{model: b}]
parameters: {t: 0.5}
`)
    expect(show(recipe.merge)).toBe('linear(mix, c, weight=(1, 2))')
    expect(partsOf(recipe.merge).flatMap(e => (e.kind === 'stage' ? show(e.of) : []))).toEqual(['slerp(a, b, t=0.5)'])
    expect(Object.keys(recipe.models)).toEqual(['c', 'a', 'b'])
    expect(recipe).toMatchObject({ stages: ['mix'], notes: [] })
  })

  test('a stage as base_model, and as source of a slice', () => {
    const recipe = parse(
      `name: x\n${STAGE}---\nmerge_method: ties\nbase_model: x\nslices: [{sources: [{model: x, layer_range: [0, 2]}, {model: b, layer_range: [1, 3]}]}]\nparameters: {weight: 1, density: 0.5}\n`,
    )
    expect(show(recipe.merge)).toBe('stack(ties(layers(b, 1, 3), weight=1, density=0.5, base=layers(x, 0, 2)))')
    expect(recipe.output.configFrom).toBe(null)
  })

  test('empty documents and a name in a lone one change nothing', () => {
    expect(show(parse(`---\n${STAGE}---\n`).merge)).toBe('passthrough(a)')
    expect(parse(`name: x\n${STAGE}`).notes.map(n => n.text)).toEqual(['name has no effect: it is for documents that others use'])
  })

  test('anchors end with their document', () => {
    expect(() => parse(`name: x\nx-a: &a {weight: 1}\n${STAGE}---\nmerge_method: linear\nmodels: [{model: x, parameters: *a}]\n`)).toThrow('unknown alias "*a"')
  })

  test('notes: nothing uses it; what stages cannot set', () => {
    const notes = (text: string) => parse(text).notes.map(n => n.text)
    expect(notes(`name: x\ndtype: bfloat16\nseed: 3\n${STAGE}---\nname: y\ndtype: float32\n${STAGE}---\nmerge_method: passthrough\nmodels: [{model: x}]\n`)).toEqual([
      'x: dtype has no effect, as stages are never written: they are computed on the way, in float32, and not rounded',
      'x: seed has no effect, as one seed serves the whole recipe: that of the document without a name',
      'nothing uses y',
    ])
  })

  test('documents that use each other over and over are refused in no time', () => {
    const documents = ['name: s0\nmerge_method: passthrough\nmodels: [{model: a}]\n']
    for (let i = 1; i < 60; i++)
      documents.push(`name: s${i}\nmerge_method: ties\nbase_model: s${i - 1}\nmodels: [{model: s${i - 1}}, {model: b}]\nparameters: {weight: 1, density: 1}\n`)
    for (let i = 1; i < 60; i++) documents[i] = documents[i]!.replace(`models: [{model: s${i - 1}}`, `models: [{model: s${Math.max(0, i - 2)}}`)
    documents.push('merge_method: passthrough\nmodels: [{model: s59}]\n')
    expect(() => parse(documents.join('---\n'))).toThrow('this document uses others so often that it amounts to more than 20000 models')
  })

  test('too many documents', () => {
    expect(() => parse(Array.from({ length: 101 }, (_, i) => `name: s${i}\n${STAGE}`).join('---\n'))).toThrow('101 documents; at most 100 are read')
  })
})

describe('mistakes', () => {
  refuses(
    `
name: x
merge_method: passthrough
models: [{model: a}]
---
name: x
merge_method: passthrough
models: [{model: b}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
two documents are called x, on lines 1 and 5
  at recipe.yml:5:1
  5 | name: x
    | ^^^^^^^
  fix: give each a name of its own
`,
  )
  refuses(
    `
name: x
merge_method: passthrough
models: [{model: y}]
---
name: y
merge_method: passthrough
models: [{model: x}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
x is made from itself: x → y → x
  at recipe.yml:7:18
  7 | models: [{model: x}]
    |                  ^
  fix: break the circle: a document can only use results of others
`,
  )
  refuses(
    `
name: x
merge_method: passthrough
models: [{model: x}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
x is made from itself: x → x
  at recipe.yml:3:18
  3 | models: [{model: x}]
    |                  ^
  fix: break the circle: a document can only use results of others
`,
  )
  refuses(
    `
name: x
merge_method: passthrough
models: [{model: a}]
---
name: y
merge_method: passthrough
models: [{model: x}]
`,
    `
every document has a name, so that none is the result
  at recipe.yml:5:1
  5 | name: y
    | ^^^^^^^
  fix: remove \`name:\` from the one to write
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: a}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
2 documents have no name, on lines 1, 4
  at recipe.yml:4:1
  4 | merge_method: passthrough
    | ^^^^^^^^^^^^
  fix: give all but one a \`name:\`; the one without is the result
`,
  )
  refuses(
    `
name: x
merge_method: passthrough
tokenizer_source: union
models: [{model: a}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
tokenizer_source in x, a document that is only a stage
  at recipe.yml:3:1
  3 | tokenizer_source: union
    | ^^^^^^^^^^^^^^^^
  fix: move it to the document without a name, which is written
`,
  )
  refuses(
    `
models: {a: a}
merge: a
---
merge_method: passthrough
models: [{model: x}]
`,
    `
with several documents, each must be a mergekit recipe
  at recipe.yml:2:1
  2 | merge: a
    | ^^^^^
  fix: name parts of an expression under \`let:\`, in one document
`,
  )
  refuses(
    `
name: x
models: [{model: a}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
this document has no merge_method
  at recipe.yml:1:1
  1 | name: x
    | ^^^^
  fix: give each document a \`merge_method:\`, or remove the \`---\` before it
`,
  )
  refuses(
    `
x: 1---
- a
`,
    `
not valid YAML: implicit keys need to be on a single line
  at recipe.yml:2:1
  2 | - a
    | ^
  fix: check the indentation, colons, brackets and quotes of this line
`,
  )
  refuses(
    `
name: x
merge_method: passthrough
models: [{model: a}, {model: b}]
---
merge_method: passthrough
models: [{model: x}]
`,
    `
passthrough takes 1 model, not 2 (a, b)
  at recipe.yml:2:15
  2 | merge_method: passthrough
    |               ^^^^^^^^^^^
  fix: keep 1, or use a method for any number of models, such as linear
`,
  )
  refuses(
    `
name: x
merge_method: passthrough
models: [{model: a}]
---
merge_method: linear
parameters: {weight: 1}
models: [{model: x}, {model: x}]
`,
    `
x is listed twice, on lines 7 and 7
  at recipe.yml:7:30
  7 | models: [{model: x}, {model: x}]
    |                              ^
  fix: keep one entry, with the sum of the weights
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
