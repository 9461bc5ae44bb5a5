import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'
import { referenceOf, referenceText } from './references.ts'

describe('references', () => {
  const parts = (text: string) => {
    const { path, revision, lora } = referenceOf(text, null)
    return [path, revision, lora && [lora.path, lora.revision]]
  }

  test('path, revision, adapter', () => {
    expect(parts('org/model')).toEqual(['org/model', null, null])
    expect(parts('org/model@v1.0')).toEqual(['org/model', 'v1.0', null])
    expect(parts('org/model+org/lora')).toEqual(['org/model', null, ['org/lora', null]])
    expect(parts('org/model@v1+org/lora@main')).toEqual(['org/model', 'v1', ['org/lora', 'main']])
  })

  test('more signs than the grammar has make one path', () => {
    for (const path of ['c++/model', 'a@b@c', 'a+', '+a', '@a', 'a@', 'a+b+c', 'a+b@']) expect(parts(path)).toEqual([path, null, null])
  })

  const name = (model: string): string => Object.keys(parse(`merge_method: passthrough\nmodels: [{model: ${model}}]\n`).models)[0]!
  test('mappings are called as they would be in text', () => {
    expect(name('{model: {path: a, revision: r}, lora: {path: b, revision: s}}')).toBe('a@r+b@s')
    expect(name('{path: a, lora: b@s}')).toBe('a+b@s')
    expect(name('{model: a@r}')).toBe('a@r')
    expect(name('a@r+b')).toBe('a@r+b')
  })

  test('a path in a mapping is a path, whatever signs it has', () => {
    const [reference] = Object.values(parse('merge_method: passthrough\nmodels: [{model: {model: {path: me@corp/a}}}]\n').models)
    expect(reference).toMatchObject({ text: 'me@corp/a', path: 'me@corp/a', revision: null, lora: null })
    expect(referenceText(reference!)).toBe('me@corp/a')
  })

  test('one model however it is written', () => {
    expect(() => parse('merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a@r}, {model: {path: a, revision: r}}]\n')).toThrow('a@r is listed twice')
  })
})

describe('mistakes', () => {
  refuses(
    `
merge_method: passthrough
models: [{model: {path: a, revision: main, lora: {}}}]
`,
    `
lora has no path
  at recipe.yml:2:50
  2 | models: [{model: {path: a, revision: main, lora: {}}}]
    |                                                  ^^
  fix: write \`lora: {path: path/to/adapter}\`
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: {model: {path: a, revision: x}, revision: y}}]
`,
    `
model has two revisions
  at recipe.yml:2:50
  2 | models: [{model: {model: {path: a, revision: x}, revision: y}}]
    |                                                  ^^^^^^^^
  fix: keep one of the two
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: {revision: y}}]
`,
    `
model has no path
  at recipe.yml:2:18
  2 | models: [{model: {revision: y}}]
    |                  ^^^^^^^^^^^^^
  fix: write \`model: path/to/model\`
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: {model: a, path: b}}]
`,
    `
model has both model and path
  at recipe.yml:2:29
  2 | models: [{model: {model: a, path: b}}]
    |                             ^^^^
  fix: keep one of the two
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: {model: a+b, lora: c}}]
`,
    `
model has two adapters
  at recipe.yml:2:31
  2 | models: [{model: {model: a+b, lora: c}}]
    |                               ^^^^
  fix: keep one of the two
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: {path: a, override_architecture: x}}]
`,
    `
override_architecture has no meaning here
  at recipe.yml:2:28
  2 | models: [{model: {path: a, override_architecture: x}}]
    |                            ^^^^^^^^^^^^^^^^^^^^^
  fix: remove it: models of one architecture merge whatever it is called
`,
  )
  refuses(
    `
merge_method: passthrough
models: [{model: {path: a, lora: {pth: c}}}]
`,
    `
unknown key "pth"
  at recipe.yml:2:35
  2 | models: [{model: {path: a, lora: {pth: c}}}]
    |                                   ^^^
  fix: did you mean "path"?
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
