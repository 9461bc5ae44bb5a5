import { sha256 } from '../bytes/hash.ts'
import type { LowRankTensor } from '../bytes/low_rank.ts'
import { bytesOf, sizeOf } from '../dtype.ts'
import type { CheckpointFile, CheckpointTensor } from './checkpoint.ts'

/** Tensors of zeros in a file that lies nowhere, like `tensors` in name, shape and dtype; `file` is its index among a checkpoint's files. */
export async function zerosLike(
  tensors: readonly CheckpointTensor[],
  file: number,
): Promise<{ readonly files: readonly CheckpointFile[]; readonly tensors: ReadonlyMap<string, CheckpointTensor> }> {
  if (tensors.length === 0) return { files: [], tensors: new Map() }
  const places: LowRankTensor[] = []
  const zeros = tensors.map(({ name, dtype, shape }): [string, CheckpointTensor] => {
    const start = places.at(-1)?.end ?? 0
    const rows = shape[0] ?? 1
    const columns = sizeOf(shape.slice(1))
    const end = start + rows * columns * bytesOf(dtype)
    places.push({ start, end, rows, columns, base: null, product: null })
    return [name, { name, dtype, shape, start, end, file, isZero: true }]
  })
  const hash = await sha256(new TextEncoder().encode(`zeros of ${places.at(-1)!.end} bytes`))
  return {
    files: [{ name: 'zeros', locator: { lowRank: { files: [], tensors: places } }, size: places.at(-1)!.end, version: hash, headerHash: hash, metadata: {} }],
    tensors: new Map(zeros),
  }
}
