import type { Interval } from '../evaluate/bootstrap.ts'
import { type Score, scaleOf } from '../evaluate/evaluate.ts'
import { uniforms } from './_random.ts'

/** What chance may have done to a choice among many. */
export interface Noise {
  /** Points that were compared on all data. */
  readonly tried: number
  /** Share of resamples in which the best of so many points, none better than the base, would gain as much: White's reality check. */
  readonly p: number
  /** Indices of the points that cannot be told from the best one, itself among them: studentised, for all of them together at 95 %. */
  readonly level: readonly number[]
  readonly resamples: number
}

/** The goal of a model from its scores by task and those of the base. */
type GoalOf = (values: readonly number[], base: readonly number[]) => number

const RESAMPLES = 1000
const FEWEST = 200 // where there are very many points
const MAX_WORK = 2e9 // examples drawn, over all models: a few seconds
const SEED = 0x6d657267
const CONFIDENCE = 0.95

/**
 * Whether the best of `points` gains more over `base` than the best of as many useless ones would (H. White, "A reality check for data snooping", 2000),
 * and which points are as good as the best one (J. C. Hsu's comparisons with the best, 1984, with the maximum of studentised differences from the
 * bootstrap as J. P. Romano and M. Wolf, 2005). All on the same resamples of the examples. Null where there are no examples to draw.
 */
export function noiseOf(points: readonly (readonly Score[])[], base: readonly Score[], best: number, goalOf: GoalOf): Noise | null {
  const drawn = drawGoals([base, ...points], goalOf)
  if (!drawn) return null
  const { rows, actual } = drawn
  const gains = points.map((_, k) => actual[k + 1]! - actual[0]!)
  const excess = rows.filter(row => gains.reduce((most, gain, k) => Math.max(most, row[k + 1]! - row[0]! - gain), -Infinity) >= gains[best]!).length
  const behind = points.map((_, k) => actual[best + 1]! - actual[k + 1]!)
  const errors = behind.map((mean, k) => Math.sqrt(rows.reduce((sum, row) => sum + (row[best + 1]! - row[k + 1]! - mean) ** 2, 0) / rows.length))
  const largest = rows.map(row => behind.reduce((most, mean, k) => (errors[k]! > 0 ? Math.max(most, Math.abs(row[best + 1]! - row[k + 1]! - mean) / errors[k]!) : most), 0))
  const limit = largest.sort((a, b) => a - b)[Math.floor(CONFIDENCE * (rows.length - 1))]!
  return {
    tried: points.length,
    p: (excess + 1) / (rows.length + 1),
    level: points.flatMap((_, k) => (behind[k]! <= limit * errors[k]! ? [k] : [])),
    resamples: rows.length,
  }
}

/** 95 % interval of what `model` gains over `base`, from paired resamples; null where there are no examples to draw. */
export function gainIntervalOf(model: readonly Score[], base: readonly Score[], goalOf: GoalOf): Interval | null {
  const drawn = drawGoals([base, model], goalOf)
  if (!drawn) return null
  const gains = drawn.rows.map(([first, other]) => other! - first!).sort((a, b) => a - b)
  const at = (q: number): number => gains[Math.round(q * (gains.length - 1))]!
  return { low: at((1 - CONFIDENCE) / 2), high: at((1 + CONFIDENCE) / 2) }
}

/** The goal of each model under each resample, the first being the base: what one draws, all draw. */
function drawGoals(models: readonly (readonly Score[])[], goalOf: GoalOf): { readonly rows: readonly Float64Array[]; readonly actual: readonly number[] } | null {
  const [base] = models
  const lengths = base!.map(({ counts }) => counts.over.length)
  const isDrawable = models.every(scores => scores.every(({ counts }, t) => counts.halfWidth === undefined && counts.over.length === lengths[t]! && lengths[t]! >= 2))
  if (!isDrawable) return null
  const tasks = base!.map(({ metric }, t) => ({
    score: scaleOf(metric),
    over: models.map(scores => Float64Array.from(scores[t]!.counts.over)),
    under: models.map(scores => Float64Array.from(scores[t]!.counts.under)),
  }))
  const work = models.length * lengths.reduce((a, b) => a + b, 0)
  const resamples = Math.max(FEWEST, Math.min(RESAMPLES, Math.floor(MAX_WORK / work)))
  const random = uniforms(SEED)
  const rows = Array.from({ length: resamples }, () => {
    const values = tasks.map(({ score, over, under }, t) => {
      const times = new Float64Array(lengths[t]!)
      for (let i = 0; i < times.length; i++) times[Math.floor(random() * times.length)]!++
      return over.map((numbers, k) => score(weighted(numbers, times) / weighted(under[k]!, times)))
    })
    const ofBase = values.map(v => v[0]!)
    return Float64Array.from(models, (_, k) =>
      goalOf(
        values.map(v => v[k]!),
        ofBase,
      ),
    )
  })
  const valuesOf = (scores: readonly Score[]): readonly number[] => scores.map(s => s.value)
  return { rows: rows.filter(row => row.every(Number.isFinite)), actual: models.map(scores => goalOf(valuesOf(scores), valuesOf(base!))) } // a draw without a denominator says nothing
}

function weighted(numbers: Float64Array, times: Float64Array): number {
  let sum = 0
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]! * times[i]!
  return sum
}
