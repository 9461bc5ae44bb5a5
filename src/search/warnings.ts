import type { Report, SearchResult } from './search.ts'
import { valueAt } from './space.ts'

const UNLIKELY = 0.05
const ROUNDING = 1e-9

/** What the reader of a search must not overlook. */
export function warningsOf({ judge, space, base, best, dev, test, noise }: Omit<SearchResult, 'warnings'>): readonly string[] {
  const warnings: string[] = []
  if (judge.scale !== 'strength') {
    if (!noise) warnings.push('the examples of these metrics cannot be resampled: how much of the gain is chance is unknown')
    else if (dev.gain <= 0) warnings.push(`no point that was tried is better than ${base}`)
    else if (noise.p > UNLIKELY)
      warnings.push(
        `the gain over ${base} on dev, ${judge.showGain(dev.gain)}, is within the noise of ${noise.tried} ${noise.tried === 1 ? 'point' : 'points'} tried (White’s reality check: p = ${noise.p.toFixed(2)})`,
      )
    if (dev.gain > 0 && test.interval && test.interval.low <= 0) warnings.push(`on test the gain is ${judge.showRange(test.gain, test.interval)}: it may be nothing`)
  }
  for (const [i, coordinate] of space.entries()) {
    const isLast = best.point[i] === coordinate.count - 1
    if (coordinate.kind === 'choice' || !(isLast || best.point[i] === 0)) continue
    const value = valueAt(coordinate, best.point[i]!)
    if (value === 0) continue
    warnings.push(`${coordinate.name} = ${value} is the ${isLast ? 'upper' : 'lower'} end of its range: better values may lie beyond`)
  }
  for (const [task, allowed] of Object.entries(judge.goal.keep)) {
    warnings.push(...lossesTooLarge(task, allowed, 'dev', dev), ...lossesTooLarge(task, allowed, 'test', test))
  }
  return warnings
}

function lossesTooLarge(task: string, allowed: number, split: string, { losses }: Report): readonly string[] {
  const { loss, interval } = losses[task]!
  const limit = percent(allowed)
  if (loss > allowed + ROUNDING) return [`on ${split}, ${task} loses ${percent(loss)}, more than the ${limit} allowed`]
  return interval && interval.high > allowed
    ? [`on ${split}, ${task} loses ${percent(loss)}, but by chance it may be up to ${percent(interval.high)}, more than the ${limit} allowed`]
    : []
}

const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`
