import { assert } from '../errors.ts'
import type { LookPlan } from '../plan/looks.ts'
import { BLOCK } from '../plan/tiling.ts'
import { INLINE_BYTES, refuseChanged } from './execute.ts'
import type { Partials } from './folds.ts'
import { createPool } from './pool.ts'
import type { Piece } from './survey.ts'

const UNIT_ELEMENTS = 64 * BLOCK // of a message, as of those that write
const UNIT_PIECES = 128 // each brings numbers of its own

/** Pieces to look at in one message, and where each number goes. */
interface LookUnit {
  readonly pieces: Piece[]
  readonly places: { readonly look: number; readonly fold: number }[]
  elements: number
}

/**
 * The sums that a plan of looks asks for, by look, in the order of its folds. Blocks are added in their order, so the numbers do not depend on
 * threads or memory. `done` hears of bytes read.
 */
export async function runLooks(plan: LookPlan, done: (read: number) => void = () => {}): Promise<readonly Float64Array[]> {
  const { inputs, programs, memory } = plan
  const units = unitsOf(plan)
  const setup = { inputs: inputs.map(({ locator, name, model }) => ({ locator, name, model })), outputs: [], programs, rowMaps: [], memory }
  const pool = createPool(setup, plan.read < INLINE_BYTES ? 0 : memory.threads, () => {})
  const partials: Partials[] = Array.from(units, () => [])
  try {
    await Promise.all(
      units.map(async ({ pieces, places }, u) => {
        const result = await pool.submit({ kind: 'survey', pieces, step: { kind: 'sum' }, numbers: places.length })
        partials[u] = result.partials
        done(result.read)
      }),
    )
  } finally {
    await pool.close()
  }
  await refuseChanged(plan)
  const sums = plan.looks.map(({ folds }) => new Float64Array(folds))
  for (const [u, { places }] of units.entries()) {
    for (const [n, { look, fold }] of places.entries()) {
      const partial = partials[u]![n]!
      assert(partial.kind === 'sum', 'a sum gathers blocks')
      for (const block of partial.blocks) sums[look]![fold] = sums[look]![fold]! + block
    }
  }
  return sums
}

/** Small tensors by the dozen, large ones in ranges of whole blocks. What looks at a tensor more than once, or at its rows, has it as a whole. */
function unitsOf({ tasks, programs }: LookPlan): readonly LookUnit[] {
  const units: LookUnit[] = []
  for (const { look, folds, task } of tasks) {
    const { passes, rows, columns, buffers } = programs[task.program]!
    const length = passes.length > 1 || rows + columns + buffers > 0 ? task.size : UNIT_ELEMENTS
    for (let start = 0; start < task.size; start += length) {
      const end = Math.min(task.size, start + length)
      let unit = units.at(-1)
      if (!unit || unit.elements + end - start > UNIT_ELEMENTS || unit.pieces.length === UNIT_PIECES) {
        unit = { pieces: [], places: [], elements: 0 }
        units.push(unit)
      }
      const first = unit.places.length
      unit.pieces.push({ task: { ...task, into: folds.map((_, i) => [first + i]) }, start, end })
      unit.places.push(...folds.map(fold => ({ look, fold })))
      unit.elements += end - start
    }
  }
  return units
}
