import { bytesOf, type DType, sizeOf } from '../dtype.ts'
import { headerOf } from '../formats/safetensors.ts'

/** A tensor of the output before it has a place. */
export interface Placeable {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
}

/** A file of the output: complete but for its tensors' bytes. */
export interface OutputFile {
  readonly name: string
  readonly size: number
  readonly tensors: readonly (Placeable & { readonly at: number })[]
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Deals tensors out to shards in the order given, a new shard when the next tensor would pass `shardSize` bytes.
 * Files are called after `stem`. Within a shard wide dtypes come first, so that every tensor is aligned to its element size.
 */
export function layOut(tensors: readonly Placeable[], metadata: Readonly<Record<string, string>>, shardSize: number, stem = 'model'): OutputFile[] {
  const shards: Placeable[][] = [[]]
  let filled = 0
  for (const tensor of tensors) {
    const bytes = sizeOf(tensor.shape) * bytesOf(tensor.dtype)
    if (filled > 0 && filled + bytes > shardSize) {
      shards.push([])
      filled = 0
    }
    shards.at(-1)!.push(tensor)
    filled += bytes
  }
  const total = String(shards.length).padStart(5, '0')
  return shards.map((shard, i) => {
    const name = shards.length === 1 ? `${stem}.safetensors` : `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}.safetensors`
    const ordered = shard.toSorted((a, b) => bytesOf(b.dtype) - bytesOf(a.dtype))
    const { offsets, size } = headerOf(ordered, metadata)
    return { name, size, metadata, tensors: ordered.map((tensor, j) => ({ ...tensor, at: offsets[j]! })) }
  })
}

/** model.safetensors.index.json for several shards; null for one. */
export function indexOf(files: readonly OutputFile[]): string | null {
  if (files.length === 1) return null
  const entries = files.flatMap(file => file.tensors.map(t => [t.name, file.name] as const))
  const bytes = files.flatMap(file => file.tensors).reduce((sum, t) => sum + sizeOf(t.shape) * bytesOf(t.dtype), 0)
  const weightMap = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ metadata: { total_size: bytes }, weight_map: weightMap }, null, 2)}\n`
}
