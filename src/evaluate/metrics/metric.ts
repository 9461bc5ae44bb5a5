import type { Data } from '../data.ts'
import type { Ability, Runner } from '../engines/engine.ts'
import type { Options, Settings } from '../options.ts'

/**
 * What a metric counts: a numerator and a denominator for each example. The ratio of their sums is the score (an accuracy has 0 or 1 over 1;
 * bits per byte have bits over bytes), and resampling examples gives its interval.
 */
export interface Counts {
  readonly over: readonly number[]
  readonly under: readonly number[]
  /** Known from elsewhere: half the width of a 95 % interval, where the examples themselves are not at hand. */
  readonly halfWidth?: number | undefined
}

export interface Metric<O extends Options = Options, E = unknown> {
  /** One line for the docs and for `merganser help`. */
  readonly summary: string
  readonly better: 'higher' | 'lower'
  /** Where the suite says what is better. */
  aim?(settings: Settings<O>): 'higher' | 'lower'
  /** How people read it: 0.834 as 83.4 %, or as it is. */
  readonly unit: '%' | ''
  /** The kinds of data that it takes; none: the engine has its own. */
  readonly data: readonly Data['kind'][]
  readonly options: O
  /** Which ability of an engine it uses. */
  uses(settings: Settings<O>): Ability
  /** The examples in the data, checked. Throws MergeError at the place of what is wrong. */
  read(data: Data, settings: Settings<O>): E
  /** One model on all examples. */
  count(runner: Runner, examples: E, settings: Settings<O>): Promise<Counts>
  /** From the ratio to the score; default: the ratio itself. */
  score?(ratio: number): number
}
export type AnyMetric = Metric

/** Lets TypeScript tie options, examples and counting together. */
export const defineMetric = <const O extends Options, E>(metric: Metric<O, E>): AnyMetric => metric as unknown as AnyMetric // a suite has read the options by these very declarations
