import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { METHODS } from '../src/methods/_all.ts'
import { decode } from './floats.ts'
import { GOLDEN, mergeInMemory, tensorsOf } from './golden.ts'

// Methods that draw random numbers have no exact output: over many seeds the merged delta must be distributed as mergekit's.

interface Stat {
  readonly mean: number
  readonly std: number
}
interface Stats {
  readonly tensors: Readonly<
    Record<string, { readonly numel: number; readonly output: Readonly<Record<'nonzero_fraction' | 'l1_ratio_to_dense' | 'l2_ratio_to_dense' | 'cosine_to_dense', Stat>> }>
  >
}
interface Case {
  readonly name: string
  readonly method: string
}

const SEEDS = 40
const THEIR_SEEDS = 200
const { stochastic } = JSON.parse(readFileSync(join(GOLDEN, 'index.json'), 'utf8')) as { stochastic: readonly Case[] }

describe('mergekit draws alike', () => {
  for (const { name, method } of stochastic) {
    if (!Object.hasOwn(METHODS, method)) continue
    test(name, async () => {
      const text = readFileSync(join(GOLDEN, 'stochastic', name, 'recipe.yml'), 'utf8')
      const { tensors } = JSON.parse(readFileSync(join(GOLDEN, 'stochastic', name, 'stats.json'), 'utf8')) as Stats
      const base = await tensorsOf(join(GOLDEN, 'models/base'))
      // Density 1 drops nothing and rescales nothing: plain addition, which the statistics call dense.
      const dense = await mergeInMemory(text.replace(/merge_method: \w+/, 'merge_method: task_arithmetic').replace(/normalize: \w+/, 'normalize: false'), name)
      const totals = new Map<string, number[]>()
      for (let seed = 0; seed < SEEDS; seed++) {
        const merged = await mergeInMemory(text, name, seed)
        for (const tensor of Object.keys(tensors)) {
          const zero = decode('F32', base.get(tensor)!.bytes)
          const delta = decode('F32', merged.get(tensor)!.bytes).map((x, i) => x - zero[i]!)
          const full = decode('F32', dense.get(tensor)!.bytes).map((x, i) => x - zero[i]!)
          const norm = (x: Float64Array): number => Math.sqrt(x.reduce((t, v) => t + v * v, 0))
          const l1 = (x: Float64Array): number => x.reduce((t, v) => t + Math.abs(v), 0)
          const dot = delta.reduce((t, v, i) => t + v * full[i]!, 0)
          const values = [delta.filter(v => v !== 0).length / delta.length, l1(delta) / l1(full), norm(delta) / norm(full), dot / (norm(delta) * norm(full))]
          totals.set(
            tensor,
            values.map((v, i) => v + (totals.get(tensor)?.[i] ?? 0)),
          )
        }
      }
      for (const [tensor, { output }] of Object.entries(tensors)) {
        for (const [i, key] of (['nonzero_fraction', 'l1_ratio_to_dense', 'l2_ratio_to_dense', 'cosine_to_dense'] as const).entries()) {
          const { mean, std } = output[key]
          const ours = totals.get(tensor)![i]! / SEEDS
          expect(Math.abs(ours - mean), `${tensor}: ${key} is ${ours}, mergekit's ${mean}`).toBeLessThanOrEqual(5 * std * Math.sqrt(1 / SEEDS + 1 / THEIR_SEEDS) + 1e-5)
        }
      }
    })
  }
})

test('the same seed draws the same numbers, another seed others', async () => {
  const text = readFileSync(join(GOLDEN, 'stochastic/dare-ties-two/recipe.yml'), 'utf8')
  const [a, b, c] = await Promise.all([7, 7, 8].map(seed => mergeInMemory(text, 'dare', seed)))
  const bytes = (m: typeof a): string => Buffer.from(m!.get('lm_head.weight')!.bytes).toString('hex')
  expect(bytes(a)).toBe(bytes(b))
  expect(bytes(a)).not.toBe(bytes(c))
})
