import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Graph, openGraph } from './_graph.ts'

const file = 'zoo/vision/head.onnx' // features [N,128], head.weight [C,128], head.bias [C] → logits [N,C]
const tensor = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) })
const messageOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing was thrown'
}

let graph: Graph
beforeAll(async () => {
  graph = await openGraph(readFileSync(new URL(`../../../${file}`, import.meta.url)), file)
})
afterAll(() => graph.close())

test('a bound graph is a function of the free inputs', async () => {
  const weight = tensor(2, 128)
  weight.data[1] = 10 // row 0, column 1
  weight.data[128] = 1 // row 1, column 0
  const network = graph.bind(
    new Map([
      ['head.weight', weight],
      ['head.bias', { shape: [2], data: Float32Array.of(0.5, -0.5) }],
    ]),
    ['features'],
  )
  const features = Float32Array.from({ length: 256 }, (_, i) => i)
  const { logits } = await network({ features: { dims: [2, 128], data: features } })
  expect([...graph.inputs.keys()]).toEqual(['features', 'head.weight', 'head.bias'])
  expect(logits?.dims).toEqual([2, 2])
  expect([...(logits?.data ?? [])]).toEqual([10.5, -0.5, 1290.5, 127.5])
})

test('tensors the graph does not know are no fault', () => {
  const weights = new Map([
    ['head.weight', tensor(2, 128)],
    ['head.bias', tensor(2)],
    ['encoder.norm.weight', tensor(4)],
  ])
  expect(() => graph.bind(weights, ['features'])).not.toThrow()
})

test('missing weights are listed, with the nearest name', () => {
  expect(
    messageOf(() =>
      graph.bind(
        new Map([
          ['head.weigth', tensor(2, 128)],
          ['norm', tensor(2)],
        ]),
        ['features'],
      ),
    ),
  ).toBe(
    `the model lacks 2 of the 2 tensors this graph needs: head.weight, head.bias
  at zoo/vision/head.onnx
  fix: evaluate a model of the graph's own architecture; the nearest name to head.weight in this model is head.weigth`,
  )
})

test('a long list of missing weights is cut', async () => {
  const trunk = await openGraph(readFileSync(new URL('../../../zoo/vision/graph.onnx', import.meta.url)), 'graph.onnx')
  expect(messageOf(() => trunk.bind(new Map(), ['images']))).toBe(
    `the model lacks 75 of the 75 tensors this graph needs: embeddings.conv1.bias, embeddings.conv1.weight, embeddings.conv2.bias, embeddings.conv2.weight, \
embeddings.conv3.bias, embeddings.conv3.weight, embeddings.norm.bias, embeddings.norm.weight and 67 more
  at graph.onnx
  fix: evaluate a model of the graph's own architecture`,
  )
  await trunk.close()
})

test('a weight of another shape is refused', () => {
  const weights = new Map([
    ['head.weight', tensor(2, 72)],
    ['head.bias', tensor(2)],
  ])
  expect(messageOf(() => graph.bind(weights, ['features']))).toBe(
    `head.weight: shape [2,72], where the graph needs [C,128]
  at zoo/vision/head.onnx
  fix: evaluate a model of the graph's own architecture and size`,
  )
})

test('a file that is no graph is refused', async () => {
  await expect(openGraph(new TextEncoder().encode('{"not": "onnx"}'), 'config.json')).rejects.toThrow(
    /^config.json: onnxruntime cannot open this graph \(.*\)\n {2}at config.json\n {2}fix: /,
  )
})
