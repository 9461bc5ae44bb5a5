import { readText } from '../bytes/file.ts'
import { readBytes } from './_files.ts'
import { type Network, openGraph } from './engine.ts'
import type { Evaluation } from './evaluation.ts'
import { type Split, type TextName, type TextPart, textSuite } from './suites.ts'
import type { Weights } from './weights.ts'

/** The held-out texts of `folder` (zoo/text), ready for models. The score is bits per byte: lower is better. */
export async function openText<N extends TextName>(folder: string, names: readonly N[], split: Split): Promise<Evaluation<N, number>> {
  const suite = textSuite(folder)
  const encode = await openTokenizer(suite.tokenizer, suite.tokenizerConfig)
  const texts = new Map(await Promise.all(names.map(async name => [name, await openPart(encode, suite.texts[name][split])] as const)))
  const graph = await openGraph(await readBytes(suite.graph), suite.graph)
  return {
    async score<M extends N = N>(weights: Weights, some?: readonly M[]) {
      const network = graph.bind(weights, ['input_ids'])
      const all = names as readonly N[] as readonly M[] // M is N where `some` is not given
      const scores = {} as Record<M, number>
      for (const name of some ?? all) scores[name] = await bitsPerByte(network, texts.get(name) as Text)
      return scores
    },
    close: () => graph.close(),
  }
}

/** Bits per byte of one model; `openText` saves opening the files again for the next. */
export async function scoreText<N extends TextName>(folder: string, weights: Weights, names: readonly N[], split: Split): Promise<Record<N, number>> {
  const text = await openText(folder, names, split)
  try {
    return await text.score(weights)
  } finally {
    await text.close()
  }
}

interface Text {
  readonly ids: readonly number[]
  readonly bytes: number
}

type Encode = (text: string) => readonly number[]

async function openTokenizer(file: string, configFile: string): Promise<Encode> {
  const { Tokenizer } = await import('@huggingface/tokenizers')
  const tokenizer = new Tokenizer(JSON.parse(await readText(file)), JSON.parse(await readText(configFile)))
  return text => tokenizer.encode(text, { add_special_tokens: false }).ids
}

async function openPart(encode: Encode, { file, characters }: TextPart): Promise<Text> {
  const whole = await readText(file)
  const text = characters === undefined ? whole : [...whole].slice(0, characters).join('')
  return { ids: encode(text), bytes: new TextEncoder().encode(text).length }
}

const CHUNK = 128 // tokens; the context of the models
const START = 1 // the id of <s>, which begins every window
const CHUNKS_PER_BATCH = 16 // 8 to 64 are equally fast; the logits of 16 take 10 MB

/** Chunks do not overlap: <s> and all but the last token of a chunk go in, and each token of the chunk is predicted once. */
async function bitsPerByte(network: Network, { ids, bytes }: Text): Promise<number> {
  const even = ids.length - (ids.length % CHUNK)
  let bits = 0
  for (let start = 0; start < even; start += CHUNK * CHUNKS_PER_BATCH) {
    bits += await bitsOf(network, ids.slice(start, Math.min(start + CHUNK * CHUNKS_PER_BATCH, even)), CHUNK)
  }
  if (even < ids.length) bits += await bitsOf(network, ids.slice(even), ids.length - even) // the last chunk is shorter
  return bits / bytes
}

/** Bits the network needs for `targets`, cut into chunks of `length`. */
async function bitsOf(network: Network, targets: readonly number[], length: number): Promise<number> {
  const inputs = BigInt64Array.from(targets, (_, i) => BigInt(i % length === 0 ? START : (targets[i - 1] as number)))
  const { logits } = await network({ input_ids: { dims: [targets.length / length, length], data: inputs } })
  const scores = logits?.data as Float32Array // graph.onnx gives float32 `logits` [chunks, length, vocabulary]
  const vocabulary = scores.length / targets.length
  let bits = 0
  for (const [i, target] of targets.entries()) bits += surprise(scores.subarray(i * vocabulary, (i + 1) * vocabulary), target)
  return bits
}

/** −log2 of the softmax of `scores` at `target`, in doubles. Counted loops: with iterators this would take a third of the evaluation. */
function surprise(scores: Float32Array, target: number): number {
  let highest = -Infinity
  for (let i = 0; i < scores.length; i++) highest = Math.max(highest, scores[i] as number) // i < length, here and below
  let total = 0
  for (let i = 0; i < scores.length; i++) total += Math.exp((scores[i] as number) - highest)
  return (Math.log(total) - ((scores[target] as number) - highest)) / Math.LN2
}
