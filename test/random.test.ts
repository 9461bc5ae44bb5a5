import { describe, expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import type { FloatDType } from '../src/dtype.ts'
import { createRunner } from '../src/execute/runner.ts'
import { mapMemory } from '../src/plan/budget.ts'
import { compile } from '../src/plan/passes.ts'
import { randomKey, streamKey } from '../src/plan/random.ts'
import { createMachine, run } from './engine.ts'
import { decode, encode } from './floats.ts'
import { bits, hash, type Key, labelled, uniforms } from './generator.ts'
import { differences } from './values.ts'

// The generator is a keyed splitmix32, written down in generator.ts, of the index of a pair of elements: the even one has the lower 16 bits, the odd
// one the upper. Key0 and key1 come from recipe seed, tensor name, label, and the upper bits of the index (plan/random.ts). A number is h + ½ units of
// 2^-16, for 16 bits h: in (0, 1), exact in float32, and with mean ½.

describe('the keyed hash', () => {
  // What splitmix32 gives in C, compiled with gcc: the n-th number from a state of 0, and from one of 0xdeadbeef. Key1 of 0 leaves it as it is.
  test.each([
    [0, 0, 0x00000000],
    [0, 1, 0x64625032],
    [0, 2, 0xd9c0799c],
    [0, 3, 0xaf362e10],
    [0, 4, 0x7fa88912],
    [0, 12_345, 0xb1f50496],
    [0, 0x7fffffff, 0xf31e2955],
    [0xdeadbeef, 1, 0x02c137b9],
    [0xdeadbeef, 2, 0x1220ef43],
    [0xdeadbeef, 3, 0x65ff1ee2],
  ])('from %i, number %i is known', (key0, pair, answer) => expect(hash(pair, [key0, 0])).toBe(answer))

  test('serves two neighbours with a word', () => {
    expect([2, 3, 4, 5].map(index => bits(index, [0, 0]))).toEqual([0x5032, 0x6462, 0x799c, 0xd9c0])
    expect([...uniforms(2, [0, 0], 2)]).toEqual([(0x5032 + 0.5) / 65_536, (0x6462 + 0.5) / 65_536])
  })
})

describe('the engine', () => {
  const random = Tensor.random('0', [1])
  const KEY: Key = [5, 6]
  // Elements of F32 lie in order, those of 16 bits come apart in pairs.
  test.each(['F32', 'BF16', 'F16'] as const)('has the numbers of the hash, in %s', async (dtype: FloatDType) => {
    const machine = createMachine(compile(random, [], dtype))
    for (const key of [KEY, [0, 0], [0xffffffff, 0xdeadbeef]] as const) {
      for (const n of [1, 2, 15, 16, 17, 31, 33, 1000, 200_003]) {
        const { bytes } = await machine.run(n, [], { key })
        expect({ n, wrong: differences(decode(dtype, bytes), decode(dtype, encode(dtype, labelled(n, key, 0)))) }).toEqual({ n, wrong: [] })
      }
    }
  })

  test('has a stream of its own for each label, and one for two mentions of a label', async () => {
    const [a, b] = [Tensor.random('3', [1000]), Tensor.random('17', [1000])]
    const want = labelled(1000, KEY, 3).map((v, i) => Math.fround(v - labelled(1000, KEY, 17)[i]!))
    expect(differences(await run(a.sub(b), [], { key: KEY }), want)).toEqual([])
    expect([...new Set(await run(a.sub(Tensor.random('3', [1000])), [], { key: KEY }))]).toEqual([0])
  })

  test('gives a tensor the same numbers however it is cut', async () => {
    const formula = Tensor.random('0', [200_003])
    const whole = labelled(200_003, KEY, 0)
    for (const cut of [{}, { tiling: { chunk: 16 } }, { tiling: { chunk: 4096 }, range: 65_536 }, { range: 131_072 }]) {
      expect({ cut, wrong: differences(await run(formula, [], { key: KEY, ...cut }), whole) }).toEqual({ cut, wrong: [] })
    }
  })

  test('changes the key every 2^32 elements, where the count of pairs begins anew', async () => {
    const key = randomKey(0, 'w')
    expect(streamKey(key, 3, 2 ** 32 - 16)).toEqual(streamKey(key, 3, 0))
    const later = [2 ** 32, 2 ** 33, 2 ** 40].map(at => streamKey(key, 3, at).join())
    expect(new Set([streamKey(key, 3, 0).join(), ...later]).size).toBe(4)

    const { program } = compile(Tensor.random('3', [1]), [], 'F32')
    const tiling = { chunk: 1024 }
    const runner = createRunner(mapMemory(program, tiling).size, tiling)
    const known = { size: 2 ** 40, rows: null, scalars: new Float64Array(0), columnValues: [], rowValues: [], firstRow: 0 }
    for (const start of [2 ** 31, 2 ** 32 - 65_536, 2 ** 32, 3 * 2 ** 32 + 131_072]) {
      const got = new Float32Array(65_536)
      const write = (bytes: Uint8Array, at: number): void => new Uint8Array(got.buffer).set(bytes, 4 * (at - start))
      const job = {
        program,
        pass: 0,
        step: { kind: 'pass', brackets: [] },
        start,
        end: start + 65_536,
        known,
        key,
        resident: false,
      } as const
      await runner.run(job, { read: () => {}, write }, () => {})
      expect({ start, wrong: differences(got, uniforms(65_536, streamKey(key, 3, start), start % 2 ** 32)) }).toEqual({ start, wrong: [] })
    }
  })

  /** The float32 after a positive one, or before. */
  const near = (value: number, step: 1 | -1): number => {
    const word = new Uint32Array(Float32Array.of(value).buffer)
    word[0]! += step
    return new Float32Array(word.buffer)[0]!
  }
  test.each(['F32', 'BF16'] as const)('compares them with a scalar as numbers, to the last bit of the scalar, in %s', async (dtype: FloatDType) => {
    const S = 0.8125
    const below = createMachine(compile(random.lt(S), [], dtype), { chunk: 1024 })
    const n = 500
    const u = labelled(n, KEY, 0)
    const own = [...u.subarray(0, 40), 2 ** -17, 1 - 2 ** -17] // the least number and the largest
    const grid = [0, 1, 2, 3, 100, 32_768, 65_535, 65_536].flatMap(j => [j, j + 0.25, j + 0.5, j + 0.75]).map(j => j / 65_536)
    for (const p of [
      ...own,
      ...own.flatMap(v => [near(v, 1), near(v, -1)]),
      ...grid,
      ...grid.filter(g => g > 0).flatMap(g => [near(g, 1), near(g, -1)]),
      -1,
      -0,
      1e-30,
      2,
      1e30,
      Infinity,
      -Infinity,
      Number.NaN,
    ]) {
      const { bytes } = await below.run(n, [], { key: KEY, constants: new Map([[S, p]]) })
      const want = u.map(v => Number(v < Math.fround(p)))
      expect({ p, wrong: differences(decode(dtype, bytes), want) }).toEqual({ p, wrong: [] })
    }
  })
})
