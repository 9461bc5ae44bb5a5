import { parentPort } from 'node:worker_threads'
import { MergeError } from '../errors.ts'
import type { Partial } from './folds.ts'
import { createUnitRunner, type Setup, type Unit, type UnitResult } from './units.ts'

/** What a worker is told: first what it needs for all units, then one unit after the other. */
export type Order = { readonly setup: Setup } | { readonly unit: Unit }

/** What a worker answers: operations done so far on the way, then the result of a unit, or the error that ended it, as plain data. */
export type Answer =
  | { readonly operations: number }
  | { readonly result: UnitResult }
  | { readonly error: { readonly what: string; readonly where?: string | undefined; readonly fix?: string | undefined; readonly ours: boolean } }

// A thread's whole life: take a unit, do it, answer.
const port = parentPort!
let setup: Setup | null = null
let runner: ReturnType<typeof createUnitRunner> | null = null
port.on('message', async (order: Order) => {
  if ('setup' in order) {
    setup = order.setup
    return
  }
  try {
    runner ??= createUnitRunner(setup!) // here, where its errors are answered
    const result = await runner.run(order.unit, operations => port.postMessage({ operations } satisfies Answer))
    port.postMessage({ result } satisfies Answer, result.partials.flatMap(buffersOf))
  } catch (cause) {
    const error =
      cause instanceof MergeError
        ? { what: cause.what, where: cause.details.where, fix: cause.details.fix, ours: false }
        : { what: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), ours: true }
    port.postMessage({ error } satisfies Answer)
  }
})

/** What a partial result holds that can be handed over instead of copied. */
function buffersOf(partial: Partial): ArrayBuffer[] {
  const values = partial.kind === 'counts' ? partial.counts : partial.kind === 'values' ? partial.values : partial.kind === 'bracket' ? partial.collected : null
  return values ? [values.buffer as ArrayBuffer] : []
}
