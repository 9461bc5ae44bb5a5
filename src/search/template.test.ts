import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { parse } from '../recipe/parse.ts'
import { describePoint, sizeOf, valuesAt } from './space.ts'
import { fillTemplate, readTemplate } from './template.ts'

const RECIPE = `# $lambda in a comment stays
models:
  base: models/base
  math: models/math
variables:
  lambda: { range: [0, 1], step: 0.25 } # $lambda here too

merge: |-   # and $lambda here
  base +
    $lambda*(math - base)
output: { dtype: f32 }
`

const errorOf = (run: () => unknown): MergeError => {
  try {
    run()
  } catch (error) {
    if (error instanceof MergeError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a recipe with variables', () => {
  test('is an ordinary one once they have values, line for line', () => {
    const template = readTemplate(RECIPE)
    expect(fillTemplate(template, { lambda: 0.75 })).toBe(`# $lambda in a comment stays
models:
  base: models/base
  math: models/math
# variables:
#   lambda: { range: [0, 1], step: 0.25 } # $lambda here too

merge: |-   # and $lambda here
  base +
    0.75*(math - base)
output: { dtype: f32 }
`)
    expect(sizeOf(template.space)).toBe(5)
  })

  test('negative numbers, gradients, choices, quotes and both forms', () => {
    const mekit = readTemplate(`
variables:
  w: { range: [-1, 1], step: 0.1, groups: 3 }
  method: { choices: [ties, dare_ties] }
  density: { range: [0.1, 1] }
merge_method: $method
base_model: base
models:
  - model: math
    parameters: { weight: $w, density: "$density" }
`)
    const filled = fillTemplate(mekit, { w: [-0.1, 0, 0.3], method: 'dare_ties', density: 0.19 })
    expect(filled).toContain('merge_method: dare_ties')
    expect(filled).toContain('{ weight: [-0.1, 0, 0.3], density: "0.19" }')
    const merge = parse(filled).merge
    expect(merge.kind === 'call' && merge.method).toBe('dare_ties')
    expect(merge.kind === 'call' && merge.arguments[0]!.parameters['weight']!.value).toEqual([-0.1, 0, 0.3])
    const expression = readTemplate('$m(base, a - $w*(b - base), density=$d)', { isExpression: true, variables: { m: 'linear|ties', w: '-1..1:0.5', d: '0..1:0.5' } })
    expect(fillTemplate(expression, { m: 'ties', w: -0.5, d: 1 })).toBe('ties(base, a - -0.5*(b - base), density=1)')
  })

  test('numbers are those of decimal steps', () => {
    const { space } = readTemplate('$x*a + (1-$x)*b', { isExpression: true, variables: { x: '0..1:0.1' } })
    expect(Array.from({ length: 11 }, (_, i) => valuesAt(space, [i])['x'])).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    expect(describePoint(space, [3])).toBe('x = 0.3')
  })

  test('an error in the filled recipe is at the line that was written', () => {
    const template = readTemplate(RECIPE.replace('math - base', 'maths - base'))
    expect(errorOf(() => parse(fillTemplate(template, { lambda: 0.25 }), { name: 'r.yml' })).details).toMatchObject({ where: 'r.yml:10:11', fix: 'did you mean "math"?' })
  })

  test('variables of the command line go before those of the recipe', () => {
    expect(sizeOf(readTemplate(RECIPE, { variables: { lambda: '0.2..0.4:0.1' } }).space)).toBe(3)
  })

  test('property: filling replaces the uses and nothing else', () => {
    const name = fc.constantFrom('a', 'b1', '_c')
    const pieces = fc.array(
      fc.oneof(
        name.map(n => ({ use: n })),
        fc.constantFrom('x + ', '2*', ' $', '$1', 'é', '\n').map(text => ({ text })),
      ),
      { minLength: 1 },
    )
    fc.assert(
      fc.property(pieces, list => {
        const spaced = list.map(p => ('use' in p ? `$${p.use}` : p.text)).join(' ')
        const used = new Set(list.flatMap(p => ('use' in p ? [p.use] : [])))
        if (used.size === 0) return
        const variables = Object.fromEntries([...used].map(u => [u, '0..1:0.5']))
        const filled = fillTemplate(readTemplate(spaced, { isExpression: true, variables }), { a: 0.5, b1: -1, _c: 'w' })
        expect(filled).toBe(list.map(p => ('use' in p ? { a: '0.5', b1: '-1', _c: 'w' }[p.use] : p.text)).join(' '))
      }),
    )
  })
})

describe('what is wrong with variables', () => {
  const withVariables = (variables: string, merge = 'base + $x*(math - base)'): string => `models: { base: b, math: m }\nvariables:\n  ${variables}\nmerge: ${merge}\n`
  test.each([
    ['x: { range: [0, 1], step: 0.1 }', 'base + $y*(math - base)', 'r:4:15', 'unknown variable "$y"'],
    ['x: { range: [0, 1], step: 0.1 }', 'base', 'r:3:3', 'the variable "x" is never used'],
    ['x: { range: [1, 1], step: 0.1 }', undefined, 'r:3:15', 'the range of x is empty: from 1 to 1'],
    ['x: { range: [1, 0] }', undefined, 'r:3:15', 'the range of x is empty: from 1 to 0'],
    ['x: { range: [0, 1], step: 0 }', undefined, 'r:3:29', 'the step of x is 0'],
    ['x: { range: [0, 1], step: -0.1 }', undefined, 'r:3:29', 'the step of x is -0.1'],
    ['x: { range: [0, 1], step: 2 }', undefined, 'r:3:29', 'the step of x is 2, and its range only 1 wide'],
    ['x: { range: [0, 1], step: 1e-9 }', undefined, 'r:3:29', 'the step of x gives 1000000001 values; at most 1000000 are possible'],
    ['x: { range: [0, 1], step: small }', undefined, 'r:3:29', 'step must be a number'],
    ['x: { range: [0, .inf] }', undefined, 'r:3:15', 'a range is two numbers'],
    ['x: { range: 1 }', undefined, 'r:3:15', 'a range is two numbers'],
    ['x: { step: 1 }', undefined, 'r:3:3', 'x has neither a range nor choices'],
    ['x: { choices: [a], step: 1 }', undefined, 'r:3:22', 'x has both choices and a step'],
    ['x: { choices: [a] }', undefined, 'r:3:17', 'x has only one choice'],
    ['x: { choices: [a, a] }', undefined, 'r:3:17', 'a is twice among the choices of x'],
    ["x: { choices: [a, 'b: c'] }", undefined, 'r:3:17', '"b: c" cannot be a choice of x'],
    ['x: { range: [0, 1], groups: 1 }', undefined, 'r:3:31', 'groups must be a whole number from 2 to 1000'],
    ['x: 0.5', undefined, 'r:3:6', 'x must be a mapping'],
    ['x-y: { range: [0, 1] }', undefined, 'r:3:3', '"x-y" cannot be the name of a variable'],
  ])('%s', (variables, merge, where, what) => {
    const error = errorOf(() => readTemplate(withVariables(variables, merge), { name: 'r' }))
    expect([error.details.where, error.what]).toEqual([where, what])
    expect(error.details.fix).toBeTruthy()
  })

  test('a recipe without variables, and one in braces', () => {
    expect(errorOf(() => readTemplate('models: { a: b }\nmerge: a\n')).what).toBe('the recipe has no variables')
    expect(errorOf(() => readTemplate('{ models: { a: b }, variables: { x: { range: [0, 1] } }, merge: $x*a }')).what).toBe('`variables:` stands inside { }')
  })

  test('merge refuses what is to be searched', () => {
    expect(errorOf(() => parse(RECIPE)).details).toMatchObject({ where: 'recipe:5:1', fix: expect.stringContaining('merganser search') })
  })
})
