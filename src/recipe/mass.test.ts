import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { massOf, numberAt, positionsOf } from './mass.ts'
import { parse } from './parse.ts'

const accepted = (text: string) => parse(text, { models: { base: 'b', code: 'c', math: 'm', 'my-model': 'x' } })

describe('what adds up', () => {
  test.each([
    'base + 0.5*(math - base)',
    '0.5*base + 0.5*code',
    '(base + code + math)/3',
    '0.333333*base + 0.333333*code + 0.333333*math', // rounding of written weights is let through
    '2*base - code',
    'base + ties(code - base, math - base, density=0.2)',
    'base + [0.2, 0.8]*(math - base)',
    '[0, 1, 0]*base + [1, 0, 1]*code',
    '[0, 1]*base + [1, 0.75, 0.5, 0.25, 0]*code',
    'ties(code, math, density=0.2, base=base)',
    'ties(0.5*code + 0.5*math, density=0.2, base=base)',
    'slerp(code - base, math - base, t=0.5) + base',
    'base + linear(0.5*(code - base), 0*math)',
    'base*(1/3) + code*(2/3)',
    'linear(base, code, weight=(0.7, 0.3), normalize=false)',
    'linear(base, code, weight=(-1, 2), normalize=false)',
    'linear(base, code, weight=([0, 1], [1, 0]), normalize=false)',
    'linear(base, code, weight=(3, 1))', // divided by 4
    '0.5*linear(base, code, normalize=false)',
    'base + linear(code - base, math - base, weight=2, normalize=false)',
    '2*base - passthrough(code)',
    'base + passthrough(code - base, scale=0.3)',
    '0.5*passthrough(base, scale=2)',
    'linear(passthrough(0.5*base + 0.5*code, scale=1), math)',
  ])('%s', text => {
    expect(accepted(text).merge).toBeDefined()
  })

  test('a gradient with a bend that the other lacks is noticed', () => {
    expect(() => accepted('[0, 1]*base + [1, 0.9, 0]*code')).toThrow('the weights add up to 1.4 at 50% of the depth, not to 1')
  })

  test('the product of two gradients is looked at between their bends', () => {
    expect(() => accepted('base + [0, 1]*[1, 0]*code')).toThrow('the weights add up to 1.25 at 50% of the depth, not to 1')
  })
})

describe('a sum that is not divided, or a scaled copy, adds up to its own weights', () => {
  test.each([
    ['linear(base, code, normalize=false)', '2, not to 1', 'leave out `normalize=false`, or let the weights add up to 1'],
    ['linear(base, code, weight=(0.7, 0.4), normalize=off)', '1.1, not to 1', 'write `(linear(base, code, weight=(0.7, 0.4), normalize=off))/1.1`'],
    ['0.5*base + linear(code, weight=0.6, normalize=false)', '1.1, not to 1', 'leave out `normalize=false`, or let the weights add up to 1'],
    [
      'linear(base, code, weight=([0, 1], [1, 0.5]), normalize=false)',
      '1.5 at the last layer, not to 1',
      'let the gradients add up to 1 at every layer, or multiply task vectors, such as `math - base`, by them',
    ],
    [
      'linear(base, code, weight=([0, 1, 0], [1, 0.5, 1]), normalize=false)',
      '1.5 at 50% of the depth, not to 1',
      'let the gradients add up to 1 at every layer, or multiply task vectors, such as `math - base`, by them',
    ],
    ['passthrough(base, scale=2)', '2, not to 1', 'write `(passthrough(base, scale=2))/2`'],
    [
      '0.5*code + 0.5*passthrough(base, scale=[1, 0])',
      '0.5 at the last layer, not to 1',
      'let the gradients add up to 1 at every layer, or multiply task vectors, such as `math - base`, by them',
    ],
  ])('%s', (text, what, fix) => {
    const refused = (): unknown => accepted(text)
    expect(refused).toThrow(`the weights add up to ${what}`)
    expect(refused).toThrow(`fix: ${fix}`)
  })

  test('and is no model to a method', () => {
    expect(() => accepted('slerp(base, passthrough(code, scale=2), t=0.5)')).toThrow('`passthrough(code, scale=2)` is neither a model nor a task vector: its weights add up to 2')
  })

  test('but in a mergekit recipe, where weights are free', () => {
    expect(
      parse('merge_method: linear\nparameters: {normalize: false}\nmodels:\n  - {model: a, parameters: {weight: 0.9}}\n  - {model: b, parameters: {weight: 0.9}}\n').form,
    ).toBe('mergekit')
  })
})

describe('massOf', () => {
  test('a model has mass 1, a task vector 0, a number none', () => {
    const recipe = accepted('base + 0*(code - math)')
    if (recipe.merge.kind !== 'binary' || recipe.merge.right.kind !== 'binary') throw new Error('unexpected shape')
    expect(massOf(recipe.merge, recipe)).toEqual([1])
    expect(massOf(recipe.merge.right, recipe)).toEqual([0])
    expect(massOf(recipe.merge.right.left, recipe)).toBe(null)
  })

  test('positions are the bends of all gradients and the middles between', () => {
    expect(positionsOf(accepted('base + [0, 1]*(code - base)').merge)).toEqual([0, 0.5, 1])
    expect(positionsOf(accepted('base + [0, 1, 2]*(code - base)').merge)).toEqual([0, 0.25, 0.5, 0.75, 1])
  })

  test('numberAt computes what names no model', () => {
    const { merge } = accepted('base + (-[1, 3]*2/4 + 1 - 0.5)*(code - base)')
    if (merge.kind !== 'binary' || merge.right.kind !== 'binary') throw new Error('unexpected shape')
    expect(numberAt(merge.right.left, 0.5)).toBe(-0.5)
    expect(numberAt(merge, 0)).toBe(null)
  })
})

describe('models that do not add up to one', () => {
  refuses(
    'base + math',
    `
adds two models
  at expression:1:1
  1 | base + math
    | ^^^^^^^^^^^
  fix: write \`base + (math - base)\`, or average with \`0.5*base + 0.5*math\`
`,
  )
  refuses(
    'base + 0.5*math',
    `
the weights add up to 1.5, not to 1
  at expression:1:1
  1 | base + 0.5*math
    | ^^^^^^^^^^^^^^^
  fix: write \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    'base + 0.5*code + 0.5*math',
    `
the weights add up to 2, not to 1
  at expression:1:1
  1 | base + 0.5*code + 0.5*math
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: write \`base + 0.5*(code - base) + 0.5*(math - base)\`
`,
  )
  refuses(
    'base + code + math',
    `
adds 3 models
  at expression:1:1
  1 | base + code + math
    | ^^^^^^^^^^^^^^^^^^
  fix: average them: \`(base + code + math)/3\`
`,
  )
  refuses(
    '0.5*base + 0.4*code',
    `
the weights add up to 0.9, not to 1
  at expression:1:1
  1 | 0.5*base + 0.4*code
    | ^^^^^^^^^^^^^^^^^^^
  fix: write \`(0.5*base + 0.4*code)/0.9\`
`,
  )
  refuses(
    '0.5*math',
    `
the weights add up to 0.5, not to 1
  at expression:1:1
  1 | 0.5*math
    | ^^^^^^^^
  fix: write \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    '2*math',
    `
the weights add up to 2, not to 1
  at expression:1:1
  1 | 2*math
    | ^^^^^^
  fix: write \`base + 2*(math - base)\`
`,
  )
  refuses(
    '-base',
    `
the weights add up to -1, not to 1
  at expression:1:1
  1 | -base
    | ^^^^^
  fix: write \`code - (base - code)\`
`,
  )
  refuses(
    '0.5*(base + code + math)',
    `
the weights add up to 1.5, not to 1
  at expression:1:1
  1 | 0.5*(base + code + math)
    | ^^^^^^^^^^^^^^^^^^^^^^^^
  fix: write \`(0.5*(base + code + math))/1.5\`
`,
  )
  refuses(
    'base + math + (code - base)',
    `
adds two models
  at expression:1:1
  1 | base + math + (code - base)
    | ^^^^^^^^^^^
  fix: write \`base + (math - base)\`, or average with \`0.5*base + 0.5*math\`
`,
  )
  refuses(
    'base + 0.5*code - 0.2*math + (code - base)',
    `
the weights add up to 1.3, not to 1
  at expression:1:1
  1 | base + 0.5*code - 0.2*math + (code - base)
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: write \`base + 0.5*(code - base) - 0.2*(math - base) + (code - base)\`
`,
  )
  refuses(
    'base + 0.5*`my-model`',
    `
the weights add up to 1.5, not to 1
  at expression:1:1
  1 | base + 0.5*\`my-model\`
    | ^^^^^^^^^^^^^^^^^^^^^
  fix: write \`base + 0.5*(\`my-model\` - base)\`
`,
  )
})

describe('task vectors and numbers', () => {
  refuses(
    'code - base',
    `
this is a task vector, not a model
  at expression:1:1
  1 | code - base
    | ^^^^^^^^^^^
  fix: add it to a model: \`base + (code - base)\`
`,
  )
  refuses(
    '0.5*(code - base)',
    `
this is a task vector, not a model
  at expression:1:1
  1 | 0.5*(code - base)
    | ^^^^^^^^^^^^^^^^^
  fix: add it to a model: \`base + 0.5*(code - base)\`
`,
  )
  refuses(
    'ties(code - base, math - base, density=0.2)',
    `
this is a task vector, not a model
  at expression:1:1
  1 | ties(code - base, math - base, density=0.2)
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: add it to a model: \`base + ties(code - base, math - base, density=0.2)\`
`,
  )
  refuses(
    'code - math',
    `
this is a task vector, not a model
  at expression:1:1
  1 | code - math
    | ^^^^^^^^^^^
  fix: add it to a model: \`base + (code - math)\`
`,
  )
  refuses(
    '3',
    `
the expression is a number and names no model
  at expression:1:1
  1 | 3
    | ^
  fix: write for example \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    '[1, 2]',
    `
the expression is a number and names no model
  at expression:1:1
  1 | [1, 2]
    | ^^^^^^
  fix: write for example \`base + 0.5*(math - base)\`
`,
  )
})

describe('gradients', () => {
  refuses(
    'base + [0.2, 0.8]*code',
    `
the weights add up to 1.8 at the last layer, not to 1
  at expression:1:1
  1 | base + [0.2, 0.8]*code
    | ^^^^^^^^^^^^^^^^^^^^^^
  fix: let the gradients add up to 1 at every layer, or multiply task vectors, such as \`math - base\`, by them
`,
  )
  refuses(
    '[0.2, 0.8]*base + [0.8, 0.3]*code',
    `
the weights add up to 1.1 at the last layer, not to 1
  at expression:1:1
  1 | [0.2, 0.8]*base + [0.8, 0.3]*code
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: let the gradients add up to 1 at every layer, or multiply task vectors, such as \`math - base\`, by them
`,
  )
  refuses(
    '[1, 0, 1]*base + [0, 0, 0]*code',
    `
the weights add up to 0 at 50% of the depth, not to 1
  at expression:1:1
  1 | [1, 0, 1]*base + [0, 0, 0]*code
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: let the gradients add up to 1 at every layer, or multiply task vectors, such as \`math - base\`, by them
`,
  )
  refuses(
    'base + (code - base)/[0, 1]',
    `
divides by 0
  at expression:1:8
  1 | base + (code - base)/[0, 1]
    |        ^^^^^^^^^^^^^^^^^^^^
  fix: choose a gradient that never passes 0
`,
  )
})

describe('meaningless arithmetic', () => {
  refuses(
    'base*code',
    `
multiplies a model by a model
  at expression:1:1
  1 | base*code
    | ^^^^^^^^^
  fix: multiply by a number: \`0.5*code\`
`,
  )
  refuses(
    '(code - base)*math',
    `
multiplies a task vector by a model
  at expression:1:1
  1 | (code - base)*math
    | ^^^^^^^^^^^^^^^^^^
  fix: multiply by a number: \`0.5*math\`
`,
  )
  refuses(
    'base/code',
    `
divides by a model
  at expression:1:1
  1 | base/code
    | ^^^^^^^^^
  fix: divide by a number
`,
  )
  refuses(
    'base/0',
    `
divides by 0
  at expression:1:1
  1 | base/0
    | ^^^^^^
  fix: divide by another number
`,
  )
  refuses(
    'base + 1',
    `
adds a number to a model
  at expression:1:1
  1 | base + 1
    | ^^^^^^^^
  fix: numbers only multiply: \`1*base\`
`,
  )
  refuses(
    '1 - base',
    `
subtracts a model from a number
  at expression:1:1
  1 | 1 - base
    | ^^^^^^^^
  fix: numbers only multiply: \`1*base\`
`,
  )
  refuses(
    'base + (code - base) + 0.5',
    `
adds a number to a model
  at expression:1:1
  1 | base + (code - base) + 0.5
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: numbers only multiply: \`0.5*(base + (code - base))\`
`,
  )
  refuses(
    '1e308*10*base',
    `
the numbers here grow beyond what a computer can hold
  at expression:1:1
  1 | 1e308*10*base
    | ^^^^^^^^
  fix: write smaller numbers
`,
  )
})

describe('calls', () => {
  refuses(
    'ties(code - base, math)',
    `
ties mixes models and task vectors: \`code - base\` is a task vector, \`math\` is a model
  at expression:1:19
  1 | ties(code - base, math)
    |                   ^^^^
  fix: make all arguments models, or all task vectors such as \`math - base\`
`,
  )
  refuses(
    'ties(code, math)',
    `
ties needs a base to merge models
  at expression:1:1
  1 | ties(code, math)
    | ^^^^^^^^^^^^^^^^
  fix: write \`ties(code, math, base=base)\`, or merge task vectors: \`base + ties(code - base, math - base)\`
`,
  )
  refuses(
    'ties(code, math, density=0.2)',
    `
ties needs a base to merge models
  at expression:1:1
  1 | ties(code, math, density=0.2)
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  fix: write \`ties(code, math, density=0.2, base=base)\`, or merge task vectors: \`base + ties(code - base, math - base, density=0.2)\`
`,
  )
  refuses(
    'ties(code, base)',
    `
ties needs a base to merge models
  at expression:1:1
  1 | ties(code, base)
    | ^^^^^^^^^^^^^^^^
  fix: write \`ties(code, base=base)\`, or merge task vectors: \`base + ties(code - base)\`
`,
  )
  refuses(
    'ties(code - base, base=base)',
    `
the arguments of ties are task vectors, which need no base
  at expression:1:24
  1 | ties(code - base, base=base)
    |                        ^^^^
  fix: write \`base + ties(code - base)\`
`,
  )
  refuses(
    'ties(0.5*code, base=base)',
    `
\`0.5*code\` is neither a model nor a task vector: its weights add up to 0.5
  at expression:1:6
  1 | ties(0.5*code, base=base)
    |      ^^^^^^^^
  fix: arguments of a method add up to 1 (a model) or to 0 (a task vector, such as \`math - base\`)
`,
  )
  refuses(
    'ties(code, base=code + math)',
    `
the base of ties must be a model; the weights of this one add up to 2
  at expression:1:17
  1 | ties(code, base=code + math)
    |                 ^^^^^^^^^^^
  fix: write \`base=NAME\` with the name of a model
`,
  )
  refuses(
    'ties(code, base=code - base)',
    `
the base of ties must be a model; this is a task vector
  at expression:1:17
  1 | ties(code, base=code - base)
    |                 ^^^^^^^^^^^
  fix: write \`base=NAME\` with the name of a model
`,
  )
  refuses(
    'ties(code, base=2)',
    `
the base of ties must be a model; this is a number
  at expression:1:17
  1 | ties(code, base=2)
    |                 ^
  fix: write \`base=NAME\` with the name of a model
`,
  )
  refuses(
    'linear(code, base=base)',
    `
linear takes no base
  at expression:1:19
  1 | linear(code, base=base)
    |                   ^^^^
  fix: leave out \`base=\`, or make it one of the models
`,
  )
  refuses(
    'linear(2, base)',
    `
an argument of linear is a number
  at expression:1:8
  1 | linear(2, base)
    |        ^
  fix: arguments are models or task vectors; parameters are written \`name=value\`
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
