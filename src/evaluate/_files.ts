import { openFile } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import safetensors from '../formats/safetensors.ts'
import type { Value } from './engine.ts'

/** All bytes of a file. */
export async function readBytes(path: string): Promise<Uint8Array> {
  const source = await openFile(path)
  return source.read(0, source.size)
}

/** The tensors of a small safetensors file of data: U8 and F32 only, which is what graphs take without conversion. */
export async function readTensors(path: string): Promise<ReadonlyMap<string, Value>> {
  const source = await openFile(path)
  const { tensors } = await safetensors.readTable(source)
  const entries = tensors.map(async ({ name, dtype, shape, start, end }) => {
    const bytes = (await source.read(start, end)).slice() // a copy, so that floats start at a multiple of four
    if (dtype !== 'U8' && dtype !== 'F32') throw new MergeError(`${name}: evaluation data of dtype ${dtype}`, { where: path, fix: 'store it as U8 or F32' })
    return [name, { dims: shape, data: dtype === 'U8' ? bytes : new Float32Array(bytes.buffer) }] as const
  })
  return new Map(await Promise.all(entries))
}
