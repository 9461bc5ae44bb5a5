import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileGlob } from './glob.ts'

const layer = (n: number): string => `model.layers.${n}.self_attn.q_proj.weight`

describe('compileGlob', () => {
  test.each([
    ['*', 'lm_head.weight', true],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['lm_head.*', 'lm_head.weight', true],
    ['lm_head', 'lm_head.weight', false],
    ['*.mlp.*', 'model.layers.0.mlp.up_proj.weight', true],
    ['**.mlp.**', 'model.layers.0.mlp.up_proj.weight', true],
    ['*.self_attn.{q,k}_proj.*', layer(3), true],
    ['*.self_attn.{v,o}_proj.*', layer(3), false],
    ['model.layers.{0..11}.*', layer(11), true], // not the set of characters 0-1
    ['model.layers.{0..11}.*', layer(1), true],
    ['model.layers.{0..11}.*', layer(12), false],
    ['model.layers.{11..9}.*', layer(10), true],
    ['model.layers.{0..2,5}.*', layer(5), true], // as `inspect` prints layers
    ['model.layers.{0..2,5}.*', layer(4), false],
    ['{a,{b,c{d,e}}}f', 'cef', true],
    ['{a,}b', 'b', true],
    ['model.layers.?.*', layer(3), true],
    ['model.layers.?.*', layer(13), false],
    ['model.layers.[0-3].*', layer(3), true],
    ['model.layers.[!0-3].*', layer(3), false],
    ['model.layers.[^0-3].*', layer(4), true],
    ['[]a]', ']', true],
    ['[!]a]', 'b', true],
    ['[a\\-z]', '-', true],
    ['a.c', 'abc', false], // a dot is a dot
    ['a\\*c', 'a*c', true],
    ['a\\*c', 'abc', false],
    ['\\{a,b\\}', '{a,b}', true],
    ['!*.mlp.*', 'model.layers.0.mlp.up_proj.weight', false],
    ['!*.mlp.*', layer(0), true],
    ['?', '🙂', true],
    ['+^$|.', '+^$|.', true],
    ['model/a*', 'model/a/b', true],
  ])('%s and %s: %s', (glob, name, expected) => {
    expect(compileGlob(glob)(name)).toBe(expected)
  })

  test.each([
    ['{a,b', '"{" in {a,b is never closed'],
    ['a,b}', '"}" in a,b} has no "{" before it'],
    ['[a-', '"[" in [a- is never closed'],
    ['[z-a]', '[z-a] is no set of characters'],
    ['(a|b)*', '"(" has no meaning in a pattern'],
    ['a\\', 'the pattern ends in "\\"'],
    ['{0..99999999}', 'more than 10000 alternatives'],
    ['{0..99}{0..99}{0..99}', 'more than 10000 alternatives'],
  ])('%s is refused', (glob, what) => {
    expect(() => compileGlob(glob)).toThrow(what)
  })

  test('agrees with a regular expression of the same meaning', () => {
    const piece = fc.constantFrom('*', '?', 'a', 'b', '.', '[ab]', '[!a]', '{a,b}', '{a.,*b}')
    const asRegExp = (p: string): string => ({ '*': '.*', '?': '.', '[!a]': '[^a]', '.': '\\.', '{a,b}': '(?:a|b)', '{a.,*b}': '(?:a\\.|.*b)' })[p] ?? p
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 }), (pieces, name) => {
        expect(compileGlob(pieces.join(''))(name)).toBe(new RegExp(`^${pieces.map(asRegExp).join('')}$`).test(name))
      }),
      { numRuns: 3000 },
    )
  })

  test('many stars cost no more than their number', () => {
    expect(compileGlob(`${'*a'.repeat(400)}*b`)('a'.repeat(20_000))).toBe(false) // minutes, where each star is tried with each other
  })
})
