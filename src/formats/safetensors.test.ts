import { describe, expect, test } from 'vitest'
import { memorySource, type Source } from '../bytes/source.ts'
import { bytesOf, DTYPES, type DType } from '../dtype.ts'
import safetensors, { headerOf } from './safetensors.ts'

const text = (header: Uint8Array): string => new TextDecoder().decode(header.subarray(8))

function fileOf(tensors: Parameters<typeof headerOf>[0], metadata: Record<string, string> = {}): Source {
  const { header, size } = headerOf(tensors, metadata)
  const bytes = new Uint8Array(size)
  bytes.set(header)
  return memorySource('test.safetensors', bytes)
}

describe('headerOf', () => {
  test('metadata first, tensors in the given order, padded with spaces', () => {
    const { header, offsets, size } = headerOf(
      [
        { name: 'b', dtype: 'BF16', shape: [2, 3] },
        { name: 'a', dtype: 'F32', shape: [] },
      ],
      { format: 'pt' },
    )
    const json = '{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"a":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}'
    expect(text(header).trimEnd()).toBe(json)
    expect(header.length % 8).toBe(0)
    expect([...header.subarray(0, 8)]).toEqual([header.length - 8, 0, 0, 0, 0, 0, 0, 0])
    expect(offsets).toEqual([header.length, header.length + 12])
    expect(size).toBe(header.length + 16)
  })

  test('names of any script and any meaning come back', async () => {
    const names = ['模型.权重', 'a"b\\c', '\n', '', '__proto__', 'constructor', '7', '😀']
    const { tensors } = await safetensors.readTable(fileOf(names.map(name => ({ name, dtype: 'U8', shape: [1] }))))
    expect(tensors.map(({ name }) => name)).toEqual(names)
  })

  test('a name given twice is our own mistake', () => {
    const a = { name: 'a', dtype: 'U8', shape: [1] } as const
    expect(() => headerOf([a, a], {})).toThrow('broke its own promise')
  })
})

describe('readTable', () => {
  test('every dtype', async () => {
    const dtypes = Object.keys(DTYPES) as DType[] // its keys are DType by definition
    const { tensors } = await safetensors.readTable(fileOf(dtypes.map(dtype => ({ name: dtype, dtype, shape: [3] }))))
    expect(tensors.map(({ dtype, start, end }) => [dtype, end - start])).toEqual(dtypes.map(dtype => [dtype, 3 * bytesOf(dtype)]))
  })

  test('0-d tensors, empty tensors, no tensors, metadata', async () => {
    const { tensors, metadata, header } = await safetensors.readTable(
      fileOf(
        [
          { name: 'scalar', dtype: 'F64', shape: [] },
          { name: 'empty', dtype: 'F32', shape: [4, 0, 9] },
          { name: 'also empty', dtype: 'F32', shape: [0] },
          { name: 'last', dtype: 'I8', shape: [1] },
        ],
        { format: 'pt', 'a key': '' },
      ),
    )
    const start = header.length + 8
    expect(tensors.map(t => [t.name, t.start - start, t.end - start])).toEqual([
      ['scalar', 0, 8],
      ['empty', 8, 8],
      ['also empty', 8, 8],
      ['last', 8, 9],
    ])
    expect(metadata).toEqual({ format: 'pt', 'a key': '' })
    expect((await safetensors.readTable(fileOf([]))).tensors).toEqual([])
  })

  test('tensors come in the order of their bytes, not of the header', async () => {
    const json = new TextEncoder().encode('{"z":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}')
    const bytes = Uint8Array.of(json.length, 0, 0, 0, 0, 0, 0, 0, ...json, 7, 8)
    const { tensors } = await safetensors.readTable(memorySource('test', bytes))
    expect(tensors.map(({ name }) => name)).toEqual(['y', 'z'])
  })

  test('an absurd header length asks for no memory, even if the file is that large', async () => {
    for (const claimed of [100_000_001n, 1_000_000_000_000n, 2n ** 63n]) {
      const asked: number[] = []
      const first = new Uint8Array(9)
      new DataView(first.buffer).setBigUint64(0, claimed, true)
      const source: Source = {
        ...memorySource('huge.safetensors', first),
        size: 2 ** 50,
        read: async (start, end) => {
          asked.push(end - start)
          return first.subarray(start, end)
        },
      }
      await expect(safetensors.readTable(source)).rejects.toThrow(`the header claims ${claimed} bytes; the limit is 100000000\n  at huge.safetensors`)
      expect(asked).toEqual([9])
    }
  })

  test('time is linear in the number of tensors', async () => {
    // No time is asserted; at a quadratic cost this would run into the test's time limit.
    const tensors = Array.from({ length: 40_000 }, (_, i) => ({ name: `model.layers.${i % 80}.mlp.experts.${i}.down_proj.weight`, dtype: 'BF16', shape: [1, 2] }) as const)
    expect((await safetensors.readTable(fileOf(tensors))).tensors.length).toBe(40_000)
  })
})
