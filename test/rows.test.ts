import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Tensor, where } from '../src/algebra/tensor.ts'
import { sizeOf } from '../src/dtype.ts'
import { PIECE } from '../src/execute/select.ts'
import { compile } from '../src/plan/passes.ts'
import { createMachine, run } from './engine.ts'
import { decode, encode } from './floats.ts'
import { piecesOf } from './pieces.ts'
import { evaluate } from './reference.ts'

// What looks at whole rows or columns: row ops between element ops of one pass, sums of columns between passes, and the numbers of rows and columns
// that meet elements again. Compared with the naive evaluator.

const none = (): Float32Array => new Float32Array(0)
const matrix = (...rows: readonly number[][]): Float32Array => Float32Array.from(rows.flat())
const x = (shape: readonly number[], index = 0): Tensor => Tensor.source(index, shape)

async function rows(root: Tensor, ...sources: readonly Float32Array[]): Promise<number[][]> {
  const values = await run(root, sources)
  const columns = root.shape.at(-1)!
  return Array.from({ length: values.length / columns }, (_, r) => [...values.subarray(r * columns, (r + 1) * columns)])
}

describe('rows', () => {
  const a = matrix([1, 2, 3], [4, -5, 6])

  test('a sum, a maximum and ranks', async () => {
    expect(
      await rows(
        x([2, 3])
          .mul(0)
          .add(x([2, 3]).rowSum()),
        a,
      ),
    ).toEqual([
      [6, 6, 6],
      [5, 5, 5],
    ])
    expect(await rows(x([2, 3]).sub(x([2, 3]).rowMax()), a)).toEqual([
      [-2, -1, 0],
      [-2, -11, 0],
    ])
    expect(await rows(x([2, 3]).rowRank(), a)).toEqual([
      [0, 1, 2],
      [1, 0, 2],
    ])
  })

  test('equal elements rank by their place; −0 lies below 0', async () => {
    expect(await rows(x([6]).rowRank(), matrix([2, 1, 2, 0, 1, -0]))).toEqual([[4, 2, 5, 1, 3, 0]])
  })

  test('a tensor of one dimension is one row; of four dimensions the first tells the rows', async () => {
    const one = x([5])
    expect(await rows(one.div(one.rowSum()), matrix([1, 1, 2, 4, 8]))).toEqual([[0.0625, 0.0625, 0.125, 0.25, 0.5]])
    const kernel = x([2, 1, 2, 2])
    const values = await run(kernel.mul(0).add(kernel.rowSum()), [matrix([1, 2, 3, 4, 5, 6, 7, 8])])
    expect([...values]).toEqual([10, 10, 10, 10, 26, 26, 26, 26])
  })

  test('a softmax, in one pass of three stages', async () => {
    const t = x([2, 3])
    const e = t.sub(t.rowMax()).exp()
    const got = await rows(e.div(e.rowSum()), matrix([0, Math.log(2), Math.log(5)], [100, 100, 100]))
    const want = [
      [1 / 8, 2 / 8, 5 / 8],
      [1 / 3, 1 / 3, 1 / 3],
    ]
    for (const [r, row] of want.entries()) for (const [c, v] of row.entries()) expect(got[r]![c]).toBeCloseTo(v, 6)
  })

  test('a fold over what row ops have given, and a row op on what folds have given', async () => {
    const t = x([2, 3])
    const centred = t.sub(t.rowSum().div(3)) // [-1, 0, 1], [7/3, -20/3, 13/3]
    expect(await rows(t.mul(0).add(centred.abs().largest(2)), a)).toEqual([Array(3).fill(Math.fround(13 / 3)), Array(3).fill(Math.fround(13 / 3))])
    const scaled = t.div(t.sum()) // 11
    expect(await rows(scaled.rowSum().add(t.mul(0)), a)).toEqual([Array(3).fill(Math.fround(6 / 11)), Array(3).fill(Math.fround(5 / 11))])
  })
})

describe('columns', () => {
  test('a sum of each column, and unit columns', async () => {
    const t = x([2, 3])
    expect(await rows(t.mul(0).add(t.columnSum()), matrix([1, 2, 3], [4, -5, 6]))).toEqual([
      [5, -3, 9],
      [5, -3, 9],
    ])
    const norms = t.mul(t).columnSum().sqrt()
    expect(await rows(t.div(norms), matrix([3, 0, 6], [4, 2, 8]))).toEqual([
      [Math.fround(0.6), 0, Math.fround(0.6)],
      [Math.fround(0.8), 1, Math.fround(0.8)],
    ])
  })

  test('rows and columns meet in elements', async () => {
    const t = x([2, 2])
    expect(await rows(t.mul(0).add(t.rowSum().mul(10).add(t.columnSum())), matrix([1, 2], [3, 4]))).toEqual([
      [34, 36],
      [74, 76],
    ])
  })
})

describe('numbers of rows that several passes want', () => {
  const dims = [300, 257]
  const size = sizeOf(dims)
  const t = x(dims)
  const stagesOf = (root: Tensor): number[] => compile(root, ['F32'], 'F32').program.passes.map(p => p.stages.length)

  test('are found once: by the first of them, or ahead of selects, which go over their operands several times', () => {
    const soft = t.sub(t.rowMax()).exp()
    const share = t.mul(soft.rowSum())
    expect(stagesOf(t.mul(share.sum()).add(share))).toEqual([3, 1]) // maximum, sum and then what is summed up
    expect(stagesOf(where(share.ge(share.largest(9)), t, 0))).toEqual([2, 1, 1])
    expect(stagesOf(where(share.ge(share.sum()), share.sub(t.rowMax()), 0))).toEqual([3, 2]) // the second wants the maximum, which meets nothing in the first
    expect(stagesOf(share)).toEqual([3])
  })

  /** The whole, and in ranges: what the naive evaluator gives. */
  async function check(root: Tensor, input: Float32Array, tolerance = 0): Promise<readonly string[]> {
    const want = evaluate(root, [input], none)
    const machine = createMachine(compile(root, ['F32'], 'F32'), undefined, dims)
    const whole = await machine.run(size, [encode('F32', input)])
    const got = decode('F32', whole.bytes)
    expect([...got].flatMap((v, i) => (Math.abs(v - want[i]!) <= tolerance ? [] : [`[${i}]: ${v} instead of ${want[i]}`])).slice(0, 5)).toEqual([])
    for (const range of [1, 131_072]) expect(Buffer.from((await machine.run(size, [encode('F32', input)], { range })).bytes).equals(whole.bytes)).toBe(true)
    return whole.steps
  }
  const noise = (seed: number): Float32Array => Float32Array.from({ length: size }, (_, i) => ((Math.imul(i + seed, 0x9e3779b1) >> 16) % 512) / 8)

  test('are those of each element’s row in samples, in ranges and in later passes', async () => {
    const scaled = t.mul(t.rowMax().add(100))
    const steps = await check(where(scaled.ge(scaled.largest(1000)), t, 0), noise(1))
    expect(steps).toEqual(['pass', 'sample', 'pass', 'pass']) // the sample was a fair one
  })

  test('may differ as much as they like: where a sample misleads, all elements are counted', async () => {
    const seen = new Set(piecesOf(size).flatMap(at => [Math.floor(at / 257), Math.floor((at + PIECE - 1) / 257)]))
    const input = noise(2).map((v, i) => (seen.has(Math.floor(i / 257)) ? v : v * 2 ** 20))
    const scaled = t.mul(t.rowMax())
    const steps = await check(where(scaled.ge(scaled.largest(Math.floor(((300 - seen.size) * 257) / 2))), t, 0), input)
    expect(steps).toEqual(['pass', 'sample', 'pass', 'high', 'low', 'pass'])
  })

  test('take part in arithmetic with what a pass has found meanwhile', async () => {
    const most = t.rowMax()
    const first = t.sub(most).sum().div(-size) // its pass keeps the maxima
    const scaled = most.mul(first).add(1) // arithmetic on rows alone, ahead of the second pass
    await check(t.sub(scaled), noise(3).map(Math.round), 1e-3)
    const columns = t.sub(scaled).columnSum() // a third pass, with both
    await check(t.add(scaled).sub(columns), noise(4).map(Math.round), 1)
  })
})

describe('any formula with rows and columns', () => {
  type Step = { readonly op: string; readonly pick: number; readonly number: number }
  const OPS = ['rowSum', 'rowMax', 'rowRank', 'columnSum', 'spread', 'scaled', 'add', 'mul', 'sum', 'largest', 'where', 'random']
  const step: fc.Arbitrary<Step> = fc.record({ op: fc.constantFrom(...OPS), pick: fc.nat(), number: fc.integer({ min: -4, max: 4 }).map(i => i / 4) })

  function grow(steps: readonly Step[], shape: readonly number[]): Tensor {
    const elements = [x(shape, 0), x(shape, 1)]
    const lines: Tensor[] = [x(shape).rowMax()]
    const numbers = [Tensor.constant(0.5)]
    for (const { op, pick, number } of steps) {
      const a = elements[elements.length - 1 - (pick % Math.min(3, elements.length))]!
      const b = elements[pick % elements.length]!
      const line = lines[pick % lines.length]!
      const n = numbers[pick % numbers.length]!
      if (op === 'rowSum' || op === 'rowMax' || op === 'columnSum') lines.push(a[op]())
      else if (op === 'rowRank') elements.push(a.rowRank().div(16))
      else if (op === 'spread') elements.push(a.sub(line.mul(number)))
      else if (op === 'scaled') lines.push(line.mul(n).add(number))
      else if (op === 'add') elements.push(a.add(b.mul(n)))
      else if (op === 'mul') elements.push(a.mul(number || 1))
      else if (op === 'sum') numbers.push(a.sum().div(64))
      else if (op === 'largest') numbers.push(a.largest((pick % sizeOf(shape)) + 1))
      else if (op === 'random') elements.push(where(Tensor.random(String(pick % 2), shape).lt(0.5), a, b))
      else elements.push(where(a.ge(line), a, b))
    }
    return elements.at(-1)!
  }

  // Small multiples of a power of two: every sum is exact, and there is one right answer to the bit.
  const shape = fc.constantFrom([1], [7], [16], [33], [3, 5], [5, 16], [17, 1], [2, 40], [40, 3], [2, 3, 4])
  test('is the naive evaluator’s', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 9 }), shape, fc.integer({ min: 1, max: 1e6 }), async (steps, dims, seed) => {
        let s = seed
        const source = (): Float32Array =>
          Float32Array.from({ length: sizeOf(dims) }, () => {
            s = (Math.imul(s, 1_664_525) + 1_013_904_223) | 0
            return (s >> 27) / 8
          })
        const inputs = [source(), source()]
        const root = grow(steps, dims)
        const uniform = new Map<string, Float32Array>()
        for (const label of ['0', '1']) uniform.set(label, await run(Tensor.random(label, dims), []))
        const want = evaluate(root, inputs, label => uniform.get(label) ?? none())
        const scale = want.reduce((most, v) => Math.max(most, Math.abs(v)), 1)
        for (const cut of [{}, { tiling: { chunk: 16 } }, { range: 65_536 }]) {
          const got = await run(root, inputs, cut)
          const wrong = [...got].flatMap((v, i) => (Math.abs(v - want[i]!) <= 2 ** -20 * scale ? [] : [`[${i}]: ${v} instead of ${want[i]}`]))
          expect(wrong.slice(0, 5)).toEqual([])
        }
        const whole = Buffer.from((await run(root, inputs)).buffer)
        expect(Buffer.from((await run(root, inputs, { tiling: { chunk: 16 } })).buffer).equals(whole)).toBe(true)
      }),
      { seed: 11, numRuns: 300 },
    )
  })

  test('of more than a block gives the same bytes in ranges, and in any dtype what float32 gives of the same numbers', async () => {
    const dims = [257, 513]
    const size = sizeOf(dims)
    const input = Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 255) - 127) // bf16 holds these
    const t = x(dims)
    const centred = t.sub(t.rowSum().div(513)).div(t.mul(t).columnSum().sqrt())
    const root = where(t.abs().rowRank().ge(200), centred, 0).mul(centred.abs().sum().div(size)).sub(centred.largest(1000))
    const whole = await run(root, [input])
    for (const cut of [{ range: 65_536 }, { range: 131_072 }, { tiling: { chunk: 256 } }]) expect(await run(root, [input], cut)).toEqual(whole)
    for (const dtype of ['BF16', 'F16', 'F64'] as const) {
      const got = encode(dtype, await run(root, [input], {}, dtype))
      expect(Buffer.from(got).equals(Buffer.from(encode(dtype, whole)))).toBe(true)
    }
    const want = evaluate(root, [input], none)
    expect(whole.findIndex((v, i) => Math.abs(v - want[i]!) > 1e-5)).toBe(-1)
  })
})
