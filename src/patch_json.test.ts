import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type JsonValue, patchJson } from './patch_json.ts'

describe('patchJson', () => {
  test('replaces values and leaves every other character', () => {
    const text = '{\r\n\t"vocab_size" :\t32000,\n  "seed": 12345678901234567890, "time_step_limit": [0.0, Infinity], "eps": 1e-05, "big": 1E5, "nan": NaN}\n\n'
    expect(patchJson(text, {})).toBe(text)
    expect(patchJson(text, { vocab_size: 32003 })).toBe(text.replace('32000', '32003'))
    expect(patchJson(text, { eps: 0.5, vocab_size: null })).toBe(text.replace('32000', 'null').replace('1e-05', '0.5'))
  })

  test('reaches into objects by dots, and not into arrays or strings that look alike', () => {
    const text = '{"text_config": {"vocab_size": 1, "rope": {"theta": 1}}, "list": [{"vocab_size": 1}], "note": "\\"vocab_size\\": 1"}'
    expect(patchJson(text, { 'text_config.vocab_size': 2, 'text_config.rope.theta': true })).toBe(
      '{"text_config": {"vocab_size": 2, "rope": {"theta": true}}, "list": [{"vocab_size": 1}], "note": "\\"vocab_size\\": 1"}',
    )
  })

  test('adds what is missing at the end of its object, in the style of its neighbours', () => {
    expect(patchJson('{\n  "a": 1\n}\n', { b: 'x' })).toBe('{\n  "a": 1,\n  "b": "x"\n}\n')
    expect(patchJson('{\n    "a": 1,\n    "c": {\n        "d": []\n    }\n}', { b: 2, 'c.e': 3, f: 4 })).toBe(
      '{\n    "a": 1,\n    "c": {\n        "d": [],\n        "e": 3\n    },\n    "b": 2,\n    "f": 4\n}',
    )
    expect(patchJson('{"a":1}', { b: 2 })).toBe('{"a":1,"b":2}')
    expect(patchJson('{"a": 1}', { b: 2 })).toBe('{"a": 1, "b": 2}')
    expect(patchJson(' { } ', { b: 2, c: 3 })).toBe(' {"b": 2, "c": 3 } ')
    expect(patchJson('{"a": {}}', { 'a.b': 2, c: 3 })).toBe('{"a": {"b": 2}, "c": 3}')
  })

  test('the last value may be replaced while another is added', () => {
    expect(patchJson('{"a": 1}', { b: 2, a: 3 })).toBe('{"a": 3, "b": 2}')
  })

  test('a list is laid out like the one it replaces', () => {
    const several = '{\n  "layer_types": [\n    "full",\n    "sliding"\n  ],\n  "layers": [0, 1],\n  "none": []\n}'
    expect(patchJson(several, { layer_types: ['sliding'], layers: [1, 2, 3], none: [{ a: [1] }] })).toBe(
      '{\n  "layer_types": [\n    "sliding"\n  ],\n  "layers": [1, 2, 3],\n  "none": [{"a": [1]}]\n}',
    )
    expect(patchJson(several, { layer_types: [], more: ['x', 'y'] })).toBe('{\n  "layer_types": [],\n  "layers": [0, 1],\n  "none": [],\n  "more": ["x", "y"]\n}')
    expect(patchJson('{"a": [\n  ], "b": 1}', { a: [1, 2], b: [3] })).toBe('{"a": [\n  1,\n  2], "b": [3]}')
  })

  test('names of Object are keys like others', () => {
    expect(patchJson('{"constructor": 1}', { toString: 2, constructor: 3 })).toBe('{"constructor": 3, "toString": 2}')
  })

  test('an object that is not there, a list, or a number that JSON cannot say is a fault of the caller', () => {
    expect(() => patchJson('{"a": 1}', { 'b.c': 1 })).toThrow('has the object that b.c lies in')
    expect(() => patchJson('{"a": [1]}', { 'a.0': 1 })).toThrow('has the object that a.0 lies in')
    expect(() => patchJson('[]', { a: 1 })).toThrow('has the object that a lies in')
    expect(() => patchJson('{}', { a: Number.NaN })).toThrow('finite')
  })

  test('reads back as the object with the changes made, whatever the layout', () => {
    const scalar = fc.oneof(fc.string(), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
    const key = fc.string({ minLength: 1, unit: 'grapheme' }).filter(k => !k.includes('.') && k !== '__proto__' && !/^\d+$/.test(k)) // whole numbers come first in objects, wherever they are written
    const inner = fc.dictionary(key, fc.jsonValue({ maxDepth: 1 }), { noNullPrototype: true })
    fc.assert(
      fc.property(
        inner,
        inner,
        fc.dictionary(key, scalar, { noNullPrototype: true }),
        fc.dictionary(key, scalar, { noNullPrototype: true }),
        fc.constantFrom('', ' ', '\t', 4),
        (outer, nested, top, below, space) => {
          const object = { ...outer, inner: nested }
          const { inner: _, ...changes } = top
          const dotted = Object.fromEntries(Object.entries(below).map(([k, v]) => [`inner.${k}`, v as JsonValue]))
          const patched = patchJson(JSON.stringify(object, null, space), { ...changes, ...dotted } as Record<string, JsonValue>)
          expect(JSON.parse(patched)).toEqual(JSON.parse(JSON.stringify({ ...object, ...changes, inner: { ...nested, ...below } })))
          expect(Object.keys(JSON.parse(patched)).slice(0, Object.keys(object).length)).toEqual(Object.keys(JSON.parse(JSON.stringify(object))))
        },
      ),
    )
  })
})
