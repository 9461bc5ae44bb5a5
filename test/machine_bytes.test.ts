import { describe, expect, test } from 'vitest'
import { Tensor, where } from '../src/algebra/tensor.ts'
import { bytesOf, DTYPES, type DType, type FloatDType, isFloat, isNative } from '../src/dtype.ts'
import { OVERFLOWING } from '../src/execute/code/stage.ts'
import type { Finding } from '../src/execute/runner.ts'
import { createEngine } from '../src/kernels/kernels.ts'
import { compile, compileCopy } from '../src/plan/passes.ts'
import { createMachine, nameOf, type Types } from './engine.ts'
import { decode, encode } from './floats.ts'
import { allPatterns, hardFor, wordsFrom } from './values.ts'

// How generated code reads and writes dtypes, and what it tells of values that are not finite.

const [x, y, z] = [0, 1, 2].map(i => Tensor.source(i, [1])) as [Tensor, Tensor, Tensor]
const engine = createEngine(16 * 2 ** 20)
const [FROM, TO] = [engine.heap, engine.heap + 8 * 2 ** 20]

/** What the AssemblyScript kernels make of stored numbers: float32, and those as another dtype. */
function converted(from: FloatDType, bytes: Uint8Array, to: FloatDType): Uint8Array {
  const n = bytes.length / bytesOf(from)
  new Uint8Array(engine.memory.buffer, FROM, bytes.length).set(bytes)
  engine.load[from](TO, FROM, n)
  engine.store[to](FROM, TO, n)
  return new Uint8Array(engine.memory.buffer, FROM, n * bytesOf(to)).slice()
}
const floatsOf = (words: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer)
const firstDifference = (a: Uint8Array, b: Uint8Array): number => (a.length === b.length ? a.findIndex((byte, i) => byte !== b[i]) : -2)
/** Where `bytes` are not what the definition of `dtype` makes of `values`; NaNs are equal. */
function wrongIn(bytes: Uint8Array, dtype: FloatDType, values: Float32Array): number {
  const [got, want] = [decode(dtype, bytes), decode(dtype, encode(dtype, values))]
  return got.findIndex((v, i) => !Object.is(v, want[i]))
}
const FLOATS = (Object.keys(DTYPES) as DType[]).filter(isFloat)
const NARROW = ['BF16', 'F16', 'F8_E4M3', 'F8_E5M2'] as const

describe.each(NARROW)('every pattern of %s', from => {
  test.each(FLOATS)('as %s has the value of its definition and the bytes of the kernels', async to => {
    const raw = allPatterns(from)
    const n = raw.length / bytesOf(from)
    const { bytes } = await createMachine(compile(x, [from], to)).run(n, [raw])
    expect(firstDifference(bytes, converted(from, raw, to))).toBe(-1) // payloads of NaN as well
    expect(wrongIn(bytes, to, Float32Array.from(decode(from, raw)))).toBe(-1)
  })
})

describe.each(NARROW)('numbers that are hard to round to %s', to => {
  const hard = hardFor(to)

  test('from float32', async () => {
    const raw = new Uint8Array(hard.buffer)
    const { bytes } = await createMachine(compile(x, ['F32'], to)).run(hard.length, [raw])
    expect(firstDifference(bytes, converted('F32', raw, to))).toBe(-1)
    expect(wrongIn(bytes, to, hard)).toBe(-1)
  })

  // 24 bits of mantissa are three times 8: where that leaves no subnormal rest, three BF16 tensors add up to any float32.
  test('from sums of 16-bit tensors', async () => {
    const word = new Uint32Array(1)
    const float = new Float32Array(word.buffer)
    const head = (v: number): number => {
      float[0] = v
      word[0]! &= 0xffff0000
      return float[0]!
    }
    const parts = hard.map(head)
    const middle = hard.map((v, i) => head(v - parts[i]!))
    const rest = hard.map((v, i) => v - parts[i]! - middle[i]!)
    const exact = hard.filter((v, i) => Number.isFinite(v) && head(rest[i]!) === rest[i] && Math.fround(rest[i]! + middle[i]!) + parts[i]! === v)
    expect(exact.length).toBeGreaterThan(hard.length / 2)
    const inputs = [exact.map(head), exact.map(v => head(v - head(v))), exact.map(v => v - head(v) - head(v - head(v)))].map(values => encode('BF16', values))
    const { bytes } = await createMachine(compile(z.add(y).add(x), ['BF16', 'BF16', 'BF16'], to)).run(exact.length, inputs)
    expect(
      wrongIn(
        bytes,
        to,
        exact.map(v => v + 0),
      ),
    ).toBe(-1)
  })
})

test('F64 is rounded once on the way in, and widened exactly on the way out', async () => {
  const tie = 1 + 2 ** -24 // between two float32 numbers
  const values = [0.1, tie, tie + 2 ** -50, -(1 + 3 * 2 ** -24), -0, 1e-46, 2 ** -150, 3.4028235e38, 3.5e38, -Infinity, Number.NaN, 1e-320, 1e300]
  const input = encode('F64', values)
  for (const to of ['F64', 'F32'] as const) {
    const { bytes, findings } = await createMachine(compile(x, ['F64'], to)).run(values.length, [input])
    expect([...decode(to, bytes)]).toEqual(values.map(Math.fround))
    expect(findings[0]).toEqual({ source: 0, index: 8, value: Infinity }) // what overflows float32 counts as infinite
  }
})

test('a NaN whose payload rounding would carry away stays a NaN, and its neighbours what they are', async () => {
  const payloads = [0x7f800001, 0x7fffffff, 0xffffffff, 0x7f80ffff, 0xff80ffff, 0xffc01234, 0x7f801fff, 0x7fc00000]
  const words = payloads.flatMap(nan => [nan, 0x3f800000, 0xbfc00000])
  for (const to of FLOATS) {
    const { bytes, findings } = await createMachine(compile(x, ['F32'], to)).run(words.length, [floatsOf(words)])
    expect({ to, values: [...decode(to, bytes)] }).toEqual({ to, values: payloads.flatMap(() => [Number.NaN, 1, -1.5]) })
    expect(findings.map(f => [f.source, f.index])).toEqual([
      [0, 0],
      [null, 0],
    ])
  }
})

const TYPES: readonly Types[] = [
  { sources: ['F32', 'F32'], output: 'F32' },
  { sources: ['BF16', 'BF16'], output: 'BF16' },
  { sources: ['F16', 'F16'], output: 'F16' },
  { sources: ['BF16', 'F32'], output: 'F16' },
  { sources: ['F16', 'F64'], output: 'BF16' },
  { sources: ['F8_E5M2', 'BF16'], output: 'F32' },
  { sources: ['F32', 'BF16'], output: 'F64' },
  { sources: ['F16', 'F8_E4M3'], output: 'F8_E5M2' },
]

describe.each(TYPES.map(types => [nameOf(types), types] as const))('what is not finite in %s', (_, { sources, output }) => {
  const plain = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => (i % 2 ? -1.5 : 1))
  const withBad = (n: number, at: number, bad: number): Float32Array => plain(n).map((v, i) => (i === at ? bad : v))
  const inputsOf = (...values: Float32Array[]): Uint8Array[] => values.map((v, slot) => encode(sources[slot]!, v))
  const sum = where(x.eq(0), y, x).sum()
  const largest = Tensor.of('largest', [x.max(y), Tensor.constant(1)], null, [])
  // The output is finite whatever x and y are; sources are looked at where they are first read.
  const programs: Readonly<Record<string, Tensor>> = {
    'one pass': x.ge(y),
    'a sum before': x.ge(y).add(sum.gt(0)),
    'a select before': x.ge(y).add(largest.gt(0)),
    'a sum and a select before': x.ge(y).add(largest.gt(0)).add(sum.gt(0)),
    'a source that is read only at last': x.ge(y).add(x.sum().gt(0)),
  }

  test.each(Object.keys(programs))('is told by source and place: %s', async name => {
    const machine = createMachine(compile(programs[name]!, sources, output), { chunk: 64 })
    for (const n of [1, 5, 16, 21, 33, 150]) {
      for (let at = 0; at < n; at += n > 40 ? 7 : 1) {
        for (const slot of [0, 1]) {
          const bad = at % 2 && sources[slot] !== 'F8_E4M3' ? -Infinity : Number.NaN
          const inputs = inputsOf(slot === 0 ? withBad(n, at, bad) : plain(n), slot === 1 ? withBad(n, at, bad) : plain(n))
          const { findings } = await machine.run(n, inputs, { resident: at % 3 === 0 })
          const [first] = findings
          // A dtype that kernels convert is looked at whenever it is read: the caller keeps the first finding of a tensor and port.
          if (!first || findings.some(f => f.source !== slot || f.index !== at || !Object.is(f.value, bad))) expect({ n, at, slot, findings }).toBe('one bad element, told')
          if (isNative(sources[slot]!)) expect(findings.length).toBe(1)
        }
      }
      expect((await machine.run(n, inputsOf(plain(n), plain(n)))).findings).toEqual([])
    }
  })

  test('the first one of each chunk is told, sources before the output', async () => {
    const a = plain(300).map((v, i) => ([10, 20, 70, 290].includes(i) ? Number.NaN : v))
    const b = plain(300).map((v, i) => ([9, 299].includes(i) ? Number.NaN : v))
    const { findings, bytes } = await createMachine(compile(x.add(y), sources, output), { chunk: 64 }).run(300, inputsOf(a, b))
    const told = (source: number | null): number[] => findings.filter(f => f.source === source).map(f => f.index)
    expect([told(0), told(1), told(null)]).toEqual([
      [10, 70, 290],
      [9, 299],
      [9, 70, 290],
    ])
    expect(
      findings
        .slice(0, 3)
        .map(f => f.source)
        .at(-1),
    ).toBe(null)
    const want = encode(
      output,
      a.map((v, i) => v + b[i]!),
    )
    expect([...decode(output, bytes)]).toEqual([...decode(output, want)]) // telling disturbs no neighbour
  })
})

describe('overflow of the output', () => {
  const float = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!

  test.each(FLOATS)('%s: begins where rounding goes beyond the largest number, and is told', async to => {
    const limit = OVERFLOWING[to]
    const machine = createMachine(compile(x.mul(y), ['F32', 'F32'], to))
    const n = 37
    for (const at of [0, 15, 16, 36]) {
      for (const [bits, overflows] of [
        [limit - 1, false],
        [limit, true],
      ] as const) {
        for (const sign of [1, -1]) {
          const factor = Float32Array.from({ length: n }, (_, i) => (i === at ? (overflows && limit === 0x7f800000 ? 2 : 1) : 1))
          const value = overflows && limit === 0x7f800000 ? 2 ** 127 : float(bits) // float32 itself overflows in the product
          const a = Float32Array.from({ length: n }, (_, i) => (i === at ? sign * value : i))
          const { bytes, findings } = await machine.run(n, [encode('F32', a), encode('F32', factor)])
          const product = Math.fround(sign * value * factor[at]!)
          const want: Finding[] = overflows ? [{ source: null, index: at, value: product }] : []
          expect({ bits, findings }).toEqual({ bits, findings: want })
          const stored = decode(to, bytes)
          expect(Number.isFinite(stored[at])).toBe(!overflows)
          expect([...stored]).toEqual([
            ...decode(
              to,
              encode(
                to,
                a.map((v, i) => v * factor[i]!),
              ),
            ),
          ])
        }
      }
    }
  })
})

describe('a copy', () => {
  test.each(Object.keys(DTYPES) as DType[])('of %s moves every byte, whatever the chunk', async dtype => {
    const next = wordsFrom(3)
    const width = bytesOf(dtype)
    for (const n of [1, 7, 16, 33, 1000, 70_001]) {
      const input = Uint8Array.from({ length: n * width }, () => next())
      for (const chunk of [16, 1024, 65_536]) {
        if (n > 1000 && chunk < 1024) continue
        const { bytes } = await createMachine(compileCopy(dtype), { chunk }).run(n, [input])
        expect({ n, chunk, at: firstDifference(bytes, input) }).toEqual({ n, chunk, at: -1 })
      }
    }
  })

  test.each(FLOATS)('of %s tells what is not finite', async dtype => {
    for (const at of [0, 20, 63, 64, 99]) {
      const values = Float32Array.from({ length: 100 }, (_, i) => (i === at ? Number.NaN : 1))
      const { findings } = await createMachine(compileCopy(dtype), { chunk: 64 }).run(100, [encode(dtype, values)])
      expect(findings).toEqual([{ source: 0, index: at, value: Number.NaN }])
    }
  })
})
