import type { Reader } from '../bytes/source.ts'
import { isKept } from '../checkpoint/common_rows.ts'
import type { RowMap } from '../checkpoint/rows.ts'
import { bytesOf, type FloatDType } from '../dtype.ts'
import { createEngine } from '../kernels/kernels.ts'
import { type Gathered, type Kept, STRIP } from '../plan/gathered.ts'

/** A source to gather, as the plan describes it. */
export interface GatheredSource {
  readonly rows: Gathered
  /** Of the source, and so of the bytes gathered. */
  readonly dtype: FloatDType
  /** Tells this source of this tensor from all others. */
  readonly key: string
}

export interface Gatherer {
  /** Fills `target` with the elements of the source from element `at`. Gives the bytes that it has read. */
  gather(source: GatheredSource, target: Uint8Array, at: number): Promise<number>
  /** Puts the rows that are kept in the place of those computed: `target` holds elements of the output, in its `dtype`, from element `at`. */
  keep(kept: Kept, target: Uint8Array, dtype: FloatDType, at: number): Promise<number>
  /** The model and row that an element is of, where it is one model's own: an index into the map's models. */
  ownerOf(rows: Gathered, index: number): { readonly model: number; readonly row: number } | null
}

/** Reads embeddings as checkpoint/rows.ts describes them, with a small memory of its own for rows that are not copied. */
export function createGatherer(maps: readonly RowMap[], readerOf: (file: number) => Reader, module?: WebAssembly.Module): Gatherer {
  const means = new Map<string, Uint8Array>() // of padding; those of one tensor
  let tensor = ''
  let room: ReturnType<typeof openRoom> | null = null
  return { gather, keep, ownerOf }

  async function gather(source: GatheredSource, target: Uint8Array, at: number): Promise<number> {
    const { rows, dtype } = source
    const { model, width, tables } = rows
    const map = maps[rows.map]!
    const own = map.own[model]!
    const bytes = bytesOf(dtype)
    const end = at + target.byteLength / bytes
    let read = 0
    for (let element = at; element < end; ) {
      const r = Math.floor(element / width)
      const column = element - r * width
      let next = r + 1
      if (own[r]! >= 0) while (next * width < end && own[next] === own[r]! + (next - r)) next++ // rows that lie beside each other are one read
      const until = Math.min(end, next * width)
      const part = target.subarray((element - at) * bytes, (until - at) * bytes)
      if (own[r]! >= 0) {
        const waiting = readerOf(tables[model]!.file).read(part, tables[model]!.at + (own[r]! * width + column) * bytes)
        if (waiting) await waiting
        read += part.byteLength
      } else if (map.isPadding[r] === 1) {
        const known = means.get(source.key)
        const { mean, read: more } = known ? { mean: known, read: 0 } : await meanOf(source)
        part.set(mean.subarray(column * bytes, column * bytes + part.byteLength))
        read += more
      } else read += await fill(source, map, r, column, part)
      element = until
    }
    return read
  }

  async function keep(kept: Kept, target: Uint8Array, dtype: FloatDType, at: number): Promise<number> {
    const { model, width } = kept
    const map = maps[kept.map]!
    const bytes = bytesOf(dtype)
    const end = at + target.byteLength / bytes
    let read = 0
    for (let element = at; element < end; ) {
      const r = Math.floor(element / width)
      if (!isKept(map, model, r)) {
        element = (r + 1) * width
        continue
      }
      let next = r + 1
      while (next * width < end && isKept(map, model, next)) next++
      const until = Math.min(end, next * width)
      read += await takeOver(kept, target.subarray((element - at) * bytes, (until - at) * bytes), dtype, element)
      element = until
    }
    return read
  }

  /** The model's own elements from `at` on, in the output's dtype. */
  async function takeOver(kept: Kept, target: Uint8Array, dtype: FloatDType, at: number): Promise<number> {
    const source = { rows: kept, dtype: kept.dtype, key: '' } // kept rows are no padding, whose mean the key would tell
    if (kept.dtype === dtype) return gather(source, target, at)
    room ??= openRoom(module)
    const { page, wide, raw, engine } = room
    const [from, to] = [bytesOf(kept.dtype), bytesOf(dtype)]
    let read = 0
    for (let done = 0; done < target.byteLength / to; done += STRIP) {
      const n = Math.min(STRIP, target.byteLength / to - done)
      read += await gather(source, page.subarray(0, n * from), at + done)
      engine.load[kept.dtype](wide.byteOffset, page.byteOffset, n)
      engine.store[dtype](raw.byteOffset, wide.byteOffset, n)
      target.set(raw.subarray(0, n * to), done * to)
    }
    return read
  }

  /** A row that the model lacks, from `column` on. */
  async function fill({ rows: { width, tables }, dtype }: GatheredSource, map: RowMap, r: number, column: number, target: Uint8Array): Promise<number> {
    const [first, end] = [map.fillStart[r]!, map.fillStart[r + 1]!]
    if (first === end) {
      target.fill(0)
      return 0
    }
    const only = tables[map.fillModel[first]!]!
    const bytes = bytesOf(dtype)
    if (end - first === 1 && only.dtype === dtype) {
      const waiting = readerOf(only.file).read(target, only.at + (map.fillRow[first]! * width + column) * bytes)
      if (waiting) await waiting
      return target.byteLength
    }
    room ??= openRoom(module)
    let read = 0
    for (let from = 0; from < target.byteLength / bytes; from += STRIP) {
      const n = Math.min(STRIP, target.byteLength / bytes - from)
      const sum = room.sum.subarray(0, n).fill(0)
      for (let i = first; i < end; i++) {
        const table = tables[map.fillModel[i]!]!
        const size = bytesOf(table.dtype)
        const raw = room.raw.subarray(0, n * size)
        const waiting = readerOf(table.file).read(raw, table.at + (map.fillRow[i]! * width + column + from) * size)
        if (waiting) await waiting
        read += raw.byteLength
        room.engine.load[table.dtype as FloatDType](room.wide.byteOffset, raw.byteOffset, n) // the plan gathers floats only
        if (end - first === 1)
          sum.set(room.wide.subarray(0, n)) // −0 stays −0
        else for (let k = 0; k < n; k++) sum[k]! += room.wide[k]!
      }
      if (end - first > 1) for (let k = 0; k < n; k++) sum[k]! /= end - first
      room.engine.store[dtype](room.raw.byteOffset, sum.byteOffset, n)
      target.set(room.raw.subarray(0, n * bytes), from * bytes)
    }
    return read
  }

  /** The row of padding. Reads all rows that have a token; kept until another tensor's is asked for. */
  async function meanOf(source: GatheredSource): Promise<{ readonly mean: Uint8Array; readonly read: number }> {
    const { rows, dtype, key } = source
    const { width } = rows
    const { hasToken, rows: height } = maps[rows.map]!
    const bytes = bytesOf(dtype)
    room ??= openRoom(module)
    const { page, wide, sum, engine } = room
    const total = new Float64Array(width)
    let count = 0
    let read = 0
    for (let r = 0; r < height; ) {
      if (hasToken[r] === 0) {
        r++
        continue
      }
      let next = r + 1
      while (next < height && hasToken[next] === 1 && (next + 1 - r) * width <= STRIP) next++
      for (let from = r * width; from < next * width; from += STRIP) {
        const n = Math.min(STRIP, next * width - from)
        read += await gather(source, page.subarray(0, n * bytes), from)
        engine.load[dtype](wide.byteOffset, page.byteOffset, n)
        for (let k = 0, column = from % width; k < n; k++, column = column + 1 === width ? 0 : column + 1) total[column]! += wide[k]!
      }
      count += next - r
      r = next
    }
    const mean = new Uint8Array(width * bytes)
    for (let from = 0; from < width && count > 0; from += STRIP) {
      const n = Math.min(STRIP, width - from)
      for (let k = 0; k < n; k++) sum[k] = total[from + k]! / count
      engine.store[dtype](page.byteOffset, sum.byteOffset, n)
      mean.set(page.subarray(0, n * bytes), from * bytes)
    }
    const of = key.slice(0, key.indexOf('\n'))
    if (of !== tensor) means.clear()
    tensor = of
    means.set(key, mean)
    return { mean, read }
  }

  function ownerOf(rows: Gathered, index: number): { readonly model: number; readonly row: number } | null {
    const map = maps[rows.map]!
    const r = Math.floor(index / rows.width)
    const own = map.own[rows.model]![r]!
    if (own >= 0) return { model: rows.model, row: own }
    const [first, end] = [map.fillStart[r]!, map.fillStart[r + 1]!]
    return map.isPadding[r] === 0 && end - first === 1 ? { model: map.fillModel[first]!, row: map.fillRow[first]! } : null
  }
}

/** The memory in which rows are made: a strip as it is stored of the widest dtype, twice, and as float32, twice. */
function openRoom(module: WebAssembly.Module | undefined) {
  const engine = createEngine(STRIP * (8 + 8 + 4 + 4) + 64, module)
  const { buffer } = engine.memory
  const page = new Uint8Array(buffer, engine.heap, STRIP * 8)
  const raw = new Uint8Array(buffer, engine.heap + STRIP * 8, STRIP * 8)
  const wide = new Float32Array(buffer, engine.heap + STRIP * 16, STRIP)
  const sum = new Float32Array(buffer, engine.heap + STRIP * 20, STRIP)
  return { engine, page, raw, wide, sum }
}
