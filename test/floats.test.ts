import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { FloatDType } from '../src/dtype.ts'
import { decode, encode } from './floats.ts'

const bits = (dtype: FloatDType, ...values: number[]): string[] => {
  const bytes = encode(dtype, values)
  const width = bytes.length / values.length
  return values.map((_, i) => Buffer.from(bytes.subarray(i * width, (i + 1) * width).toReversed()).toString('hex'))
}

test.each(['F16', 'BF16'] as const)('%s: all 65,536 patterns survive decode and encode', dtype => {
  const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const values = decode(dtype, new Uint8Array(patterns.buffer))
  const again = new Uint16Array(encode(dtype, values).buffer)
  const nan = dtype === 'F16' ? 0x7e00 : 0x7fc0
  const wrong = [...patterns].filter(p => again[p] !== (Number.isNaN(values[p]) ? nan : p))
  expect(wrong).toEqual([])
  expect(values.filter(Number.isNaN).length).toBe(dtype === 'F16' ? 2 * 1023 : 2 * 127)
})

test.each(['F8_E4M3', 'F8_E5M2'] as const)('%s: all 256 patterns survive decode and encode', dtype => {
  const patterns = Uint8Array.from({ length: 256 }, (_, i) => i)
  const values = decode(dtype, patterns)
  const again = encode(dtype, values)
  expect([...patterns].filter(p => again[p] !== (Number.isNaN(values[p]) ? 0x7f : p))).toEqual([])
  expect(values.filter(Number.isNaN).length).toBe(dtype === 'F8_E4M3' ? 2 : 6)
})

test('the largest and smallest numbers are those of the formats', () => {
  const of = (dtype: FloatDType, ...patterns: number[]) => [...decode(dtype, new Uint8Array(dtype.startsWith('F8') ? patterns : Uint16Array.from(patterns).buffer))]
  expect(of('F16', 0x0001, 0x0400, 0x3c00, 0x7bff, 0xfc00)).toEqual([2 ** -24, 2 ** -14, 1, 65504, -Infinity])
  expect(of('BF16', 0x0001, 0x0080, 0x3f80, 0x7f7f, 0xff80)).toEqual([2 ** -133, 2 ** -126, 1, 3.3895313892515355e38, -Infinity])
  expect(of('F8_E4M3', 0x01, 0x08, 0x38, 0x7e, 0xff)).toEqual([2 ** -9, 2 ** -6, 1, 448, Number.NaN])
  expect(of('F8_E5M2', 0x01, 0x04, 0x3c, 0x7b, 0xfc)).toEqual([2 ** -16, 2 ** -14, 1, 57344, -Infinity])
})

test('a tie goes to the even neighbour', () => {
  expect(bits('F16', 2049, 2051, 2049.0009765625)).toEqual(['6800', '6802', '6801'])
  expect(bits('BF16', 257, 259)).toEqual(['4380', '4382'])
  expect(bits('F8_E4M3', 17, 19)).toEqual(['58', '5a'])
  expect(bits('F8_E5M2', 9, 11)).toEqual(['48', '4a'])
  expect(bits('F16', 2 ** -25, 3 * 2 ** -25, -(2 ** -26))).toEqual(['0000', '0002', '8000']) // subnormals
})

test('values are rounded to f32 first, as a kernel sees them', () => {
  expect(bits('F16', 1 + 2 ** -11 + 2 ** -30)).toEqual(['3c00']) // a double just above the tie; in f32 the tie itself
  expect(bits('F32', 0.1)).toEqual(['3dcccccd'])
  expect(bits('F64', 0.1)).toEqual(['3fb999999999999a'])
})

test('overflow gives infinity, in F8_E4M3 NaN of the same sign', () => {
  expect(bits('F16', 65519, 65520, -65520)).toEqual(['7bff', '7c00', 'fc00'])
  expect(bits('BF16', 3.4e38, 3.4028234663852886e38, Infinity)).toEqual(['7f80', '7f80', '7f80'])
  expect(bits('F8_E4M3', 464, 465, -465, Infinity)).toEqual(['7e', '7f', 'ff', '7f'])
  expect(bits('F8_E5M2', 61439, 61440, -Infinity)).toEqual(['7b', '7c', 'fc'])
})

// PyTorch 2.15 turns what F8_E4M3 cannot hold into its largest number (0x7e), we into NaN (0x7f): see `encode`.
const saturates = (dtype: FloatDType, value: number) => dtype === 'F8_E4M3' && Math.abs(value) > 464

test('the bits are those of PyTorch', () => {
  const fixture: { columns: FloatDType[]; cases: string[][] } = JSON.parse(readFileSync(new URL('floats.json', import.meta.url), 'utf8'))
  const wrong: string[] = []
  for (const [from, ...expected] of fixture.cases) {
    const [value] = decode('F32', Buffer.from(String(from), 'hex').reverse())
    for (const [i, want] of expected.entries()) {
      const dtype = fixture.columns[i + 1] as FloatDType
      const [got] = bits(dtype, value as number)
      const [wanted] = decode(dtype, Buffer.from(want, 'hex').reverse())
      const agrees = Number.isNaN(value) ? Number.isNaN(wanted) : saturates(dtype, value as number) ? want.endsWith('e') : got === want
      if (!agrees) wrong.push(`${from} → ${dtype}: ${got}, PyTorch ${want}`)
    }
  }
  expect(wrong).toEqual([])
  expect(fixture.cases.length).toBeGreaterThan(500)
})
