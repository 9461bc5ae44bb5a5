import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { WholeOp } from '../src/algebra/ops.ts'
import { show } from '../src/algebra/show.ts'
import { type Shape, Tensor, where, whole } from '../src/algebra/tensor.ts'
import { createEngine } from '../src/kernels/kernels.ts'
import { SOLVERS } from '../src/kernels/whole/solvers.ts'
import { compile } from '../src/plan/passes.ts'
import { createMachine, run } from './engine.ts'
import { decode, encode } from './floats.ts'
import { build, flip, norm, type Rows, randoms, times, unit } from './linear_algebra.ts'
import { evaluate } from './reference.ts'
import { triplets } from './whole_reference.ts'

// Operations on whole matrices, within formulas: against the same formulas by the naive evaluator, whose decompositions are other ones (rotations).

const U = 2 ** -24
const source = (i: number, shape: Shape): Tensor => Tensor.source(i, shape)
const naive = (root: Tensor, inputs: readonly Float32Array[]): Float32Array => evaluate(root, inputs, () => new Float32Array(0))
const largestOf = (values: Float32Array): number => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0)

/** The largest difference, in units of the largest magnitude. */
function apart(got: Float32Array, want: Float32Array): number {
  expect(got.length).toBe(want.length)
  return largestOf(got.map((v, i) => v - want[i]!)) / Math.max(largestOf(want), 1e-30)
}

/** Task vectors of any rank: `kinds` says of each whether it is zero, of rank one, or full. */
function taskVectors(rows: number, cols: number, kinds: readonly ('zero' | 'one' | 'full')[], seed: number): Float32Array[] {
  const random = randoms(seed)
  return kinds.map(kind => {
    const [left, right] = [Array.from({ length: rows }, random), Array.from({ length: cols }, random)]
    return Float32Array.from({ length: rows * cols }, (_, i) => (kind === 'zero' ? 0 : kind === 'one' ? left[Math.floor(i / cols)]! * right[i % cols]! : random()))
  })
}

const sumOf = (tensors: readonly Tensor[]): Tensor => tensors.reduce((a, b) => a.add(b))
const OPS: Readonly<Record<WholeOp, (tasks: readonly Tensor[], share: number) => Tensor>> = {
  tsv: tasks => whole('tsv', tasks),
  isotropic: tasks => whole('isotropic', [sumOf(tasks)]),
  common_space: (tasks, share) => whole('common_space', [sumOf(tasks), ...tasks], [share]),
  wudi: (tasks, share) => whole('wudi', [sumOf(tasks), ...tasks], [share, 300]),
  low_rank: (tasks, share) => whole('low_rank', tasks, [share]),
}

// Vectors are rounded to float32, and bases that are nearly parallel multiply that rounding where they are made orthogonal: by up to some hundreds for
// matrices as small as these. A share of a nuclear norm that falls on a step to within rounding may take one triplet more or less; the seed has none.
describe.each(Object.entries(OPS))('%s', (_, formulaFor) => {
  test('of matrices of any shape and rank is what its paper says', async () => {
    const example = fc.record({
      rows: fc.integer({ min: 1, max: 11 }),
      cols: fc.integer({ min: 1, max: 11 }),
      kinds: fc.array(fc.constantFrom('full' as const, 'full' as const, 'one' as const, 'zero' as const), { minLength: 1, maxLength: 4 }),
      share: fc.integer({ min: 1, max: 9 }).map(i => i / 9 - 0.017),
      seed: fc.integer({ min: 1, max: 1e6 }),
    })
    await fc.assert(
      fc.asyncProperty(example, async ({ rows, cols, kinds, share, seed }) => {
        fc.pre(Math.min(rows, cols) >= kinds.length)
        const inputs = taskVectors(rows, cols, kinds, seed)
        const root = formulaFor(
          inputs.map((_, i) => source(i, [rows, cols])),
          share,
        )
        const got = await run(root, inputs)
        const want = naive(root, inputs)
        if (largestOf(want) === 0) expect(largestOf(got)).toBe(0)
        else expect(apart(got, want)).toBeLessThan(512 * U)
      }),
      { seed: 11, numRuns: 60 },
    )
  })

  test.each([
    [40, 23],
    [23, 40],
    [33, 33],
    [7, 40],
    [40, 7],
  ])('of three matrices of %i × %i, and the same bytes however the engine cuts it', async (rows, cols) => {
    const inputs = taskVectors(rows, cols, ['full', 'full', 'full'], rows)
    const root = formulaFor(
      inputs.map((_, i) => source(i, [rows, cols])),
      0.7,
    )
    const got = await run(root, inputs)
    expect(apart(got, naive(root, inputs))).toBeLessThan(64 * U)
    expect(await run(root, inputs, { tiling: { chunk: 16 } })).toEqual(got)
  })

  test('of matrices with a NaN is NaN, found where it is and at once', async () => {
    const shape = [64, 64]
    const inputs = taskVectors(64, 64, ['full', 'full'], 3)
    inputs[1]![77] = Number.NaN
    const sources = inputs.map((_, i) => source(i, shape))
    const machine = createMachine(compile(source(0, shape).add(formulaFor(sources, 0.5)), ['F32', 'F32'], 'F32'), undefined, shape)
    const { bytes, findings } = await machine.run(
      64 * 64,
      inputs.map(i => encode('F32', i)),
    )
    expect(findings).toContainEqual({ source: 1, index: 77, value: Number.NaN })
    expect(decode('F32', bytes).every(Number.isNaN)).toBe(true)
  })
})

describe('what the ops promise', () => {
  const rowsOf = (values: Float32Array, rows: number, cols: number): Rows => build(rows, cols, (i, j) => values[i * cols + j]!)

  test('isotropic: all singular values are the mean of those before', async () => {
    const [x] = taskVectors(12, 7, ['full'], 5)
    const { values } = triplets(rowsOf(x!, 12, 7))
    const mean = values.reduce((a, b) => a + b) / 7
    const after = triplets(rowsOf(await run(whole('isotropic', [source(0, [12, 7])]), [x!]), 12, 7)).values
    for (const value of after) expect(Math.abs(value - mean) / mean).toBeLessThan(8 * U)
  })

  test('tsv: tasks of orthogonal directions and few of them are added as they are', async () => {
    const { u, v } = triplets(rowsOf(taskVectors(8, 8, ['full'], 6)[0]!, 8, 8))
    const outer = (k: number, by: number): Float32Array => Float32Array.from(u.flatMap(row => v.map(other => row[k]! * by * other[k]!)))
    const [a, b] = [outer(0, 3), outer(1, 2)]
    const got = await run(whole('tsv', [source(0, [8, 8]), source(1, [8, 8])]), [a, b])
    expect(
      apart(
        got,
        a.map((x, i) => x + b[i]!),
      ),
    ).toBeLessThan(16 * U)
  })

  test('low_rank: the nuclear norm stays', async () => {
    const nuclear = (values: Float32Array): number => triplets(rowsOf(values, 9, 14)).values.reduce((a, b) => a + b)
    const [x] = taskVectors(9, 14, ['full'], 7)
    for (const share of [0.1, 0.5, 1]) {
      const after = nuclear(await run(whole('low_rank', [source(0, [9, 14])], [share]), [x!]))
      expect(Math.abs(after / nuclear(x!) - 1)).toBeLessThan(16 * U)
    }
  })

  test('wudi with share 0 adds the task vectors', async () => {
    const inputs = taskVectors(6, 5, ['full', 'full'], 8)
    const tasks = [source(0, [6, 5]), source(1, [6, 5])]
    expect(await run(OPS.wudi(tasks, 0), inputs)).toEqual(await run(sumOf(tasks), inputs))
  })

  // 600 rows of task vectors are fewer than 640 columns, and 750 are more: the two ways there are, each through several chunks of 256 directions.
  test('wudi gives the same by the rows of task vectors as by their columns', async () => {
    const [rows, cols] = [150, 640]
    const inputs = taskVectors(rows, cols, ['full', 'full', 'full', 'full', 'zero'], 10)
    const tasks = inputs.map((_, i) => source(i, [rows, cols]))
    const byRows = await run(OPS.wudi(tasks.slice(0, 4), 0.65), inputs)
    const byColumns = await run(OPS.wudi(tasks, 0.65), inputs)
    expect(apart(byRows, byColumns)).toBeLessThan(16 * U)
    expect(apart(byRows, await run(sumOf(tasks), inputs))).toBeGreaterThan(0.1)
  })

  test('the rotations of the naive evaluator decompose', () => {
    const a = rowsOf(taskVectors(9, 6, ['full'], 9)[0]!, 9, 6)
    const { u, values, v } = triplets(a)
    const back = times(
      u.map(row => row.map((x, i) => x * values[i]!)),
      flip(v),
    )
    expect(norm(build(9, 6, (i, j) => back[i]![j]! - a[i]![j]!))).toBeLessThan(1e-14)
    const product = times(flip(u), u)
    expect(norm(build(6, 6, (i, j) => product[i]![j]! - unit(6)[i]![j]!))).toBeLessThan(1e-14)
  })
})

// A memory has up to 4 GiB, and large matrices fill it: addresses are then no positive 32-bit integers.
test.each(Object.entries(SOLVERS))('%s gives the same beyond 2 GiB of memory', (_, solver) => {
  const problem = { rows: 20, cols: 31, operands: 3 }
  const inputs = taskVectors(20, 31, ['full', 'full', 'full'], 12)
  const engine = createEngine(2 ** 31 + 2 ** 24) // nothing is written to most of it, so that it takes no memory of the machine
  const solved = (at: number): Float32Array => {
    const work = solver.solve({ ...problem, engine, at, numbers: [0.6, 300] })
    for (;;) {
      const { done, value } = work.next()
      if (done) return new Float32Array(engine.memory.buffer, value, 20 * 31).slice()
      if (typeof value !== 'number') new Float32Array(engine.memory.buffer, value.to, 20 * 31).set(inputs[value.operand]!)
    }
  }
  expect(solved(2 ** 31 + 2 ** 20)).toEqual(solved(engine.heap))
})

describe('a formula around whole matrices', () => {
  const shape = [10, 13]
  const [a, b, c] = [0, 1, 2].map(i => source(i, shape)) as [Tensor, Tensor, Tensor]
  const inputs = taskVectors(10, 13, ['full', 'full', 'full'], 21)
  const flat = whole('isotropic', [a.sub(b)])

  test.each([
    ['its result is an operand of arithmetic', c.add(flat.mul(0.3)).max(0)],
    ['operands that need folds first', whole('tsv', [where(a.abs().ge(a.abs().largest(40)), a, 0), b.div(b.norm())])],
    ['operands that need rows', whole('isotropic', [a.mul(a.mul(a).rowSum().sqrt())])],
    ['operands that need columns', whole('isotropic', [a.mul(b.columnSum())])],
    ['two at once', flat.add(whole('low_rank', [b, c], [0.5]))],
    ['two of one kind', flat.sub(whole('isotropic', [c]))],
    ['one of another', whole('tsv', [flat.add(c), b])],
    ['one of another, and both', whole('tsv', [flat.add(c), b]).add(flat)],
    ['a fold over a result', c.mul(flat.norm())],
    ['a rank among a result', where(flat.ge(flat.largest(20)), flat, c)],
    ['a number that is computed', whole('low_rank', [a], [b.abs().sum().div(c.abs().sum()).min(0.6)])],
    ['the result alone', flat],
  ])('%s', async (_, root) => {
    const got = await run(root, inputs)
    expect(apart(got, naive(root, inputs))).toBeLessThan(64 * U)
    expect(await run(root, inputs, { tiling: { chunk: 16 } })).toEqual(got)
  })

  test('costs a pass, and reads sources and results as any other', () => {
    expect([flat.level, flat.add(c).level, flat.norm().level, whole('tsv', [flat, b]).level]).toEqual([1, 1, 2, 2])
    const { program } = compile(whole('tsv', [flat, b]).add(flat), ['BF16', 'F16'], 'BF16')
    expect(program.sources).toEqual(['BF16', 'F16', 'F32', 'F32'])
    expect(program.passes.map(p => p.wholes.map(w => [w.op, w.operands.length, w.to]))).toEqual([[['isotropic', 1, 2]], [['tsv', 2, 3]], []])
  })

  test('is shown as a function of its operands', () => {
    expect(show(c.add(whole('wudi', [a.sub(b), b], [0.65, 300])), i => 'abc'[i]!)).toBe('out = c + wudi(a - b, b, 0.65, 300)')
  })

  test('takes matrices of one shape only', () => {
    expect(() => whole('tsv', [a, source(1, [13, 10])])).toThrow('tsv takes matrices of one shape')
    expect(() => whole('tsv', [source(0, [130])])).toThrow('tsv takes matrices, not [130]')
    expect(() => whole('tsv', [source(0, [0, 3])])).toThrow('tsv takes matrices, not [0,3]')
    expect(() => whole('tsv', [a.sum()])).toThrow('tsv takes matrices')
    expect(() => whole('low_rank', [a], [b])).toThrow('numbers after its matrices')
  })
})
