import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FloatDType } from '../src/dtype.ts'
import { bytesOf } from '../src/dtype.ts'
import { combine, type Partials } from '../src/execute/folds.ts'
import { COUNTERS_BYTES, createEngine, NONFINITE, OVERFLOWING } from '../src/kernels/kernels.ts'
import { decode, encode } from './floats.ts'

const MANY = 65_536
const engine = createEngine(4 * 1024 * 1024)
const { kernels, memory, heap } = engine
const call = kernels as unknown as Readonly<Record<string, (...args: number[]) => number>>

// Four places of 0.5 to 1 MB each, with room around every strip.
const [A, B, C, D] = [heap + 256, heap + 600_000, heap + 1_200_000, heap + 1_800_000].map(at => Math.ceil(at / 64) * 64) as [number, number, number, number]

const floats = (at: number, n: number): Float32Array => new Float32Array(memory.buffer, at, n)
const words = (at: number, n: number): Uint32Array => new Uint32Array(memory.buffer, at, n)
const bytes = (at: number, n: number): Uint8Array => new Uint8Array(memory.buffer, at, n)
const bitsOf = (x: number): number => new Uint32Array(Float32Array.of(x).buffer)[0]!

/** xorshift32: the same words in every run. */
function wordsFrom(seed: number): () => number {
  let x = seed
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 0
  }
}

const TINY = 2 ** -149 // the least float32
const SPECIAL = [0, -0, 1, -1, 0.1, -0.3, TINY, -TINY, 2 ** -126 - TINY, 2 ** -126, 2 ** 24 - 1, 3.4028234663852886e38, -3.4028234663852886e38, Infinity, -Infinity, NaN].map(
  Math.fround,
)
const LENGTHS = [1, 2, 3, 4, 7, 15, 16, 17, 33, 100, 1000]

/** `n` pairs: first every special value with every other, then random bit patterns. */
function pairs(n: number, seed: number): { a: Float32Array; b: Float32Array } {
  const next = wordsFrom(seed)
  const a = new Float32Array(n)
  const b = new Float32Array(n)
  for (let i = 0; i < n; i++) {
    const j = i + seed
    const isSpecial = n < 500 || i < 256
    a[i] = isSpecial ? SPECIAL[j % 16]! : new Float32Array(Uint32Array.of(next()).buffer)[0]!
    b[i] = isSpecial ? SPECIAL[Math.floor(j / 16) % 16]! : new Float32Array(Uint32Array.of(next()).buffer)[0]!
  }
  return { a, b }
}

/** `what` for each element whose bits differ; NaNs of any payload are equal, as no part of the engine looks at payloads. */
function differences(got: Float32Array, want: ArrayLike<number>): string[] {
  const wrong: string[] = []
  for (let i = 0; i < got.length && wrong.length < 5; i++) {
    const expected = Math.fround(want[i]!)
    if (!Object.is(got[i], expected)) wrong.push(`[${i}]: ${Object.is(got[i], -0) ? '-0' : got[i]} instead of ${Object.is(expected, -0) ? '-0' : expected}`)
  }
  return wrong
}

// JavaScript's double result rounded once to float32 is the float32 result: a double has more than twice the bits, and two more.
const BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: Math.max, // NaN if either is; +0 above −0
  min: Math.min,
  ge: (a, b) => Number(a >= b),
  gt: (a, b) => Number(a > b),
  eq: (a, b) => Number(a === b),
}
const UNARY: Readonly<Record<string, (a: number) => number>> = {
  abs: Math.abs,
  sqrt: Math.sqrt,
  sign: a => Number(a > 0) - Number(a < 0), // 0 for ±0 and NaN, where Math.sign keeps them
}
const FUSED = ['addmul_vvs', 'absdiff_vv', 'keeplarge_vs', 'keepbelow_svv', 'signeq_vv']
const COMMUTES = ['add', 'mul', 'max', 'min', 'eq'] // their scalar comes second

describe('elementwise, bit for bit as JavaScript rounded to float32', () => {
  for (const [op, apply] of Object.entries(BINARY)) {
    test.each(COMMUTES.includes(op) ? ['vv', 'vs'] : ['vv', 'vs', 'sv'])(`${op}_%s`, form => {
      for (const [seed, n] of LENGTHS.entries()) {
        const { a, b } = pairs(n, seed * 5)
        for (const scalar of form === 'vv' ? [0] : SPECIAL) {
          floats(A, n).set(a)
          floats(B, n).set(b)
          call[`${op}_${form}`]!(D, form === 'sv' ? scalar : A, form === 'vs' ? scalar : B, n)
          const want = Array.from(a, (x, i) => (form === 'vv' ? apply(x, b[i]!) : form === 'vs' ? apply(x, scalar) : apply(scalar, b[i]!)))
          expect({ n, scalar, wrong: differences(floats(D, n), want) }).toEqual({ n, scalar, wrong: [] })
        }
      }
    })
  }

  test.each(Object.keys(UNARY))('%s_v', op => {
    for (const [seed, n] of LENGTHS.entries()) {
      const { a } = pairs(n, seed * 3)
      floats(A, n).set(a)
      call[`${op}_v`]!(D, A, n)
      expect({ n, wrong: differences(floats(D, n), Array.from(a, UNARY[op]!)) }).toEqual({ n, wrong: [] })
    }
  })

  test.each(['vv', 'vs', 'sv', 'ss'])('where_%s takes the first where the condition is not 0; NaN is not 0, −0 is', form => {
    for (const [seed, n] of LENGTHS.entries()) {
      const { a, b } = pairs(n, seed)
      const conditions = Float32Array.from({ length: n }, (_, i) => [0, 1, -0, NaN, -1, TINY][i % 6]!)
      floats(A, n).set(a)
      floats(B, n).set(b)
      floats(C, n).set(conditions)
      call[`where_${form}`]!(D, C, form[0] === 'v' ? A : 2.5, form[1] === 'v' ? B : -0.75, n)
      const want = Array.from(conditions, (c, i) => (c !== 0 ? (form[0] === 'v' ? a[i]! : 2.5) : form[1] === 'v' ? b[i]! : -0.75))
      expect({ n, wrong: differences(floats(D, n), want) }).toEqual({ n, wrong: [] })
    }
  })

  test('fused kernels round where their parts would, and keep the signs of their zeros', () => {
    const parts: Readonly<Record<string, readonly [apply: (a: number, b: number) => number, args: (scalar: number) => number[]]>> = {
      absdiff_vv: [(a, b) => Math.abs(Math.fround(a - b)), () => [A, B]],
      signeq_vv: [(a, b) => Number(UNARY['sign']!(a) === b), () => [A, B]],
      keeplarge_vs: [(a, s) => (Math.abs(a) >= s ? a : 0), s => [A, s]],
      keepbelow_svv: [(a, b) => (2.5 > a ? b : 0), () => [2.5, A, B]],
    }
    for (const [name, [apply, args]] of Object.entries(parts)) {
      for (const [seed, n] of LENGTHS.entries()) {
        const { a, b } = pairs(n, seed * 11)
        for (const scalar of SPECIAL) {
          floats(A, n).set(a)
          floats(B, n).set(b)
          call[name]!(D, ...args(scalar), n)
          const want = Array.from(a, (x, i) => apply(x, name === 'keeplarge_vs' ? scalar : b[i]!))
          expect({ name, n, scalar, wrong: differences(floats(D, n), want) }).toEqual({ name, n, scalar, wrong: [] })
        }
      }
    }
  })

  test('addmul_vvs rounds the product before it adds, as mul and add do one after the other', () => {
    for (const [seed, n] of LENGTHS.entries()) {
      const { a, b } = pairs(n, seed * 7)
      for (const scalar of SPECIAL) {
        floats(A, n).set(a)
        floats(B, n).set(b)
        kernels.addmul_vvs(D, A, B, scalar, n)
        const want = Array.from(a, (x, i) => x + Math.fround(b[i]! * scalar))
        expect({ n, scalar, wrong: differences(floats(D, n), want) }).toEqual({ n, scalar, wrong: [] })
      }
    }
  })

  test('the result may take the place of an operand', () => {
    const { a, b } = pairs(1000, 3)
    for (const [op, apply] of Object.entries(BINARY)) {
      for (const place of [A, B]) {
        floats(A, 1000).set(a)
        floats(B, 1000).set(b)
        call[`${op}_vv`]!(place, A, B, 1000)
        expect({
          op,
          wrong: differences(
            floats(place, 1000),
            Array.from(a, (x, i) => apply(x, b[i]!)),
          ),
        }).toEqual({ op, wrong: [] })
      }
    }
  })

  test('nothing is written beyond the strip rounded up to 16 elements, nor before it', () => {
    const names = [...Object.keys(BINARY).map(op => `${op}_vv`), 'absdiff_vv', 'signeq_vv', ...Object.keys(UNARY).map(op => `${op}_v`), 'sin_v', 'acos_v']
    for (const name of names) {
      for (const n of [1, 15, 16, 17, 40]) {
        bytes(D - 128, 1024).fill(0xab)
        if (name.endsWith('_v')) call[name]!(D, A, n)
        else call[name]!(D, A, B, n)
        const after = D + 4 * Math.ceil(n / 16) * 16
        expect({ name, n, before: [...new Set(bytes(D - 128, 128))], after: [...new Set(bytes(after, 256))] }).toEqual({ name, n, before: [0xab], after: [0xab] })
      }
    }
  })
})

/** Distance in units of the last place of a float64, or of a float32. */
const ulps = (a: number, b: number): number => Math.abs(a - b) / 2 ** Math.max(-1074, Math.floor(Math.log2(Math.abs(b) || TINY)) - 52)
const ulps32 = (a: number, b: number): number => Math.abs(a - b) / 2 ** Math.max(-149, Math.floor(Math.log2(Math.abs(b) || TINY)) - 23)

describe('sin and acos', () => {
  // Both promise an error below 1 ulp, not the same bits. Beyond 2^20·π/2 AssemblyScript reduces the angle its own way, with a rounding more.
  test('scalars agree with Math within 1 ulp of a double, sin of angles beyond 1.6 million within 2', () => {
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

  test('strips agree with Math within 1 ulp of a float32', () => {
    const n = 20_001
    const x = Float32Array.from({ length: n }, (_, i) => (i - 10_000) * 0.0137)
    floats(A, n).set(x)
    kernels.sin_v(D, A, n)
    expect(x.filter((v, i) => ulps32(floats(D, n)[i]!, Math.sin(v)) > 1)).toEqual(new Float32Array(0))
    const y = Float32Array.from({ length: n }, (_, i) => ((i - 10_000) / 10_000) * 1.01)
    floats(A, n).set(y)
    kernels.acos_v(D, A, n)
    expect(y.filter((v, i) => ulps32(floats(D, n)[i]!, Math.acos(Math.min(1, Math.max(-1, v)))) > 1)).toEqual(new Float32Array(0))
  })
})

const NARROW = ['F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const

/** All bit patterns of a narrow dtype, as bytes. */
const allPatterns = (dtype: FloatDType): Uint8Array =>
  bytesOf(dtype) === 1 ? Uint8Array.from({ length: 256 }, (_, i) => i) : new Uint8Array(Uint16Array.from({ length: MANY }, (_, i) => i).buffer)

/** What `load` must give back: the largest |x| as float32 bits. NaN has no one payload, so any will do. */
const magnitude = (values: ArrayLike<number>): number => Array.from(values).reduce((most, v) => Math.max(most, Number.isNaN(v) ? 0x7fffffff : bitsOf(Math.abs(v))), 0)
const asNaN = (bits: number): number => (bits > NONFINITE ? 0x7fffffff : bits)

describe('load', () => {
  // Lengths around 7 and 15 leave most elements to the loops that finish a strip.
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

/** Float32 values that are hard for `dtype`: each midpoint between neighbours and its own neighbours, random bits, and the edges. */
function hardFor(dtype: FloatDType): Float32Array {
  const values = decode(dtype, allPatterns(dtype)).filter(v => v >= 0 && Number.isFinite(v)) // ascending
  const hard: number[] = []
  for (const [i, v] of values.entries()) {
    const middle = Math.fround((v + (values[i + 1] ?? v + (v - values[i - 1]!))) / 2)
    const bits = bitsOf(middle)
    hard.push(v, middle, ...new Float32Array(Uint32Array.of(bits - 1, bits + 1).buffer))
  }
  const next = wordsFrom(77)
  for (let i = 0; i < 30_000; i++) hard.push(new Float32Array(Uint32Array.of(next()).buffer)[0]!)
  const largest = values.at(-1)!
  // Most random bit patterns overflow or vanish in a narrow format: these do not.
  for (let i = 0; i < 30_000; i++) hard.push(Math.fround((next() / 2 ** 32) * 2 ** -(next() % 24) * largest))
  return Float32Array.from([...SPECIAL, ...hard.map((v, i) => ((i >> 2) % 2 ? v : -v))]) // the four around a midpoint have one sign
}

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
      words(A + 4 * m, 16).fill(0x7fc00000) // NaN beyond the strip must not be read
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

describe('sums', () => {
  /** Adds `values` to a clean state in strips of the given lengths. */
  function sumOf(values: Float32Array, strips: Iterable<number>): number {
    bytes(C, 64).fill(0)
    let at = 0
    for (const n of strips) {
      const strip = values.subarray(at, at + n)
      floats(A, strip.length).set(strip)
      floats(A + 4 * strip.length, 16).fill(NaN) // beyond the strip
      kernels.sum_add(C, A, strip.length)
      at += n
    }
    return kernels.sum_take(C)
  }
  /** What the kernels document: element i goes to lane i mod 8; the lanes meet as ((0+2)+(4+6)) + ((1+3)+(5+7)). */
  function byLanes(values: Float32Array): number {
    const lane = new Float64Array(8)
    for (const [i, v] of values.entries()) lane[i % 8] = lane[i % 8]! + v
    const [a, b, c, d, e, f, g, h] = lane as unknown as [number, number, number, number, number, number, number, number]
    return a + c + (e + g) + (b + d + (f + h))
  }
  const block = (n: number, seed: number): Float32Array => {
    const next = wordsFrom(seed)
    return Float32Array.from({ length: n }, () => (next() / 2 ** 32 - 0.5) * 2 ** ((next() % 20) - 10))
  }

  test('of a block are the same bits however it is cut at multiples of 16', () => {
    const cut = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(cut, fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 1e6 }), (cuts, n, seed) => {
        const values = block(n, seed)
        const whole = sumOf(values, [n])
        const strips: number[] = []
        let left = n
        for (const c of cuts) {
          if (c * 16 > left) break
          strips.push(c * 16)
          left -= c * 16
        }
        expect(sumOf(values, [...strips, left])).toBe(whole)
        expect(whole).toBe(byLanes(values))
      }),
      { seed: 1, numRuns: 60 },
    )
  })

  test('of a whole block of 65,536 equal the documented order bit for bit', () => {
    for (const seed of [1, 2, 3]) expect(sumOf(block(MANY, seed), Array(16).fill(4096))).toBe(byLanes(block(MANY, seed)))
  })

  test('are exact where float64 can be: 65,536 float32 integers below 2^36', () => {
    const next = wordsFrom(5)
    const values = Float32Array.from({ length: MANY }, () => Math.fround(next() * 16))
    const exact = values.reduce((total, v) => total + BigInt(v), 0n) // below 2^52: every partial sum is a float64 integer
    expect(BigInt(sumOf(values, Array(64).fill(1024)))).toBe(exact)
  })

  test('of numbers that cancel lose at most n/8 + 3 roundings of the sum of magnitudes', () => {
    const values = block(MANY, 8)
    const scale = 2 ** 60 // every value is a multiple of 2^-60: exact as integers
    const exact = values.reduce((total, v) => total + BigInt(v * scale), 0n)
    const magnitudes = values.reduce((total, v) => total + Math.abs(v), 0)
    expect(Math.abs(sumOf(values, [MANY]) - Number(exact) / scale)).toBeLessThanOrEqual((MANY / 8 + 3) * 2 ** -53 * magnitudes)
  })

  test('of magnitudes and of products are the sums of what abs and mul would have given', () => {
    for (const n of [1, 7, 8, 100, 4099]) {
      const [x, y] = [block(n, n), block(n, n + 1)]
      const fused = (kernel: 'sum_abs' | 'sum_dot'): number => {
        bytes(C, 64).fill(0)
        floats(A, n).set(x)
        floats(B, n).set(y)
        if (kernel === 'sum_abs') kernels.sum_abs(C, A, n)
        else kernels.sum_dot(C, A, B, n)
        return kernels.sum_take(C)
      }
      expect({ n, abs: fused('sum_abs'), dot: fused('sum_dot') }).toEqual({ n, abs: byLanes(x.map(Math.abs)), dot: byLanes(x.map((v, i) => v * y[i]!)) })
    }
  })

  test('leave a clean state behind', () => {
    sumOf(block(100, 1), [100])
    expect([...words(C, 16)]).toEqual(Array(16).fill(0))
    expect(sumOf(new Float32Array(0), [])).toBe(0)
  })

  test('carry infinities and NaN', () => {
    expect(sumOf(Float32Array.of(1, Infinity, 2), [3])).toBe(Infinity)
    expect(sumOf(Float32Array.of(-Infinity, 1, 1, 1, Infinity), [5])).toBe(NaN)
    expect(sumOf(Float32Array.of(1, 1, NaN), [3])).toBe(NaN)
  })
})

describe('the k-th largest by radix select', () => {
  /** As the engine finds it: two passes of counting, over ranges that are combined. */
  function kthLargest(values: Float32Array, k: number, ranges: number, strip: number): number {
    const scalars = Float64Array.of(k, 0)
    const ranks = new Map<number, number>()
    const length = Math.max(16, Math.ceil(values.length / ranges / 16) * 16)
    for (const kind of ['count_high', 'count_low'] as const) {
      const parts: Partials[] = []
      for (let from = 0; from < values.length; from += length) {
        bytes(C, COUNTERS_BYTES).fill(0)
        const to = Math.min(values.length, from + length)
        for (let at = from; at < to; at += strip) {
          const n = Math.min(strip, to - at)
          floats(A, n).set(values.subarray(at, at + n))
          words(A + 4 * n, 16).fill(0x7f7fffff) // the largest float, beyond the strip
          if (kind === 'count_high') kernels.count_high(C, A, n)
          else kernels.count_low(C, scalars[1]!, A, n)
        }
        const [even, odd] = [words(C, MANY), words(C + 4 * MANY, MANY)] // counted apart, for speed
        parts.push([{ kind: 'counts', counts: even.map((count, bin) => count + odd[bin]!) }])
      }
      combine([{ kind, registers: [0], rank: 0, to: 1 }], parts, scalars, ranks)
    }
    return scalars[1]!
  }
  /** Float32Array sorts numerically, with −0 below +0. */
  const bySorting = (values: Float32Array, k: number): number => values.toSorted()[values.length - k]!

  const anything = fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 80 })
  const kinds: Readonly<Record<string, fc.Arbitrary<number[]>>> = {
    'any floats, infinities and subnormals among them': anything,
    'negative numbers': anything.map(a => a.map(x => -Math.abs(x))),
    'equal numbers': fc.tuple(fc.float({ noNaN: true }), fc.integer({ min: 1, max: 80 })).map(([x, n]) => Array<number>(n).fill(x)),
    'zeros of both signs and their neighbours': fc.array(fc.constantFrom(0, -0, TINY, -TINY), { minLength: 1, maxLength: 80 }),
    infinities: fc.array(fc.constantFrom(Infinity, -Infinity, 1, -1), { minLength: 1, maxLength: 80 }),
    'numbers that share their upper 16 bits': fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 80 }).map(a => a.map(i => Math.fround(1 + i * 2 ** -23))),
  }
  test.each(Object.keys(kinds))('equals sorting: %s', kind => {
    fc.assert(
      fc.property(kinds[kind]!, fc.nat(), fc.constantFrom(1, 2, 3), (list, pick, ranges) => {
        const values = Float32Array.from(list)
        const k = (pick % values.length) + 1
        expect(kthLargest(values, k, ranges, 16)).toBe(bySorting(values, k))
      }),
      { seed: 2, numRuns: 100, examples: [[[1, -1, 0], 0, 1]] },
    )
  })

  test('equals sorting at every rank of 1,000 random bit patterns', () => {
    const next = wordsFrom(6)
    const values = new Float32Array(Uint32Array.from({ length: 1000 }, () => next()).buffer).map(v => (Number.isNaN(v) ? 0 : v))
    const wrong: number[] = []
    for (let k = 1; k <= 1000; k += 9) if (!Object.is(kthLargest(values, k, 2, 64), bySorting(values, k))) wrong.push(k)
    expect(wrong).toEqual([])
  })

  test('a rank beyond the elements is a broken promise, not a wrong number', () => {
    expect(() => kthLargest(Float32Array.of(1, 2), 3, 1, 16)).toThrow('rank 3 lies within 2 elements')
  })
})

describe('the interpreter', () => {
  const forms = [...Object.keys(BINARY).flatMap(op => [`${op}_vv`, `${op}_vs`, ...(COMMUTES.includes(op) ? [] : [`${op}_sv`])]), ...Object.keys(UNARY).map(op => `${op}_v`)]
  const elementwise = [...forms, 'where_vv', 'where_vs', 'where_sv', 'where_ss', ...FUSED, 'sin_v', 'acos_v']
  const moving = Object.keys(engine.load).flatMap(dtype => [`load_${dtype.toLowerCase()}`, `store_${dtype.toLowerCase()}`])

  test('knows each kernel by its name', () => {
    expect(Object.keys(engine.opcodes).toSorted()).toEqual(
      [...elementwise, ...moving, 'copy', 'fill', 'random', 'sum_add', 'sum_abs', 'sum_dot', 'count_high', 'count_low'].toSorted(),
    )
    expect(new Set(Object.values(engine.opcodes)).size).toBe(Object.keys(engine.opcodes).length)
  })

  /** A program of eight words an op: opcode, d, a, b, c, and three of the op's own. */
  function runOps(ops: readonly (readonly number[])[], n: number, strip: number): void {
    words(C, ops.length * 8).fill(0)
    for (const [i, op] of ops.entries()) words(C + 32 * i, 8).set(op)
    kernels.run(C, ops.length, n, strip)
  }
  const code = (name: string): number => engine.opcodes[name]!

  // 300 elements in strips of 64 through three registers: load, compute, store.
  test.each(elementwise)('%s gives what a call of the kernel gives', name => {
    const n = 300
    const { a, b } = pairs(n, 11)
    const [rawA, rawB, out] = [A, A + 8192, A + 16_384]
    const [x, y, z] = [B, B + 4096, B + 8192]
    const letters = name.split('_')[1]!
    const operands = [...(name.startsWith('where') ? ['v'] : []), ...letters]
    const scalars = [2.5, -0.75]
    const asWords = operands.map((kind, i) => (kind === 'v' ? (i % 2 ? y : x) : bitsOf(scalars[i % 2]!)))
    floats(rawA, n).set(a)
    floats(rawB, n).set(b)
    runOps(
      [
        [code('load_f32'), x, rawA, 4],
        [code('load_f32'), y, rawB, 4],
        [code(name), z, ...asWords],
        [code('store_f32'), out, z, 4],
      ],
      n,
      64,
    )
    const got = floats(out, n).slice()
    call[name]!(D, ...operands.map((kind, i) => (kind === 'v' ? (i % 2 ? rawB : rawA) : scalars[i % 2]!)), n)
    expect(differences(got, floats(D, n))).toEqual([])
  })

  test('copy and fill', () => {
    const { a } = pairs(100, 2)
    const out = A + 16_384
    floats(A, 100).set(a)
    runOps(
      [
        [code('load_f32'), B, A, 4],
        [code('copy'), B + 4096, B],
        [code('store_f32'), out, B + 4096, 4],
      ],
      100,
      32,
    )
    expect(differences(floats(out, 100), a)).toEqual([])
    runOps(
      [
        [code('fill'), B, bitsOf(-0.1)],
        [code('store_f32'), out, B, 4],
      ],
      100,
      32,
    )
    expect(differences(floats(out, 100), Array(100).fill(-0.1))).toEqual([])
  })

  test('keeps the largest magnitude of all strips, and moves on in its input', () => {
    const values = Float32Array.from({ length: 200 }, (_, i) => (i === 150 ? -7 : Math.sin(i)))
    for (const [dtype, at] of [
      ['F32', 0],
      ['F64', 1],
      ['BF16', 2],
      ['F16', 3],
    ] as const) {
      bytes(A, 200 * bytesOf(dtype)).set(encode(dtype, values))
      runOps(
        [
          [code(`load_${dtype.toLowerCase()}`), B, A, bytesOf(dtype)],
          [code(`store_${dtype.toLowerCase()}`), D, B, bytesOf(dtype)],
        ],
        200,
        16,
      )
      expect({ at, read: words(C, 8)[5], written: words(C + 32, 8)[5] }).toEqual({ at, read: bitsOf(7), written: bitsOf(7) })
      expect([...bytes(D, 200 * bytesOf(dtype))]).toEqual([...encode(dtype, values)])
    }
  })
})

// In matrix.test.ts and factorize.test.ts.
const LINEAR_ALGEBRA = [
  ...['gemm_scratch', 'gemm_f32', 'gemm_f64', 'copy_matrix', 'mirror', 'unit_rows', 'largest_row', 'departure', 'identity', 'gaussian'],
  ...['tridiagonal_panel', 'qr_panel', 'reflector_product', 'ql', 'sort', 'merge_work', 'merge_deflate', 'merge_roots', 'merge_weights', 'merge_rows'],
]

test('every exported kernel is tested in this file, in random.test.ts or in those of linear algebra', () => {
  const tested = [
    ...Object.keys(BINARY).flatMap(op => [`${op}_vv`, `${op}_vs`, ...(COMMUTES.includes(op) ? [] : [`${op}_sv`])]),
    ...Object.keys(UNARY).map(op => `${op}_v`),
    ...['where_vv', 'where_vs', 'where_sv', 'where_ss', ...FUSED, 'sin', 'sin_v', 'acos', 'acos_v'],
    ...['sum_add', 'sum_abs', 'sum_dot', 'sum_take', 'count_high', 'count_low', 'check_f32', 'prepare', 'heap', 'run', 'random'],
    ...['f64', 'f32', 'f16', 'bf16', 'f8_e4m3', 'f8_e5m2'].flatMap(dtype => [`load_${dtype}`, `store_${dtype}`]),
    ...LINEAR_ALGEBRA,
  ]
  const exported = Object.entries<unknown>({ ...kernels }).filter(([, value]) => typeof value === 'function') // the others are opcodes
  expect(exported.map(([name]) => name).toSorted()).toEqual(tested.toSorted())
})

test('free memory begins at a multiple of 64, beyond the kernels’ own tables', () => {
  expect(heap % 64).toBe(0)
  expect(heap).toBeGreaterThanOrEqual(kernels.heap())
  expect(memory.buffer.byteLength - createEngine(0).heap).toBeGreaterThan(0)
})
