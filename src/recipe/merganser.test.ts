import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'

describe('recipes', () => {
  const RECIPE = `models:
  base: zoo/text/base          # a path
  code: zoo/text/code
  math: {path: zoo/text/math}
let:
  tau: code - base
merge: base + 0.6*tau + [0.2, 0.8]*(math - base)        # a list is a gradient over layers
rules:
  - tensors: 'lm_head.*'
    from: base
  - tensors: '*.mlp.*'
    layers: [1, 3]
    merge: base + ties(code - base, math - base, density=0.2)
  - tensors: 'score.*'
    drop: true
output: { dtype: bf16, shard_size: 1.5GiB, config_from: base, tokenizer_from: code }
seed: 42
`

  test('models, lets, rules, output and seed', () => {
    const recipe = parse(RECIPE)
    const at = (line: number, column: number, end: number) => ({ line, column, end })
    expect(recipe.models).toEqual({
      base: { text: 'zoo/text/base', path: 'zoo/text/base', revision: null, lora: null, at: at(2, 9, 22) },
      code: { text: 'zoo/text/code', path: 'zoo/text/code', revision: null, lora: null, at: at(3, 9, 22) },
      math: { text: 'zoo/text/math', path: 'zoo/text/math', revision: null, lora: null, at: at(4, 16, 29) },
    })
    expect(recipe.rules).toMatchObject([
      { tensors: 'lm_head.*', layers: null, action: { kind: 'from', model: 'base' }, at: at(9, 5, 25) },
      { tensors: '*.mlp.*', layers: [1, 3], action: { kind: 'merge' }, at: at(11, 5, 23) },
      { tensors: 'score.*', layers: null, action: { kind: 'drop' }, at: at(14, 5, 23) },
    ])
    expect(recipe).toMatchObject({ form: 'merganser', seed: 42, notes: [], output: { dtype: 'BF16', shardSize: 1_610_612_736, configFrom: 'base', tokenizerFrom: 'code' } })
    expect(JSON.parse(JSON.stringify(recipe))).toEqual(recipe)
  })

  test('a let is filled in, at the place of its use', () => {
    const model = (name: string, line: number, column: number) => ({ kind: 'model', model: name, at: { line, column, end: column + 4 } })
    expect(parse(RECIPE).merge).toMatchObject({
      left: {
        left: model('base', 7, 8),
        right: { right: { kind: 'binary', op: '-', left: model('code', 6, 8), right: model('base', 6, 15), at: { line: 7, column: 19, end: 22 } } },
      },
    })
  })

  test('lets use each other in any order, and may be numbers and gradients', () => {
    const { merge, notes } = parse('models: {a: x, b: y}\nlet: {tau: k*delta, delta: b - a, k: -0.5, g: [0, 1]}\nmerge: a + tau + g*delta + linear(delta, weight=k)\n')
    expect(merge).toMatchObject({ right: { parameters: { weight: { value: -0.5 } } } })
    expect(notes).toEqual([])
  })

  test('sizes and donors have defaults', () => {
    expect(parse('models: {a: x}\nmerge: a\n').output).toEqual({ dtype: null, shardSize: 5_000_000_000, configFrom: null, tokenizerFrom: null })
  })

  test('notes on what has no effect', () => {
    expect(parse('models: {a: x, b: x, c: z}\nlet: {t: c - a}\nmerge: a\nrules: [{from: b}, {drop: true}]\n').notes).toEqual([
      { text: 'this rule matches every tensor, so the rules after it have no effect', at: { line: 4, column: 10, end: 17 } },
      { text: 'model "c" is never used', at: { line: 1, column: 25, end: 26 } },
      { text: '"a" and "b" are the same path, x', at: { line: 1, column: 19, end: 20 } },
      { text: 'let "t" is never used', at: { line: 2, column: 7, end: 8 } },
    ])
  })
})

describe('keys and models', () => {
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
sed: 3
`,
    `
unknown key "sed"
  at recipe.yml:3:1
  3 | sed: 3
    | ^^^
  fix: did you mean "seed"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
output: {dtpye: bf16}
`,
    `
unknown key "dtpye"
  at recipe.yml:3:10
  3 | output: {dtpye: bf16}
    |          ^^^^^
  fix: did you mean "dtype"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{tensor: x, from: code}]
`,
    `
unknown key "tensor"
  at recipe.yml:3:10
  3 | rules: [{tensor: x, from: code}]
    |          ^^^^^^
  fix: did you mean "tensors"?
`,
  )
  refuses(
    `
merge: base
`,
    `
the recipe names no models
  at recipe.yml:1:1
  1 | merge: base
    | ^^^^^
  fix: add \`models: {base: path/to/base, math: path/to/math}\`
`,
  )
  refuses(
    `
models: [a]
merge: a
`,
    `
with \`merge:\`, models must be a mapping of names to paths
  at recipe.yml:1:1
  1 | models: [a]
    | ^^^^^^
  fix: write \`models: {base: path/to/base, math: path/to/math}\`
`,
  )
  refuses(
    `
models: {}
merge: a
`,
    `
the recipe names no models
  at recipe.yml:1:1
  1 | models: {}
    | ^^^^^^^^^^
  fix: write \`models: {base: path/to/base, math: path/to/math}\`
`,
  )
  refuses(
    `
models: {a: }
merge: a
`,
    `
the path of a must be text
  at recipe.yml:1:13
  1 | models: {a: }
    |             ^
  fix: write for example \`a: path/to/model\`
`,
  )
  refuses(
    `
models: {a: [b]}
merge: a
`,
    `
the path of a must be text
  at recipe.yml:1:13
  1 | models: {a: [b]}
    |             ^^^
  fix: write for example \`a: path/to/model\`
`,
  )
  refuses(
    `
models: {a: {pth: b}}
merge: a
`,
    `
unknown key "pth"
  at recipe.yml:1:14
  1 | models: {a: {pth: b}}
    |              ^^^
  fix: did you mean "path"?
`,
  )
  refuses(
    `
models: {a: {}}
merge: a
`,
    `
a has no path
  at recipe.yml:1:13
  1 | models: {a: {}}
    |             ^^
  fix: write \`a: path/to/model\`
`,
  )
  refuses(
    `
models: {ties: x}
merge: ties
`,
    `
"ties" is the name of a merge method
  at recipe.yml:1:10
  1 | models: {ties: x}
    |          ^^^^
  fix: choose another name
`,
  )
  refuses(
    `
models: {"a\`b": x}
merge: a
`,
    `
"a\`b" cannot be a name in expressions
  at recipe.yml:1:10
  1 | models: {"a\`b": x}
    |          ^^^^^
  fix: choose a name of letters, digits and _
`,
  )
  refuses(
    `
models: {a: x, a: y}
merge: a
`,
    `
"a" is written twice
  at recipe.yml:1:16
  1 | models: {a: x, a: y}
    |                ^
  fix: it is already on line 1; keep one of the two
`,
  )
})

describe('let', () => {
  refuses(
    `
models: {base: b, code: c, math: m}
let: {math: code}
merge: base
`,
    `
"math" is already the name of a model
  at recipe.yml:2:7
  2 | let: {math: code}
    |       ^^^^
  fix: choose another name
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {linear: code}
merge: base
`,
    `
"linear" is the name of a merge method
  at recipe.yml:2:7
  2 | let: {linear: code}
    |       ^^^^^^
  fix: choose another name
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {tau: }
merge: base
`,
    `
let "tau" has no expression
  at recipe.yml:2:7
  2 | let: {tau: }
    |       ^^^
  fix: write for example \`tau: math - base\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {tau: {a: b}}
merge: base
`,
    `
let "tau" must be an expression
  at recipe.yml:2:12
  2 | let: {tau: {a: b}}
    |            ^^^^^^
  fix: put it in quotes: \`tau: 'math - base'\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {tau: code - bse}
merge: base
`,
    `
unknown name "bse"
  at recipe.yml:2:19
  2 | let: {tau: code - bse}
    |                   ^^^
  fix: did you mean "base"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let:
  a: b
  b: c
  c: a
merge: base
`,
    `
"a" is defined by itself: a → b → c → a
  at recipe.yml:5:6
  5 |   c: a
    |      ^
  fix: break the circle
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {a: a}
merge: base
`,
    `
"a" is defined by itself: a → a
  at recipe.yml:2:10
  2 | let: {a: a}
    |          ^
  fix: break the circle
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {tau: code*base}
merge: base + tau
`,
    `
multiplies a model by a model
  at recipe.yml:2:12
  2 | let: {tau: code*base}
    |            ^^^^^^^^^
  fix: multiply by a number: \`0.5*base\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {tau: code}
merge: base + tau
`,
    `
adds two models
  at recipe.yml:3:8
  3 | merge: base + tau
    |        ^^^^^^^^^^
  fix: write \`base + (tau - base)\`, or average with \`0.5*base + 0.5*tau\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
let: {tau: code - base}
merge: tau
`,
    `
this is a task vector, not a model
  at recipe.yml:3:8
  3 | merge: tau
    |        ^^^
  fix: add it to a model: \`base + tau\`
`,
  )
})

describe('merge', () => {
  refuses(
    `
models: {base: b, code: c, math: m}
merge:
`,
    `
merge has no expression
  at recipe.yml:2:7
  2 | merge:
    |       ^
  fix: write for example \`merge: base + 0.5*(math - base)\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: {a: b}
`,
    `
merge must be an expression
  at recipe.yml:2:8
  2 | merge: {a: b}
    |        ^^^^^^
  fix: put it in quotes: \`merge: 'base + 0.5*(math - base)'\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: 1
`,
    `
the expression is a number and names no model
  at recipe.yml:2:8
  2 | merge: 1
    |        ^
  fix: write for example \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: [1, 2]
`,
    `
the expression is a number and names no model
  at recipe.yml:2:8
  2 | merge: [1, 2]
    |        ^^^^^^
  fix: write for example \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base +
`,
    `
the expression ends after "+"
  at recipe.yml:2:13
  2 | merge: base +
    |             ^
  fix: write a model, a number or "(" next
`,
  )
})

describe('rules', () => {
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: {from: code}
`,
    `
rules must be a list
  at recipe.yml:3:1
  3 | rules: {from: code}
    | ^^^^^
  fix: write entries such as \`- {tensors: 'lm_head.*', from: base}\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [code]
`,
    `
a rule must be a mapping
  at recipe.yml:3:9
  3 | rules: [code]
    |         ^^^^
  fix: write for example \`- {tensors: 'lm_head.*', from: base}\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules:
  - tensors: lm_head.*
`,
    `
the rule does nothing
  at recipe.yml:4:5
  4 |   - tensors: lm_head.*
    |     ^^^^^^^^^^^^^^^^^^
  fix: give it one of \`merge: EXPRESSION\`, \`from: MODEL\`, \`drop: true\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{from: base, drop: true}]
`,
    `
the rule has both from and drop
  at recipe.yml:3:22
  3 | rules: [{from: base, drop: true}]
    |                      ^^^^
  fix: keep one of merge, from, drop
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{from: bse}]
`,
    `
unknown model "bse"
  at recipe.yml:3:16
  3 | rules: [{from: bse}]
    |                ^^^
  fix: did you mean "base"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{drop: false}]
`,
    `
drop can only be true
  at recipe.yml:3:16
  3 | rules: [{drop: false}]
    |                ^^^^^
  fix: remove the rule to keep these tensors
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{layers: 3, from: code}]
`,
    `
layers must be two whole numbers, [start, end)
  at recipe.yml:3:18
  3 | rules: [{layers: 3, from: code}]
    |                  ^
  fix: write for example \`layers: [0, 8]\` for layers 0 to 7
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{layers: [3, 1], from: code}]
`,
    `
layers [3, 1) is empty
  at recipe.yml:3:18
  3 | rules: [{layers: [3, 1], from: code}]
    |                  ^^^^^^
  fix: did you mean [1, 3]?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{layers: [3, 3], from: code}]
`,
    `
layers [3, 3) is empty
  at recipe.yml:3:18
  3 | rules: [{layers: [3, 3], from: code}]
    |                  ^^^^^^
  fix: write \`layers: [3, 4]\` for layer 3 alone
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{tensors: [a], from: code}]
`,
    `
tensors must be text
  at recipe.yml:3:19
  3 | rules: [{tensors: [a], from: code}]
    |                   ^^^
  fix: write for example \`tensors: '*.mlp.*'\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
rules: [{merge: base + code}]
`,
    `
adds two models
  at recipe.yml:3:17
  3 | rules: [{merge: base + code}]
    |                 ^^^^^^^^^^^
  fix: write \`base + (code - base)\`, or average with \`0.5*base + 0.5*code\`
`,
  )
})

describe('output and seed', () => {
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
output: {dtype: bf17}
`,
    `
unknown dtype "bf17"
  at recipe.yml:3:17
  3 | output: {dtype: bf17}
    |                 ^^^^
  fix: did you mean "bf16"? Use one of: float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
output: {shard_size: 5}
`,
    `
a shard of 5 bytes is too small
  at recipe.yml:3:22
  3 | output: {shard_size: 5}
    |                      ^
  fix: did you mean 5GB?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
output: {shard_size: 5 gigs}
`,
    `
"5 gigs" is not a size
  at recipe.yml:3:22
  3 | output: {shard_size: 5 gigs}
    |                      ^^^^^^
  fix: write a number with a unit: 5GB, 500MB, 1.5GiB
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
output: {shard_size: 10KB}
`,
    `
a shard of 10KB is too small
  at recipe.yml:3:22
  3 | output: {shard_size: 10KB}
    |                      ^^^^
  fix: write at least 1MB
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
output: {config_from: bas}
`,
    `
unknown model "bas"
  at recipe.yml:3:23
  3 | output: {config_from: bas}
    |                       ^^^
  fix: did you mean "base"?
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
seed: 1.5
`,
    `
seed must be a whole number from 0 to 2^53 - 1
  at recipe.yml:3:7
  3 | seed: 1.5
    |       ^^^
  fix: write for example \`seed: 42\`
`,
  )
  refuses(
    `
models: {base: b, code: c, math: m}
merge: base
seed: 99999999999999999999
`,
    `
seed must be a whole number from 0 to 2^53 - 1
  at recipe.yml:3:7
  3 | seed: 99999999999999999999
    |       ^^^^^^^^^^^^^^^^^^^^
  fix: write for example \`seed: 42\`
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
