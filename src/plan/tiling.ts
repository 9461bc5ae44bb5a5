/** Elements of a fold's block: partial sums are made per block and combined in block order, whatever the tiling. */
export const BLOCK = 65_536

/** How the engine cuts a tensor; it changes the speed, never the bytes. */
export interface Tiling {
  /** Elements read from each source at a time: few enough to stay in the L2 cache. A power of two, 16 to a block. */
  readonly chunk: number
}
