import { closest } from 'fastest-levenshtein'
import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { MergeError } from '../errors.ts'
import type { Weights } from './weights.ts'

/** One input or output of a graph, row-major. */
export interface Value {
  readonly dims: readonly number[]
  readonly data: Float32Array | Uint8Array | BigInt64Array
}

/** A network without weights: they are inputs like the data, named like the tensors of a checkpoint. */
export interface Graph {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Runs once; `feeds` holds every input. */
  run(feeds: Readonly<Record<string, Value>>): Promise<Record<string, Value>>
  /**
   * The network with the weights of one model: a function of the inputs called `free`.
   * Throws when `weights` lacks one of the other inputs, or has it in another shape; more tensors than inputs are no fault.
   */
  bind(weights: Weights, free: readonly string[]): Network
  close(): Promise<void>
}

export type Network = (feeds: Readonly<Record<string, Value>>) => Promise<Record<string, Value>>

/** The ONNX graph in `bytes`; `name` is how errors call it. */
export async function openGraph(bytes: Uint8Array, name: string): Promise<Graph> {
  const { env, InferenceSession, Tensor } = await import('onnxruntime-web')
  env.wasm.numThreads = threads()
  env.logLevel = 'error' // its warnings are about the placement of nodes, nothing a user can act on
  const session = await InferenceSession.create(bytes, { executionProviders: ['wasm'], logSeverityLevel: 3 }).catch((cause: unknown) => {
    throw new MergeError(`${name}: onnxruntime cannot open this graph (${messageOf(cause)})`, { where: name, fix: 'use an ONNX file whose weights are graph inputs', cause })
  })
  const tensor = ({ data, dims }: Value): Tensor => {
    if (data instanceof Float32Array) return new Tensor('float32', data, dims)
    return data instanceof Uint8Array ? new Tensor('uint8', data, dims) : new Tensor('int64', data, dims)
  }
  const run = async (feeds: Record<string, Tensor>): Promise<Record<string, Value>> => {
    const outputs = await session.run(feeds).catch((cause: unknown) => {
      throw new MergeError(`${name}: the network failed (${messageOf(cause)})`, { where: name, fix: 'check that the data and the model belong to this graph', cause })
    })
    return outputs as unknown as Record<string, Value> // the graphs give float32 and int64, which these unions name
  }
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    run: feeds => run(mapValues(feeds, tensor)),
    bind(weights, free) {
      const names = session.inputNames.filter(input => !free.includes(input))
      requireWeights(names, weights, name)
      const bound: Record<string, Tensor> = {}
      for (const input of session.inputMetadata) {
        const weight = weights.get(input.name)
        if (!weight || free.includes(input.name)) continue
        requireShape(input, weight.shape, name)
        bound[input.name] = tensor({ dims: weight.shape, data: weight.data })
      }
      return feeds => run({ ...bound, ...mapValues(feeds, tensor) })
    },
    close: () => session.release(),
  }
}

const MAX_THREADS = 4 // the limit of onnxruntime's own default

/** 2 threads take 0.6 of the time of one on the zoo's graphs. Node 20 does not tell the number of cores through a web API: there, 2. */
function threads(): number {
  if (globalThis.crossOriginIsolated === false) return 1 // a page without these headers has no shared memory; undefined in Node
  return Math.min(MAX_THREADS, globalThis.navigator?.hardwareConcurrency ?? 2)
}

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

/** `expected` may hold symbols, such as V for the size of the vocabulary. */
function requireShape(input: InferenceSession.ValueMetadata, shape: readonly number[], graph: string): void {
  const expected = input.isTensor ? input.shape : []
  if (expected.length === shape.length && expected.every((n, i) => typeof n === 'string' || n === shape[i])) return
  throw new MergeError(`${input.name}: shape [${shape.join(',')}], where the graph needs [${expected.join(',')}]`, {
    where: graph,
    fix: "evaluate a model of the graph's own architecture and size",
  })
}

const mapValues = <A, B>(record: Readonly<Record<string, A>>, f: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]))

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
