import type { Point, Space } from '../space.ts'

/** What a strategy is told besides the space. */
export interface Conditions {
  /** Most points that may be tried on all data. */
  readonly evaluations: number
  /** The next of a stream of uniform numbers in [0, 1): the same for a seed. */
  random(): number
}

/**
 * Tries points, several at a time, and gives their scores, of which more is better; null when no more may be tried. A point that is known costs nothing.
 * `share` takes only the first examples of every task, as a share of all.
 */
export type Ask = (points: readonly Point[], share?: number) => Promise<readonly number[] | null>

/** Why a strategy cannot be used. */
export interface Refusal {
  readonly what: string
  readonly fix: string
}

/** A way to choose the points that are tried; the file's name is the strategy's. */
export interface Strategy {
  readonly summary: string
  /** Null where it can search this space. */
  refuses(space: Space, conditions: Pick<Conditions, 'evaluations'>): Refusal | null
  /** Asks until it has done its work. The best of all points is found by whoever answers. */
  run(space: Space, ask: Ask, conditions: Conditions): Promise<void>
}

/** The index of the largest number; the first of equals. */
export const indexOfBest = (scores: readonly number[]): number => scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0)

/** For strategies that go along numbers only. */
export function refuseChoices(space: Space, name: string): Refusal | null {
  const choice = space.find(c => c.kind === 'choice')
  return choice ? { what: `${name} searches numbers, and ${choice.name} is a choice`, fix: 'use the strategy grid, coordinate or random' } : null
}
