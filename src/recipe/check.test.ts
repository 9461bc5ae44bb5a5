import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from './parse.ts'

describe('notes', () => {
  const notes = (text: string) => parse(text, { models: { base: 'b', code: 'c' } }).notes

  test('a default that does less than people expect', () => {
    expect(notes('base + ties(code - base)')).toEqual([{ text: 'ties: density is 1: nothing is trimmed; the paper uses 0.2', at: { line: 1, column: 8, end: 25 } }])
    expect(notes('base + ties(code - base, density=1)')).toEqual([])
  })

  test('a parameter of another method', () => {
    expect(notes('base + task_arithmetic(code - base, density=0.2)')).toEqual([{ text: 'density has no effect in task_arithmetic', at: { line: 1, column: 37, end: 48 } }])
  })

  test('a parameter that is accepted and does nothing', () => {
    expect(notes('base + task_arithmetic(code - base, int8_mask=true)')).toEqual([])
  })

  test('a value outside its usual range, once for a gradient that repeats it', () => {
    expect(notes('slerp(base, code, t=[2, 0.5, 2])')).toEqual([{ text: 't is 2, outside the usual range from 0 to 1', at: { line: 1, column: 19, end: 32 } }])
  })

  test('a model that is not used, and a path with two names', () => {
    expect(parse('base', { models: { base: 'b', code: 'c', other: 'b' } }).notes).toEqual([
      { text: 'model "code" is never used', at: null },
      { text: 'model "other" is never used', at: null },
      { text: '"base" and "other" are the same path, b', at: null },
    ])
  })
})

describe('names of parameters', () => {
  refuses(
    'base + ties(code - base, densty=0.2)',
    `
unknown parameter "densty" of ties
  at expression:1:26
  1 | base + ties(code - base, densty=0.2)
    |                          ^^^^^^^^^^
  fix: did you mean "density"?
`,
  )
  refuses(
    'linear(base, code, wieght=0.5)',
    `
unknown parameter "wieght" of linear
  at expression:1:20
  1 | linear(base, code, wieght=0.5)
    |                    ^^^^^^^^^^
  fix: did you mean "weight"?
`,
  )
  refuses(
    'linear(base, nope=3)',
    `
unknown parameter "nope" of linear
  at expression:1:14
  1 | linear(base, nope=3)
    |              ^^^^^^
  fix: parameters of linear: weight, normalize
`,
  )
  refuses(
    'linear(base, random_seed=42)',
    `
random_seed is not a parameter of linear
  at expression:1:14
  1 | linear(base, random_seed=42)
    |              ^^^^^^^^^^^^^^
  fix: give it beside the expression: \`--seed 42\`
`,
  )
})

describe('values', () => {
  refuses(
    'base + ties(code - base, density=50)',
    `
density is 50, and must be above 0 and at most 1
  at expression:1:26
  1 | base + ties(code - base, density=50)
    |                          ^^^^^^^^^^
  fix: did you mean 0.5?
`,
  )
  refuses(
    'base + ties(code - base, density=0)',
    `
density is 0, and must be above 0 and at most 1
  at expression:1:26
  1 | base + ties(code - base, density=0)
    |                          ^^^^^^^^^
  fix: write a number above 0 and at most 1
`,
  )
  refuses(
    'base + ties(code - base, density=-0.3)',
    `
density is -0.3, and must be above 0 and at most 1
  at expression:1:26
  1 | base + ties(code - base, density=-0.3)
    |                          ^^^^^^^^^^^^
  fix: write a number above 0 and at most 1
`,
  )
  refuses(
    'base + ties(code - base, density=[0.2, 1.5])',
    `
density is 1.5, and must be above 0 and at most 1
  at expression:1:26
  1 | base + ties(code - base, density=[0.2, 1.5])
    |                          ^^^^^^^^^^^^^^^^^^
  fix: write a number above 0 and at most 1
`,
  )
  refuses(
    'base + ties(code - base, math - base, density=(0.2, 20))',
    `
density is 20, and must be above 0 and at most 1
  at expression:1:39
  1 | base + ties(code - base, math - base, density=(0.2, 20))
    |                                       ^^^^^^^^^^^^^^^^^
  fix: did you mean 0.2?
`,
  )
  refuses(
    'linear(base, weight=half)',
    `
weight must be a number, not "half"
  at expression:1:14
  1 | linear(base, weight=half)
    |              ^^^^^^^^^^^
  fix: write a number such as 0.5
`,
  )
  refuses(
    'linear(base, weight=`1`)',
    `
weight must be a number, not "1"
  at expression:1:14
  1 | linear(base, weight=\`1\`)
    |              ^^^^^^^^^^
  fix: write a number such as 0.5
`,
  )
  refuses(
    'linear(base, normalize=0.5)',
    `
normalize must be true or false, not 0.5
  at expression:1:14
  1 | linear(base, normalize=0.5)
    |              ^^^^^^^^^^^^^
  fix: write true or false
`,
  )
  refuses(
    'linear(base, normalize=[0, 1])',
    `
normalize cannot be a gradient
  at expression:1:14
  1 | linear(base, normalize=[0, 1])
    |              ^^^^^^^^^^^^^^^^
  fix: normalize must be true or false
`,
  )
  refuses(
    'base + dare_ties(code - base, rescale=papr)',
    `
rescale must be true, false or "paper", not "papr"
  at expression:1:31
  1 | base + dare_ties(code - base, rescale=papr)
    |                               ^^^^^^^^^^^^
  fix: did you mean "paper"?
`,
  )
  refuses(
    'base + dare_ties(code - base, rescale=2)',
    `
rescale must be true, false or "paper", not 2
  at expression:1:31
  1 | base + dare_ties(code - base, rescale=2)
    |                               ^^^^^^^^^
  fix: write true, false or "paper"
`,
  )
  refuses(
    'slerp(base, code, t=(0.2, 0.3))',
    `
t of slerp is one value for the whole merge, not one for each model
  at expression:1:19
  1 | slerp(base, code, t=(0.2, 0.3))
    |                   ^^^^^^^^^^^^
  fix: give one value for all
`,
  )
})

describe('what is missing', () => {
  refuses(
    'slerp(base, code)',
    `
slerp needs t
  at expression:1:1
  1 | slerp(base, code)
    | ^^^^^^^^^^^^^^^^^
  fix: add \`t=0.5\` to the call: \`slerp(base, code, t=0.5)\`
`,
  )
  refuses(
    'slerp(base, t=0.5)',
    `
slerp takes 2 models, not 1 (base)
  at expression:1:1
  1 | slerp(base, t=0.5)
    | ^^^^^^^^^^^^^^^^^^
  fix: add 1 model
`,
  )
  refuses(
    'slerp(base, code, math, t=0.5)',
    `
slerp takes 2 models, not 3 (base, code, math)
  at expression:1:1
  1 | slerp(base, code, math, t=0.5)
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: keep 2, or use a method for any number of models, such as linear
`,
  )
  refuses(
    'passthrough(base, code)',
    `
passthrough takes 1 model, not 2 (base, code)
  at expression:1:1
  1 | passthrough(base, code)
    | ^^^^^^^^^^^^^^^^^^^^^^^
  fix: keep 1, or use a method for any number of models, such as linear
`,
  )
  refuses(
    'ties(base=base)',
    `
ties needs at least 1 model, not 0
  at expression:1:1
  1 | ties(base=base)
    | ^^^^^^^^^^^^^^^
  fix: add 1 model
`,
  )
  refuses(
    'linear()',
    `
linear needs at least 1 model, not 0
  at expression:1:1
  1 | linear()
    | ^^^^^^^^
  fix: add 1 model
`,
  )
})

describe('weights that add up to zero', () => {
  refuses(
    'linear(base, code, weight=(1, -1))',
    `
the weights of linear add up to 0, and the average divides by their sum
  at expression:1:1
  1 | linear(base, code, weight=(1, -1))
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: change a weight, or add them without dividing: \`normalize=false\`
`,
  )
  refuses(
    'linear(base, code, weight=0)',
    `
the weights of linear add up to 0, and the average divides by their sum
  at expression:1:1
  1 | linear(base, code, weight=0)
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: give at least one model a weight other than 0
`,
  )
})

/** One test: `parse` refuses `text` with exactly this message. */
function refuses(text: string, expected: string): void {
  test(`${expected.split('\n')[1]}: ${text.trim().split('\n').at(-1)}`, () => {
    let message = 'no error'
    try {
      parse(text, { models: { base: 'b', code: 'c', math: 'm', 'my-model': 'x' } })
    } catch (error) {
      message = error instanceof MergeError ? error.message : String(error)
    }
    expect(`\n${message}\n`).toBe(expected)
  })
}
