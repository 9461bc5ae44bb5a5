import { layersOf } from './architecture.ts'
import type { Checkpoint, CheckpointTensor } from './checkpoint.ts'
import { zerosLike } from './zeros.ts'

/** A model of which nothing is known but names and shapes: tensors of zeros, for what is computed without a base. */
export async function shellOf(ref: string, shapes: ReadonlyMap<string, readonly number[]>): Promise<Checkpoint> {
  const places = [...shapes].map(([name, shape]): CheckpointTensor => ({ name, dtype: 'F32', shape, start: 0, end: 0, file: 0 }))
  return { ...bare(ref, [...shapes.keys()]), ...(await zerosLike(places, 0)) }
}

/** Matrices in memory, as the tensors of a model. */
export function memoryCheckpoint(ref: string, matrices: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>): Checkpoint {
  const memory = new Uint8Array([...matrices.values()].reduce((sum, { values }) => sum + values.byteLength, 0))
  let at = 0
  const tensors = [...matrices].map(([name, { shape, values }]): [string, CheckpointTensor] => {
    const start = at
    memory.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), start)
    at += values.byteLength
    return [name, { name, dtype: 'F32', shape, start, end: at, file: 0 }]
  })
  const file = { name: ref, locator: { memory }, size: memory.byteLength, version: '', headerHash: '', metadata: {} }
  return { ...bare(ref, [...matrices.keys()]), files: [file], tensors: new Map(tensors) }
}

const bare = (ref: string, names: readonly string[]): Omit<Checkpoint, 'files' | 'tensors'> => ({
  ref,
  path: ref,
  config: null,
  configText: null,
  sidecars: [],
  layers: layersOf(names),
  family: null,
  architecture: null,
})
