import { memorySink } from '../bytes/sink.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { sizeOf } from '../dtype.ts'
import { execute } from '../execute/execute.ts'
import { type Plan, plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Weights } from './weights.ts'

/** A checkpoint's tensors as float32, in memory. */
export async function loadWeights(checkpoint: Checkpoint): Promise<Weights> {
  const recipe = parse('model', { models: { model: checkpoint.ref }, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  return runInMemory(plan(recipe, new Map([['model', checkpoint]]), { threads: 1 }))
}

/** The model a plan gives, without writing it. Its output dtype must be float32. */
export async function runInMemory(merge: Plan): Promise<Weights> {
  const sink = memorySink()
  for await (const _ of execute(merge, sink)) {
    // the events matter to nobody here
  }
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>()
  for (const file of merge.outputs) {
    const { buffer } = sink.files.get(file.name)!
    for (const { name, dtype, shape, at } of file.tensors) {
      if (dtype === 'F32') weights.set(name, { shape, data: new Float32Array(buffer as ArrayBuffer, at, sizeOf(shape)) }) // wide dtypes come first in a file, so `at` is a multiple of 4
    }
  }
  return weights
}
