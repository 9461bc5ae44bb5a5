import { assert } from '../errors.ts'
import { createEngine } from '../kernels/kernels.ts'

// The k-th largest of many numbers without sorting them: a sample gives a bracket that holds it almost surely, one pass counts what lies above the
// bracket and collects what lies in it, and the rest is a search among the few collected. The result is exact whatever the sample was: where the
// bracket missed, or held too much, a radix select counts all elements by their upper and then their lower bits.

/** Elements read at a time for a sample. */
export const PIECE = 64
const SHARE = 32 // one element in 32 is looked at
const MOST = 2 ** 20 // elements of a sample: brackets get no narrower from more that would matter
const DEVIATIONS = 5 // the bracket reaches so many standard deviations of the sample's rank to either side: neighbours in a row are alike

/** How many pieces the sample of a tensor of `size` elements has. */
export const piecesIn = (size: number): number => Math.floor(Math.min(MOST, size / SHARE) / PIECE)

/** Where a piece begins: they are evenly spread, a function of the size alone. kernels/assembly/count.ts computes the same. */
export const pieceAt = (piece: number, size: number): number => Math.floor((piece * (size - PIECE)) / Math.max(1, piecesIn(size) - 1) / 16) * 16

/** Numbers in [low, high). Many weights are equal (what fine-tuning changes is a few steps of bf16), so the ends are values of the sample, not rounder numbers. */
export type Bracket = readonly [low: number, high: number]

/** Whether there is but one number in a bracket: then it need not be collected. */
export const isSingle = ([low, high]: Bracket): boolean => above(low) === high

/** The next float32. */
function above(value: number): number {
  return Number.isNaN(value) || value === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : fromKey(keyOfNumber(value === 0 ? 0 : value) + 1)
}

/** Searches among numbers, in a WebAssembly memory of its own. */
export interface Selector {
  /**
   * The elements of descending ranks `ranks` (ascending, from 1) of values in [low, high), by counting in ever narrower ranges.
   * Zeros of either sign differ, as their bits do; NaN is above all, and only met when the range is not limited.
   */
  kthLargest(values: Float32Array, ranks: readonly number[], within?: Bracket): readonly number[]
  /**
   * An interval that most probably holds the element of descending rank `rank` (from 1) of the `size` elements that `sample` is of, `spread` times as
   * wide as for ordinary weights.
   */
  bracketOf(sample: Float32Array, rank: number, size: number, spread?: number): Bracket
}

const BUCKETS = 4096 // counters that stay in the L1 cache
const FEW = 64 // as many are sorted
const PAGE = 65_536

export function createSelector(module?: WebAssembly.Module): Selector {
  const { kernels, memory, heap } = createEngine(2 * BUCKETS * 4, module)
  const start = heap + 2 * BUCKETS * 4
  return { kthLargest, bracketOf }

  function kthLargest(values: Float32Array, ranks: readonly number[], [low, high]: Bracket = [Number.NEGATIVE_INFINITY, Number.NaN]): readonly number[] {
    for (const rank of ranks) assert(rank >= 1 && rank <= values.length, `rank ${rank} lies within ${values.length} elements`)
    const missing = start + values.byteLength - memory.buffer.byteLength
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE))
    new Float32Array(memory.buffer, start, values.length).set(values)
    return search(values.length, ranks, keyOfNumber(low === 0 ? -0 : low), keyOfNumber(high))
  }

  function bracketOf(sample: Float32Array, rank: number, size: number, spread = 1): Bracket {
    const share = rank / size
    const centre = share * sample.length
    const reach = spread * DEVIATIONS * Math.sqrt(sample.length * share * (1 - share)) + 8
    const [first, last] = [Math.floor(centre - reach), Math.ceil(centre + reach)]
    const [highest, lowest] = kthLargest(sample, [Math.max(1, first), Math.min(sample.length, last)]) as [number, number]
    return [last > sample.length ? Number.NEGATIVE_INFINITY : lowest, first < 1 ? Number.POSITIVE_INFINITY : above(highest)]
  }

  /** Of the first `n` numbers, whose keys lie in [least, most]. What is not near a wanted one is overwritten. */
  function search(n: number, ranks: readonly number[], least: number, most: number): readonly number[] {
    if (least === most) return ranks.map(() => fromKey(least))
    if (n <= FEW) {
      const keys = new Int32Array(memory.buffer, start, n).map(keyOf).sort()
      return ranks.map(rank => fromKey(keys[n - rank]!))
    }
    const shift = Math.max(0, 32 - Math.clz32(most - least) - Math.log2(BUCKETS))
    const counts = new Uint32Array(memory.buffer, heap, 2 * BUCKETS).fill(0)
    kernels.count_keys(heap, start, n, least, shift)
    const places = placesOf(counts, ranks)
    const [highest, lowest] = [places[0]!, places.at(-1)!]
    let near = 0
    for (let b = lowest.bucket; b <= highest.bucket; b++) near += counts[b]! + counts[b + BUCKETS]!
    if (ranks.length > 1 && near > n / 2) {
      const all = new Float32Array(memory.buffer, start, n).slice() // the ranks lie far apart: one after the other
      return ranks.flatMap(rank => kthLargest(all, [rank], [fromKey(least), fromKey(most)]))
    }
    const from = (least + ((lowest.bucket << shift) >>> 0)) | 0
    const end = (least + ((highest.bucket << shift) >>> 0) + ((1 << shift) - 1)) | 0
    const left = kernels.gather_keys(start, start, n, least, shift, lowest.bucket, highest.bucket)
    return search(
      left,
      ranks.map(rank => rank - highest.passed),
      from,
      end,
    )
  }
}

interface Place {
  readonly bucket: number
  readonly rank: number
  /** How many lie in higher buckets. */
  readonly passed: number
}

/** The buckets of ranks that ascend, of two sets of counters. */
function placesOf(counts: Uint32Array, ranks: readonly number[]): readonly Place[] {
  const places: Place[] = []
  let last: Place = { bucket: BUCKETS - 1, rank: 0, passed: 0 }
  for (let i = 0; i < ranks.length; i++) {
    last = placeFrom(counts, last, ranks[i]!)
    places.push(last)
  }
  return places
}

function placeFrom(counts: Uint32Array, { bucket, passed }: Place, rank: number): Place {
  for (let b = bucket, above = passed; b >= 0; b--) {
    const own = counts[b]! + counts[b + BUCKETS]!
    if (above + own >= rank) return { bucket: b, rank, passed: above }
    above += own
  }
  throw new Error(`Merganser broke its own promise: rank ${rank} lies within what was counted. Please report this.`)
}

/** The bits of a float as an integer in the order of values: a negative float has all its bits but the sign flipped. Every NaN is the same, and positive. */
function keyOf(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc00000
  return bits ^ ((bits >> 31) & 0x7fffffff)
}

function fromKey(key: number): number {
  WORD[0] = key ^ ((key >> 31) & 0x7fffffff)
  return FLOAT[0]!
}

function keyOfNumber(value: number): number {
  FLOAT[0] = value
  return keyOf(WORD[0]!)
}
const WORD = new Int32Array(1)
const FLOAT = new Float32Array(WORD.buffer)

/** The float whose bits, in the order that the counting kernels use, are `key`. */
export const fromOrdered = (key: number): number => fromKey((key ^ 0x80000000) | 0)
