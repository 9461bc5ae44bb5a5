import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { writeModel } from '../../../test/front.ts'
import { openEvaluation } from '../evaluate.ts'
import type { Subject } from '../subject.ts'
import { parseSuite } from '../suite.ts'
import type { Weights } from '../weights.ts'
import { bytesField, joined, numberField } from './_protobuf.ts'

const folder = mkdtempSync(join(tmpdir(), 'merganser-onnx-'))
afterAll(() => rmSync(folder, { recursive: true }))

const value = (name: string, ...dims: readonly (number | string)[]): Uint8Array => {
  const shape = joined(dims.map(n => bytesField(1, typeof n === 'number' ? numberField(1, n) : bytesField(2, n))))
  return joined([bytesField(1, name), bytesField(2, bytesField(1, joined([numberField(1, 1), bytesField(2, shape)])))])
}

/** y = x · w, or y = x. */
function graph(file: string, takesWeight: boolean): void {
  const node = joined([bytesField(1, 'x'), ...(takesWeight ? [bytesField(1, 'w')] : []), bytesField(2, 'y'), bytesField(4, takesWeight ? 'Mul' : 'Identity')])
  const inputs = [value('x', 'N', 2), ...(takesWeight ? [value('w', 2)] : [])]
  const body = joined([bytesField(1, node), bytesField(2, 'net'), ...inputs.map(i => bytesField(11, i)), bytesField(12, value('y', 'N', 2))])
  writeFileSync(join(folder, file), joined([numberField(1, 8), bytesField(7, body), bytesField(8, joined([bytesField(1, ''), numberField(2, 17)]))]))
}

/** Class 1 wins where w₁ is more than w₀. */
function subject(name: string, ...w: readonly number[]): Subject & { loads: number } {
  return {
    name,
    loads: 0,
    identity: async () => name,
    async weights(): Promise<Weights> {
      this.loads++
      return new Map([['w', { shape: [2], data: Float32Array.from(w) }]])
    },
    text: async () => null,
    inFolder: () => Promise.reject(new Error('not asked for')),
  }
}

graph('mul.onnx', true)
graph('same.onnx', false)
writeModel(join(folder, 'data'), {
  pixels: { shape: [2, 2], values: [1, 1, 2, 2] },
  half: { shape: [1], values: [-0.5] },
  labels: { dtype: 'U8', shape: [2], values: [1, 1] },
})
const suite = (text: string) => parseSuite(text, { name: 'suite.yml', folder })
const SUITE = 'engine: onnx\ngraph: mul.onnx\ninputs: { x: pixels }\nmetric: accuracy\ndata: data/model.safetensors\n'

test('one session serves many models, each loaded once for all tasks; fields are renamed and scaled', async () => {
  const evaluation = await openEvaluation(suite(`${SUITE}tasks: { plain: , turned: { scale: { x: half } } }\n`))
  const [up, down] = [subject('up', 0, 1), subject('down', 1, 0)]
  const values = async (s: Subject): Promise<number[]> => (await evaluation.evaluate(s)).map(score => score.value)
  expect(await values(up)).toEqual([1, 0])
  expect(await values(down)).toEqual([0, 1])
  expect([up.loads, down.loads]).toEqual([1, 1])
  await evaluation.close()
})

test('a graph that takes no weights is refused: all models would score alike', async () => {
  const evaluation = await openEvaluation(suite(`${SUITE.replace('mul', 'same')}tasks: [a]\n`))
  await expect(evaluation.evaluate(subject('up', 0, 1))).rejects.toThrow('up on a: the graph takes no weights: whatever the model, its scores would be the same')
  await evaluation.close()
})

test('a model that gives no numbers has no score', async () => {
  const evaluation = await openEvaluation(suite(`${SUITE}tasks: [a]\n`))
  await expect(evaluation.evaluate(subject('broken', 1, Number.NaN))).rejects.toThrow('broken on a: the network gives NaN')
  await evaluation.close()
})

test('a field that fills no input is told, with the fields there are', async () => {
  const evaluation = await openEvaluation(suite(`${SUITE.replace('{ x: pixels }', '{ x: pixel }')}tasks: [a]\n`))
  await expect(evaluation.evaluate(subject('up', 0, 1))).rejects.toThrow('up on a: the data has no field "pixel"')
  await evaluation.close()
})
