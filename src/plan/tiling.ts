/** Elements of a fold's block: partial sums are made per block and combined in block order, whatever the tiling. Where rows matter, as many whole rows. */
export const BLOCK = 65_536

/** How the engine cuts a tensor; it changes the speed, never the bytes. */
export interface Tiling {
  /** Elements read from each source at a time: few enough to stay in the L2 cache. A power of two, 16 to a block. */
  readonly chunk: number
}

/** Elements of a block of rows of `columns`; 0 where rows do not matter. */
export const blockOf = (columns: number): number => (columns === 0 ? BLOCK : Math.max(1, Math.floor(BLOCK / columns)) * columns)

/** Elements read at a time. Rows are not cut, and of their blocks neither. */
export const chunkOf = (columns: number, { chunk }: Tiling): number => (columns === 0 ? chunk : blockOf(columns))
