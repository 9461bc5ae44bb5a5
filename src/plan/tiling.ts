/** Elements of a fold's block: partial sums are made per block and combined in block order, whatever the tiling. Where rows matter, as many whole rows. */
export const BLOCK = 65_536

/** How the engine cuts a tensor; it changes the speed, never the bytes. */
export interface Tiling {
  /** Elements read from each source at a time: few enough to stay in the L2 cache. A power of two, 16 to a block. */
  readonly chunk: number
}

/** The rows of a tensor and their length, where a program looks at rows; else null. */
export type Rows = { readonly rows: number; readonly columns: number } | null

/**
 * Elements of a block where rows matter: as many whole rows as make about as many elements, a multiple of 16, so that the groups of generated code
 * and the pairs of random numbers begin where they begin elsewhere.
 */
export function blockOf(rows: Rows): number {
  if (rows === null) return BLOCK
  const step = GROUP / gcd(GROUP, rows.columns)
  const several = Math.max(step, Math.floor(BLOCK / rows.columns / step) * step)
  return Math.min(several, rows.rows) * rows.columns
}

/** Elements read at a time. Rows are not cut, and of their blocks neither. */
export const chunkOf = (rows: Rows, { chunk }: Tiling): number => (rows === null ? chunk : blockOf(rows))

const GROUP = 16 // elements that generated code handles at a time
const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
