import { assert } from '../errors.ts'
import type { Plan } from '../plan/plan.ts'
import type { Program } from '../plan/program.ts'
import type { Round, SurveyTask, Wanted } from '../plan/survey.ts'
import { BLOCK } from '../plan/tiling.ts'
import type { Partials } from './folds.ts'
import type { Pool } from './pool.ts'
import { fromOrdered } from './select.ts'
import type { UnitResult } from './units.ts'

// Numbers over all tensors of a merge, before any is written. Sums are added block by block in the order of the output. The k-th largest is found by
// counting all elements by the upper 16 bits of each, then those in the bin of rank k by the lower 16: exact, in memory that does not grow with the
// model, and whole counts add up to the same whoever counts what.

/** What a survey asks of each tensor: sums of blocks, or counts by upper bits, or by the lower bits of what has upper bits `prefixes[i]` for number i. */
export type SurveyStep = { readonly kind: 'sum' } | { readonly kind: 'high' } | { readonly kind: 'low'; readonly prefixes: readonly number[] }

/** Elements [start, end) of a tensor. */
export interface Piece {
  readonly task: SurveyTask
  readonly start: number
  readonly end: number
}

const UNIT_ELEMENTS = 64 * BLOCK // of a message, as of those that write
const UNIT_PIECES = 512

/** The numbers that a plan's tasks wait for, in the order of its survey. `done` hears of the work. */
export async function findEverywhere(
  { survey, programs }: Pick<Plan, 'survey' | 'programs'>,
  pool: Pick<Pool, 'submit'>,
  done: (result: UnitResult) => void,
): Promise<readonly number[]> {
  const values = survey.values.map(() => 0)
  for (const round of survey.rounds) {
    const tasks = round.tasks.map(task => fill(task, values))
    const units = unitsOf(tasks, programs)
    const wanted = round.values.map(v => survey.values[v]!)
    const look = (step: SurveyStep, see: (partials: Partials, unit: number) => void): Promise<unknown> =>
      Promise.all(
        units.map(async (pieces, u) => {
          const result = await pool.submit({ kind: 'survey', pieces, step, numbers: wanted.length })
          see(result.partials, u)
          done({ ...result, partials: [] })
        }),
      )
    const found = round.kind === 'sum' ? await addAll(look, units.length, wanted) : await rankAll(look, wanted)
    for (const [i, v] of round.values.entries()) values[v] = found[i]!
  }
  return values
}

/** A task whose constants hold what has been found. */
export function fill<T extends Pick<SurveyTask, 'constants' | 'found'>>(task: T, values: readonly number[]): T {
  if (task.found.length === 0) return task
  const constants = [...task.constants]
  for (const { slot, value } of task.found) constants[slot] = values[value]!
  return { ...task, constants }
}

/** Small tensors by the dozen, large ones in ranges of whole blocks. What looks at a tensor more than once, or at its rows, has it as a whole. */
function unitsOf(tasks: Round['tasks'], programs: readonly Program[]): readonly (readonly Piece[])[] {
  const units: Piece[][] = []
  let unit: Piece[] = []
  let elements = 0
  for (const task of tasks) {
    const { passes, rows, columns, buffers } = programs[task.program]!
    const length = passes.length > 1 || rows + columns + buffers > 0 ? task.size : UNIT_ELEMENTS
    for (let start = 0; start < task.size; start += length) {
      const end = Math.min(task.size, start + length)
      if (unit.length > 0 && (elements + end - start > UNIT_ELEMENTS || unit.length === UNIT_PIECES)) {
        units.push(unit)
        unit = []
        elements = 0
      }
      unit.push({ task, start, end })
      elements += end - start
    }
  }
  return unit.length > 0 ? [...units, unit] : units
}

type Look = (step: SurveyStep, see: (partials: Partials, unit: number) => void) => Promise<unknown>

async function addAll(look: Look, units: number, wanted: readonly Wanted[]): Promise<readonly number[]> {
  const partials: Partials[] = Array.from({ length: units }, () => [])
  await look({ kind: 'sum' }, (own, u) => {
    partials[u] = own
  })
  return wanted.map((_, i) => {
    let total = 0
    for (const own of partials) {
      const partial = own[i]!
      assert(partial.kind === 'sum', 'a sum gathers blocks')
      for (const block of partial.blocks) total += block
    }
    return total
  })
}

async function rankAll(look: Look, wanted: readonly Wanted[]): Promise<readonly number[]> {
  const upper = await count(look, { kind: 'high' }, wanted.length)
  const places = wanted.map((w, i) => descend(upper[i]!, w.kind === 'largest' && w.size > 0 ? w.rank : 0))
  const lower = await count(look, { kind: 'low', prefixes: places.map(p => p.bin) }, wanted.length)
  return places.map(({ bin, left }, i) => (left === 0 ? 0 : fromOrdered(((bin << 16) | descend(lower[i]!, left).bin) >>> 0) + 0)) // as elsewhere, a zero has no sign
}

/** Counts in float64: there may be more zeros in a model than 32 bits can count. */
async function count(look: Look, step: SurveyStep, numbers: number): Promise<readonly Float64Array[]> {
  const totals = Array.from({ length: numbers }, () => new Float64Array(65_536))
  await look(step, partials => {
    for (const [i, partial] of partials.entries()) {
      assert(partial.kind === 'counts', 'a rank gathers counts')
      const total = totals[i]!
      for (let bin = 0; bin < total.length; bin++) total[bin] = total[bin]! + partial.counts[bin]!
    }
  })
  return totals
}

/** The bin of the element of descending rank `rank` (from 1), and its rank within. Rank 0, of nothing, is in no bin. */
function descend(counts: Float64Array, rank: number): { readonly bin: number; readonly left: number } {
  if (rank === 0) return { bin: 0, left: 0 }
  let left = rank
  for (let bin = counts.length - 1; bin >= 0; bin--) {
    if (counts[bin]! >= left) return { bin, left }
    left -= counts[bin]!
  }
  throw new Error(`Merganser broke its own promise: rank ${rank} lies within what was counted. Please report this.`)
}
