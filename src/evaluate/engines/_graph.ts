import { closest } from 'fastest-levenshtein'
import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { MergeError } from '../../errors.ts'
import type { Weights } from '../weights.ts'
import { loadRuntime, type Runtime } from './_runtime.ts'

/** One input or output of a graph, row-major. */
export interface Value {
  readonly dims: readonly number[]
  readonly data: Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array
}

export interface Input {
  readonly name: string
  /** As onnxruntime calls it: `float32`, `uint8`, `int64`. */
  readonly type: string
  /** Symbols, such as N, where any size will do. */
  readonly shape: readonly (number | string)[]
}

/** A network without weights: they are inputs like the data, named like the tensors of a checkpoint. */
export interface Graph {
  /** As errors call it. */
  readonly name: string
  readonly inputs: ReadonlyMap<string, Input>
  readonly outputs: readonly string[]
  /**
   * The network with the weights of one model: a function of the inputs called `free`. `names` gives the tensors of inputs that are called otherwise.
   * Throws when `weights` lacks one of the other inputs, or has it in another shape; more tensors than inputs are no fault.
   */
  bind(weights: Weights, free: readonly string[], names?: Readonly<Record<string, string>>): Network
  close(): Promise<void>
}

/** The outputs for one batch of free inputs. */
export type Network = (feeds: Readonly<Record<string, Value>>) => Promise<Readonly<Record<string, Value>>>

/** The ONNX graph in `bytes`; `name` is how errors call it. */
export async function openGraph(bytes: Uint8Array, name: string, runtime?: Runtime): Promise<Graph> {
  const { Tensor, open } = runtime ?? (await loadRuntime())
  const session = await open(bytes).catch((cause: unknown) => {
    throw new MergeError(`${name}: onnxruntime cannot open this graph (${messageOf(cause)})`, { where: name, fix: 'use an ONNX file whose weights are graph inputs', cause })
  })
  const inputs = new Map(session.inputMetadata.map(input => [input.name, describe(input)]))
  const tensor = ({ data, dims }: Value): Tensor => {
    if (data instanceof Float32Array) return new Tensor('float32', data, dims)
    if (data instanceof Uint8Array) return new Tensor('uint8', data, dims)
    if (data instanceof Int8Array) return new Tensor('int8', data, dims)
    return data instanceof Int32Array ? new Tensor('int32', data, dims) : new Tensor('int64', data, dims)
  }
  return {
    name,
    inputs,
    outputs: session.outputNames,
    bind(weights, free, names = {}) {
      const bound: Record<string, Tensor> = {}
      const needed = [...inputs.values()].filter(input => !free.includes(input.name))
      const nameOf = (input: Input): string => (Object.hasOwn(names, input.name) ? names[input.name]! : input.name)
      requireWeights(needed.map(nameOf), weights, name)
      for (const input of needed) {
        const { shape, data } = weights.get(nameOf(input))!
        requireShape(input, shape, name)
        bound[input.name] = tensor({ dims: shape, data })
      }
      return async feeds => {
        const given = Object.fromEntries(Object.entries(feeds).map(([key, value]) => [key, tensor(value)]))
        const outputs = await session.run({ ...bound, ...given }).catch((cause: unknown) => {
          throw new MergeError(`${name}: the network failed (${messageOf(cause)})`, { where: name, fix: 'check that the data and the model belong to this graph', cause })
        })
        return outputs as unknown as Readonly<Record<string, Value>> // the graphs give float32 and int64, which these unions name
      }
    },
    close: () => session.release(),
  }
}

const describe = (input: InferenceSession.ValueMetadata): Input =>
  input.isTensor ? { name: input.name, type: input.type, shape: input.shape } : { name: input.name, type: 'no tensor', shape: [] }

const MAX_LISTED = 8 // names in one message: enough to see the pattern

function requireWeights(names: readonly string[], weights: Weights, graph: string): void {
  const missing = names.filter(name => !weights.has(name))
  const [first] = missing
  if (first === undefined) return
  const listed = missing.slice(0, MAX_LISTED).join(', ')
  const more = missing.length > MAX_LISTED ? ` and ${missing.length - MAX_LISTED} more` : ''
  const nearest = weights.size > 0 ? `; the nearest name to ${first} in this model is ${closest(first, [...weights.keys()])}` : ''
  throw new MergeError(`the model lacks ${missing.length} of the ${names.length} tensors this graph needs: ${listed}${more}`, {
    where: graph,
    fix: `evaluate a model of the graph's own architecture${nearest}`,
  })
}

/** The shape of an input may hold symbols, such as V for the size of the vocabulary. */
function requireShape({ name, shape: expected }: Input, shape: readonly number[], graph: string): void {
  if (expected.length === shape.length && expected.every((n, i) => typeof n === 'string' || n === shape[i])) return
  throw new MergeError(`${name}: shape [${shape.join(',')}], where the graph needs [${expected.join(',')}]`, {
    where: graph,
    fix: "evaluate a model of the graph's own architecture and size",
  })
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
