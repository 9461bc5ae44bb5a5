import { openFile, readText, statPath } from '../../bytes/file.ts'
import { open } from '../../checkpoint/checkpoint.ts'
import { MergeError } from '../../errors.ts'
import { type DataTensor, readData, rowsIn, tensorOf } from '../data.ts'
import { loadWeights } from '../load.ts'
import { optional, required, type Settings } from '../options.ts'
import type { Subject } from '../subject.ts'
import type { Task } from '../suite.ts'
import { createTokens, type Tokens } from '../tokens.ts'
import type { Weights } from '../weights.ts'
import { rowsFor } from './_feed.ts'
import { type Graph, type Network, openGraph, type Value } from './_graph.ts'
import { holdsWeights, type Match, type Opened, openWeights, weightsFor } from './_initializers.ts'
import { languageModel, rewardModel } from './_language.ts'
import { loadRuntime } from './_runtime.ts'
import type { Engine, Host, Rows, Runner } from './engine.ts'

const options = {
  graph: required('path', 'The network: an ONNX file. Its inputs are the data and the weights, named like the tensors of the model; or it holds weights, which become inputs.'),
  exported_from: optional('path', 'The model that a graph with weights of its own was exported from: what its names do not tell is matched by contents.'),
  head: optional('path', 'A second ONNX file that takes the outputs of the first: a head that is not part of the models.'),
  head_weights: optional('path', 'The weights of the head: a safetensors file.'),
  constants: optional('texts', 'What a graph with weights of its own holds that is the same for every model.'),
  output: optional('text', 'The output that is scored. Default: the only one, else `logits`.'),
  inputs: optional('names', 'Fields of the data by the graph inputs that they fill, where their names differ.'),
  scale: optional('names', 'Fields of the data that hold one number, by the graph inputs that are multiplied with it.'),
  tensors: optional('names', 'Tensors of the model by the graph inputs that they fill, where their names differ, as with tied embeddings.'),
  tokenizer: optional('path', 'A tokenizer.json, or a folder with one. Default: the model’s own.'),
} as const
type Own = Settings<typeof options>

const ROWS_PER_BATCH = 100 // 25 to 1,000 images are equally fast; a hundred keeps memory small
const IDS = 'input_ids'
const MASK = 'attention_mask'
const POSITIONS = 'position_ids'

export default {
  summary: 'ONNX Runtime on a network whose weights are inputs: one session serves every model. Uses onnxruntime-node where it is installed.',
  abilities: ['classify', 'likelihoods', 'rewards', 'generate', 'tokens'],
  options,
  start: startOnnx,
} satisfies Engine

/** Every model would get the same scores. */
function refuseWeightless({ inputs, name }: Graph, free: readonly string[]): void {
  if ([...inputs.keys()].some(input => !free.includes(input))) return
  throw new MergeError('the graph takes no weights: whatever the model, its scores would be the same', {
    where: name,
    fix: 'export it with its weights as inputs or as initialisers, not as `Constant` nodes',
  })
}

/** A graph, and which tensors fill its inputs where it came with weights of its own. */
interface Bindable {
  readonly graph: Graph
  readonly opened: Opened | null
}

function startOnnx(threads: number | null): Host {
  const runtime = once(() => loadRuntime(threads))
  const graphs = keyed<Bindable>()
  const heads = keyed<Weights>()
  let last: { readonly subject: Subject; readonly weights: Promise<Weights> } | null = null // one model in memory, however many are compared
  const notes = new Set<string>()

  async function openBindable({ graph: path, exported_from, tensors, constants }: Own, model: Weights): Promise<Bindable> {
    const bytes = await bytesIn(path)
    const origin = exported_from === null ? model : await loadWeights(await open(exported_from))
    if (!holdsWeights(bytes, origin)) return { graph: await openGraph(bytes, path, await runtime()), opened: null }
    const opened = openWeights(bytes, origin, tensors ?? {}, path, constants ?? [])
    notes.add(`${path}: ${describeMatches(opened)}`)
    return { graph: await openGraph(opened.bytes, path, await runtime()), opened }
  }
  return {
    identity: async () => (await runtime()).name,
    async files(task) {
      const { graph, head, head_weights, tokenizer, exported_from } = own(task)
      const origin = exported_from === null ? [] : (await open(exported_from)).files.flatMap(({ locator }) => ('file' in locator ? [locator.file] : []))
      return [graph, head, head_weights, tokenizer && tokenizerFile(tokenizer), ...origin].flatMap(path => path ?? [])
    },
    async run(task, subject) {
      const settings = own(task)
      if (last?.subject !== subject) last = { subject, weights: subject.weights() }
      const model = await last.weights
      const { graph, opened } = await graphs.get(JSON.stringify([settings.graph, settings.exported_from, settings.tensors, settings.constants]), () =>
        openBindable(settings, model),
      )
      const bind = (free: readonly string[]): Network => {
        refuseWeightless(graph, free)
        return opened ? graph.bind(weightsFor(model, opened, graph.name), free) : graph.bind(model, free, settings.tensors ?? {})
      }
      const tokens = once(() => tokensFor(settings, subject))
      const ask = once(async () => textNetwork(graph, bind, settings.output))
      const classify = async (data: ReadonlyMap<string, DataTensor>): Promise<Rows> => scoreRows(graph, bind, await headOf(settings, graph), data, settings, task.dataName)
      const lazily = (ids: Value, mask: Value): Promise<Value> => ask().then(run => run(ids, mask))
      return { classify, tokens, ...languageModel(lazily), ...rewardModel(lazily) } satisfies Partial<Runner>
    },
    notes: () => [...notes],
    close: async () => {
      await Promise.all((await graphs.all()).map(({ graph }) => graph.close()))
    },
  }

  async function headOf({ head, head_weights }: Own, trunk: Graph): Promise<Network | null> {
    if (head === null) return null
    const { graph } = await graphs.get(head, async () => ({ graph: await openGraph(await bytesIn(head), head, await runtime()), opened: null }))
    const filled = head_weights === null ? null : await heads.get(head_weights, async () => floatsIn(await tensorsIn(head_weights)))
    return headNetwork(graph, filled, trunk)
  }
}

const bytesIn = (path: string): Promise<Uint8Array> => openFile(path).then(file => file.read(0, file.size))

/** `37 weights matched by name and 12 by contents; 8 of them transposed`. */
function describeMatches({ matches, constants, unused }: Opened): string {
  const all = [...matches.values()]
  const count = (how: Match['how']): number => all.filter(m => m.how === how).length
  const turned = all.filter(m => m.isTransposed).length
  const parts = [`${count('name')} weights matched by name and ${count('content')} by contents`]
  if (turned > 0) parts.push(`${turned} of them transposed`)
  if (constants.length > 0) parts.push(`kept as constants: ${listed(constants)}`)
  if (unused.length > 0) parts.push(`tensors that the graph does not use: ${listed(unused)}`)
  return parts.join('; ')
}

const own = (task: Task): Own => task.settings as unknown as Own // read by these very declarations

/** Every row through the network, and through the head behind it. */
async function scoreRows(
  graph: Graph,
  bind: (free: readonly string[]) => Network,
  head: Network | null,
  data: ReadonlyMap<string, DataTensor>,
  { inputs, scale, output }: Own,
  where: string,
): Promise<Rows> {
  const fields = new Map([...data.keys()].filter(field => graph.inputs.has(field)).map(field => [field, field]))
  for (const [input, field] of Object.entries(inputs ?? {})) fields.set(input, field)
  const all = { kind: 'tensors', file: where, tensors: data } as const
  const feeds = [...fields].map(([name, field]) => {
    const input = graph.inputs.get(name)
    if (!input)
      throw new MergeError(`the graph has no input "${name}"`, { where: graph.name, fix: `\`inputs\` of the suite names it; the graph has ${listed([...graph.inputs.keys()])}` })
    const factor = scale && Object.hasOwn(scale, name) ? Number(tensorOf(all, scale[name]!).data[0]) : 1
    return { input, tensor: tensorOf(all, field), factor }
  })
  if (feeds.length === 0) {
    throw new MergeError(`no field of the data fills an input of the graph: the data has ${listed([...data.keys()])}`, {
      where,
      fix: 'name the field of an input in the suite: `inputs: { images: pixels }`',
    })
  }
  const network = bind(feeds.map(feed => feed.input.name))
  const count = rowsIn(data)
  const pieces: Float32Array[] = []
  for (let start = 0; start < count; start += ROWS_PER_BATCH) {
    const end = Math.min(start + ROWS_PER_BATCH, count)
    const hidden = await network(Object.fromEntries(feeds.map(({ input, tensor, factor }) => [input.name, rowsFor(input, tensor, start, end, factor)])))
    pieces.push(chosen(head ? await head(hidden) : hidden, output, graph.name).data as Float32Array)
  }
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const scores = new Float32Array(total)
  for (let i = 0, at = 0; i < pieces.length; at += pieces[i++]!.length) scores.set(pieces[i]!, at)
  return { width: total / count, data: scores }
}

function headNetwork(head: Graph, weights: Weights | null, trunk: Graph): Network {
  const free = [...head.inputs.keys()].filter(input => trunk.outputs.includes(input))
  if (free.length === 0) {
    throw new MergeError(`no output of the graph fills an input of its head`, {
      where: head.name,
      fix: `the graph gives ${trunk.outputs.join(', ')}; the head takes ${listed([...head.inputs.keys()])}`,
    })
  }
  const network = head.bind(weights ?? new Map(), free)
  return outputs => network(Object.fromEntries(free.map(name => [name, outputs[name]!])))
}

/** Asks the network about tokens, with mask and positions where it takes them. */
function textNetwork(graph: Graph, bind: (free: readonly string[]) => Network, output: string | null): (ids: Value, mask: Value) => Promise<Value> {
  if (!graph.inputs.has(IDS))
    throw new MergeError(`the graph takes no \`${IDS}\``, { where: graph.name, fix: `use the graph of a language model; this one takes ${listed([...graph.inputs.keys()])}` })
  const network = bind([IDS, MASK, POSITIONS].filter(name => graph.inputs.has(name)))
  return async (ids, mask) => {
    const [rows, length] = ids.dims as [number, number]
    const feeds: Record<string, Value> = { [IDS]: ids }
    if (graph.inputs.has(MASK)) feeds[MASK] = mask
    if (graph.inputs.has(POSITIONS)) feeds[POSITIONS] = { dims: ids.dims, data: BigInt64Array.from({ length: rows * length }, (_, i) => BigInt(i % length)) }
    return chosen(await network(feeds), output, graph.name)
  }
}

function chosen(outputs: Readonly<Record<string, Value>>, name: string | null, where: string): Value {
  const names = Object.keys(outputs)
  const wanted = name ?? (names.length === 1 ? names[0]! : 'logits')
  const value = outputs[wanted]
  if (value?.data instanceof Float32Array) {
    refuseNaN(value.data, where)
    return value
  }
  throw new MergeError(value ? `the output "${wanted}" is not float32` : `the network has no output "${wanted}"`, {
    where,
    fix: `name one of its outputs in the suite, \`output: …\`: ${names.join(', ')}`,
  })
}

/** A comparison with NaN is false: it would pass for a class, or for the worse of a pair. */
function refuseNaN(data: Float32Array, where: string): void {
  for (let i = 0; i < data.length; i++) {
    if (Number.isNaN(data[i])) throw new MergeError('the network gives NaN', { where, fix: 'lower the weights of the merge' })
  }
}

async function tokensFor({ tokenizer }: Own, subject: Subject): Promise<Tokens> {
  if (tokenizer === null) {
    const json = await subject.text('tokenizer.json')
    if (json === null) throw new MergeError(`${subject.name} has no tokenizer.json`, { fix: 'give the suite one: `tokenizer: models/base`' })
    return createTokens(json, await subject.text('tokenizer_config.json'), `${subject.name}/tokenizer.json`)
  }
  const file = tokenizerFile(tokenizer)
  const config = file.replace(/tokenizer\.json$/, 'tokenizer_config.json')
  return createTokens(await readText(file), config !== file && (await statPath(config)) ? await readText(config) : null, file)
}

const tokenizerFile = (path: string): string => (path.endsWith('.json') ? path : `${path}/tokenizer.json`)

async function tensorsIn(path: string): Promise<ReadonlyMap<string, DataTensor>> {
  const data = await readData(path, path)
  if (data.kind === 'tensors') return data.tensors
  throw new MergeError('the weights of a head are a safetensors file', { where: path, fix: 'name a .safetensors file' })
}

const floatsIn = (tensors: ReadonlyMap<string, DataTensor>): Weights =>
  new Map([...tensors].flatMap(([name, { shape, data }]) => (data instanceof Float32Array ? [[name, { shape, data }] as const] : [])))

const MAX_LISTED = 8
const listed = (names: readonly string[]): string => `${names.slice(0, MAX_LISTED).join(', ')}${names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : ''}`

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null
  return () => (made ??= make())
}

function keyed<T>() {
  const made = new Map<string, Promise<T>>()
  return {
    get(key: string, make: () => Promise<T>): Promise<T> {
      const known = made.get(key) ?? make()
      made.set(key, known)
      return known
    },
    /** What has come to be; what has failed has been told. */
    all: async (): Promise<readonly T[]> => (await Promise.allSettled(made.values())).flatMap(r => (r.status === 'fulfilled' ? [r.value] : [])),
  }
}
