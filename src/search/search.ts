import { MergeError } from '../errors.ts'
import { differenceOf, type Interval } from '../evaluate/bootstrap.ts'
import { type Score, scaleOf } from '../evaluate/evaluate.ts'
import { suggest } from '../recipe/locate.ts'
import { uniforms } from './_random.ts'
import { createJudge, type Goal, type Judge } from './goal.ts'
import { gainIntervalOf, type Noise, noiseOf } from './noise.ts'
import { describePoint, keyOf, type Point, type Space, strengthOf, type Values, valuesAt } from './space.ts'
import { STRATEGIES } from './strategies/_all.ts'
import type { Ask, Strategy } from './strategies/strategy.ts'
import { fillTemplate } from './template.ts'
import type { Trials } from './trials.ts'
import { warningsOf } from './warnings.ts'

/** One point that was measured on dev. */
export interface Trial {
  readonly point: Point
  readonly values: Values
  /** Of the data, the first: below 1 in successive halving. */
  readonly share: number
  readonly scores: readonly Score[]
  /** More is better; what it is, the judge says. */
  readonly goal: number
  /** Of each kept task, the share of the base's score that it loses. */
  readonly losses: Readonly<Record<string, number>>
  /** No loss is larger than allowed. */
  readonly isKept: boolean
}

/** What a choice is worth on one split. */
export interface Report {
  readonly base: readonly Score[]
  readonly best: readonly Score[]
  /** Of the goal, best less base. */
  readonly gain: number
  /** 95 %, from paired resamples; on dev without regard to how many points were tried. */
  readonly interval: Interval | null
  readonly tasks: readonly { readonly task: string; readonly difference: number; readonly interval: Interval | null }[]
  readonly losses: Readonly<Record<string, { readonly loss: number; readonly interval: Interval | null }>>
}

export interface SearchResult {
  readonly strategy: string
  readonly seed: number
  readonly judge: Judge
  readonly space: Space
  /** The model that the recipe builds on, by its name. */
  readonly base: string
  /** In the order in which they were asked for. */
  readonly trials: readonly Trial[]
  readonly best: Trial
  readonly dev: Report
  readonly test: Report
  /** Null where examples cannot be resampled, and where the coefficients themselves are the goal. */
  readonly noise: (Omit<Noise, 'level'> & { readonly level: readonly Trial[] }) | null
  readonly warnings: readonly string[]
  readonly notes: readonly string[]
}

export interface SearchOptions {
  /** Default: a grid where it is small, else line, cma_es or coordinate, as the variables allow. */
  readonly strategy?: string | undefined
  readonly goal?: Goal
  /** Most points to try on all data. Default: 100, for a grid that was asked for 1,000. */
  readonly evaluations?: number | undefined
  readonly seed?: number
  /** Hears of every trial as soon as it is done. */
  readonly found?: (trial: Trial) => void
}

const USUAL_EVALUATIONS = 100
const MOST_OF_GRID = 1000

/**
 * Tries points by a strategy on dev, takes the best and measures it on test. The same for a seed, however many workers there are.
 *
 * @example
 * const template = readTemplate('base + $lambda*(greek - base)', { isExpression: true, variables: { lambda: '0..1:0.5' } })
 * const [dev, test] = await Promise.all(['dev', 'test'].map(split => readSuite('zoo/vision/suite.yml', { split, tasks: ['greek'], limit: 20 })))
 * const trials = await openTrials(template, { dev, test }, { parse: { models: { base: 'zoo/vision/base', greek: 'zoo/vision/greek' } } })
 * const { best, test: onTest, warnings } = await search(trials, { strategy: 'grid' })
 * console.log(best.values, onTest.gain, onTest.interval, warnings)
 * await trials.close()
 */
export async function search(trials: Trials, options: SearchOptions = {}): Promise<SearchResult> {
  const { goal = { aim: 'mean', keep: {} }, seed = 0, found } = options
  const { space } = trials.template
  const { name, strategy, evaluations } = chooseStrategy(space, options)
  const textAt = (point: Point): string => fillTemplate(trials.template, valuesAt(space, point))
  let first: string | null = null // the first recipe asked for tells the base: a point of our own, such as one of weights 0 alone, might be no recipe at all
  const baseAt = known((share: number) => trials.measure({ text: first!, of: 'base', split: 'dev', share }))
  const judgeOf = known(async (share: 1) => createJudge(goal, (await baseAt(share)).scores))
  const tried = new Map<string, Trial>()
  const notes = new Set<string>()

  async function trial(point: Point, share: number): Promise<Trial> {
    const judge = await judgeOf(1)
    const { scores, notes: told } = await trials.measure({ text: textAt(point), of: 'merge', split: 'dev', share })
    for (const note of told) notes.add(note)
    const values = valuesIn(scores)
    const ofBase = valuesIn((await baseAt(share)).scores)
    const losses = judge.lossesOf(values, ofBase)
    const done = {
      point,
      values: valuesAt(space, point),
      share,
      scores,
      goal: judge.goalOf(values, ofBase, strengthOf(space, point)),
      losses,
      isKept: judge.excessOf(losses) === 0,
    }
    found?.(done)
    return done
  }
  const ask: Ask = async (points, share = 1) => {
    const nameOf = (point: Point): string => `${share}: ${keyOf(point)}`
    const fresh = [...new Map(points.filter(p => !tried.has(nameOf(p))).map(p => [nameOf(p), p]))]
    first ??= points[0] ? textAt(points[0]) : null
    const judge = await judgeOf(1)
    const room = share < 1 ? fresh.length : evaluations - [...tried.values()].filter(t => t.share === 1).length
    const done = await Promise.all(fresh.slice(0, room).map(async ([key, point]) => [key, await trial(point, share)] as const))
    for (const [key, value] of done) tried.set(key, value)
    return fresh.length > room ? null : points.map(point => rankOf(judge, tried.get(nameOf(point))!))
  }
  await strategy.run(space, ask, { evaluations, random: uniforms(seed) })

  if (first === null) throw new MergeError('no point was tried', { fix: 'allow more with --evaluations' })
  const [judge, base] = await Promise.all([judgeOf(1), baseAt(1)])
  const all = [...tried.values()]
  const best = bestOf(space, judge, all)
  const text = textAt(best.point)
  const [ofBase, ofBest] = await Promise.all((['base', 'merge'] as const).map(of => trials.measure({ text, of, split: 'test', share: 1 })))
  const noise = noiseAmong(judge, all, base.scores, best)
  const result = {
    strategy: name,
    seed,
    judge,
    space,
    base: base.name,
    trials: all,
    best,
    dev: reportOf(space, judge, best, base.scores, best.scores),
    test: reportOf(space, judge, best, ofBase!.scores, ofBest!.scores),
    noise,
    notes: [...notes],
  }
  return { ...result, warnings: warningsOf(result) }
}

function chooseStrategy(space: Space, { strategy, evaluations }: SearchOptions): { readonly name: string; readonly strategy: Strategy; readonly evaluations: number } {
  if (strategy !== undefined) {
    const names = Object.keys(STRATEGIES)
    if (!names.includes(strategy)) throw new MergeError(`unknown strategy "${strategy}"`, { fix: suggest(strategy, names, 'strategies') })
    const chosen = STRATEGIES[strategy]!
    const limit = evaluations ?? (strategy === 'grid' ? MOST_OF_GRID : USUAL_EVALUATIONS)
    const refusal = chosen.refuses(space, { evaluations: limit })
    if (refusal) throw new MergeError(refusal.what, { fix: refusal.fix })
    return { name: strategy, strategy: chosen, evaluations: limit }
  }
  const limit = evaluations ?? USUAL_EVALUATIONS
  const name = ['grid', 'line', 'cma_es', 'coordinate'].find(usual => STRATEGIES[usual]!.refuses(space, { evaluations: limit }) === null)! // the last one takes everything
  return { name, strategy: STRATEGIES[name]!, evaluations: limit }
}

const LOST = -1e6 // below every goal: a point that loses too much comes after all that do not, the nearer the better

const rankOf = (judge: Judge, { goal, losses, isKept }: Trial): number => (isKept ? goal : LOST * (1 + judge.excessOf(losses)))

/** Of equals the weaker: less is changed. */
function bestOf(space: Space, judge: Judge, trials: readonly Trial[]): Trial {
  const whole = trials.filter(t => t.share === 1)
  const order = whole.toSorted((a, b) => rankOf(judge, b) - rankOf(judge, a) || strengthOf(space, a.point) - strengthOf(space, b.point))
  const best = order[0]
  if (!best) throw new MergeError('no point was tried on all data', { fix: 'allow more with --evaluations' })
  if (best.isKept) return best
  const losses = Object.entries(best.losses).map(([task, loss]) => `${task} ${(100 * loss).toFixed(1)} %`)
  throw new MergeError(
    `none of the ${whole.length} points tried keeps ${Object.keys(best.losses).join(' and ')}: the nearest, ${describePoint(space, best.point)}, loses ${losses.join(', ')}`,
    {
      fix: 'allow a larger loss, or begin the ranges nearer to 0',
    },
  )
}

function noiseAmong(judge: Judge, trials: readonly Trial[], base: readonly Score[], best: Trial): SearchResult['noise'] {
  if (judge.scale === 'strength') return null
  const rivals = trials.filter(t => t.share === 1 && t.isKept)
  const noise = noiseOf(
    rivals.map(t => t.scores),
    base,
    rivals.indexOf(best),
    (values, ofBase) => judge.goalOf(values, ofBase, 0),
  )
  return noise && { ...noise, level: noise.level.map(i => rivals[i]!) }
}

function reportOf(space: Space, judge: Judge, { point }: Trial, base: readonly Score[], best: readonly Score[]): Report {
  const strength = strengthOf(space, point)
  const [values, ofBase] = [valuesIn(best), valuesIn(base)]
  const isMeasured = judge.scale !== 'strength'
  const losses = Object.entries(judge.lossesOf(values, ofBase)).map(([task, loss]) => {
    const interval = gainIntervalOf(best, base, (of, from) => judge.lossesOf(of, from)[task]!)
    return [task, { loss, interval }] as const
  })
  return {
    base,
    best,
    gain: isMeasured ? judge.goalOf(values, ofBase, 0) - judge.goalOf(ofBase, ofBase, 0) : strength,
    interval: isMeasured ? gainIntervalOf(best, base, (of, from) => judge.goalOf(of, from, 0)) : null,
    tasks: best.map((score, t) => ({
      task: score.task,
      difference: score.value - base[t]!.value,
      interval: differenceOf(base[t]!.counts, score.counts, scaleOf(score.metric)),
    })),
    losses: Object.fromEntries(losses),
  }
}

const valuesIn = (scores: readonly Score[]): readonly number[] => scores.map(s => s.value)

function known<K, T>(make: (key: K) => Promise<T>): (key: K) => Promise<T> {
  const made = new Map<K, Promise<T>>()
  return key => {
    const value = made.get(key) ?? make(key)
    made.set(key, value)
    return value
  }
}
