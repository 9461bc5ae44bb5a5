import { isKept } from '../checkpoint/common_rows.ts'
import type { RowMap } from '../checkpoint/rows.ts'
import { bytesOf, type DType, type FloatDType } from '../dtype.ts'

/** How the rows of a source are put together, when it is a model's embedding over another vocabulary than the model's own. */
export interface Gathered {
  /** Index into the plan's row maps, and which of the map's models the source is. */
  readonly map: number
  readonly model: number
  /** Elements of a row. */
  readonly width: number
  /** The embeddings of the map's models: index of the file, first byte. */
  readonly tables: readonly Table[]
}
export interface Table {
  readonly file: number
  readonly at: number
  readonly dtype: DType
}

/** Rows of the output that stay as they are in one of the map's models. */
export interface Kept extends Gathered {
  /** Of that model's tensor. */
  readonly dtype: FloatDType
}

/** Elements that are converted at a time, for rows that are not copied. */
export const STRIP = 16_384

/** Bytes that a thread needs to gather rows: the maps themselves, and where rows are made, room to convert and the last task's means. */
export function gatherBytes(maps: readonly RowMap[], tasks: readonly { readonly sources: readonly { readonly rows?: Gathered }[] }[]): number {
  if (maps.length === 0) return 0
  const means = tasks.reduce(
    (most, { sources }) =>
      Math.max(
        most,
        sources.reduce((sum, { rows }) => sum + (rows ? rows.width * 8 : 0), 0),
      ),
    0,
  )
  const widest = tasks.reduce((most, { sources }) => sources.reduce((m, { rows }) => Math.max(m, rows?.width ?? 0), most), 0)
  return maps.reduce((sum, map) => sum + bytesOfMap(map), 0) + STRIP * (8 + 8 + 4 + 4) + 3 * 65_536 + means + widest * 8
}

const bytesOfMap = ({ own, fillStart, fillModel, fillRow, isPadding, hasToken }: RowMap): number =>
  [...own, fillStart, fillModel, fillRow, isPadding, hasToken].reduce((sum, array) => sum + array.byteLength, 0)

/** Bytes read to gather a source once, and once more for the mean that stands in its padding. */
export function bytesGathered(map: RowMap, { model, width, tables }: Gathered): { readonly rows: number; readonly mean: number } {
  const own = map.own[model]!
  const table = (m: number): number => width * bytesOf(tables[m]!.dtype)
  let rows = 0
  let mean = 0
  let isPadded = false
  for (let r = 0; r < map.rows; r++) {
    let bytes = own[r]! >= 0 ? table(model) : 0
    if (own[r]! < 0 && map.isPadding[r] === 0) for (let i = map.fillStart[r]!; i < map.fillStart[r + 1]!; i++) bytes += table(map.fillModel[i]!)
    if (own[r]! < 0 && map.isPadding[r] === 1) isPadded = true
    rows += bytes
    if (map.hasToken[r] === 1) mean += bytes
  }
  return { rows, mean: isPadded ? mean : 0 }
}

/** Bytes read to keep rows. */
export function bytesKept(map: RowMap, { model, width, dtype }: Kept): number {
  return map.hasToken.reduce((sum, _, r) => sum + (isKept(map, model, r) ? width * bytesOf(dtype) : 0), 0)
}
