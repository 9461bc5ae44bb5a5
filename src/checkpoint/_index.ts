import { MergeError } from '../errors.ts'
import { isObject, kindOf, parseJsonFile, show } from '../json.ts'

/** A model.safetensors.index.json: which tensor lies in which shard. */
export interface Index {
  /** As errors show it. */
  readonly name: string
  readonly shardOf: ReadonlyMap<string, string>
  /** Sorted. */
  readonly shards: readonly string[]
}

const DAMAGED = 'the index does not belong to these files: download the model again'

/** Reads an index. Every shard in it is a plain file name, safe to look for in the model's folder. */
export function parseIndex(name: string, text: string): Index {
  const { weight_map: map } = parseJsonFile(name, text, 'the index is damaged: download it again')
  if (!isObject(map)) throw new MergeError(`weight_map must be an object of file names, found ${map === undefined ? 'none' : kindOf(map)}`, { where: name, fix: DAMAGED })
  const shardOf = new Map<string, string>()
  for (const tensor in map) {
    const shard = map[tensor]
    if (typeof shard !== 'string') throw new MergeError(`tensor ${show(tensor)}: its file name must be a string, found ${kindOf(shard)}`, { where: name, fix: DAMAGED })
    if (!isPlainName(shard)) {
      throw new MergeError(`tensor ${show(tensor)}: ${show(shard)} is not a plain file name`, {
        where: name,
        fix: 'shards lie in the folder of their index: do not trust an index that leads elsewhere',
      })
    }
    if (!shard.endsWith('.safetensors')) throw new MergeError(`tensor ${show(tensor)}: ${show(shard)} is not a .safetensors file`, { where: name, fix: DAMAGED })
    shardOf.set(tensor, shard)
  }
  if (shardOf.size === 0) throw new MergeError('weight_map lists no tensors', { where: name, fix: DAMAGED })
  return { name, shardOf, shards: [...new Set(shardOf.values())].sort() }
}

/** No separators, drives, URLs or control characters: such a name cannot lead out of its folder on any system. */
export const isPlainName = (name: string): boolean => /^[^/\\:\p{Cc}]+$/u.test(name) && name !== '.' && name !== '..'

/** Throws unless index and shards hold the same tensors in the same places. */
export function checkIndex({ name: where, shardOf }: Index, tensors: ReadonlyMap<string, { readonly file: number }>, files: readonly { readonly name: string }[]): void {
  for (const [tensor, { file }] of tensors) {
    const [listed, actual] = [shardOf.get(tensor), files[file]?.name]
    if (listed === actual) continue
    const what = listed === undefined ? `is in ${actual}, but the index does not list it` : `the index says ${listed}, but it is in ${actual}`
    throw new MergeError(`tensor ${show(tensor)}${listed === undefined ? ' ' : ': '}${what}`, { where, fix: DAMAGED })
  }
  for (const [tensor, shard] of shardOf) {
    if (!tensors.has(tensor)) throw new MergeError(`tensor ${show(tensor)}: the index says ${shard}, but it is not in that file`, { where, fix: DAMAGED })
  }
}
