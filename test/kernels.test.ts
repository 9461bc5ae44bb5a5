import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FloatDType } from '../src/dtype.ts'
import { bytesOf } from '../src/dtype.ts'
import { OVERFLOWING } from '../src/execute/code/stage.ts'
import { PIECE } from '../src/execute/select.ts'
import { COUNTERS_BYTES, createEngine, NONFINITE } from '../src/kernels/kernels.ts'
import { decode, encode } from './floats.ts'
import { piecesOf } from './pieces.ts'
import { allPatterns, bitsOf, differences, hardFor, pairs, TINY, wordsFrom } from './values.ts'

// The kernels written in AssemblyScript. What is generated for a formula is tested in machine_code.test.ts and its neighbours.

const MANY = 65_536
const engine = createEngine(4 * 1024 * 1024)
const { kernels, memory, heap } = engine

// Three places of 0.5 to 1 MB each, with room around every array.
const [A, C, D] = [heap + 256, heap + 1_200_000, heap + 1_800_000].map(at => Math.ceil(at / 64) * 64) as [number, number, number]

const floats = (at: number, n: number): Float32Array => new Float32Array(memory.buffer, at, n)
const words = (at: number, n: number): Uint32Array => new Uint32Array(memory.buffer, at, n)
const bytes = (at: number, n: number): Uint8Array => new Uint8Array(memory.buffer, at, n)

/** Distance in units of the last place of a float64. */
const ulps = (a: number, b: number): number => Math.abs(a - b) / 2 ** Math.max(-1074, Math.floor(Math.log2(Math.abs(b) || TINY)) - 52)

describe('the ranks of a row', () => {
  const next = wordsFrom(9)
  const unit = (): number => next() / 2 ** 31 - 1
  const bell = (): number => unit() + unit() + unit()
  const bf16 = (x: number): number => decode('BF16', encode('BF16', [x]))[0]!
  /** Rows that deal evenly into buckets, and rows that do not. */
  const KINDS: Readonly<Record<string, () => number>> = {
    'magnitudes of ordinary weights': () => Math.abs(bell()),
    'with signs': bell,
    'differences of bf16': () => Math.abs(bf16(bell() + bell() / 16) - bf16(bell())),
    'mostly zeros': () => (unit() < 0.5 ? 0 : bell()),
    'zeros of both signs': () => (unit() < 0 ? -0 : 0),
    'all equal': () => 1.5,
    'one far away, now and then': () => (unit() > 0.998 ? 1e30 : bell()),
    'of all magnitudes': () => 2 ** (bell() * 40) * Math.sign(unit()),
    'as far apart as float32 goes': () => unit() * 3.4e38,
    subnormal: () => Math.round(unit() * 100) * TINY,
    'with infinities': () => (unit() > 0.9 ? Number.POSITIVE_INFINITY : unit() > 0.9 ? Number.NEGATIVE_INFINITY : bell()),
    'with NaN': () => (unit() > 0.95 ? Number.NaN : bell()),
  }

  test.each(Object.keys(KINDS))('are what sorting gives: %s', kind => {
    for (const columns of [1, 2, 3, 4, 5, 63, 64, 257, 4096]) {
      const rows = columns > 1000 ? 2 : 5
      const values = Float32Array.from({ length: rows * columns }, KINDS[kind]!)
      floats(A, values.length).set(values)
      kernels.row_rank(C, A, rows, columns, D)
      const want = new Float32Array(values.length)
      for (let r = 0; r < rows; r++) {
        const at = (i: number): number => values[r * columns + i]!
        const order = (a: number, b: number): number =>
          Number(Number.isNaN(a)) - Number(Number.isNaN(b)) || (a < b ? -1 : a > b ? 1 : Number(Object.is(b, -0)) - Number(Object.is(a, -0)))
        for (const [rank, i] of [...Array(columns).keys()].sort((i, j) => order(at(i), at(j)) || i - j).entries()) want[r * columns + i] = rank
      }
      const got = floats(C, values.length)
      const wrong = want.findIndex((v, i) => v !== got[i])
      if (wrong >= 0) expect({ columns, wrong, value: values[wrong], rank: got[wrong] }).toEqual({ columns, wrong, value: values[wrong], rank: want[wrong] })
    }
  })
})

describe('sin and acos', () => {
  // Both promise an error below 1 ulp, not the same bits. Beyond 2^20·π/2 AssemblyScript reduces the angle its own way, with a rounding more.
  test('agree with Math within 1 ulp of a double, sin of angles beyond 1.6 million within 2', () => {
    const wrong: string[] = []
    for (let i = -20_000; i <= 20_000; i++) {
      const x = i * 0.00317
      const y = i / 20_000
      if (ulps(kernels.sin(x), Math.sin(x)) > 1) wrong.push(`sin ${x}`)
      if (ulps(kernels.sin(x * 2e4), Math.sin(x * 2e4)) > 1) wrong.push(`sin ${x * 2e4}`)
      if (ulps(kernels.sin(x * 1e7), Math.sin(x * 1e7)) > 2) wrong.push(`sin ${x * 1e7}`)
      if (ulps(kernels.acos(y), Math.acos(y)) > 1) wrong.push(`acos ${y}`)
    }
    expect(wrong.slice(0, 5)).toEqual([])
    expect(kernels.sin(1e22)).toBe(-0.8522008497671888) // the classic test of argument reduction
  })

  test('acos counts what rounding pushed beyond ±1 as ±1', () => {
    expect([1, 1 + 2 ** -52, 7, -1, -1 - 2 ** -52, 0].map(kernels.acos)).toEqual([0, 0, 0, Math.PI, Math.PI, Math.PI / 2])
    expect(kernels.acos(NaN)).toBeNaN()
    expect([Infinity, -Infinity, NaN].map(kernels.sin)).toEqual([NaN, NaN, NaN])
  })
})

const NARROW = ['F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const

/** What `load` must give back: the largest |x| as float32 bits. NaN has no one payload, so any will do. */
const magnitude = (values: ArrayLike<number>): number => Array.from(values).reduce((most, v) => Math.max(most, Number.isNaN(v) ? 0x7fffffff : bitsOf(Math.abs(v))), 0)
const asNaN = (bits: number): number => (bits > NONFINITE ? 0x7fffffff : bits)

describe('load', () => {
  // Lengths around 7 and 15 leave most elements to the loops that finish an array.
  test.each(NARROW.flatMap(dtype => [MANY, 7, 15, 23].map(n => [dtype, n] as const)))('%s: every pattern has its exact value, %i at a time', (dtype, n) => {
    const raw = allPatterns(dtype)
    const width = bytesOf(dtype)
    const want = decode(dtype, raw)
    const got = new Float32Array(want.length)
    const wrong: string[] = []
    for (let i = 0; i < want.length; i += n) {
      const m = Math.min(n, want.length - i)
      bytes(A, m * width).set(raw.subarray(i * width, (i + m) * width))
      bytes(A + m * width, 64).fill(0xff) // NaN in every format: what lies beyond must not be read
      const most = engine.load[dtype](D, A, m) >>> 0
      got.set(floats(D, m), i)
      if (asNaN(most) !== magnitude(want.subarray(i, i + m))) wrong.push(`magnitude of [${i}, ${i + m}): ${most.toString(16)}`)
    }
    expect(wrong.slice(0, 5)).toEqual([])
    expect(differences(got, want)).toEqual([])
  })

  test('F32 moves bits, NaN payloads too', () => {
    const next = wordsFrom(9)
    const raw = Uint32Array.from({ length: 1003 }, (_, i) => (i === 7 ? 0xffc01234 : next()))
    words(A, raw.length).set(raw)
    engine.load.F32(D, A, raw.length)
    expect([...words(D, raw.length)]).toEqual([...raw])
  })

  test('F64 is rounded to float32 to nearest even; what overflows is infinite and noticed', () => {
    const tie = 1 + 2 ** -24 // between two float32 numbers
    const values = [0.1, tie, tie + 2 ** -50, -(1 + 3 * 2 ** -24), -0, 1e-46, 2 ** -150, 3.4028235e38, 3.5e38, -Infinity, NaN, 1e-320, 1e300]
    new Float64Array(memory.buffer, A, values.length).set(values)
    engine.load.F64(D, A, values.length)
    expect(differences(floats(D, values.length), values)).toEqual([])
    for (const [i, value] of values.entries()) {
      new Float64Array(memory.buffer, A, 1)[0] = value
      const fits = Number.isFinite(Math.fround(value))
      expect({ i, noticed: engine.load.F64(D, A, 1) >>> 0 >= NONFINITE }).toEqual({ i, noticed: !fits })
    }
  })
})

describe('store', () => {
  test.each(NARROW.flatMap(dtype => [4096, 7].map(n => [dtype, n] as const)))('%s: rounds to nearest even, %i at a time', (dtype, n) => {
    const values = n === 7 ? hardFor(dtype).subarray(0, 40_000) : hardFor(dtype)
    const width = bytesOf(dtype)
    const want = encode(dtype, values) // overflow in F8_E4M3 is NaN there, on purpose: a merge that overflows must not look healthy
    const got = new Uint8Array(want.length)
    const wrong: string[] = []
    for (let i = 0; i < values.length; i += n) {
      const m = Math.min(n, values.length - i)
      floats(A, m).set(values.subarray(i, i + m))
      words(A + 4 * m, 16).fill(0x7fc00000) // NaN beyond the last element must not be read
      const most = engine.store[dtype](D, A, m) >>> 0
      got.set(bytes(D, m * width), i * width)
      const fits = decode(dtype, got.subarray(i * width, (i + m) * width)).every(Number.isFinite)
      if (most >= OVERFLOWING[dtype] === fits) wrong.push(`[${i}, ${i + m}): magnitude ${most.toString(16)}, finite ${fits}`)
      if (asNaN(most) !== magnitude(values.subarray(i, i + m))) wrong.push(`[${i}, ${i + m}): magnitude ${most.toString(16)}`)
    }
    const [a, b] = [decode(dtype, got), decode(dtype, want)]
    for (let i = 0; i < a.length && wrong.length < 5; i++) if (!Object.is(a[i], b[i])) wrong.push(`${values[i]}: ${a[i]} instead of ${b[i]}`)
    expect(wrong.slice(0, 5)).toEqual([])
  })

  test('F8_E4M3 has no infinity: what rounds beyond 448 is NaN with its sign', () => {
    floats(A, 7).set([448, 463.9, 464, 464.1, 1e9, -Infinity, -470])
    engine.store.F8_E4M3(D, A, 7)
    expect([...bytes(D, 7)]).toEqual([0x7e, 0x7e, 0x7e, 0x7f, 0x7f, 0xff, 0xff])
  })

  test('a NaN stays one in every dtype, whatever its payload', () => {
    const payloads = [0x7fc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7f80ffff, 0xffc01234, 0x7f801fff]
    for (const dtype of [...NARROW, 'F32', 'F64'] as const) {
      words(A, 8).set(payloads)
      const most = engine.store[dtype](D, A, 8) >>> 0
      const stored = decode(dtype, bytes(D, 8 * bytesOf(dtype)).slice())
      expect({ dtype, stored: [...stored], noticed: most >= OVERFLOWING[dtype] }).toEqual({ dtype, stored: Array(8).fill(NaN), noticed: true })
    }
  })

  test('F32 moves bits and F64 widens exactly', () => {
    const { a } = pairs(1003, 5)
    floats(A, a.length).set(a)
    engine.store.F32(D, A, a.length)
    expect(differences(floats(D, a.length), a)).toEqual([])
    engine.store.F64(D, A, a.length)
    expect(differences(Float32Array.from(new Float64Array(memory.buffer, D, a.length)), a)).toEqual([])
  })

  test('nothing is written beyond the n-th element', () => {
    for (const dtype of [...NARROW, 'F32', 'F64'] as const) {
      for (const n of [1, 7, 8, 9, 16, 23]) {
        floats(A, 64).fill(1.5)
        bytes(D, 1024).fill(0xab)
        engine.store[dtype](D, A, n)
        expect({ dtype, n, after: [...new Set(bytes(D + n * bytesOf(dtype), 128))] }).toEqual({ dtype, n, after: [0xab] })
      }
    }
  })
})

describe('the magnitude that load and store give back', () => {
  const { F32, ...rest } = engine.load
  const loads: Readonly<Record<string, (n: number) => number>> = {
    check_f32: n => kernels.check_f32(A, n),
    'load F32': n => F32(D, A, n),
    ...Object.fromEntries(Object.entries(rest).map(([dtype, load]) => [`load ${dtype}`, (n: number) => load(D, A, n)])),
  }
  test.each(Object.keys(loads))('%s: one bad element is noticed at any place, and none beyond the end', name => {
    const dtype = (name.split(' ')[1] ?? 'F32') as FloatDType
    const width = bytesOf(dtype)
    for (let n = 1; n <= 40; n++) {
      for (let bad = 0; bad < n + 24; bad++) {
        const values = Array.from({ length: n + 24 }, (_, i) => (i === bad ? NaN : i % 2 ? -1.5 : 1))
        bytes(A, values.length * width).set(encode(dtype, values))
        const noticed = loads[name]!(n) >>> 0 >= NONFINITE
        if (noticed !== bad < n) expect({ n, bad, noticed }).toEqual({ n, bad, noticed: bad < n })
      }
    }
  })

  test.each(Object.keys(engine.store) as FloatDType[])('store %s: one bad element is noticed at any place, and none beyond the end', dtype => {
    for (let n = 1; n <= 40; n++) {
      for (let bad = 0; bad < n + 24; bad++) {
        floats(A, n + 24).set(Array.from({ length: n + 24 }, (_, i) => (i === bad ? -Infinity : i % 2 ? -1.5 : 1)))
        const noticed = engine.store[dtype](D, A, n) >>> 0 >= OVERFLOWING[dtype]
        if (noticed !== bad < n) expect({ n, bad, noticed }).toEqual({ n, bad, noticed: bad < n })
      }
    }
  })

  test('the largest finite number is not taken for an infinity', () => {
    for (const [dtype, largest] of [
      ['F16', 65504],
      ['BF16', 3.3895313892515355e38],
      ['F8_E4M3', 448],
      ['F8_E5M2', 57344],
      ['F32', 3.4028234663852886e38],
    ] as const) {
      floats(A, 16).fill(-largest)
      const stored = engine.store[dtype](D, A, 9) >>> 0
      const loaded = engine.load[dtype](C, D, 9) >>> 0
      expect({ dtype, stored: stored < OVERFLOWING[dtype], loaded: loaded === bitsOf(largest) }).toEqual({ dtype, stored: true, loaded: true })
    }
  })
})

describe('counters of the radix select', () => {
  /** A float's place in the order of values: every NaN is one and the same, above infinity. */
  const ordered = (bits: number): number => ((bits & 0x7fffffff) > 0x7f800000 ? 0xffc00000 : bits & 0x80000000 ? ~bits : bits | 0x80000000) >>> 0
  const total = (): Uint32Array => words(C, MANY).map((count, bin) => count + words(C + 4 * MANY, MANY)[bin]!) // even and odd elements are counted apart
  const counted = (keys: Iterable<number>): Uint32Array => {
    const counts = new Uint32Array(MANY)
    for (const key of keys) counts[key]! += 1
    return counts
  }
  const same = (a: Uint32Array, b: Uint32Array): boolean => a.every((count, bin) => count === b[bin])
  /** Random bits, NaN of many payloads among them, and half of them copies of a few numbers. */
  const some = (n: number): Uint32Array => {
    const next = wordsFrom(n)
    const few = [0, 0x80000000, 0x3f800000, 0xbf800001, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x3f80ffff, 0xbf800000]
    return Uint32Array.from({ length: n }, () => (next() % 2 ? few[next() % few.length]! : next()))
  }

  test('count_high counts each element by the upper half of its place, and none beyond the end', () => {
    for (const n of [1, 2, 3, 4, 5, 15, 16, 17, 1000, 10_001]) {
      const bits = some(n)
      words(A, n).set(bits)
      words(A + 4 * n, 16).fill(0x3f800000)
      bytes(C, COUNTERS_BYTES).fill(0)
      kernels.count_high(C, A, n)
      kernels.count_high(C, A, n) // counts go on
      expect({ n, same: same(total(), counted([...bits, ...bits].map(b => ordered(b) >>> 16))) }).toEqual({ n, same: true })
    }
  })

  test('count_low counts the lower half of the elements whose upper half is the prefix', () => {
    for (const n of [1, 3, 15, 16, 17, 63, 1000, 10_001]) {
      const bits = some(n)
      words(A, n).set(bits)
      words(A + 4 * n, 32).fill(0x3f800000)
      for (const prefix of [0x8000, 0x7fff, 0xbf80, 0x407f, 0xff80, 0x007f, 0xffc0, 0x0000, 0xffff]) {
        bytes(C, COUNTERS_BYTES).fill(0)
        kernels.count_low(C, prefix, A, n)
        const want = counted(Array.from(bits, ordered).flatMap(key => (key >>> 16 === prefix ? [key & 0xffff] : [])))
        expect({ n, prefix, same: same(total(), want) }).toEqual({ n, prefix, same: true })
      }
    }
  })
})

describe('keys', () => {
  /** The bits in the order of values, as a signed integer. */
  const keyOf = (bits: number): number => ((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits ^ ((bits >> 31) & 0x7fffffff))
  const BUCKETS = 4096
  const list = fc.array(fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.constantFrom(0, -(2 ** 31), 0x7f800000, 0x7fc00000, -1, 0x3f800000)), {
    minLength: 1,
    maxLength: 60,
  })

  test('rise with the values', () => {
    const ascending = [-Infinity, -3e38, -1, -TINY, -0, 0, TINY, 1, 3e38, Infinity, NaN]
    const keys = ascending.map(v => keyOf(bitsOf(v)))
    expect(keys).toEqual(keys.toSorted((a, b) => a - b))
  })

  test('are counted in buckets, and those of some buckets gathered in their order', () => {
    fc.assert(
      fc.property(list, fc.nat(), fc.nat(), (bits, first, second) => {
        const n = bits.length
        const keys = bits.map(keyOf)
        const [least, most] = [Math.min(...keys), Math.max(...keys)]
        const shift = Math.max(0, Math.ceil(Math.log2((most - least + 1) / BUCKETS)))
        const bucketOf = (key: number): number => Math.floor((key - least) / 2 ** shift)
        words(A, n).set(bits)
        words(A + 4 * n, 16).set(Array(16).fill(bits[0]!)) // beyond the end
        bytes(C, 2 * BUCKETS * 4).fill(0)
        kernels.count_keys(C, A, n, least, shift)
        const counts = words(C, BUCKETS).map((count, b) => count + words(C + 4 * BUCKETS, BUCKETS)[b]!)
        const want = new Uint32Array(BUCKETS)
        for (const key of keys) want[bucketOf(key)]! += 1
        expect(counts.every((count, b) => count === want[b])).toBe(true)

        const ends = [bucketOf(keys[first % n]!), bucketOf(keys[second % n]!)].toSorted((a, b) => a - b) as [number, number]
        const inside = bits.filter(b => bucketOf(keyOf(b)) >= ends[0] && bucketOf(keyOf(b)) <= ends[1]).map(b => b >>> 0)
        for (const place of [D, A]) {
          const found = kernels.gather_keys(place, A, n, least, shift, ...ends) // at last in its own place
          expect([...words(place, found)]).toEqual(inside)
        }
      }),
      { seed: 8, numRuns: 300 },
    )
  })
})

test.each([1, 2, 4, 8])('copy_pieces copies the pieces of a sample of elements of %i bytes, from any piece on', width => {
  for (const size of [65_537, 100_000, 1_000_003]) {
    const tensor = Uint8Array.from({ length: size * width }, (_, i) => Math.imul(i, 2654435761) >>> 13)
    const { memory, kernels, heap } = createEngine(2 * size * width)
    const to = heap + Math.ceil((size * width) / 64) * 64
    new Uint8Array(memory.buffer).set(tensor, heap)
    const pieces = piecesOf(size)
    for (const [first, end] of [
      [0, pieces.length],
      [3, 4],
      [pieces.length - 2, pieces.length],
    ] as const) {
      kernels.copy_pieces(to, heap, width, size, pieces.length, first, end)
      const expected = pieces.slice(first, end).flatMap(at => [...tensor.subarray(at * width, (at + PIECE) * width)])
      expect([...new Uint8Array(memory.buffer, to, expected.length)]).toEqual(expected)
    }
  }
})

// In matrix.test.ts and factorize.test.ts.
const LINEAR_ALGEBRA = [
  ...['gemm_scratch', 'gemm_f32', 'gemm_f64', 'copy_matrix', 'mirror', 'unit_rows', 'largest_row', 'departure', 'identity', 'gaussian'],
  ...['tridiagonal_panel', 'qr_panel', 'reflector_product', 'ql', 'sort', 'merge_work', 'merge_deflate', 'merge_roots', 'merge_weights', 'merge_rows'],
]

test('every exported kernel is tested in this file, in rows.test.ts, in exponential.test.ts or in those of linear algebra', () => {
  const tested = [
    ...['sin', 'acos', 'count_high', 'count_low', 'count_keys', 'gather_keys', 'copy_pieces', 'check_f32', 'prepare', 'heap'],
    ...['row_sum', 'row_max', 'row_rank', 'column_add', 'spread_rows', 'spread_columns', 'exp', 'log'],
    ...['f64', 'f32', 'f16', 'bf16', 'f8_e4m3', 'f8_e5m2'].flatMap(dtype => [`load_${dtype}`, `store_${dtype}`]),
    ...LINEAR_ALGEBRA,
  ]
  expect(Object.keys({ ...kernels }).toSorted()).toEqual(tested.toSorted())
})

test('free memory begins at a multiple of 64, beyond the kernels’ own tables', () => {
  expect(heap % 64).toBe(0)
  expect(heap).toBeGreaterThanOrEqual(kernels.heap())
  expect(memory.buffer.byteLength - createEngine(0).heap).toBeGreaterThan(0)
})
