import fc from 'fast-check'
import { expect, test } from 'vitest'
import { layersOf } from '../checkpoint/architecture.ts'
import { compileGlob } from '../recipe/glob.ts'
import { groupNames, spellIndices } from './grouping.ts'

const grouped = (kinds: Readonly<Record<string, string>>) => {
  const layers = layersOf(Object.keys(kinds))
  return groupNames(new Map(Object.entries(kinds)), name => layers.of(name))
}
const patterns = (kinds: Readonly<Record<string, string>>): Readonly<Record<string, string>> => Object.fromEntries(grouped(kinds).map(({ pattern, kind }) => [pattern, kind]))

test('what is of one kind is one line, by layers where they are alike', () => {
  const layer = (index: number, kind: string, mlp = kind): Record<string, string> => ({
    [`model.layers.${index}.mlp.up.weight`]: mlp,
    [`model.layers.${index}.mlp.down.weight`]: mlp,
    [`model.layers.${index}.norm.weight`]: kind,
  })
  expect(patterns({ ...layer(0, 'both'), ...layer(1, 'both'), 'model.norm.weight': 'both', 'lm_head.weight': 'a' })).toEqual({ 'model.*': 'both', 'lm_head.weight': 'a' })
  expect(patterns({ ...layer(0, 'both'), ...layer(1, 'a'), ...layer(2, 'both'), ...layer(3, 'both'), ...layer(4, 'both', 'a') })).toEqual({
    'model.layers.{0,2,3}.*': 'both',
    'model.layers.1.*': 'a',
    'model.layers.4.mlp.*': 'a',
    'model.layers.4.norm.weight': 'both',
  })
})

test('ranges of layers', () => expect([[3], [0, 1], [2, 0, 1], [8, 3], [0, 1, 2, 4, 6, 7]].map(spellIndices)).toEqual(['3', '{0,1}', '{0..2}', '{3,8}', '{0..2,4,6,7}']))

test('every pattern matches its own names and no others', () => {
  const segment = fc.constantFrom('a', 'b', 'layers', '0', '1', '2', '10', 'x*', '[', '{q}', '!', '\\')
  const name = fc.array(segment, { minLength: 1, maxLength: 5 }).map(parts => parts.join('.'))
  fc.assert(
    fc.property(fc.dictionary(name, fc.constantFrom('one', 'two'), { minKeys: 1, maxKeys: 30 }), kinds => {
      const names = Object.keys(kinds)
      for (const group of grouped(kinds)) expect(names.filter(compileGlob(group.pattern)).toSorted(), group.pattern).toEqual(group.names.toSorted())
      expect(grouped(kinds).flatMap(group => group.names)).toHaveLength(names.length)
    }),
    { numRuns: 500 },
  )
})
