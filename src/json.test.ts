import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MergeError } from './errors.ts'
import { type JsonRules, parseJson, parseJsonFile, pythonJson, show } from './json.ts'

const fault = (reason: string, at: number, keys: readonly string[]): never => {
  throw new MergeError(`${reason} at ${at}${keys.length ? ` in ${keys.join('.')}` : ''}`)
}
const parse = (text: string, rules?: JsonRules): unknown => parseJson(text, fault, rules)

describe('parseJson', () => {
  test('reads what JSON.parse reads, as it reads it', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('', ' ', '\n\t'), (text, space) => {
        expect(parse(space + text + space)).toEqual(JSON.parse(text))
      }),
    )
  })

  test('accepts and refuses the same texts as JSON.parse, apart from keys that appear twice', () => {
    const pieces = fc.array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '"\\n"', '"\\', '1', '-', '0', '.5', 'e3', 'true', 'nul', 'null', ' ', '\u0000'), {
      maxLength: 8,
    })
    fc.assert(
      fc.property(pieces, list => {
        const text = list.join('')
        let expected: unknown
        try {
          expected = JSON.parse(text)
        } catch {
          expect(() => parse(text)).toThrow(MergeError)
          return
        }
        if (new Set(text.match(/"[ab]"(?=\s*:)/g)).size === (text.match(/"[ab]"(?=\s*:)/g) ?? []).length) expect(parse(text)).toEqual(expected)
      }),
      { numRuns: 3000 },
    )
  })

  test('a key that appears twice, also in another spelling', () => {
    expect(() => parse('{"a":1,"\\u0061":2}')).toThrow('the key "a" appears twice at 7')
    expect(() => parse('{"x":{"a":1,"a":2}}')).toThrow('the key "a" appears twice at 12 in x')
  })

  test('keys that mean something to JavaScript are keys', () => {
    const value = parse('{"__proto__":{"polluted":1},"constructor":2}') as Record<string, unknown> // an object, by the text
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('nesting is bounded before the stack is', () => {
    expect(() => parse('['.repeat(1e6))).toThrow('nested deeper than 100 levels at 100')
    expect(parse('[[[]]]', { maxDepth: 3 })).toEqual([[[]]])
    expect(() => parse('[[[]]]', { maxDepth: 2 })).toThrow('nested deeper than 2 levels at 2')
  })

  test('what Python writes for numbers that are none, where asked', () => {
    expect(parse('[NaN,Infinity,-Infinity,-1]', { pythonNumbers: true })).toEqual([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1])
    expect(() => parse('[NaN]')).toThrow('expected a value, found "N" at 1')
  })
})

test('parseJsonFile shows the line, without what would drive a terminal', () => {
  expect(() => parseJsonFile('config.json', '{\n  "a": 1,\n  b: \u001b[2J\n}', 'correct it')).toThrow(
    ['bad JSON: expected a quoted key, found "b"', '  at config.json:3:3', '  3 |   b:  [2J', '    |   ^', '  fix: correct it'].join('\n'),
  )
  expect(() => parseJsonFile('config.json', 'null', 'correct it')).toThrow('expected a JSON object, found null')
})

test('show quotes, shortens and disarms', () => {
  expect(show('a"b')).toBe('"a\\"b"')
  expect(show('\u001b[0m\u0085\u202e')).toBe('"\\u001b[0m\\u{85}\\u{202e}"')
  expect(show('x'.repeat(1000)).length).toBe(101)
  expect(show([1, -0])).toBe('[1,"-0"]')
  expect(show(undefined)).toBe('undefined')
})

test('JSON as Python writes it', () => {
  expect(pythonJson({ a: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], b: 1e30, c: -1e21, d: 1e20, e: 1.5e-7, f: '1e30 NaN' })).toBe(
    '{\n  "a": [\n    NaN,\n    Infinity,\n    -Infinity\n  ],\n  "b": 1000000000000000019884624838656,\n  "c": -1000000000000000000000,\n  "d": 100000000000000000000,\n  "e": 1.5e-7,\n  "f": "1e30 NaN"\n}',
  )
})
