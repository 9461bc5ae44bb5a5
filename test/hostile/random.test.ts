import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memorySource } from '../../src/bytes/source.ts'
import { bytesOf, DTYPES, type DType, sizeOf } from '../../src/dtype.ts'
import { MergeError } from '../../src/errors.ts'
import safetensors, { headerOf } from '../../src/formats/safetensors.ts'

const dtype = fc.constantFrom(...(Object.keys(DTYPES) as DType[])) // its keys are DType by definition
const name = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', '0', 'toString')).filter(text => text !== '__metadata__')
const tensor = fc.record({ name, dtype, shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }) })
const tensors = fc.uniqueArray(tensor, { selector: t => t.name, maxLength: 12 })
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 })

/** A file of these tensors whose data bytes count up. */
function build(list: readonly { name: string; dtype: DType; shape: number[] }[], strings: Record<string, string>): Uint8Array {
  const { header, size } = headerOf(list, strings)
  const bytes = new Uint8Array(size)
  bytes.set(header)
  for (let i = header.length; i < size; i++) bytes[i] = i
  return bytes
}

describe('safetensors, at random', () => {
  test('what is written reads back', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (list, strings) => {
        const bytes = build(list, strings)
        const table = await safetensors.readTable(memorySource('random', bytes))
        const { offsets } = headerOf(list, strings)
        const expected = list.map((t, i) => ({ ...t, start: offsets[i] ?? Number.NaN, end: (offsets[i] ?? Number.NaN) + sizeOf(t.shape) * bytesOf(t.dtype) }))
        const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1) // empty tensors share an offset
        expect(table.tensors.toSorted(byName)).toEqual(expected.toSorted(byName))
        expect({ ...table.metadata }).toEqual({ ...strings })
      }),
      { numRuns: 300 },
    )
  })

  const changes = fc.array(fc.record({ at: fc.nat(), to: fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...Buffer.from('{}[]",:\\0-9e'))) }), { minLength: 1, maxLength: 4 })

  test('changed bytes open, or fail as a user’s mistake', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, metadata, changes, async (list, strings, edits) => {
        const bytes = build(list, strings)
        const header = headerOf(list, strings).header.length
        for (const { at, to } of edits) bytes[at % header] = to
        await opensOrRefuses(bytes)
      }),
      { numRuns: 3000 },
    )
  })

  test('a file cut anywhere, or with bytes added, is refused', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.nat(), async (list, at) => {
        const bytes = build(list, {})
        const cut = at % bytes.length
        await expect(safetensors.readTable(memorySource('cut', bytes.subarray(0, cut)))).rejects.toThrow(MergeError)
        const longer = new Uint8Array(bytes.length + 1)
        longer.set(bytes)
        await expect(safetensors.readTable(memorySource('longer', longer))).rejects.toThrow(MergeError)
      }),
      { numRuns: 300 },
    )
  })

  test('any bytes at all', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), opensOrRefuses), { numRuns: 1000 })
  })

  test('any JSON under a true length', async () => {
    const shuffled = fc.oneof(
      fc.json(),
      fc.record({ dtype: fc.oneof(dtype, fc.string()), shape: fc.jsonValue(), data_offsets: fc.jsonValue() }).map(entry => JSON.stringify({ a: entry })),
    )
    await fc.assert(
      fc.asyncProperty(shuffled, async text => {
        const json = new TextEncoder().encode(text)
        const bytes = new Uint8Array(8 + json.length)
        bytes.set(json, 8)
        new DataView(bytes.buffer).setUint32(0, json.length, true)
        await opensOrRefuses(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})

async function opensOrRefuses(bytes: Uint8Array): Promise<void> {
  try {
    await safetensors.readTable(memorySource('changed', bytes))
  } catch (error) {
    if (!(error instanceof MergeError)) throw error
    expect(error.message).toContain('changed')
  }
}
