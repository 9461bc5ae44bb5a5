import { describe, expect, test } from 'vitest'
import { type AddedToken, plainToken } from './tokenizer.ts'
import { chooseVocabulary, type Vocabulary, type VocabularyChoice } from './vocabulary.ts'

const special = (content: string): AddedToken => ({ ...plainToken(content), normalized: false, special: true })

/** Tokens at their ids, null where there is a hole; those in brackets `<…>` are added special tokens. */
function vocabulary(tokens: readonly (string | null)[], rows = tokens.length): Vocabulary {
  const ids = new Map(tokens.flatMap((token, id) => (token === null ? [] : [[token, id] as const])))
  return { ids, added: new Map([...ids.keys()].filter(t => t.startsWith('<')).map(t => [t, special(t)])), rows }
}
const choose = (source: Vocabulary, choice: Partial<VocabularyChoice> = {}) =>
  chooseVocabulary({ source, union: [], wanted: [], models: choice.union ?? [], padToMultipleOf: null, ...choice })

const A = vocabulary(['<s>', 'a', 'b'])
const B = vocabulary(['b', 'c', '<s>', 'd', '<end>'])

describe('the tokens', () => {
  test('of one source are its own', () => expect(choose(A)).toEqual({ tokens: ['<s>', 'a', 'b'], padding: 3, learned: [], forgotten: [] }))

  test('of a union: the base’s, then plain ones, then added ones, in order of models and ids', () => {
    const C = vocabulary(['<other>', 'e', 'c', '<end>'])
    const { tokens, learned } = choose(A, { union: [A, B, C] })
    expect(tokens).toEqual(['<s>', 'a', 'b', 'c', 'd', 'e', '<end>', '<other>'])
    expect(learned.map(({ content, id, special, normalized }) => [content, id, special, normalized])).toEqual([
      ['c', 3, false, true],
      ['d', 4, false, true],
      ['e', 5, false, true],
      ['<end>', 6, true, false],
      ['<other>', 7, true, false],
    ])
  })

  test('a token that one model adds and another has in its vocabulary is added', () => {
    const adds: Vocabulary = { ...vocabulary(['a', 'c']), added: new Map([['a', plainToken('a')]]) }
    expect(choose(A, { union: [A, adds] }).learned).toEqual([
      { ...plainToken('a'), id: 1 },
      { ...plainToken('c'), id: 3 },
    ])
  })
  test('where models add a token in different ways, the first one’s way counts', () => {
    const strips: Vocabulary = { ...vocabulary(['<s>', '<end>']), added: new Map([['<s>', { ...special('<s>'), lstrip: true }], ['<end>', { ...special('<end>'), rstrip: true }]]) } // biome-ignore format: one line
    expect(choose(A, { union: [A, strips, B] }).learned.filter(t => t.special)).toEqual([{ ...special('<end>'), rstrip: true, id: 5 }])
  })

  test('wanted tokens are appended last; known as special, they stay so', () => {
    const { tokens, learned } = choose(A, { wanted: ['new', '<end>', 'a', '<s>'], models: [A, B] })
    expect(tokens).toEqual(['<s>', 'a', 'b', 'new', '<end>'])
    expect(learned).toEqual([
      { ...plainToken('a'), id: 1 },
      { ...plainToken('new'), id: 3 },
      { ...special('<end>'), id: 4 },
    ])
  })
  test('appended tokens come after the highest id, whatever holes there are', () => {
    expect(choose(vocabulary(['a', null, null, 'b']), { union: [vocabulary(['c'])] }).tokens).toEqual(['a', null, null, 'b', 'c'])
  })
})

describe('the height', () => {
  test('padding of the source’s embedding is kept, and used by appended tokens', () => {
    expect(choose(vocabulary(['a', 'b'], 5))).toMatchObject({ tokens: ['a', 'b', null, null, null], padding: 5 })
    expect(choose(vocabulary(['a', 'b'], 4), { wanted: ['c'] })).toMatchObject({ tokens: ['a', 'b', 'c', null], padding: 4 })
    expect(choose(vocabulary(['a', 'b'], 3), { wanted: ['c', 'd', 'e'] }).tokens).toEqual(['a', 'b', 'c', 'd', 'e'])
  })
  test.each([
    [1, 3],
    [2, 4],
    [3, 3],
    [8, 8],
  ])('padded to a multiple of %i: %i rows', (padToMultipleOf, rows) => {
    const { tokens, padding } = choose(A, { padToMultipleOf })
    expect([tokens.length, padding]).toEqual([rows, 3])
  })
  test('padding that is asked for takes the place of the source’s own', () => {
    expect(choose(vocabulary(['a', 'b'], 10), { padToMultipleOf: 4 })).toMatchObject({ tokens: ['a', 'b', null, null], padding: 2 })
  })
  test('tokens beyond the embedding are forgotten, and their ids given to others', () => {
    const low = vocabulary(['a', 'b', 'c', '<x>'], 2)
    expect(choose(low, { wanted: ['new'] })).toMatchObject({ tokens: ['a', 'b', 'new'], forgotten: ['c', '<x>'] })
    expect(choose(A, { union: [A, low] }).tokens).toEqual(['<s>', 'a', 'b'])
  })
  test('a source that is not merged has no height', () => expect(choose(vocabulary(['a', 'b'], Number.POSITIVE_INFINITY)).tokens).toEqual(['a', 'b']))
})
