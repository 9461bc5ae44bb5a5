import type { DType } from '../dtype.ts'
import type { Locator } from './source.ts'

/** What can be read: bytes that lie somewhere, or that are computed. */
export type InputLocator = Locator | { readonly lowRank: LowRankFile }

/**
 * A file that lies nowhere: tensors one after another, each computed while it is read, as W + scale·(L·R) in float32 row by row, or filled in with
 * what few elements it has.
 * To whoever reads it is a file like any other. Plain data.
 */
export interface LowRankFile {
  /** The files in which the parts lie. */
  readonly files: readonly Locator[]
  /** In the order of their places. */
  readonly tensors: readonly LowRankTensor[]
}

/** A tensor of `rows` × `columns` in bytes [start, end). Without base, product and elements it is zeros, of any dtype. */
export interface LowRankTensor {
  readonly start: number
  readonly end: number
  readonly rows: number
  readonly columns: number
  /** W, rows × columns; null for zeros. */
  readonly base: Stored | null
  readonly product: Product | null
  /** Elements that are not zero; then there is neither base nor product. */
  readonly sparse?: Sparse
}

/** `count` indices of elements, ascending, each once, in I32 or I64; and the values there. */
export interface Sparse {
  readonly count: number
  readonly indices: Stored
  readonly values: Stored
}

export interface Product {
  readonly rank: number
  readonly scale: number
  /** L, rows × rank, or as it is stored transposed, rank × rows. */
  readonly left: Factor
  /** R, rank × columns, or transposed, columns × rank. */
  readonly right: Factor
  /** A number for each row, which becomes its length (DoRA); null where rows keep their own. */
  readonly lengths: Stored | null
}

/** Elements one after another: index into `files`, first byte. */
export interface Stored {
  readonly file: number
  readonly at: number
  readonly dtype: DType
}
export interface Factor extends Stored {
  readonly isTransposed: boolean
}
