import { MergeError } from '../errors.ts'
import type { FiguresPlan } from '../plan/figures.ts'
import { INLINE_BYTES } from './execute.ts'
import { createPool } from './pool.ts'
import { findEverywhere } from './survey.ts'

/** What a tensor of a task vector amounts to. */
export interface Figures {
  readonly name: string
  readonly shape: readonly number[]
  /** The square of its norm: sums in float64 of squares in float32, off by about 1e-7 of itself. */
  readonly energy: number
  /** Elements that are not 0. */
  readonly nonzeros: number
}

/** Measures every tensor of a plan, in its order, with its threads and memory. Throws where one holds what is not finite. */
export async function findFigures({ measured, inputs, programs, survey, memory, read }: FiguresPlan): Promise<readonly Figures[]> {
  const pool = createPool({ inputs, outputs: [], programs, rowMaps: [], memory }, read < INLINE_BYTES ? 0 : memory.threads, () => {})
  try {
    const values = await findEverywhere({ survey, programs }, pool, () => {})
    return measured.map(({ name, shape }, i) => {
      const [energy, nonzeros] = [values[2 * i]!, values[2 * i + 1]!]
      if (!Number.isFinite(energy)) throw new MergeError(`the task vector holds NaN or infinity, or its norm is beyond float32`, { where: name, fix: 'use undamaged models' })
      return { name, shape, energy, nonzeros }
    })
  } finally {
    await pool.close()
  }
}
