import { memorySink } from '../bytes/sink.ts'
import { memorySource } from '../bytes/source.ts'
import { layersOf } from '../checkpoint/architecture.ts'
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { isFloat, sizeOf } from '../dtype.ts'
import { execute } from '../execute/execute.ts'
import safetensors from '../formats/safetensors.ts'
import { type Plan, plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Weights } from './weights.ts'

/** A checkpoint's tensors as float32, in memory. Those of whole numbers are left out. */
export async function loadWeights(checkpoint: Checkpoint): Promise<Weights> {
  const recipe = parse('model', { models: { model: checkpoint.ref }, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  return runInMemory(plan(recipe, new Map([['model', checkpoint]]), { threads: 1 }))
}

/** The model that a plan would write, rounded to its dtype, as float32: nothing is written. */
export async function runInMemory(merge: Plan): Promise<Weights> {
  const sink = memorySink()
  for await (const _ of execute(merge, sink)) {
    // the events matter to nobody here
  }
  const isWide = merge.outputs.every(file => file.tensors.every(({ dtype }) => dtype === 'F32' || !isFloat(dtype)))
  if (!isWide) return loadWeights(await checkpointIn(sink.files, merge))
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>()
  for (const file of merge.outputs) {
    const { buffer } = sink.files.get(file.name)!
    for (const { name, dtype, shape, at } of file.tensors) {
      if (dtype === 'F32') weights.set(name, { shape, data: new Float32Array(buffer as ArrayBuffer, at, sizeOf(shape)) }) // wide dtypes come first in a file, so `at` is a multiple of 4
    }
  }
  return weights
}

/** The files of a finished merge as a model that was opened. */
async function checkpointIn(written: ReadonlyMap<string, Uint8Array>, { outputs }: Plan): Promise<Checkpoint> {
  const files: Checkpoint['files'][number][] = []
  const tensors = new Map<string, CheckpointTensor>()
  for (const { name } of outputs) {
    const source = memorySource(name, written.get(name)!)
    const table = await safetensors.readTable(source)
    for (const entry of table.tensors) tensors.set(entry.name, { ...entry, file: files.length })
    files.push({ name, locator: source.locator, size: source.size, version: source.version, headerHash: '', metadata: table.metadata })
  }
  return {
    ref: 'merged',
    path: 'merged',
    files,
    tensors,
    config: null,
    configText: null,
    sidecars: [],
    layers: layersOf(tensors.keys()),
    family: null,
    architecture: null,
  }
}
