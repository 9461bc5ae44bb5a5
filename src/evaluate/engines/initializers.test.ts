import { expect, test } from 'vitest'
import type { Weights } from '../weights.ts'
import { openGraph, type Value } from './_graph.ts'
import { holdsWeights, openWeights, weightsFor } from './_initializers.ts'
import { bytesField, joined, numberField } from './_protobuf.ts'

// A network as exporters write it, weights included: y = (relu(x·W1 + b1)·W2 + b2)·s, where the checkpoint has W1 and W2 transposed.

const matrix = (rows: number, columns: number, seed: number) => ({
  shape: [rows, columns],
  data: Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(seed + 1.7 * i)),
})
const vector = (n: number, seed: number) => ({ shape: [n], data: Float32Array.from({ length: n }, (_, i) => Math.cos(seed + 0.9 * i)) })

const IN = 16
const HIDDEN = 16 // square: only the contents tell the orientation
const OUT = 3 // its bias is as small as the numbers in formulas
const modelOf = (seed: number): Weights =>
  new Map([
    ['up.weight', matrix(HIDDEN, IN, seed)],
    ['up.bias', vector(HIDDEN, seed + 1)],
    ['down.weight', matrix(OUT, HIDDEN, seed + 2)],
    ['down.bias', vector(OUT, seed + 3)],
    ['scale', vector(OUT, seed + 4)],
  ])

/** What the network gives for one row, computed here. */
function byHand(model: Weights, x: readonly number[]): number[] {
  const linear = (name: string, input: readonly number[]): number[] => {
    const { shape, data } = model.get(`${name}.weight`)!
    const bias = model.get(`${name}.bias`)!.data
    return Array.from({ length: shape[0]! }, (_, o) => input.reduce((sum, v, i) => sum + v * data[o * shape[1]! + i]!, bias[o]!))
  }
  return linear(
    'down',
    linear('up', x).map(v => Math.max(v, 0)),
  ).map((v, i) => v * model.get('scale')!.data[i]!)
}

const value = (name: string, ...dims: readonly (number | string)[]): Uint8Array => {
  const shape = joined(dims.map(n => bytesField(1, typeof n === 'number' ? numberField(1, n) : bytesField(2, n))))
  return joined([bytesField(1, name), bytesField(2, bytesField(1, joined([numberField(1, 1), bytesField(2, shape)])))])
}
const node = (type: string, inputs: readonly string[], output: string): Uint8Array => joined([...inputs.map(i => bytesField(1, i)), bytesField(2, output), bytesField(4, type)])
const initializer = (name: string, { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array }): Uint8Array =>
  joined([...shape.map(n => numberField(1, n)), numberField(2, 1), bytesField(8, name), bytesField(9, new Uint8Array(data.buffer))])

const transposed = ({ shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array }) => {
  const [rows, columns] = shape as [number, number]
  return { shape: [columns, rows], data: Float32Array.from({ length: data.length }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!) }
}

/** The exported file: linear weights transposed and renamed, biases under their names. */
function exported(model: Weights, names: readonly [string, string] = ['onnx::MatMul_11', 'onnx::MatMul_12']): Uint8Array {
  const [up, down] = names
  const nodes = [
    node('MatMul', ['x', up], 'a'),
    node('Add', ['a', 'up.bias'], 'b'),
    node('Relu', ['b'], 'c'),
    node('MatMul', ['c', down], 'd'),
    node('Add', ['d', 'down.bias'], 'e'),
    node('Mul', ['e', 'one'], 'f'),
    node('Mul', ['f', 'onnx::Mul_9'], 'y'),
  ]
  const weights = [
    initializer(up, transposed(model.get('up.weight')!)),
    initializer('up.bias', model.get('up.bias')!),
    initializer(down, transposed(model.get('down.weight')!)),
    initializer('down.bias', model.get('down.bias')!),
    initializer('onnx::Mul_9', model.get('scale')!),
    initializer('one', { shape: [1], data: Float32Array.of(1) }),
  ]
  const graph = joined([
    ...nodes.map(n => bytesField(1, n)),
    bytesField(2, 'net'),
    ...weights.map(w => bytesField(5, w)),
    bytesField(11, value('x', 'N', IN)),
    bytesField(12, value('y', 'N', OUT)),
  ])
  return joined([numberField(1, 8), bytesField(7, graph), bytesField(8, joined([bytesField(1, ''), numberField(2, 17)]))])
}

const x = Array.from({ length: IN }, (_, i) => Math.sin(5 * i))
const feed: Value = { dims: [1, IN], data: Float32Array.from(x) }

test('a graph with weights runs other models of the same names: by name, by contents, transposed', async () => {
  const base = modelOf(1)
  const file = exported(base)
  expect(holdsWeights(file, base)).toBe(true)
  const opened = openWeights(file, base, {}, 'net.onnx')
  expect(Object.fromEntries(opened.matches)).toEqual({
    'onnx::MatMul_11': { tensor: 'up.weight', how: 'content', isTransposed: true },
    'up.bias': { tensor: 'up.bias', how: 'name', isTransposed: false },
    'onnx::MatMul_12': { tensor: 'down.weight', how: 'content', isTransposed: true },
    'down.bias': { tensor: 'down.bias', how: 'name', isTransposed: false },
    'onnx::Mul_9': { tensor: 'scale', how: 'content', isTransposed: false },
  })
  expect(opened.constants).toEqual(['one'])
  expect(opened.unused).toEqual([])
  expect(holdsWeights(opened.bytes, base)).toBe(false)
  const graph = await openGraph(opened.bytes, 'net.onnx')
  for (const seed of [1, 40]) {
    const model = modelOf(seed)
    const { y } = await graph.bind(weightsFor(model, opened, 'net.onnx'), ['x'])({ x: feed })
    for (const [i, expected] of byHand(model, x).entries()) expect(y!.data[i]).toBeCloseTo(expected, 4)
  }
  await graph.close()
})

test('names settle what contents do not tell', () => {
  const base = new Map(modelOf(1))
  const file = exported(base)
  base.set('copy.weight', base.get('up.weight')!)
  expect(() => openWeights(file, base, {}, 'net.onnx')).toThrow(
    "the weight onnx::MatMul_11 has the contents of more than one tensor: up.weight, copy.weight\n  at net.onnx\n  fix: say which in the suite: `tensors: { 'onnx::MatMul_11': up.weight }`",
  )
  expect(openWeights(file, base, { 'onnx::MatMul_11': 'up.weight' }, 'net.onnx').matches.get('onnx::MatMul_11')).toEqual({ tensor: 'up.weight', how: 'name', isTransposed: true })
})

test('weights that match nothing are listed: scores of the exported model would stand under every name', () => {
  expect(() => openWeights(exported(modelOf(1)), modelOf(20), {}, 'net.onnx')).toThrow(
    '2 weights in the graph match no tensor of the model, by name or by contents: onnx::MatMul_11, onnx::MatMul_12\n  at net.onnx\n',
  )
})

test('tensors that were equal when the graph was exported may not differ now', () => {
  const base = new Map([...modelOf(1), ['up.copy', modelOf(1).get('up.bias')!]])
  const opened = openWeights(exported(modelOf(1)), base, {}, 'net.onnx')
  expect(opened.twins).toEqual([{ used: 'up.bias', unused: 'up.copy' }])
  const same = modelOf(9)
  expect(() => weightsFor(new Map([...same, ['up.copy', same.get('up.bias')!]]), opened, 'net.onnx')).not.toThrow()
  expect(() => weightsFor(new Map([...same, ['up.copy', vector(HIDDEN, 77)]]), opened, 'net.onnx')).toThrow(
    'the graph has up.bias and up.copy as one tensor, and in this model they differ\n  at net.onnx\n',
  )
})

test('a rectangular weight under its own name is turned as its shape says, for any model', () => {
  const { matches } = openWeights(exported(modelOf(1), ['up.weight', 'down.weight']), modelOf(1), {}, 'net.onnx')
  expect([...matches.values()].map(m => m.isTransposed)).toEqual([true, false, true, false, false])
})

test('what is named a constant stays; so does everything in a graph that takes weights as inputs', () => {
  const { matches, constants } = openWeights(exported(modelOf(1)), modelOf(20), {}, 'net.onnx', ['onnx::MatMul_11', 'onnx::MatMul_12'])
  expect([...matches.keys()]).toEqual(['up.bias', 'down.bias'])
  expect(constants).toEqual(['onnx::MatMul_11', 'onnx::MatMul_12', 'onnx::Mul_9', 'one'])
  expect(holdsWeights(exported(modelOf(1)), new Map([['x', vector(IN, 0)]]))).toBe(false)
})

test('what is no ONNX file holds no weights', () => {
  expect(holdsWeights(new TextEncoder().encode('{"not": "onnx"}'), modelOf(1))).toBe(false)
  expect(holdsWeights(new Uint8Array(), modelOf(1))).toBe(false)
})
