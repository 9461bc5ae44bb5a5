import type { Counts } from './metrics/metric.ts'

export interface Interval {
  readonly low: number
  readonly high: number
}

const RESAMPLES = 1000 // the ends of a 95 % interval then vary by a few hundredths of its width
const SEED = 0x6d657267
const TAIL = 0.025

/** The ratio of the sums. */
export const ratioOf = ({ over, under }: Pick<Counts, 'over' | 'under'>): number => sum(over) / sum(under)

/**
 * 95 % percentile interval of the score: examples are drawn with replacement a thousand times (Efron, 1979). The same counts give the same interval.
 * Null for a single example, of which nothing can be drawn.
 */
export function intervalOf(counts: Counts, score: (ratio: number) => number): Interval | null {
  const value = score(ratioOf(counts))
  if (counts.halfWidth !== undefined) return { low: value - counts.halfWidth, high: value + counts.halfWidth }
  const n = counts.over.length
  return n < 2 ? null : percentiles(resampled([counts], ([ratio]) => score(ratio!)))
}

/**
 * 95 % interval of the score of `other` less that of `first`, on the same examples: what one draws, the other draws. Null where they have not the same.
 * `score` turns a ratio into a score, for most metrics the ratio itself.
 *
 * @example
 * const three = { over: [1, 1, 1, 0], under: [1, 1, 1, 1] } // of four right
 * const two = { over: [1, 1, 0, 0], under: [1, 1, 1, 1] }
 * console.log(differenceOf(three, two, ratio => ratio)) // { low: -0.75, high: 0 }
 */
export function differenceOf(first: Counts, other: Counts, score: (ratio: number) => number): Interval | null {
  const n = first.over.length
  if (n !== other.over.length || n < 2 || first.halfWidth !== undefined) return null
  return percentiles(resampled([first, other], ([a, b]) => score(b!) - score(a!)))
}

/** 95 % interval of the weighted mean of independent tasks: each is drawn anew. Null where one has no interval of its own. */
export function meanIntervalOf(tasks: readonly { readonly counts: Counts; readonly weight: number; score(ratio: number): number }[]): Interval | null {
  if (tasks.some(({ counts }) => counts.over.length < 2 || counts.halfWidth !== undefined)) return null
  const total = sum(tasks.map(t => t.weight))
  const draws = tasks.map(({ counts, score }, i) => resampled([counts], ([ratio]) => score(ratio!), i))
  return percentiles(Float64Array.from({ length: RESAMPLES }, (_, r) => sum(tasks.map((t, i) => (t.weight * draws[i]![r]!) / total))))
}

function resampled(all: readonly Counts[], value: (ratios: readonly number[]) => number, stream = 0): Float64Array {
  const n = all[0]!.over.length
  const random = splitmix(SEED + stream)
  const rows = new Uint32Array(n)
  return Float64Array.from({ length: RESAMPLES }, () => {
    for (let i = 0; i < n; i++) rows[i] = Math.floor((random() / 2 ** 32) * n)
    return value(
      all.map(({ over, under }) => {
        let a = 0
        let b = 0
        for (let i = 0; i < n; i++) {
          a += over[rows[i]!]!
          b += under[rows[i]!]!
        }
        return a / b
      }),
    )
  })
}

function percentiles(values: Float64Array): Interval {
  const sorted = values.filter(Number.isFinite).sort() // a draw of examples without a denominator says nothing
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.round(q * (sorted.length - 1)))]!
  return { low: at(TAIL), high: at(1 - TAIL) }
}

/** splitmix32, whole numbers below 2³². */
function splitmix(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let z = state ^ (state >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
