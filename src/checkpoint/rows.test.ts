import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Fill, isIdentity, matchRows, type RowMap, runsOf } from './rows.ts'
import type { OutputVocabulary, Vocabulary } from './vocabulary.ts'

const vocabulary = (tokens: readonly (string | null)[], rows = tokens.length): Vocabulary => ({
  ids: new Map(tokens.flatMap((token, id) => (token === null ? [] : [[token, id] as const]))),
  added: new Map(),
  rows,
})
const output = (tokens: readonly (string | null)[], padding = tokens.length): OutputVocabulary => ({ tokens, padding, learned: [], forgotten: [] })
const fillOf = (map: RowMap, r: number): string[] =>
  Array.from({ length: map.fillStart[r + 1]! - map.fillStart[r]! }, (_, i) => `${map.fillModel[map.fillStart[r]! + i]}:${map.fillRow[map.fillStart[r]! + i]}`)
const match = (
  tokens: readonly (string | null)[],
  models: readonly Vocabulary[],
  { base = null as number | null, fills = {} as Record<string, Fill>, padding = tokens.length } = {},
) => matchRows(output(tokens, padding), models, base, new Map(Object.entries(fills)))

const A = vocabulary(['a', 'b', 'c'])
const B = vocabulary(['c', 'd', 'a'])
const C = vocabulary(['d', 'e', 'c'])

describe('rows by token', () => {
  test('each model’s own row, wherever it is', () => {
    const map = match(['a', 'c'], [A, B])
    expect(map.own).toEqual([Int32Array.of(0, 2), Int32Array.of(2, 0)])
    expect([map.rows, fillOf(map, 0), fillOf(map, 1)]).toEqual([2, [], []])
  })
  test('a token of one model: its row', () => expect(fillOf(match(['b'], [A, B, C]), 0)).toEqual(['0:1']))
  test('a token that the base has: the base’s row', () => expect(fillOf(match(['a'], [A, B, C], { base: 1 }), 0)).toEqual(['1:2']))
  test('a token that the base lacks: the mean over those that have it', () => expect(fillOf(match(['d'], [A, B, C], { base: 0 }), 0)).toEqual(['1:1', '2:0']))
  test('a token that some have, without a base: the mean', () => expect(fillOf(match(['a'], [A, B, C]), 0)).toEqual(['0:0', '1:2']))
  test('a token of no model: zero', () => {
    const map = match(['z'], [A, B])
    expect([map.own.map(o => o[0]), fillOf(map, 0), map.isPadding[0]]).toEqual([[-1, -1], [], 0])
  })
  test('a token beyond a model’s embedding: it lacks it', () => expect(match(['a', 'c'], [vocabulary(['a', 'b', 'c'], 2)]).own[0]).toEqual(Int32Array.of(0, -1)))
})

describe('rules', () => {
  const rows = [{ model: 1, row: 1 }]
  test('win over what is usual, in models that lack the token', () => {
    const map = match(['a'], [A, B, C], { base: 0, fills: { a: { rows, force: false } } })
    expect([map.own.map(o => o[0]), fillOf(map, 0)]).toEqual([[0, 2, -1], ['1:1']])
  })
  test('win everywhere with force', () => {
    const map = match(['a', 'c'], [A, B], { fills: { a: { rows, force: true } } })
    expect([map.own, fillOf(map, 0), fillOf(map, 1)]).toEqual([[Int32Array.of(-1, 2), Int32Array.of(-1, 0)], ['1:1'], []])
  })
  test('zero is a fill of no rows, not padding', () => {
    const map = match(['a'], [A, B], { fills: { a: { rows: [], force: true } } })
    expect([map.own.map(o => o[0]), fillOf(map, 0), map.isPadding[0]]).toEqual([[-1, -1], [], 0])
  })
})

describe('rows without a token', () => {
  test('are kept where a model has them, free', () => {
    const high = vocabulary(['a', null, 'b'], 5)
    const map = match(['a', null, 'b', null, null], [high, vocabulary(['a', 'b', 'q', 'r'], 4)], { base: 0 })
    expect(map.own).toEqual([Int32Array.of(0, 1, 2, 3, 4), Int32Array.of(0, -1, 1, -1, -1)])
    expect([1, 3, 4].map(r => fillOf(map, r))).toEqual([['0:1'], ['0:3'], ['0:4']])
    expect([...map.isPadding]).toEqual([0, 0, 0, 0, 0])
    expect([...map.hasToken]).toEqual([1, 0, 1, 0, 0])
  })
  test('that were asked for are the mean, also where a model has a row there', () => {
    const map = match(['a', null], [vocabulary(['a'], 9)], { padding: 1 })
    expect([map.own[0], [...map.isPadding]]).toEqual([Int32Array.of(0, -1), [0, 1]])
  })
  test('that no model has are the mean', () => expect([...match(['a', null, 'b'], [vocabulary(['a', 'b'])]).isPadding]).toEqual([0, 1, 0]))
})

describe('laws', () => {
  const tokens = fc.uniqueArray(fc.constantFrom(...'abcdefghij'), { minLength: 1, maxLength: 10 })
  const model = tokens.chain(list => fc.integer({ min: 1, max: list.length + 3 }).map(rows => vocabulary(list, rows)))

  test('every row is filled, from rows that exist and mean the same token', () => {
    fc.assert(
      fc.property(tokens, fc.array(model, { minLength: 1, maxLength: 4 }), fc.option(fc.nat(3)), (list, models, base) => {
        const map = match(list, models, { base: base !== null && base < models.length ? base : null })
        list.forEach((token, r) => {
          const meant = models.flatMap(({ ids, rows }, m) => (ids.has(token) && ids.get(token)! < rows ? [`${m}:${ids.get(token)}`] : []))
          const own = map.own.flatMap((o, m) => (o[r]! >= 0 ? [`${m}:${o[r]}`] : []))
          expect(own).toEqual(meant)
          const fill = fillOf(map, r)
          expect(meant).toEqual(expect.arrayContaining(fill))
          if (own.length < models.length) expect(fill.length > 0).toBe(meant.length > 0)
        })
      }),
    )
  })
  test('models of one vocabulary stay as they are', () => {
    fc.assert(
      fc.property(tokens, fc.integer({ min: 1, max: 4 }), fc.nat(3), (list, count, more) => {
        const height = list.length + more
        const map = match(
          Array.from({ length: height }, (_, i) => list[i] ?? null),
          Array.from({ length: count }, () => vocabulary(list, height)),
        )
        for (let m = 0; m < count; m++) expect(isIdentity(map, m, height)).toBe(true)
        expect(map.fillModel.length).toBe(0)
      }),
    )
  })
  test('runs are the same rows', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1, max: 6 })), list => {
        const rebuilt = new Int32Array(list.length).fill(-1)
        const runs = runsOf(Int32Array.from(list))
        for (const { to, from, count } of runs) for (let i = 0; i < count; i++) rebuilt[to + i] = from + i
        expect([...rebuilt]).toEqual(list)
        runs.slice(1).forEach((run, i) => {
          expect(run.to === runs[i]!.to + runs[i]!.count && run.from === runs[i]!.from + runs[i]!.count).toBe(false) // as long as they can be
        })
      }),
    )
  })
})

test('runs', () => {
  expect(runsOf(Int32Array.of(0, 1, 2, -1, -1, 7, 8, 3))).toEqual([
    { to: 0, from: 0, count: 3 },
    { to: 5, from: 7, count: 2 },
    { to: 7, from: 3, count: 1 },
  ])
  expect(runsOf(new Int32Array())).toEqual([])
})
test('an embedding of another height is not what is asked for', () => expect(isIdentity(match(['a'], [vocabulary(['a', 'b'])]), 0, 2)).toBe(false))
