import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'

describe('YAML that works', () => {
  test('anchors, aliases and merge keys, where the nearer key wins', () => {
    const { merge } = parse(`
x-common: &common {density: 0.6, weight: 0.5}
_ignored: 3
merge_method: ties
base_model: base
models:
  - {model: a, parameters: *common}
  - {model: b, parameters: {<<: *common, weight: 0.9}}
  - {model: c, parameters: {weight: 0.1, <<: [{density: 0.2}, *common]}}
`)
    if (merge.kind !== 'call') throw new Error('unexpected shape')
    const values = merge.arguments.map(({ parameters }) => [parameters['weight']?.value, parameters['density']?.value])
    expect(values).toEqual([
      [0.5, 0.6],
      [0.9, 0.6],
      [0.1, 0.2],
    ])
  })

  test('JSON is YAML', () => {
    expect(parse('{"models": {"a": "x"}, "merge": "a"}').merge).toMatchObject({ kind: 'model', model: 'a' })
  })

  test('a byte order mark is passed over', () => {
    expect(parse('\ufeffmodels: {a: x}\nmerge: a\n').merge).toMatchObject({ at: { line: 2, column: 8, end: 9 } })
  })
})

describe('hostile YAML', () => {
  test('too long', () => {
    expect(() => parse(`${'#'.repeat(1_000_000)}\n`, { name: 'recipe.yml' })).toThrow(
      'the recipe is 1000001 characters long; at most 1000000 are read\n  at recipe.yml\n  fix: is this the right file?',
    )
  })

  test.each(['[', '{a: ', '- ', '? '])('too deep: %s', opening => {
    expect(() => parse(opening.repeat(100_000), { name: 'recipe.yml' })).toThrow('the recipe is nested more than 200 levels deep\n  at recipe.yml\n  fix: is this the right file?')
  })

  test('aliases of aliases of aliases cost nothing', () => {
    const lines = Array.from({ length: 60 }, (_, i) => `_${i}: &a${i} [${i === 0 ? '1' : Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]`)
    expect(parse(`${lines.join('\n')}\nmodels: {a: x}\nmerge: a\n`).merge).toMatchObject({ kind: 'model' })
  })

  test('names that double again and again', () => {
    const lets = Array.from({ length: 30 }, (_, i) => `  x${i}: ${i === 0 ? 'a - a' : `x${i - 1} + x${i - 1}`}`)
    expect(() => parse(`models: {a: x}\nlet:\n${lets.join('\n')}\nmerge: a + x29\n`)).toThrow('the expression has more than 10000 parts once names are filled in')
  })

  test('a long chain of names, defined before use or after', () => {
    const chain = (next: (i: number) => number) => Array.from({ length: 3000 }, (_, i) => `  x${i}: ${next(i) < 0 || next(i) > 2999 ? 'a' : `x${next(i)} + a - a`}`).join('\n')
    expect(() => parse(`models: {a: x}\nlet:\n${chain(i => i - 1)}\nmerge: a\n`)).toThrow('the expression is more than 1000 terms deep once names are filled in')
    expect(() => parse(`models: {a: x}\nlet:\n${chain(i => i + 1)}\nmerge: a\n`)).toThrow('names are defined by each other more than 200 levels deep')
  })

  test('names that every object has', () => {
    const recipe = parse('models: {__proto__: x, constructor: y}\nmerge: 0.5*__proto__ + 0.5*constructor\n')
    expect(Object.keys(recipe.models)).toEqual(['__proto__', 'constructor'])
    expect(recipe.models['constructor']).toMatchObject({ path: 'y' })
    expect(JSON.parse(JSON.stringify(recipe))).toEqual(recipe)
  })
})

describe('laws', () => {
  const RECIPES = [
    'models: {base: b, code: c}\nlet:\n  tau: "code - base"\nmerge: |\n  base + 0.5*tau\n  + [0, 1]*tau\nrules:\n  - {tensors: a.*, layers: [0, 2], from: base}\noutput: {dtype: bf16, shard_size: 5GB}\nseed: 4\n',
    "x-a: &a {weight: 0.5}\nmerge_method: ties\nbase_model: 'b'\nmodels:\n  - model: c\n    parameters: {<<: *a, density: [{filter: mlp, value: [0, 1]}, {value: 1}]}\nparameters: {normalize: yes}\ndtype: float32\n",
  ]
  const edit = fc.record({
    at: fc.nat(250),
    remove: fc.nat(3),
    add: fc.oneof(
      fc.constantFrom('', ' ', '\n', '\t', ':', '- ', '"', "'", '[', ']', '{', '}', '*a', '&a ', '#', '|', '>', '!', '<<', '?', '\\', '\r', '0', '-1', '~', 'merge', '%'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
  })

  test('no recipe makes the reader fail otherwise than with a MergeError, at a place within the text', () => {
    fc.assert(
      fc.property(fc.constantFrom(...RECIPES), fc.array(edit, { minLength: 1, maxLength: 4 }), (recipe, edits) => {
        const text = edits.reduce((t, { at, remove, add }) => t.slice(0, at) + add + t.slice(at + remove), recipe)
        try {
          parse(text)
        } catch (error) {
          if (!(error instanceof MergeError)) throw error
          const { excerpt } = error.details
          if (!excerpt) return
          expect(excerpt.start).toBeGreaterThanOrEqual(1)
          expect(excerpt.start).toBeLessThanOrEqual(excerpt.line.length + 1)
        }
      }),
      { numRuns: 1500 },
    )
  })
})

describe('YAML', () => {
  refuses(
    '',
    `
the recipe is empty
  at recipe.yml
  fix: write at least \`models:\` and \`merge:\`, or a mergekit recipe
`,
  )
  refuses(
    '# nothing',
    `
the recipe is empty
  at recipe.yml
  fix: write at least \`models:\` and \`merge:\`, or a mergekit recipe
`,
  )
  refuses(
    'base + math',
    `
a recipe must be a mapping
  at recipe.yml:1:1
  1 | base + math
    | ^^^^^^^^^^^
  fix: write \`models:\` and \`merge:\`, or a mergekit recipe; an expression alone needs its models named beside it
`,
  )
  refuses(
    '- a',
    `
a recipe must be a mapping
  at recipe.yml:1:1
  1 | - a
    | ^^^
  fix: write \`models:\` and \`merge:\`, or a mergekit recipe; an expression alone needs its models named beside it
`,
  )
  refuses(
    `
merge_method: linear
models:
\t- model: a
`,
    `
a tab indents this line, and YAML allows only spaces
  at recipe.yml:3:1
  3 |  - model: a
    | ^
  fix: replace the tab with spaces
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
merge: code
`,
    `
"merge" is written twice
  at recipe.yml:3:1
  3 | merge: code
    | ^^^^^
  fix: it is already on line 2; keep one of the two
`,
  )
  refuses(
    `
merge_method: linear
models: []
---
merge_method: linear
`,
    `
2 documents have no name, on lines 1, 4
  at recipe.yml:4:1
  4 | merge_method: linear
    | ^^^^^^^^^^^^
  fix: give all but one a \`name:\`; the one without is the result
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: 'base
`,
    `
a quoted text is not closed
  at recipe.yml:3:1
  3 | 
    | ^
  fix: add the missing quote
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: [0.2, 0.8]*(math - base)
`,
    `
not valid YAML: unexpected alias at node end
  at recipe.yml:2:18
  2 | merge: [0.2, 0.8]*(math - base)
    |                  ^^^^^^
  fix: put the expression in quotes: \`merge: '…'\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: *base + code
`,
    `
not valid YAML: unexpected scalar at node end
  at recipe.yml:2:14
  2 | merge: *base + code
    |              ^^^^^^
  fix: put the expression in quotes: \`merge: '…'\`
`,
  )
  refuses(
    `
merge_method: linear
  models: []
`,
    `
not valid YAML: nested mappings are not allowed in compact mappings
  at recipe.yml:1:15
  1 | merge_method: linear
    |               ^
  fix: check the indentation, colons, brackets and quotes of this line
`,
  )
  refuses(
    `
merge_method: linear
models: *listed
`,
    `
unknown alias "*listed"
  at recipe.yml:2:9
  2 | models: *listed
    |         ^^^^^^^
  fix: define it above with \`&listed\`; a text that begins with * needs quotes
`,
  )
  refuses(
    `
merge_method: linear
models: &a [*a]
`,
    `
"*a" refers to itself
  at recipe.yml:2:13
  2 | models: &a [*a]
    |             ^^
  fix: write the value out
`,
  )
  refuses(
    `
a: !secret 3
`,
    `
the tag !secret has no meaning in a recipe
  at recipe.yml:1:4
  1 | a: !secret 3
    |    ^^^^^^^
  fix: remove it
`,
  )
  refuses(
    `
? [a]
: 1
`,
    `
a key must be a word
  at recipe.yml:1:3
  1 | ? [a]
    |   ^^^
  fix: write \`key: value\`
`,
  )
  refuses(
    `
<<: 3
`,
    `
"<<" takes a mapping
  at recipe.yml:1:5
  1 | <<: 3
    |     ^
  fix: write \`<<: *name\`, where \`&name\` marks a mapping
`,
  )
  refuses(
    `
merge_method: linear
models: [{model: a, parameters: {weight: 1, weight: 2}}]
`,
    `
"weight" is written twice
  at recipe.yml:2:45
  2 | models: [{model: a, parameters: {weight: 1, weight: 2}}]
    |                                             ^^^^^^
  fix: it is already on line 2; keep one of the two
`,
  )
})

describe('which form', () => {
  refuses(
    `
models: {a: b}
`,
    `
the recipe has no merge
  at recipe.yml:1:1
  1 | models: {a: b}
    | ^^^^^^
  fix: add for example \`merge: base + 0.5*(math - base)\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merg: base
`,
    `
unknown key "merg"
  at recipe.yml:2:1
  2 | merg: base
    | ^^^^
  fix: did you mean "merge"?
`,
  )
  refuses(
    `
merge-method: linear
models: []
`,
    `
unknown key "merge-method"
  at recipe.yml:1:1
  1 | merge-method: linear
    | ^^^^^^^^^^^^
  fix: did you mean "merge_method"?
`,
  )
  refuses(
    `
base_model: a
models: [{model: b}]
`,
    `
the recipe has no merge_method
  at recipe.yml:1:1
  1 | base_model: a
    | ^^^^^^^^^^
  fix: add for example \`merge_method: linear\`; all methods: \`merganser methods\`
`,
  )
  refuses(
    `
merge_method: linear
merge: a
`,
    `
merge_method and merge are both given
  at recipe.yml:2:1
  2 | merge: a
    | ^^^^^
  fix: keep merge_method for a mergekit recipe, or merge for an expression
`,
  )
})

describe('places inside YAML values', () => {
  refuses(
    `
models: {base: b, code: c, math: m}
merge:
  base
  + 0.5*(mth - base)
`,
    `
unknown name "mth"
  at recipe.yml:4:10
  4 |   + 0.5*(mth - base)
    |          ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: |
  base
    + 0.5*(mth - base)
`,
    `
unknown name "mth"
  at recipe.yml:4:12
  4 |     + 0.5*(mth - base)
    |            ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: >-

  base +
  0.5*(mth - base)
`,
    `
unknown name "mth"
  at recipe.yml:5:8
  5 |   0.5*(mth - base)
    |        ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: 'base + \`it''s\` + code'
`,
    `
unknown name "it's"
  at recipe.yml:2:16
  2 | merge: 'base + \`it''s\` + code'
    |                ^^^^^^^
  fix: names: base, code, math
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: "base\\n + \\"mth\\""
`,
    `
unknown name "mth"
  at recipe.yml:2:18
  2 | merge: "base\\n + \\"mth\\""
    |                  ^^^^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: "base + \\
    mth"
`,
    `
unknown name "mth"
  at recipe.yml:3:5
  3 |     mth"
    |     ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base + # a comment
`,
    `
the expression ends after "+"
  at recipe.yml:2:13
  2 | merge: base + # a comment
    |             ^
  fix: write a model, a number or "(" next
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: '  base  +  mth'
`,
    `
unknown name "mth"
  at recipe.yml:2:20
  2 | merge: '  base  +  mth'
    |                    ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {k: 0.5,
  tau: mth - base}
merge: base
`,
    `
unknown name "mth"
  at recipe.yml:3:8
  3 |   tau: mth - base}
    |        ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: &m base + mth
`,
    `
unknown name "mth"
  at recipe.yml:2:18
  2 | merge: &m base + mth
    |                  ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: "b\\u0061se + mth"
`,
    `
unknown name "mth"
  at recipe.yml:2:21
  2 | merge: "b\\u0061se + mth"
    |                     ^^^
  fix: did you mean "math"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}\r
merge: base + mth\r
`,
    `
unknown name "mth"
  at recipe.yml:2:15
  2 | merge: base + mth
    |               ^^^
  fix: did you mean "math"?
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
