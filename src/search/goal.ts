import { MergeError } from '../errors.ts'
import type { Interval } from '../evaluate/bootstrap.ts'
import type { Score } from '../evaluate/evaluate.ts'
import { suggest } from '../recipe/locate.ts'

/**
 * What a search looks for. `mean`: the weighted mean over the tasks, of the metric where they share one, else of the gains over the base.
 * `worst`: the gain of the task that gains least. `strongest`: the largest coefficients.
 */
export type Aim = (typeof AIMS)[number]
export const AIMS = ['mean', 'worst', 'strongest'] as const

export interface Goal {
  readonly aim: Aim
  /** Tasks that may lose at most this share of what the base has: 0.05 for 5 %. They are not part of mean and worst. */
  readonly keep: Readonly<Record<string, number>>
}

/** A goal for the tasks of a suite. */
export interface Judge {
  readonly goal: Goal
  /** What the numbers of `goalOf` are: scores of a metric (with its sign turned where less is better), shares of what the base has, or strengths. */
  readonly scale: 'score' | 'gain' | 'strength'
  /** The tasks that `mean` and `worst` are of. */
  readonly counted: readonly string[]
  /** A difference of goals as people read it: `+1.3 points`, `+4.2 %`, `+0.021`. */
  showGain(gain: number): string
  /** `+1.3 points [+0.2, +2.4]`. */
  showRange(gain: number, interval: Interval | null): string
  /** More is better. `values` and `base` are scores by task; `strength` is 0 to 1. */
  goalOf(values: readonly number[], base: readonly number[], strength: number): number
  /** Of each kept task, the share that it loses; below 0 where it gains. */
  lossesOf(values: readonly number[], base: readonly number[]): Readonly<Record<string, number>>
  /** How far the losses are beyond what is allowed, in sum; 0 where all is kept. */
  excessOf(losses: Readonly<Record<string, number>>): number
}

/** `scores` are those of the base: their names, metrics and weights count. */
export function createJudge(goal: Goal, scores: readonly Score[]): Judge {
  const names = scores.map(s => s.task)
  for (const task of Object.keys(goal.keep)) {
    if (!names.includes(task)) throw new MergeError(`the suite has no task "${task}" to keep`, { fix: suggest(task, names, 'its tasks') })
  }
  const kept = scores.flatMap((s, i) => (Object.hasOwn(goal.keep, s.task) ? [i] : []))
  const counted = scores.flatMap((s, i) => (!kept.includes(i) && s.weight > 0 ? [i] : []))
  if (goal.aim === 'strongest' && kept.length === 0)
    throw new MergeError('the strongest coefficients of all are the largest', { fix: 'say what they must leave alone: --keep prose:5%' })
  if (goal.aim !== 'strongest' && counted.length === 0)
    throw new MergeError('all tasks are kept, or have no weight: nothing is left to improve', { fix: 'keep fewer tasks, or search the strongest: --objective strongest' })
  const sign = (i: number): number => (scores[i]!.better === 'higher' ? 1 : -1)
  /** As a share of the base's score; of a base that scores 0, the score itself. */
  const gain = (i: number, values: readonly number[], base: readonly number[]): number => (sign(i) * (values[i]! - base[i]!)) / (Math.abs(base[i]!) || 1)
  const isShared = new Set(counted.map(i => `${scores[i]!.metric} ${sign(i)}`)).size === 1
  const scale = goal.aim === 'strongest' ? 'strength' : goal.aim === 'mean' && isShared ? 'score' : 'gain'
  const total = counted.reduce((sum, i) => sum + scores[i]!.weight, 0)
  const mean = (of: (i: number) => number): number => counted.reduce((sum, i) => sum + (scores[i]!.weight / total) * of(i), 0)
  const suffix = scale === 'gain' ? ' %' : scale === 'score' && scores[counted[0]!]!.unit === '%' ? ' points' : ''
  const signed = (x: number): string => showSigned(suffix === '' ? x : 100 * x, suffix === '' ? 3 : 1)
  return {
    goal,
    scale,
    counted: counted.map(i => names[i]!),
    showGain: gain => `${signed(gain)}${suffix}`,
    showRange: (gain, interval) => `${signed(gain)}${suffix}${interval ? ` [${signed(interval.low)}, ${signed(interval.high)}]` : ''}`,
    goalOf(values, base, strength) {
      if (goal.aim === 'strongest') return strength
      if (goal.aim === 'worst') return Math.min(...counted.map(i => gain(i, values, base)))
      return mean(i => (isShared ? sign(i) * values[i]! : gain(i, values, base)))
    },
    lossesOf: (values, base) => Object.fromEntries(kept.map(i => [scores[i]!.task, -gain(i, values, base)])),
    excessOf: losses => Object.entries(losses).reduce((sum, [task, loss]) => sum + (loss > goal.keep[task]! + ROUNDING ? loss - goal.keep[task]! : 0), 0),
  }
}

/** With its sign; what rounds to 0 has none of its own. */
export function showSigned(x: number, digits: number): string {
  const text = x.toFixed(digits)
  return Number(text) === 0 ? `+${text.replace('-', '')}` : x > 0 ? `+${text}` : text
}

const ROUNDING = 1e-9 // 76 right answers where the base has 80 are 5 % less, though not in binary
