import type { InputLocator, LowRankFile } from '../bytes/low_rank.ts'

/** Elements that are computed at a time: a chunk of the output is made of several, so that little memory goes through a cache. */
export const LOW_RANK_STRIP = 32_768
const SCRATCH = 2 ** 16 + 2 ** 20 + 128 // of a product: kernels/assembly/gemm.ts
const KERNELS = 3 * 65_536 // the kernels' own tables, rounded up to pages

/** Where a thread keeps what it computes with: offsets in bytes from the first free one. */
export interface LowRankMap {
  readonly scratch: number
  /** A strip as it is stored, of the widest dtype, and as float32; and the rows of L that it takes. */
  readonly raw: number
  readonly sum: number
  readonly left: number
  /** Elements that there is room for. */
  readonly leftRoom: number
  /** Per file, all of R of the tensor that was read last. */
  readonly rights: readonly number[]
  readonly size: number
}

export function mapLowRank(files: readonly LowRankFile[]): LowRankMap {
  let size = 0
  const take = (bytes: number): number => {
    const at = size
    size += Math.ceil(bytes / 64) * 64 + 64 // conversions write whole groups of 16
    return at
  }
  const widest = files.reduce((most, file) => Math.max(most, rankOf(file)), 0)
  const rows = Math.max(LOW_RANK_STRIP, widest) // one row of L at least
  return {
    scratch: take(SCRATCH),
    raw: take(rows * 8),
    sum: take(LOW_RANK_STRIP * 4),
    left: take(rows * 4),
    leftRoom: rows,
    rights: files.map(file => take(file.tensors.reduce((most, { product, columns }) => Math.max(most, product ? product.rank * columns * 4 : 0), 0))),
    size,
  }
}

/** Those of a plan's inputs that are computed while they are read. */
export const lowRankFiles = (inputs: readonly { readonly locator: InputLocator }[]): readonly LowRankFile[] =>
  inputs.flatMap(({ locator }) => ('lowRank' in locator ? [locator.lowRank] : []))

/** Bytes that a thread needs to read tensors of low rank; 0 where there are none. */
export function lowRankBytes(files: readonly LowRankFile[]): number {
  if (files.length === 0) return 0
  const lengths = files.reduce((sum, file) => sum + file.tensors.reduce((most, { product, rows }) => Math.max(most, product?.lengths ? rows * 12 : 0), 0), 0)
  return mapLowRank(files).size + lengths + KERNELS
}

const rankOf = ({ tensors }: LowRankFile): number => tensors.reduce((most, { product }) => Math.max(most, product?.rank ?? 0), 0)
