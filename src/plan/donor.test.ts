import { expect, test } from 'vitest'
import { parse } from '../recipe/parse.ts'
import { chooseDonor } from './donor.ts'

const models = { c: 'c', b: 'b', a: 'a', d: 'd' }

/** Config, tokenizer, dtypes and order of tensors come from the model that the merge builds on, not from the first in sight. */
const DONORS: readonly (readonly [expression: string, donor: string])[] = [
  ['a + 0.5*(b - a)', 'a'],
  ['ties(b - a, c - a) + a', 'a'],
  ['0.5*(b - a) + a', 'a'],
  ['(-a + b) + a', 'a'],
  ['-1*a + 2*b', 'b'],
  ['2*b - a', 'b'],
  ['b + a - c', 'b'],
  ['-(a - 2*b)', 'b'],
  ['(b - 3*a)/-2', 'a'],
  ['d + (b - c)', 'd'],
  ['0.3*b + 0.7*a', 'b'],
  ['[0, 1]*b + [1, 0]*a', 'b'],
  ['ties(b, c, base=a)', 'a'],
  ['slerp(b, c, t=0.5)', 'b'],
  ['linear(ties(b - a) + a, c)', 'a'],
  ['ties(b - a, density=0.5) + linear(d, c)', 'd'],
  ['stack(layers(b, 0, 1), layers(a, 1, 2))', 'b'],
  ['stack(layers(2*b - a, 0, 1), layers(a, 1, 2))', 'b'],
  ['stack(layers(b - a, 0, 1), layers(c - a, 1, 2)) + d', 'd'],
]

test.each(DONORS)('%s follows %s', (expression, donor) => {
  expect(chooseDonor(parse(expression, { models }))).toBe(donor)
  expect(chooseDonor(parse(expression, { models, output: { configFrom: 'c' } }))).toBe('c')
})
