import type { RowMap } from '../src/checkpoint/rows.ts'

/** One model's embedding over the vocabulary of a row map: the naive way, by the words of RowMap's own documentation. */
export function gather(map: RowMap, model: number, embeddings: readonly Float32Array[], width: number): Float32Array {
  const rowOf = (m: number, row: number): Float32Array => embeddings[m]!.subarray(row * width, (row + 1) * width)
  const result = new Float32Array(map.rows * width)
  for (let r = 0; r < map.rows; r++) {
    const own = map.own[model]![r]!
    const target = result.subarray(r * width, (r + 1) * width)
    if (own >= 0) target.set(rowOf(model, own))
    else if (map.isPadding[r] === 0) {
      const [start, end] = [map.fillStart[r]!, map.fillStart[r + 1]!]
      for (let i = start; i < end; i++) for (let c = 0; c < width; c++) target[c] = target[c]! + rowOf(map.fillModel[i]!, map.fillRow[i]!)[c]!
      if (end > start) for (let c = 0; c < width; c++) target[c] = target[c]! / (end - start)
    }
  }
  const real = Array.from({ length: map.rows }, (_, r) => r).filter(r => map.hasToken[r] === 1)
  for (let c = 0; c < width; c++) {
    const mean = real.reduce((sum, r) => sum + result[r * width + c]!, 0) / real.length
    for (let r = 0; r < map.rows; r++) if (map.isPadding[r] === 1) result[r * width + c] = mean
  }
  return result
}
