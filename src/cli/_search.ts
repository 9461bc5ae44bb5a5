import type { Interval } from '../evaluate/bootstrap.ts'
import type { Score } from '../evaluate/evaluate.ts'
import type { Suite } from '../evaluate/suite.ts'
import { showSigned } from '../search/goal.ts'
import type { Report, SearchResult, Trial } from '../search/search.ts'
import { valueAt } from '../search/space.ts'
import { bold, dim, green, harmless, plural, table } from './_text.ts'

// What a search found, for people and for programs.

const MOST_ROWS = 40 // of a curve that is shown whole; of more points the best ones
const BEST_ROWS = 15
const BLOCKS = '▁▂▃▄▅▆▇█'

export function describe(result: SearchResult, suite: Suite, out: string | null, notes: readonly string[]): string {
  const { strategy, trials, best, noise, warnings, judge } = result
  const whole = trials.filter(t => t.share === 1)
  const parts = trials.length - whole.length
  const level = noise && noise.level.length > 1 ? [`${noise.level.length} of ${noise.tried} points cannot be told from the best on dev${spanOf(result, noise.level)}.`] : []
  const lines = [
    `${bold(harmless(suite.name))}, dev: ${plural(whole.length, 'point')} by ${strategy}${parts > 0 ? `, and ${parts} on a part of the data` : ''}; objective: ${objectiveOf(result)}`,
    '',
    ...curve(result),
    '',
    `${green('best:')} ${harmless(result.space.map((c, i) => `${c.name} = ${valueAt(c, best.point[i]!)}`).join(', '))}`,
    '',
    comparison(result),
    '',
    ...(judge.scale === 'strength'
      ? []
      : [
          `Gain over ${harmless(result.base)}: ${judge.showRange(result.dev.gain, result.dev.interval)} on dev${noise ? ` (White’s reality check over ${plural(noise.tried, 'point')}: p = ${noise.p.toFixed(3)})` : ''}, ${judge.showRange(result.test.gain, result.test.interval)} on test.`,
        ]),
    ...Object.entries(result.test.losses).map(
      ([task, { loss, interval }]) =>
        `${harmless(task)} loses ${percent(result.dev.losses[task]!.loss)} on dev, ${percent(loss)}${interval ? ` [${percent(interval.low)}, ${percent(interval.high)}]` : ''} on test.`,
    ),
    ...level.map(dim),
    dim('In brackets: 95 % intervals from resampling the examples, paired where two models are compared.'),
    ...warnings.map(w => `${bold('warning:')} ${harmless(w)}`),
    ...[...result.notes, ...notes].map(note => `${dim('note:')} ${harmless(note)}`),
    ...(out === null ? [] : [`${green('✓')} ${harmless(out)}`]),
  ]
  return `${lines.join('\n')}\n`
}

function objectiveOf({ judge }: SearchResult): string {
  const { aim, keep } = judge.goal
  const what = aim === 'strongest' ? 'the strongest' : aim === 'worst' ? 'the smallest gain of a task' : judge.scale === 'gain' ? 'mean gain' : 'mean'
  const kept = Object.entries(keep).map(([task, share]) => `${task} loses at most ${percent(share)}`)
  return harmless([what, ...kept].join('; '))
}

/** Every point, or the best ones and the heights of all. */
function curve(result: SearchResult): readonly string[] {
  const { space, trials, base, dev, best, judge } = result
  const whole = trials.filter(t => t.share === 1)
  const goals = whole.map(t => t.goal)
  const [low, high] = [Math.min(...goals), Math.max(...goals)]
  const block = (goal: number): string => BLOCKS[high > low ? Math.round(((goal - low) / (high - low)) * (BLOCKS.length - 1)) : BLOCKS.length - 1]!
  const byPoint = whole.toSorted((a, b) => a.point.reduce((sign, index, i) => sign || index - b.point[i]!, 0))
  const isWhole = whole.length <= MOST_ROWS
  const rows = isWhole && space.length === 1 ? byPoint : isWhole ? byPoint : [...whole].sort((a, b) => Number(b.isKept) - Number(a.isKept) || b.goal - a.goal).slice(0, BEST_ROWS)
  const isMeasured = judge.scale !== 'strength'
  const head = [...space.map(c => harmless(c.name)), ...dev.base.map(titleOf), ...(isMeasured ? [goalTitle(result)] : []), '', '']
  const cells = (scores: readonly Score[]): readonly string[] => scores.map(s => shown(s.value, s))
  const mark = (t: Trial): string => (t === best ? '← best' : t.isKept ? '' : 'loses too much')
  const body = rows.map(t => [
    ...space.map((c, i) => harmless(String(valueAt(c, t.point[i]!)))),
    ...cells(t.scores),
    ...(isMeasured ? [goalShown(result, t.goal)] : []),
    isMeasured ? block(t.goal) : '',
    mark(t),
  ])
  const first = [harmless(base), ...space.slice(1).map(() => ''), ...cells(dev.base), ...(isMeasured ? [goalShown(result, best.goal - dev.gain)] : []), '', '']
  const numbers = head.map((_, c) => c).slice(0, -2)
  const partial = trials.filter(t => t.share < 1)
  return [
    table([head, first, ...body], numbers),
    ...(isWhole ? [] : ['', `the ${BEST_ROWS} best of ${whole.length} points; all, in the order tried:`, whole.map(t => block(t.goal)).join('')]),
    ...[...new Set(partial.map(t => t.share))].map(share => dim(`${partial.filter(t => t.share === share).length} points on 1/${1 / share} of the data`)),
  ]
}

function comparison({ dev, test, base }: SearchResult): string {
  const rows = dev.base.map((score, t) => [
    titleOf(score),
    shown(score.value, score),
    shown(dev.best[t]!.value, score),
    shown(test.base[t]!.value, score),
    shown(test.best[t]!.value, score),
    difference(test.tasks[t]!.difference, test.tasks[t]!.interval, score),
  ])
  const name = harmless(base)
  return table([['', `dev: ${name}`, 'best', `test: ${name}`, 'best', 'difference'], ...rows], [1, 2, 3, 4, 5])
}

const titleOf = ({ task, unit, better }: Score): string => `${harmless(task)}${unit === '%' ? ' %' : ''}${better === 'lower' ? ' ↓' : ''}`
const shown = (x: number, { unit }: Pick<Score, 'unit'>): string => (unit === '%' ? (100 * x).toFixed(1) : x.toFixed(3))
const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`

function difference(value: number, interval: Interval | null, score: Score): string {
  const signed = (x: number): string => (score.unit === '%' ? showSigned(100 * x, 1) : showSigned(x, 3))
  return interval ? `${signed(value)} [${signed(interval.low)}, ${signed(interval.high)}]` : signed(value)
}

function goalTitle({ judge, dev }: SearchResult): string {
  if (judge.scale === 'gain') return judge.goal.aim === 'worst' ? 'least gain %' : 'mean gain %'
  const score = dev.base.find(s => s.task === judge.counted[0])!
  return titleOf({ ...score, task: judge.counted.length > 1 ? 'mean' : `${score.task} ` })
}

function goalShown({ judge, dev }: SearchResult, goal: number): string {
  if (judge.scale === 'gain') return (100 * goal).toFixed(1)
  const score = dev.base.find(s => s.task === judge.counted[0])!
  return shown(score.better === 'higher' ? goal : -goal, score)
}

/** Of one number: `: lambda 0.4 to 0.75`. */
function spanOf({ space }: SearchResult, level: readonly Trial[]): string {
  const [only, other] = space
  if (!only || other || only.kind === 'choice') return ''
  const places = level.map(t => t.point[0]!)
  return `: ${harmless(only.name)} from ${valueAt(only, Math.min(...places))} to ${valueAt(only, Math.max(...places))}`
}

export function asJson(result: SearchResult, suite: Suite, recipe: string, notes: readonly string[]) {
  const { judge, noise, trials, best } = result
  const trial = ({ values, share, scores, goal, losses, isKept }: Trial) => ({ values, share, goal, kept: isKept, losses, tasks: scores.map(plain) })
  const report = ({ base, best: ofBest, ...rest }: Report) => ({ ...rest, base: base.map(plain), best: ofBest.map(plain) })
  return {
    suite: suite.name,
    strategy: result.strategy,
    seed: result.seed,
    objective: judge.goal.aim,
    keep: judge.goal.keep,
    scale: judge.scale,
    base: result.base,
    best: best.values,
    dev: report(result.dev),
    test: report(result.test),
    noise: noise && { points: noise.tried, p: noise.p, correction: "White's reality check", resamples: noise.resamples, level: noise.level.map(t => t.values) },
    trials: trials.map(trial),
    warnings: result.warnings,
    notes: [...result.notes, ...notes],
    recipe,
  }
}

const plain = ({ counts, isKnown, ...score }: Score) => ({ ...score, examples: counts.over.length, cached: isKnown })
