import { MergeError } from '../../errors.ts'
import type { Value } from './_graph.ts'
import type { Runner, Sampling, Window } from './engine.ts'

const TOKENS_PER_BATCH = 2048 // 1,024 to 8,192 are equally fast; the logits of a vocabulary of 1,280 then take 10 MB
const PAD = 0 // behind the end, where a causal model does not look; the zoo's reward model takes id 0 for padding too

/** A language model: `input_ids` [N,T] → scores of the next token [N,T,V]. `ask` runs it on rows of equal length. */
export function languageModel(ask: (ids: Value, mask: Value) => Promise<Value>): Pick<Runner, 'likelihoods' | 'generate'> {
  return {
    async likelihoods(windows) {
      const results: Float64Array[] = new Array(windows.length)
      for (const rows of batches(windows.map(w => w.inputs.length))) {
        const { data, dims } = await ask(...padded(rows.map(row => windows[row]!.inputs)))
        const [, length, vocabulary] = dims as [number, number, number]
        for (const [n, row] of rows.entries()) results[row] = likelihoodsOf(windows[row]!, data as Float32Array, n * length, vocabulary)
      }
      return results
    },
    async generate(prompts, sampling) {
      const texts = prompts.map(prompt => [...prompt])
      const isOver = prompts.map(() => false)
      for (let step = 0; step < sampling.length; step++) {
        const open = texts.flatMap((_, i) => (isOver[i] ? [] : [i]))
        for (const batch of batches(open.map(i => Math.min(texts[i]!.length, sampling.context)))) {
          const rows = batch.map(b => open[b]!)
          const seen = rows.map(i => texts[i]!.slice(-sampling.context))
          const { data, dims } = await ask(...padded(seen))
          const [, length, vocabulary] = dims as [number, number, number]
          for (const [n, i] of rows.entries()) {
            const at = (n * length + seen[n]!.length - 1) * vocabulary
            const token = sample((data as Float32Array).subarray(at, at + vocabulary), sampling, uniform(sampling.seed, i, step))
            if (token === sampling.stop) isOver[i] = true
            else texts[i]!.push(token)
          }
        }
      }
      return texts.map((text, i) => text.slice(prompts[i]!.length))
    },
  }
}

/** A reward model: `input_ids` [N,T] → one number for each row, read at its last token. */
export function rewardModel(ask: (ids: Value, mask: Value) => Promise<Value>): Pick<Runner, 'rewards'> {
  return {
    async rewards(sequences) {
      const results: number[] = new Array(sequences.length)
      for (const rows of batches(sequences.map(s => s.length))) {
        const { data } = await ask(...padded(rows.map(row => sequences[row]!)))
        for (const [n, row] of rows.entries()) results[row] = Number(data[n])
      }
      return results
    },
  }
}

/** Indices in groups of similar length, none with more than so many tokens once padded. */
export function batches(lengths: readonly number[]): readonly (readonly number[])[] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b)
  const groups: number[][] = []
  for (const i of order) {
    const group = groups.at(-1)
    if (group && (group.length + 1) * lengths[group[0]!]! <= TOKENS_PER_BATCH) group.push(i)
    else groups.push([i])
  }
  return groups
}

function padded(rows: readonly (readonly number[])[]): [ids: Value, mask: Value] {
  const length = rows.reduce((most, row) => Math.max(most, row.length), 0)
  const ids = new BigInt64Array(rows.length * length).fill(BigInt(PAD))
  const mask = new BigInt64Array(rows.length * length)
  for (const [n, row] of rows.entries()) {
    for (const [t, id] of row.entries()) ids[n * length + t] = BigInt(id)
    mask.fill(1n, n * length, n * length + row.length)
  }
  const dims = [rows.length, length]
  return [
    { dims, data: ids },
    { dims, data: mask },
  ]
}

function likelihoodsOf({ targets }: Window, scores: Float32Array, firstRow: number, vocabulary: number): Float64Array {
  const asked = targets.flatMap((target, t) => (target < 0 ? [] : [[target, t] as const]))
  return Float64Array.from(asked, ([target, t]) => {
    if (target >= vocabulary) throw new MergeError(`the token ${target} is not among the model’s ${vocabulary}`, { fix: 'use the tokenizer that belongs to this model' })
    const row = (firstRow + t) * vocabulary
    return logSoftmaxAt(scores.subarray(row, row + vocabulary), target)
  })
}

/** ln of the softmax of `scores` at `target`, in doubles. Counted loops: with iterators this would take a third of the evaluation. */
export function logSoftmaxAt(scores: Float32Array, target: number): number {
  let highest = -Infinity
  for (let i = 0; i < scores.length; i++) highest = Math.max(highest, scores[i]!)
  let total = 0
  for (let i = 0; i < scores.length; i++) total += Math.exp(scores[i]! - highest)
  return scores[target]! - highest - Math.log(total)
}

/** The token at `u` of the cumulative distribution of softmax(scores / temperature), or the likeliest at temperature 0. */
export function sample(scores: Float32Array, { temperature, banned }: Sampling, u: number): number {
  let best = -1
  for (let i = 0; i < scores.length; i++) if (!banned.includes(i) && (best < 0 || scores[i]! > scores[best]!)) best = i
  if (temperature === 0) return best
  const weights = Float64Array.from(scores, (score, i) => (banned.includes(i) ? 0 : Math.exp((score - scores[best]!) / temperature)))
  let left = u * weights.reduce((a, b) => a + b, 0)
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i]!
    if (left < 0) return i
  }
  return best // rounding has used up the sum
}

/** In [0, 1): a pure function of its arguments (splitmix32 over a keyed counter), so that batches change no sample. */
export function uniform(seed: number, ...counters: readonly number[]): number {
  let state = mix(seed | 0) ^ mix(Math.floor(seed / 2 ** 32))
  for (const counter of counters) state = mix(state ^ mix(counter + 0x9e3779b9))
  return (mix(state + 0x9e3779b9) >>> 0) / 2 ** 32
}

function mix(x: number): number {
  let z = (x + 0x9e3779b9) | 0
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return z ^ (z >>> 15)
}
