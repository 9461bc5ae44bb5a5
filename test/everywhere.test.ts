import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Shape, Tensor, where } from '../src/algebra/tensor.ts'
import { sizeOf } from '../src/dtype.ts'
import { METHODS } from '../src/methods/_all.ts'
import { type AnyModel, everywhereIn } from '../src/methods/method.ts'
import { compile } from '../src/plan/passes.ts'
import { type Cut, type Given, nodesOf, runAll } from './engine.ts'
import { evaluate, foldEverywhere } from './reference.ts'

// Numbers of a whole model: what each tensor's formula hands in under one label is one array, and its sum or its k-th largest element is exact however
// the work is cut.

/** The naive evaluator over many tensors: what is found everywhere is found by looking at all elements at once. */
function naive(formulas: readonly Given[]): Float32Array[] {
  const known = new Map<string, number>()
  const everywhere = (t: Tensor): number => {
    const key = `${t.op} ${t.arg}`
    const before = known.get(key)
    if (before !== undefined) return before
    const operands = formulas.flatMap(({ root, sources }) => [...nodesOf(root)].filter(n => n.op === t.op && n.arg === t.arg).map(n => ({ of: n.inputs[0]!, sources })))
    const all = operands.flatMap(({ of, sources }) => [...evaluate(of, sources, none, everywhere)])
    const value = foldEverywhere(t, Float64Array.from(all))
    known.set(key, value)
    return value
  }
  return formulas.map(({ root, sources }) => evaluate(root, sources, none, everywhere))
}
const none = (): never => {
  throw new Error('nothing is random here')
}

const CUTS: Readonly<Record<string, Cut>> = {
  'all at once': {},
  'chunks of one group': { tiling: { chunk: 16 } },
  'ranges of one block': { tiling: { chunk: 65_536 }, range: 65_536 },
}

/** The number itself, as the value of a tensor. */
const shown = (x: Tensor, number: Tensor): Tensor => x.mul(0).add(number)

test('a rank is one of all elements of all tensors, and a sum adds them all', async () => {
  const given = [
    [[2], [5, -1]],
    [[3], [7, 0, 2]],
    [[1], [6]],
  ].map(([shape, values]) => ({ x: Tensor.source(0, shape!), sources: [Float32Array.from(values!)] }))
  const firsts = async (of: (x: Tensor) => Tensor): Promise<number[]> => (await runAll(given.map(({ x, sources }) => ({ root: shown(x, of(x)), sources })))).map(r => r[0]!)
  expect(await firsts(x => x.largestEverywhere('a', 0.5))).toEqual([5, 5, 5]) // the third of 7, 6, 5, 2, 0, −1
  expect(await firsts(x => x.largestEverywhere('a', 0))).toEqual([7, 7, 7]) // at least the first
  expect(await firsts(x => x.largestEverywhere('a', 1))).toEqual([-1, -1, -1])
  expect(await firsts(x => x.sumEverywhere('a'))).toEqual([19, 19, 19])
  expect(await firsts(x => x.sumEverywhere('a').sub(x.largestEverywhere('b', 0)))).toEqual([12, 12, 12])
})

test('other labels, other numbers', async () => {
  const x = Tensor.source(0, [2])
  const roots = ['a', 'a', 'b'].map(label => shown(x, x.sumEverywhere(label)))
  const results = await runAll(roots.map((root, i) => ({ root, sources: [Float32Array.of(i + 1, 10)] })))
  expect(results.map(r => r[0])).toEqual([23, 23, 13])
})

test('one number may wait for another: the sum of what is above the median of all', async () => {
  const x = Tensor.source(0, [3])
  const kept = where(x.ge(x.largestEverywhere('median', 0.5)), x, 0)
  const root = shown(x, kept.sumEverywhere('kept'))
  const results = await runAll([
    { root, sources: [Float32Array.of(1, 2, 3)] },
    { root, sources: [Float32Array.of(4, 5, 6)] },
  ])
  expect(results.map(r => r[0])).toEqual([15, 15])
})

test('a number of everything may be taken of what each tensor folds by itself', async () => {
  const x = Tensor.source(0, [2])
  const root = shown(x, x.sub(x.mean()).abs().largestEverywhere('spread', 0))
  const results = await runAll([
    { root, sources: [Float32Array.of(1, 3)] }, // 1 from its mean
    { root, sources: [Float32Array.of(0, 10)] }, // 5
  ])
  expect(results.map(r => r[0])).toEqual([5, 5])
})

test('two ranks of the same elements, and of tensors of more than a block, however the engine cuts them', async () => {
  const sizes = [150_007, 3, 65_536, 70_000]
  const sources = sizes.map((size, s) => Float32Array.from({ length: size }, (_, i) => Math.fround(Math.sin((i + 1) * (s + 1.3)) * 2 ** (i % 19)) * (i % 3)))
  const formulas = sizes.map((size, s) => {
    const x = Tensor.source(0, [size])
    return { root: shown(x, x.largestEverywhere('low', 0.9).sub(x.largestEverywhere('high', 0.0123))), sources: [sources[s]!] }
  })
  const all = sources.flatMap(s => [...s]).sort((a, b) => b - a)
  const [low, high] = [0.9, 0.0123].map(share => all[Math.floor(share * all.length) - 1]!) as [number, number]
  for (const [cut, options] of Object.entries(CUTS)) {
    const [first] = await runAll(formulas, options)
    expect({ cut, value: first![0] }).toEqual({ cut, value: Math.fround(low - high) })
  }
})

test('a NaN counts above all numbers, a selected zero has no sign', async () => {
  const x = Tensor.source(0, [2])
  const ranked = async (share: number): Promise<number> => {
    const root = where(x.eq(x), x.largestEverywhere('a', share), x.largestEverywhere('a', share))
    return (
      await runAll([
        { root, sources: [Float32Array.of(-0, Number.NaN)] },
        { root, sources: [Float32Array.of(-0, -1)] },
      ])
    )[1]![1]!
  }
  expect(await ranked(0)).toBe(Number.NaN)
  expect(await ranked(0.5)).toBe(0)
})

test('any tensors, any share: the element of that rank among all', async () => {
  const number = fc.oneof(fc.float({ noNaN: true }), fc.integer({ min: -4, max: 4 })) // many ties
  const example = fc.record({
    tensors: fc.array(fc.array(number, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 5 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  await fc.assert(
    fc.asyncProperty(example, async ({ tensors, share }) => {
      const formulas = tensors.map(values => {
        const x = Tensor.source(0, [values.length])
        return { root: where(x.eq(x), x.largestEverywhere('a', share), x), sources: [Float32Array.from(values)] }
      })
      const all = tensors
        .flat()
        .map(Math.fround)
        .sort((a, b) => b - a)
      const wanted = all[Math.max(1, Math.floor(share * all.length)) - 1]! + 0
      for (const result of await runAll(formulas)) expect(result[0]).toBe(wanted)
    }),
    { seed: 3, numRuns: 100 },
  )
})

const SHAPES: readonly Shape[] = [[4, 5], [3], [300, 260], [1]]

/** A method's formula for each of several tensors, and what they hold. */
function formulasOf(name: string, count: number, own: Readonly<Record<string, number>>, merge: Readonly<Record<string, number | string | boolean>>): Given[] {
  return SHAPES.map((shape, s) => {
    const tensors = Array.from({ length: count + 1 }, (_, i) => Tensor.source(i, shape))
    const models = tensors.slice(1).map((tensor, index): AnyModel => ({ ...own, index, tensor, delta: tensor.sub(tensors[0]!) }) as AnyModel)
    const random = (label: string | number): Tensor => Tensor.random(String(label), shape)
    const root = METHODS[name]!.merge({ name: String(s), shape, isMatrix: false, base: tensors[0]!, models, random, everywhere: everywhereIn(''), position: s / 3 }, merge)
    const sources = tensors.map((_, i) =>
      Float32Array.from({ length: sizeOf(shape) }, (_, j) => Math.round(900 * Math.sin(j * (i + 2) + s) * (i === 0 ? 1 : 0.3 * s + 0.2)) / 4096),
    )
    return { root, sources }
  })
}

// Roundings of float32 of the numbers around 1 that these are; sums over many add four neighbours in float32.
const TOLERANCE = 64 * 2 ** -24

test.each([
  ['ties', { weight: 0.7, density: 0.3 }, { lambda: 1, normalize: true, rescale: false, trim: 'global' }, 0],
  ['ties', { weight: 0.7, density: 0.3 }, { lambda: 1, normalize: false, rescale: true, trim: 'global' }, TOLERANCE],
  ['localize_stitch', { density: 0.1 }, { lambda: 1, trim: 'global' }, 0],
  ['metagpt', {}, { lambda: 1.5 }, TOLERANCE],
  ['pcb', { density: 0.2 }, { lambda: 1, trim: 'global' }, TOLERANCE],
] as const)('%s %o %o over four tensors is what the naive evaluator gives, in the same bits however it is cut', async (name, own, merge, tolerance) => {
  const formulas = formulasOf(name, 3, own, merge)
  const whole = await runAll(formulas)
  for (const [i, wanted] of naive(formulas).entries()) {
    const worst = wanted.reduce((most, v, j) => Math.max(most, Math.abs(v - whole[i]![j]!)), 0)
    expect({ tensor: i, isNear: worst <= tolerance, worst }).toEqual({ tensor: i, isNear: true, worst })
  }
  for (const options of Object.values(CUTS)) expect(await runAll(formulas, options)).toEqual(whole)
})

test('a global trim is not a trim per tensor: small tensors may lose everything', async () => {
  const all = await runAll(formulasOf('localize_stitch', 1, { density: 0.1 }, { lambda: 1, trim: 'global' }))
  const base = formulasOf('localize_stitch', 1, { density: 0.1 }, { lambda: 1, trim: 'global' }).map(f => f.sources[0]!)
  expect(all[0]).toEqual(base[0]) // its task vector is the smallest of all
  expect(all[2]).not.toEqual(base[2])
})

test('a share that differs between tensors is refused', () => {
  const x = Tensor.source(0, [4])
  const formulas = [0.2, 0.3].map(share => ({ root: shown(x, x.largestEverywhere('a', share)), sources: [new Float32Array(4)] }))
  return expect(runAll(formulas)).rejects.toThrow('as a share that is 0.2 for 0 and 0.3 for 1')
})

test('what is found everywhere is a constant of the program: one pass, and one program whatever the number', () => {
  const x = Tensor.source(0, [4])
  const programOf = (label: string) => compile(where(x.ge(x.largestEverywhere(label, 0.2)), x, 0), ['F32'], 'F32')
  expect(programOf('a').program.passes).toHaveLength(1)
  expect(programOf('a').program.passes[0]!.folds).toEqual([])
  expect(programOf('a').key).toBe(programOf('b').key)
  expect(programOf('a').found).toEqual([{ slot: 1, label: 'a' }])
})
