import type { Source } from '../bytes/source.ts'
import type { DType } from '../dtype.ts'

/** One tensor of a file: where its bytes lie, before any of them is read. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Byte range [start, end) in the file. */
  readonly start: number
  readonly end: number
}

/** What a format gives for one file: its tensors in file order, and its metadata. */
export interface Table {
  readonly tensors: readonly TensorEntry[]
  readonly metadata: Readonly<Record<string, string>>
  /** The bytes that describe the tensors; their hash names the file in provenance. */
  readonly header: Uint8Array
}

export interface Format {
  /** How users call it. */
  readonly name: string
  /** File name endings, with the dot. */
  readonly extensions: readonly string[]
  readTable(source: Source): Promise<Table>
}
