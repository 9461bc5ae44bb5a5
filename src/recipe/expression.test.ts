import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { METHODS } from '../methods/_all.ts'
import { parseExpression } from './expression.ts'
import { scopeOf } from './names.ts'
import { parse } from './parse.ts'
import { placedAlone } from './placed.ts'
import type { Expression, Setting } from './recipe.ts'
import { referenceOf } from './references.ts'
import { show } from './show.ts'
import { partsOf } from './walk.ts'

const AT = { line: 1, column: 1, end: 2 }
const NAMES = ['base', 'code', 'math', 'my-model', '7b', 'θ']

function read(text: string): Expression {
  const source = { name: 'expression', text }
  return parseExpression(placedAlone(source), scopeOf(source, Object.fromEntries(NAMES.map(n => [n, referenceOf(n, null)])), []))
}

/** The expression without its places. */
const bare = (e: Expression): unknown => JSON.parse(JSON.stringify(e, (key, value: unknown) => (key === 'at' ? undefined : value)))
const shape = (text: string): string => {
  const brackets = (e: Expression): string => (e.kind === 'binary' ? `(${brackets(e.left)}${e.op}${brackets(e.right)})` : e.kind === 'negate' ? `(-${brackets(e.of)})` : show(e))
  return brackets(read(text))
}

describe('grammar', () => {
  test('products bind before sums, and both from the left', () => {
    expect(shape('base - code - math')).toBe('((base-code)-math)')
    expect(shape('base + 2*code/4 - math')).toBe('((base+((2*code)/4))-math)')
    expect(shape('2*(base - code)')).toBe('(2*(base-code))')
    expect(shape('-base*2 - -code')).toBe('(((-base)*2)-(-code))')
    expect(shape('+base + +2*code')).toBe('(base+(2*code))')
  })

  test('numbers and gradients', () => {
    expect(read('1.5e-3')).toEqual({ kind: 'number', value: 0.0015, at: { line: 1, column: 1, end: 7 } })
    expect(read('.5')).toMatchObject({ value: 0.5 })
    expect(read('-2')).toEqual({ kind: 'number', value: -2, at: { line: 1, column: 1, end: 3 } })
    expect(read('-[0.2, -.8]')).toMatchObject({ value: [-0.2, 0.8] })
  })

  test('the signs that papers and word processors print', () => {
    expect(bare(read('base − 0.5·(code – base) × 2 ÷ 4'))).toEqual(bare(read('base - 0.5*(code - base) * 2 / 4')))
    expect(bare(read('base\u00a0+\u00a0θ'))).toEqual(bare(read('base + θ')))
  })

  test('names that are no identifiers stand in backticks or quotes', () => {
    expect(read('`my-model`')).toEqual({ kind: 'model', model: 'my-model', at: { line: 1, column: 1, end: 11 } })
    expect(read('"7b"')).toMatchObject({ kind: 'model', model: '7b' })
  })

  test('a call with parameters of the call and one value for each argument', () => {
    const setting = (value: Setting['value'], column: number, end: number): Setting => ({ value, filtered: false, at: { line: 1, column, end } })
    expect(read('dare_ties(code, math, weight=(0.6, [0, 1]), rescale=paper, normalize=true, base=base)')).toEqual({
      kind: 'call',
      method: 'dare_ties',
      arguments: [
        { expression: { kind: 'model', model: 'code', at: { line: 1, column: 11, end: 15 } }, parameters: { weight: setting(0.6, 23, 43) } },
        { expression: { kind: 'model', model: 'math', at: { line: 1, column: 17, end: 21 } }, parameters: { weight: setting([0, 1], 23, 43) } },
      ],
      base: { kind: 'model', model: 'base', at: { line: 1, column: 81, end: 85 } },
      parameters: { rescale: setting('paper', 45, 58), normalize: setting(true, 60, 74) },
      at: { line: 1, column: 1, end: 86 },
    })
  })

  test('one value in parentheses holds for all', () => {
    expect(bare(read('linear(base, code, weight=(0.5))'))).toEqual(bare(read('linear(base, code, weight=0.5)')))
  })

  test('the base of a method that moves away from it is its first argument', () => {
    expect(bare(read('slerp(code, base=base, t=0.5)'))).toEqual(bare(read('slerp(base, code, t=0.5)')))
    expect(bare(read('slerp(code, base, base=base, t=0.5)'))).toEqual(bare(read('slerp(base, code, t=0.5)')))
  })

  test('a span over several lines is cut at the end of its first', () => {
    expect(read('base +\n  code')).toMatchObject({ at: { line: 1, column: 1, end: 7 }, right: { at: { line: 2, column: 3, end: 7 } } })
  })
})

describe('limits', () => {
  test('200 levels of nesting are read, one more is refused', () => {
    expect(read(`${'('.repeat(200)}base${')'.repeat(200)}`)).toMatchObject({ kind: 'model' })
    expect(() => read(`${'('.repeat(201)}base${')'.repeat(201)}`)).toThrow('the expression is nested more than 200 levels deep')
    expect(() => read(`${'-'.repeat(100_000)}base`)).toThrow('the expression is nested more than 200 levels deep')
    expect(() => read('linear('.repeat(100_000))).toThrow('the expression is nested more than 200 levels deep')
  })

  test('a sum has at most 1000 terms', () => {
    expect(read(`base${' + base'.repeat(999)}`)).toMatchObject({ kind: 'binary' })
    expect(() => read(`base${' + base'.repeat(1000)}`)).toThrow('the expression is more than 1000 terms deep once names are filled in')
  })

  test('a gradient has at most 1000 values', () => {
    expect(() => read(`[${'0,'.repeat(1000)}1]*base`)).toThrow('a gradient of 1001 values; at most 1000 are possible')
  })
})

describe('laws', () => {
  const number = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(n => n + 0) // not -0, which prints as 0
  const scalar = fc.oneof(number, fc.array(number, { minLength: 1, maxLength: 4 }))
  const setting = fc.oneof(scalar, fc.boolean(), fc.constantFrom('paper', 'x y')).map((value): Setting => ({ value, filtered: false, at: AT }))
  const settings = fc.dictionary(fc.constantFrom('weight', 'density', 'lambda', 'rescale'), setting, { noNullPrototype: true })
  const { expression } = fc.letrec<{ expression: Expression; inner: Expression }>(tie => ({
    inner: tie('expression'),
    expression: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(...NAMES).map((model): Expression => ({ kind: 'model', model, at: AT })),
      scalar.map((value): Expression => ({ kind: 'number', value, at: AT })),
      fc.record({ kind: fc.constant('binary' as const), op: fc.constantFrom('+', '-', '*', '/'), left: tie('inner'), right: tie('inner'), at: fc.constant(AT) }),
      tie('inner')
        .filter(of => of.kind !== 'number')
        .map((of): Expression => ({ kind: 'negate', of, at: AT })),
      fc
        .record({
          method: fc.constantFrom(...Object.keys(METHODS).filter(m => METHODS[m]?.base !== 'first')),
          of: fc.array(tie('inner'), { maxLength: 3 }),
          base: fc.option(tie('inner')),
          own: settings,
          shared: settings,
        })
        .map(({ method, of, base, own, shared }): Expression => {
          const each = of.length > 1 ? own : {} // one value in parentheses is a value for all
          const parameters = Object.fromEntries(Object.entries(shared).filter(([name]) => !(name in each)))
          return { kind: 'call', method, arguments: of.map(e => ({ expression: e, parameters: each })), base, parameters, at: AT }
        }),
    ),
  }))

  test('what is printed parses to the same expression', () => {
    fc.assert(
      fc.property(expression, e => {
        expect(bare(read(show(e)))).toEqual(bare(e))
      }),
      { numRuns: 500 },
    )
  })

  const tokens = fc
    .array(fc.constantFrom(...NAMES, 'ties', 'linear', 'weight', '(', ')', '[', ']', ',', '=', '+', '-', '*', '/', '**', '0.5', '1e9', '`', '"', ' ', '\n', '·', 'true', 'base='), {
      maxLength: 20,
    })
    .map(t => t.join(''))
  const withinText = (text: string, { line, column, end }: Expression['at']) => {
    const length = text.split('\n')[line - 1]?.length ?? -1
    return column >= 1 && end > column && end <= Math.max(length, 1) + 1 && column <= length + 1
  }

  test('no text makes the parser fail otherwise than with a MergeError, at a place within the text', () => {
    fc.assert(
      fc.property(fc.oneof(tokens, fc.string({ unit: 'binary', maxLength: 30 })), text => {
        try {
          for (const part of partsOf(read(text))) expect(withinText(text, part.at)).toBe(true)
        } catch (error) {
          if (!(error instanceof MergeError)) throw error
          const { number, start } = error.details.excerpt!
          expect(start).toBeGreaterThanOrEqual(1)
          expect(start).toBeLessThanOrEqual((text.split('\n')[number - 1] ?? '').length + 1)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('empty and unfinished', () => {
  refuses(
    '',
    `
the expression is empty
  at expression:1:1
  1 | 
    | ^
  fix: write for example \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    '   ',
    `
the expression is empty
  at expression:1:4
  1 |    
    |    ^
  fix: write for example \`base + 0.5*(math - base)\`
`,
  )
  refuses(
    'base +',
    `
the expression ends after "+"
  at expression:1:6
  1 | base +
    |      ^
  fix: write a model, a number or "(" next
`,
  )
  refuses(
    '(base',
    `
"(" is never closed
  at expression:1:1
  1 | (base
    | ^
  fix: add ")"
`,
  )
  refuses(
    'base + (code - base',
    `
"(" is never closed
  at expression:1:8
  1 | base + (code - base
    |        ^
  fix: add ")"
`,
  )
  refuses(
    'ties(code',
    `
"(" is never closed
  at expression:1:5
  1 | ties(code
    |     ^
  fix: add ")"
`,
  )
  refuses(
    'linear(code, weight',
    `
unknown name "weight"
  at expression:1:14
  1 | linear(code, weight
    |              ^^^^^^
  fix: names: base, code, math, my-model
`,
  )
  refuses(
    '[0.2, 0.8',
    `
"[" is never closed
  at expression:1:1
  1 | [0.2, 0.8
    | ^
  fix: add "]"
`,
  )
  refuses(
    '[0.2',
    `
"[" is never closed
  at expression:1:1
  1 | [0.2
    | ^
  fix: add "]"
`,
  )
  refuses(
    '[',
    `
"[" is never closed
  at expression:1:1
  1 | [
    | ^
  fix: add "]"
`,
  )
  refuses(
    'linear(base, weight=',
    `
the expression ends where a value is expected
  at expression:1:20
  1 | linear(base, weight=
    |                    ^
  fix: write a number, a list such as [0.2, 0.8], true, false or a word
`,
  )
  refuses(
    'linear(base, weight=(1',
    `
"(" is never closed
  at expression:1:21
  1 | linear(base, weight=(1
    |                     ^
  fix: add ")"
`,
  )
  refuses(
    '* base',
    `
expected a model, a number or "(", not "*"
  at expression:1:1
  1 | * base
    | ^
  fix: write the missing model or number
`,
  )
  refuses(
    '()',
    `
expected a model, a number or "(" after "(", not ")"
  at expression:1:2
  1 | ()
    |  ^
  fix: write the missing model or number
`,
  )
  refuses(
    'base + )',
    `
expected a model, a number or "(" after "+", not ")"
  at expression:1:8
  1 | base + )
    |        ^
  fix: write the missing model or number
`,
  )
})

describe('trailing and misplaced', () => {
  refuses(
    'base)',
    `
")" closes nothing
  at expression:1:5
  1 | base)
    |     ^
  fix: remove it, or open it with "("
`,
  )
  refuses(
    'base code',
    `
expected an operator before "code"
  at expression:1:6
  1 | base code
    |      ^^^^
  fix: join the two with +, -, * or /
`,
  )
  refuses(
    'base 2',
    `
expected an operator before "2"
  at expression:1:6
  1 | base 2
    |      ^
  fix: join the two with +, -, * or /
`,
  )
  refuses(
    'base, code',
    `
"," stands only inside calls and gradients
  at expression:1:5
  1 | base, code
    |     ^
  fix: \`linear(a, b)\` averages models
`,
  )
  refuses(
    'x = base',
    `
"=" stands only between a parameter of a call and its value
  at expression:1:3
  1 | x = base
    |   ^
  fix: names are defined under \`let:\`
`,
  )
  refuses(
    'base = code',
    `
"=" stands only between a parameter of a call and its value
  at expression:1:6
  1 | base = code
    |      ^
  fix: names are defined under \`let:\`
`,
  )
  refuses(
    '(base, code)',
    `
a comma inside parentheses that are not a call
  at expression:1:6
  1 | (base, code)
    |      ^
  fix: gradients stand in [ ]
`,
  )
  refuses(
    '(base code)',
    `
expected an operator or ")" before "code"
  at expression:1:7
  1 | (base code)
    |       ^^^^
  fix: join the two with +, -, * or /
`,
  )
  refuses(
    'linear(base,)',
    `
nothing follows the last ","
  at expression:1:12
  1 | linear(base,)
    |            ^
  fix: remove it
`,
  )
  refuses(
    'linear(, base)',
    `
nothing stands before ","
  at expression:1:8
  1 | linear(, base)
    |        ^
  fix: remove it
`,
  )
  refuses(
    'linear(base code)',
    `
expected "," or ")" before "code"
  at expression:1:13
  1 | linear(base code)
    |             ^^^^
  fix: separate the arguments with commas
`,
  )
  refuses(
    'linear(base, weight=1, code)',
    `
a model after a parameter
  at expression:1:24
  1 | linear(base, weight=1, code)
    |                        ^^^^
  fix: models come first: \`linear(a, b, parameter=value)\`
`,
  )
  refuses(
    'linear(base, 2=3)',
    `
the left of "=" is not the name of a parameter
  at expression:1:15
  1 | linear(base, 2=3)
    |               ^
  fix: write \`parameter=value\`
`,
  )
  refuses(
    'linear(base, weight=1, weight=2)',
    `
"weight" is given twice
  at expression:1:24
  1 | linear(base, weight=1, weight=2)
    |                        ^^^^^^
  fix: remove one of the two
`,
  )
  refuses(
    'linear(base, weight=*)',
    `
expected a value, not "*"
  at expression:1:21
  1 | linear(base, weight=*)
    |                     ^
  fix: write a number, a list such as [0.2, 0.8], true, false or a word
`,
  )
  refuses(
    'linear(base, code, weight=(1, 2, 3))',
    `
weight has 3 values for 2 arguments
  at expression:1:20
  1 | linear(base, code, weight=(1, 2, 3))
    |                    ^^^^^^
  fix: give one value for each, or a single one for all
`,
  )
  refuses(
    'linear(base, code, weight=(1 2))',
    `
expected "," or ")" before "2"
  at expression:1:30
  1 | linear(base, code, weight=(1 2))
    |                              ^
  fix: write one value for each argument: \`weight=(0.6, 0.4)\`
`,
  )
  refuses(
    'linear(base, code, weight=(1, 2,))',
    `
nothing follows the last ","
  at expression:1:32
  1 | linear(base, code, weight=(1, 2,))
    |                                ^
  fix: remove it
`,
  )
})

describe('names', () => {
  refuses(
    'bse',
    `
unknown name "bse"
  at expression:1:1
  1 | bse
    | ^^^
  fix: did you mean "base"?
`,
  )
  refuses(
    'zebra',
    `
unknown name "zebra"
  at expression:1:1
  1 | zebra
    | ^^^^^
  fix: names: base, code, math, my-model
`,
  )
  refuses(
    'my-model',
    `
unknown name "my"
  at expression:1:1
  1 | my-model
    | ^^
  fix: put the name in backticks: \`my-model\`
`,
  )
  refuses(
    'ties',
    `
"ties" is a method, not a model
  at expression:1:1
  1 | ties
    | ^^^^
  fix: call it: \`ties(…)\`
`,
  )
  refuses(
    'tie(code)',
    `
unknown method "tie"
  at expression:1:1
  1 | tie(code)
    | ^^^
  fix: did you mean "ties"? All methods: \`merganser methods\`
`,
  )
  refuses(
    'dare-ties(code)',
    `
unknown name "dare"
  at expression:1:1
  1 | dare-ties(code)
    | ^^^^
  fix: did you mean the method "dare_ties"?
`,
  )
  refuses(
    'zebra(code)',
    `
unknown method "zebra"
  at expression:1:1
  1 | zebra(code)
    | ^^^^^
  fix: all methods: \`merganser methods\`
`,
  )
  refuses(
    'code(math)',
    `
"code" is a model, not a method
  at expression:1:1
  1 | code(math)
    | ^^^^
  fix: multiply with *: \`code*(…)\`
`,
  )
  refuses(
    'constructor',
    `
unknown name "constructor"
  at expression:1:1
  1 | constructor
    | ^^^^^^^^^^^
  fix: names: base, code, math, my-model
`,
  )
  refuses(
    '__proto__',
    `
unknown name "__proto__"
  at expression:1:1
  1 | __proto__
    | ^^^^^^^^^
  fix: names: base, code, math, my-model
`,
  )
  refuses(
    '``',
    `
a name is empty
  at expression:1:1
  1 | \`\`
    | ^^
  fix: write the name between the quotes
`,
  )
  refuses(
    '"base',
    `
unexpected character "
  at expression:1:1
  1 | "base
    | ^
  fix: this " has no partner
`,
  )
  refuses(
    '`base',
    `
unexpected character \`
  at expression:1:1
  1 | \`base
    | ^
  fix: this \` has no partner
`,
  )
  refuses(
    '“base”',
    `
unexpected character “
  at expression:1:1
  1 | “base”
    | ^
  fix: use straight quotes: \`"\`
`,
  )
})

describe('numbers and characters', () => {
  refuses(
    '2x',
    `
"2x" is neither a number nor a name
  at expression:1:1
  1 | 2x
    | ^^
  fix: write \`2*x\`; a name that begins with a digit stands in backticks: \`2x\`
`,
  )
  refuses(
    '2base',
    `
"2base" is neither a number nor a name
  at expression:1:1
  1 | 2base
    | ^^^^^
  fix: write \`2*base\`; a name that begins with a digit stands in backticks: \`2base\`
`,
  )
  refuses(
    '1_000*base',
    `
"1_000" is neither a number nor a name
  at expression:1:1
  1 | 1_000*base
    | ^^^^^
  fix: write digits only
`,
  )
  refuses(
    '1e999*base',
    `
1e999 is too large for a number
  at expression:1:1
  1 | 1e999*base
    | ^^^^^
  fix: write a smaller one
`,
  )
  refuses(
    'base ** 2',
    `
"**": expressions have no powers
  at expression:1:6
  1 | base ** 2
    |      ^^
  fix: multiply by a number; whole-tensor mathematics is the work of methods: \`merganser methods\`
`,
  )
  refuses(
    'base^2',
    `
"^": expressions have no powers
  at expression:1:5
  1 | base^2
    |     ^
  fix: multiply by a number; whole-tensor mathematics is the work of methods: \`merganser methods\`
`,
  )
  refuses(
    'base * 50%',
    `
unexpected character %
  at expression:1:10
  1 | base * 50%
    |          ^
  fix: write shares as numbers: 0.5 for 50%
`,
  )
  refuses(
    'base + 0.5*{code}',
    `
unexpected character {
  at expression:1:12
  1 | base + 0.5*{code}
    |            ^
  fix: group with ( ); gradients stand in [ ]
`,
  )
  refuses(
    'base @ code',
    `
unexpected character @
  at expression:1:6
  1 | base @ code
    |      ^
  fix: put names with other characters than letters, digits and _ in backticks: \`my-model\`
`,
  )
  refuses(
    'base\0',
    `
unexpected character U+0000
  at expression:1:5
  1 | base 
    |     ^
  fix: put names with other characters than letters, digits and _ in backticks: \`my-model\`
`,
  )
})

describe('gradients', () => {
  refuses(
    '[]*base',
    `
the gradient is empty
  at expression:1:2
  1 | []*base
    |  ^
  fix: write at least one number: \`[0.2, 0.8]\`
`,
  )
  refuses(
    '[1 2]*base',
    `
expected "," or "]" before "2"
  at expression:1:4
  1 | [1 2]*base
    |    ^
  fix: write numbers with commas between: \`[0.2, 0.8]\`
`,
  )
  refuses(
    '[base]*code',
    `
a gradient holds numbers, not "base"
  at expression:1:2
  1 | [base]*code
    |  ^^^^
  fix: write numbers with commas between: \`[0.2, 0.8]\`
`,
  )
  refuses(
    '[1, 2,]*base',
    `
nothing follows the last ","
  at expression:1:6
  1 | [1, 2,]*base
    |      ^
  fix: remove it
`,
  )
  refuses(
    '[[1]]*base',
    `
a gradient holds numbers, not "["
  at expression:1:2
  1 | [[1]]*base
    |  ^
  fix: write numbers with commas between: \`[0.2, 0.8]\`
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
