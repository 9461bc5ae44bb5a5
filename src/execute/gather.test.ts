import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, encode } from '../../test/floats.ts'
import { type Embedding, gatherNaively } from '../../test/gather.ts'
import { openReader } from '../bytes/file.ts'
import type { RowMap } from '../checkpoint/rows.ts'
import { bytesOf, type FloatDType } from '../dtype.ts'
import { STRIP } from '../plan/gathered.ts'
import { createGatherer } from './gather.ts'

const DTYPES: readonly FloatDType[] = ['F32', 'BF16', 'F16', 'F64', 'F8_E4M3', 'F8_E5M2']

/** Some models' embeddings, how they are matched, and where to read. `at` is a share of the whole. */
const cases = fc.record({
  width: fc.integer({ min: 1, max: 9 }),
  models: fc.array(fc.record({ dtype: fc.constantFrom(...DTYPES), height: fc.integer({ min: 1, max: 9 }) }), { minLength: 1, maxLength: 3 }),
  rows: fc.array(fc.record({ kind: fc.constantFrom('next', 'own', 'fill', 'padding', 'nothing'), seed: fc.nat() }), { minLength: 1, maxLength: 14 }),
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  to: fc.double({ min: 0, max: 1, noNaN: true }),
})

function mapFor(models: readonly { readonly height: number }[], rows: readonly { readonly kind: string; readonly seed: number }[]): RowMap {
  const pick = (seed: number, n: number): number => Math.floor(seed / 7) % n
  const own = models.map(({ height }, m) => {
    let last = -1
    return Int32Array.from(rows, ({ kind, seed }) => {
      last = kind === 'next' ? (last + 1) % height : pick(seed + 13 * m, height)
      return kind === 'next' || (kind === 'own' && (seed + m) % 3 > 0) ? last : -1
    })
  })
  const fills = rows.map(({ kind, seed }) =>
    kind === 'fill' || kind === 'own'
      ? Array.from({ length: 1 + (seed % 3) }, (_, i) => [pick(seed + i, models.length), pick(seed * 3 + i, models[pick(seed + i, models.length)]!.height)] as const)
      : [],
  )
  const starts = [0]
  for (const fill of fills) starts.push(starts.at(-1)! + fill.length)
  return {
    rows: rows.length,
    own,
    fillStart: Int32Array.from(starts),
    fillModel: Int32Array.from(fills.flat(), ([m]) => m),
    fillRow: Int32Array.from(fills.flat(), ([, r]) => r),
    isPadding: Uint8Array.from(rows, ({ kind }) => (kind === 'padding' ? 1 : 0)),
    hasToken: Uint8Array.from(rows, ({ kind, seed }) => (kind !== 'padding' && seed % 4 > 0 ? 1 : 0)),
  }
}

/** Embeddings as one file each, behind a few bytes of something else. */
function setup(embeddings: readonly Embedding[], map: RowMap, width: number) {
  const readers = embeddings.map(({ bytes }) => openReader({ memory: Uint8Array.from([9, 9, 9, ...bytes]) }))
  const gatherer = createGatherer([map], file => readers[file]!)
  const tables = embeddings.map(({ dtype }, file) => ({ file, at: 3, dtype }))
  const source = (model: number) => ({ rows: { map: 0, model, width, tables }, dtype: embeddings[model]!.dtype, key: `tensor\n${model}` })
  return { gatherer, source }
}

test('what is gathered is what the description says, wherever one begins to read', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ width, models, rows, from, to }) => {
      const map = mapFor(models, rows)
      const embeddings = models.map(({ dtype, height }, m) => ({
        dtype,
        bytes: encode(
          dtype,
          Array.from({ length: height * width }, (_, i) => (i % 5 === 0 ? -0 : Math.sin(i + 31 * m))),
        ),
      }))
      const { gatherer, source } = setup(embeddings, map, width)
      const [start, end] = [from, to].map(share => Math.round(share * rows.length * width)).sort((a, b) => a - b) as [number, number]
      for (const [m, { dtype }] of models.entries()) {
        const whole = gatherNaively(map, m, embeddings, width)
        const bytes = bytesOf(dtype)
        const target = new Uint8Array((end - start) * bytes).fill(7)
        await gatherer.gather(source(m), target, start)
        expect([...target]).toEqual([...whole.subarray(start * bytes, end * bytes)])
      }
    }),
    { numRuns: 500 },
  )
})

describe('rows longer than what is converted at a time', () => {
  const width = 2 * STRIP + 5
  const values = (factor: number): number[] => Array.from({ length: 2 * width }, (_, i) => factor * Math.cos(i))
  const embeddings: Embedding[] = [
    { dtype: 'BF16', bytes: encode('BF16', values(1)) },
    { dtype: 'F32', bytes: encode('F32', values(3)) },
  ]
  const map: RowMap = {
    rows: 4,
    own: [Int32Array.of(1, -1, -1, -1), Int32Array.of(0, 1, -1, -1)],
    fillStart: Int32Array.of(0, 0, 1, 3, 3),
    fillModel: Int32Array.of(1, 0, 1),
    fillRow: Int32Array.of(1, 0, 0),
    isPadding: Uint8Array.of(0, 0, 0, 1),
    hasToken: Uint8Array.of(1, 1, 1, 0),
  }
  test.each([0, 1])('model %i', async model => {
    const { gatherer, source } = setup(embeddings, map, width)
    const want = gatherNaively(map, model, embeddings, width)
    const got = new Uint8Array(want.length)
    const read = await gatherer.gather(source(model), got, 0)
    expect(Buffer.from(got).equals(Buffer.from(want))).toBe(true)
    expect(read).toBeGreaterThanOrEqual(2 * width * bytesOf(embeddings[model]!.dtype))
  })
})

test('rows that lie beside each other are read at once', async () => {
  const reads: number[] = []
  const bytes = encode('F32', [0, 1, 2, 3, 4, 5, 6, 7])
  const reader = openReader({ memory: bytes })
  const map: RowMap = {
    rows: 5,
    own: [Int32Array.of(1, 2, 3, 0, 1)],
    fillStart: new Int32Array(6),
    fillModel: new Int32Array(0),
    fillRow: new Int32Array(0),
    isPadding: new Uint8Array(5),
    hasToken: new Uint8Array(5).fill(1),
  }
  const read = (target: Uint8Array, at: number): void => {
    reads.push(target.length)
    void reader.read(target, at)
  }
  const gatherer = createGatherer([map], () => ({ ...reader, read }))
  const target = new Uint8Array(40)
  const source = { rows: { map: 0, model: 0, width: 2, tables: [{ file: 0, at: 0, dtype: 'F32' as const }] }, dtype: 'F32' as const, key: 'tensor\n0' }
  expect(await gatherer.gather(source, target, 0)).toBe(40)
  expect(reads).toEqual([24, 16])
  expect([...decode('F32', target)]).toEqual([2, 3, 4, 5, 6, 7, 0, 1, 2, 3])
})
