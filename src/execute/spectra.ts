import { rowsOf } from '../algebra/tensor.ts'
import type { Adapter } from '../checkpoint/adapter.ts'
import { joinAdapters } from '../plan/joined.ts'
import type { Plan } from '../plan/plan.ts'
import { coreEngine, coreSides, openFactors, spaceOf } from './core_space.ts'
import { type Cut, EXACT_SIDE, factorEngine, isCuttable, isSketched, operandOf, spectrum } from './factor.ts'
import { openTensors } from './tensors.ts'

/** How the energy of a matrix, the sum of the squares of its singular values, is spread over them. */
export interface Profile {
  readonly tensor: string
  /** ‖Δ‖²/σ₁². */
  readonly stableRank: number
  /** The fewest singular values that hold 90 and 99 % of the energy; null where those looked at hold less. */
  readonly rank90: number | null
  readonly rank99: number | null
  /** How many of the largest were looked at. */
  readonly looked: number
  /**
   * They were found by a random sketch, which gives none too large: then all three numbers are upper bounds, a few per cent above the true ones
   * where the spectrum falls slowly.
   */
  readonly isSketched: boolean
}

const LOOKED = 256 // values of a matrix that is too large for all

/** Profiles of the matrices of a task vector that are among `wanted`, one at a time in memory. Those larger than an engine's memory have none. */
export async function* profilesOf(delta: Plan, wanted: ReadonlySet<string>, { isExact = false }: { readonly isExact?: boolean } = {}): AsyncGenerator<Profile, void, void> {
  const cuts = delta.tasks.flatMap(task => {
    if (!wanted.has(task.name) || task.shape.length < 2) return []
    const { rows, columns } = rowsOf(task.shape)
    const side = Math.min(rows, columns)
    const cut = { rows, columns, rank: isExact || side <= EXACT_SIDE ? side : Math.min(side, LOOKED) }
    return side > 0 && isCuttable(cut) ? [{ task, cut }] : []
  })
  if (cuts.length === 0) return
  const engine = factorEngine(cuts.map(({ cut }) => cut))
  const reader = await openTensors(
    delta,
    cuts.reduce((most, { cut }) => Math.max(most, 4 * cut.rows * cut.columns), 0),
  )
  try {
    for (const { task, cut } of cuts) {
      const bytes = await reader.whole(task)
      new Uint8Array(engine.memory.buffer, operandOf(engine, cut).at, bytes.byteLength).set(bytes)
      yield profileOf(task.name, cut, spectrum(engine, cut))
    }
  } finally {
    reader.close()
  }
}

/** Likewise of what an adapter adds to each matrix, by its factors alone: exact, and nothing of the matrix's size is in memory. */
export function* adapterProfiles(adapter: Adapter): Generator<Profile, void, void> {
  const modules = joinAdapters(new Map([[adapter.ref, { ...adapter, saved: new Map() }]]))
  const cutOf = (module: (typeof modules)[number]): Cut => {
    const { left, right } = coreSides(module)
    return { rows: left, columns: right, rank: Math.min(left, right) }
  }
  const factors = openFactors([adapter])
  const engine = coreEngine(modules)
  const small = factorEngine(modules.map(cutOf))
  try {
    for (const module of modules) {
      const cut = cutOf(module)
      new Float32Array(small.memory.buffer).set(spaceOf(engine, module, factors).cores[0]!, operandOf(small, cut).at / 4)
      yield profileOf(`${module.name}.weight`, cut, spectrum(small, cut))
    }
  } finally {
    factors.close()
  }
}

function profileOf(tensor: string, cut: Cut, { values, energy }: ReturnType<typeof spectrum>): Profile {
  const largest = values[0]! ** 2
  const rankFor = (share: number): number | null => {
    let held = 0
    for (const [i, value] of values.entries()) {
      held += value * value
      if (held >= share * energy) return i + 1
    }
    return null
  }
  return { tensor, stableRank: largest === 0 ? 0 : energy / largest, rank90: rankFor(0.9), rank99: rankFor(0.99), looked: cut.rank, isSketched: isSketched(cut) }
}
