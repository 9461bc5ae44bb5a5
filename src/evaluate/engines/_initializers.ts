import { sizeOf } from '../../dtype.ts'
import { MergeError } from '../../errors.ts'
import type { Weights } from '../weights.ts'
import { bytesField, fieldsOf, joined, numberField, packedVarints } from './_protobuf.ts'

// Fields of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
const MODEL_GRAPH = 7
const GRAPH = { initializer: 5, input: 11 } as const
const TENSOR = { dims: 1, type: 2, floats: 4, name: 8, raw: 9 } as const
const FLOAT = 1
const HALVES: Readonly<Record<number, string>> = { 10: 'float16', 11: 'float64', 16: 'bfloat16' }

/** The tensor of a model that fills an input of a graph. */
export interface Match {
  readonly tensor: string
  readonly how: 'name' | 'content'
  readonly isTransposed: boolean
}

/** A graph whose weights have become inputs. */
export interface Opened {
  readonly bytes: Uint8Array
  /** By input. */
  readonly matches: ReadonlyMap<string, Match>
  /** Initialisers that stay in the graph. */
  readonly constants: readonly string[]
  /** Tensors of the model that the graph does not use. */
  readonly unused: readonly string[]
  /** Of them those whose contents a used one has too: exporters keep equal tensors once. */
  readonly twins: readonly { readonly used: string; readonly unused: string }[]
}

/** Whether the graph holds weights of its own, and does not take those of `model` as inputs already: then what it holds are constants. */
export function holdsWeights(bytes: Uint8Array, model: Weights): boolean {
  const held = initializersOf(bytes)
  return held.some(h => isWeight(h) && isLarge(h)) && !inputsOf(bytes).some(name => model.has(name) && !held.some(h => h.name === name))
}

/**
 * Turns the weights in a graph into inputs, so that one session serves every model. `model` is what it was exported from, or at least of the same
 * names: weights are matched by name, else by content, in one orientation or the other, as exporters transpose the weights of linear layers.
 * Throws for weights that match nothing, or more than one tensor: `names` settles these, and those in `kept` stay in the graph.
 */
export function openWeights(bytes: Uint8Array, model: Weights, names: Readonly<Record<string, string>>, where: string, kept: readonly string[] = []): Opened {
  const weights = initializersOf(bytes).filter(weight => isWeight(weight) && !kept.includes(weight.name))
  for (const { type, name, dims } of weights) {
    if (type in HALVES && sizeOf(dims) >= LARGE) throw new MergeError(`the graph holds weights of ${HALVES[type]}: ${name}`, { where, fix: 'export it in float32' })
  }
  const byContent = indexContents(model)
  const matches = new Map<string, Match>()
  const unmatched: string[] = []
  for (const weight of weights) {
    const named = Object.hasOwn(names, weight.name) ? names[weight.name]! : weight.name
    const tensor = model.get(named)
    if (tensor) {
      const isTransposed = !sameShape(tensor.shape, weight.dims) && sameShape(tensor.shape.toReversed(), weight.dims)
      matches.set(weight.name, { tensor: named, how: 'name', isTransposed: isTransposed || (isSquare(weight.dims) && isTransposedOf(weight, tensor)) })
      continue
    }
    const values = weight.values()
    const found = values === null || values.length < 2 ? [] : byContent(weight.dims, values) // a single number is like many others
    if (found.length > 1) {
      throw new MergeError(`the weight ${weight.name} has the contents of more than one tensor: ${found.map(f => f.tensor).join(', ')}`, {
        where,
        fix: `say which in the suite: \`tensors: { '${weight.name}': ${found[0]!.tensor} }\``,
      })
    }
    if (found[0]) matches.set(weight.name, found[0])
    else if (isLarge(weight)) unmatched.push(weight.name)
  }
  if (unmatched.length > 0) {
    throw new MergeError(`${unmatched.length} weights in the graph match no tensor of the model, by name or by contents: ${unmatched.slice(0, MAX_LISTED).join(', ')}`, {
      where,
      fix: 'name the model that the graph was exported from in the suite, `exported_from: models/base`; or each tensor, `tensors: { input: tensor }`; or what is the same in every model, `constants: [name]`',
    })
  }
  const constants = initializersOf(bytes).flatMap(({ name }) => (matches.has(name) ? [] : [name]))
  const used = new Set([...matches.values()].map(match => match.tensor))
  const unused = [...model.keys()].filter(name => !used.has(name))
  const twins = unused.flatMap(name => [...used].filter(other => isEqual(model.get(name)!, model.get(other)!)).map(other => ({ used: other, unused: name })))
  return { bytes: withInputs(bytes, matches), matches, constants, unused, twins }
}

/** The weights of a model as the inputs of such a graph take them. Throws where it differs in tensors that the graph has as one. */
export function weightsFor(model: Weights, { matches, twins }: Pick<Opened, 'matches' | 'twins'>, where: string): Weights {
  for (const { used, unused } of twins) {
    const [one, other] = [model.get(used), model.get(unused)]
    if (!one || !other || isEqual(one, other)) continue
    throw new MergeError(`the graph has ${used} and ${unused} as one tensor, and in this model they differ`, {
      where,
      fix: 'export the graph from a model in which they differ: exporters keep equal tensors once',
    })
  }
  const filled = [...matches].flatMap(([input, { tensor, isTransposed }]) => {
    const found = model.get(tensor)
    return found ? [[input, isTransposed ? transpose(found) : found] as const] : [] // binding lists what is missing
  })
  return new Map([...model, ...filled])
}

interface Tensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

const MAX_LISTED = 8
const LARGE = 16 // elements: what matches nothing and has fewer is taken for a number that the exporter wrote into a formula

interface Initializer {
  readonly name: string
  readonly dims: readonly number[]
  readonly type: number
  /** Null where they lie in another file. */
  values(): Float32Array | null
}

/** Float tensors; the rest are indices and shapes. */
const isWeight = ({ type }: Initializer): boolean => type === FLOAT || type in HALVES
const isLarge = ({ dims }: Initializer): boolean => sizeOf(dims) >= LARGE

const initializersOf = (model: Uint8Array): readonly Initializer[] => partsOf(model, GRAPH.initializer).map(readTensor)
const inputsOf = (model: Uint8Array): readonly string[] => partsOf(model, GRAPH.input).map(nameIn)

/** The parts of a kind of the graph in a model. */
function partsOf(model: Uint8Array, kind: number): readonly Uint8Array[] {
  try {
    for (const graph of fieldsOf(model)) {
      if (graph.number === MODEL_GRAPH) return [...fieldsOf(graph.bytes)].flatMap(field => (field.number === kind ? [field.bytes] : []))
    }
  } catch {
    // no ONNX file: onnxruntime says so
  }
  return []
}

function readTensor(message: Uint8Array): Initializer {
  const dims: number[] = []
  let type = 0
  let name = ''
  let data: Uint8Array | null = null
  for (const { number, value, bytes } of fieldsOf(message)) {
    if (number === TENSOR.dims) dims.push(...(bytes.length > 0 && value === 0n ? packedVarints(bytes) : [Number(value)]))
    else if (number === TENSOR.type) type = Number(value)
    else if (number === TENSOR.name) name = new TextDecoder().decode(bytes)
    else if (number === TENSOR.raw || number === TENSOR.floats) data = bytes
  }
  return { name, dims, type, values: () => (data === null || data.length !== 4 * sizeOf(dims) ? null : new Float32Array(data.slice().buffer)) }
}

function withInputs(model: Uint8Array, matches: ReadonlyMap<string, Match>): Uint8Array {
  return joined([...fieldsOf(model)].map(field => (field.number === MODEL_GRAPH ? bytesField(MODEL_GRAPH, graphWithInputs(field.bytes, matches)) : field.raw)))
}

function graphWithInputs(graph: Uint8Array, matches: ReadonlyMap<string, Match>): Uint8Array {
  const there = new Set<string>()
  const added: Uint8Array[] = []
  const kept = [...fieldsOf(graph)].flatMap(field => {
    if (field.number === GRAPH.input) there.add(nameIn(field.bytes)) // graphs of old versions list weights among the inputs, too
    if (field.number !== GRAPH.initializer) return [field.raw]
    const { name, dims } = readTensor(field.bytes)
    if (!matches.has(name)) return [field.raw]
    const shape = joined(dims.map(n => bytesField(1, numberField(1, n))))
    const type = bytesField(1, joined([numberField(1, FLOAT), bytesField(2, shape)]))
    if (!there.has(name)) added.push(bytesField(GRAPH.input, joined([bytesField(1, name), bytesField(2, type)])))
    return []
  })
  return joined([...kept, ...added])
}

function nameIn(valueInfo: Uint8Array): string {
  for (const { number, bytes } of fieldsOf(valueInfo)) if (number === 1) return new TextDecoder().decode(bytes)
  return ''
}

/** Finds the tensors of given contents: those of the same sum of bits first, then compared one by one. */
function indexContents(model: Weights) {
  const bySum = new Map<string, { readonly tensor: string; readonly isTransposed: boolean }[]>()
  const keyOf = (shape: readonly number[], data: Float32Array): string => `${shape} ${sumOfBits(data)}`
  for (const [tensor, { shape, data }] of model) {
    for (const isTransposed of shape.length === 2 ? [false, true] : [false]) {
      const key = keyOf(isTransposed ? shape.toReversed() : shape, data)
      bySum.set(key, [...(bySum.get(key) ?? []), { tensor, isTransposed }])
    }
  }
  return (dims: readonly number[], values: Float32Array): readonly Match[] =>
    (bySum.get(keyOf(dims, values)) ?? []).flatMap(({ tensor, isTransposed }): Match[] => {
      const { shape, data } = model.get(tensor)!
      const other = isTransposed ? transpose({ shape, data }).data : data
      return other.every((x, i) => Object.is(x, values[i])) ? [{ tensor, how: 'content', isTransposed }] : []
    })
}

/** The same for any order of the elements. */
const sumOfBits = (data: Float32Array): number => new Int32Array(data.buffer, data.byteOffset, data.length).reduce((sum, bits) => (sum + bits) | 0, 0)

function transpose({ shape, data }: Tensor) {
  const [rows, columns] = shape as [number, number]
  const turned = new Float32Array(data.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = data[i * columns + j]!
  return { shape: [columns, rows], data: turned }
}

const isEqual = (a: Tensor, b: Tensor): boolean => sameShape(a.shape, b.shape) && a.data.every((x, i) => Object.is(x, b.data[i]))
const isSquare = (dims: readonly number[]): boolean => dims.length === 2 && dims[0] === dims[1]
const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i])

/** Of a square weight only its contents tell; where they are those of neither orientation the model is another one, and it lies as it is. */
function isTransposedOf(weight: Initializer, tensor: Tensor): boolean {
  const values = weight.values()
  if (values === null || tensor.data.every((x, i) => Object.is(x, values[i]))) return false
  return transpose(tensor).data.every((x, i) => Object.is(x, values[i]))
}
