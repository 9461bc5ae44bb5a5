import type { RowMap } from '../src/checkpoint/rows.ts'
import { bytesOf, type FloatDType } from '../src/dtype.ts'
import { decode, encode } from './floats.ts'

/** A table of rows as a file holds it. */
export interface Embedding {
  readonly dtype: FloatDType
  readonly bytes: Uint8Array
}

/** The rows of a map's model, one after the other, by the words of checkpoint/rows.ts and nothing else. */
export function gatherNaively(map: RowMap, model: number, embeddings: readonly Embedding[], width: number): Uint8Array {
  const { dtype } = embeddings[model]!
  const rowOf = (m: number, row: number): Uint8Array => {
    const size = width * bytesOf(embeddings[m]!.dtype)
    return embeddings[m]!.bytes.subarray(row * size, (row + 1) * size)
  }
  const floatsOf = (of: FloatDType, bytes: Uint8Array): Float32Array => Float32Array.from(decode(of, bytes))
  const filled = Array.from({ length: map.rows }, (_, r): Uint8Array | null => {
    if (map.own[model]![r]! >= 0) return rowOf(model, map.own[model]![r]!)
    if (map.isPadding[r] === 1) return null
    const rows = Array.from({ length: map.fillStart[r + 1]! - map.fillStart[r]! }, (_, i) => map.fillStart[r]! + i)
    const [first] = rows
    if (first === undefined) return encode(dtype, new Array<number>(width).fill(0))
    const isCopy = rows.length === 1 && embeddings[map.fillModel[first]!]!.dtype === dtype
    if (isCopy) return rowOf(map.fillModel[first]!, map.fillRow[first]!)
    const floats = rows.map(i => floatsOf(embeddings[map.fillModel[i]!]!.dtype, rowOf(map.fillModel[i]!, map.fillRow[i]!)))
    const total = (c: number): number => floats.reduce((sum, row) => Math.fround(sum + row[c]!), 0)
    return encode(
      dtype,
      Array.from({ length: width }, (_, c) => (rows.length === 1 ? floats[0]![c]! : Math.fround(total(c) / rows.length))),
    )
  })
  const real = filled.filter((row, r): row is Uint8Array => row !== null && map.hasToken[r] === 1).map(row => floatsOf(dtype, row))
  const mean = encode(
    dtype,
    Array.from({ length: width }, (_, c) => (real.length === 0 ? 0 : Math.fround(real.reduce((sum, row) => sum + row[c]!, 0) / real.length))),
  )
  return Uint8Array.from(Buffer.concat(filled.map(row => row ?? mean)))
}
