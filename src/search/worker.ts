import { parentPort } from 'node:worker_threads'
import { type ErrorDetails, MergeError } from '../errors.ts'
import { createRunner, type Job, type Measured, type Runner, type Setup } from './runner.ts'

/** What a worker is told: first what all jobs share, then one job after the other. */
export type Order = { readonly setup: Setup } | { readonly job: Job }

/** What it answers: what was measured, or the error that ended it, as plain data. */
export type Answer = { readonly measured: Measured } | { readonly error: { readonly what: string; readonly details: ErrorDetails; readonly isOurs: boolean } }

const port = parentPort!
let runner: Runner | null = null
port.on('message', async (order: Order) => {
  if ('setup' in order) {
    runner = createRunner(order.setup)
    return
  }
  try {
    port.postMessage({ measured: await runner!.run(order.job) } satisfies Answer) // the setup came first
  } catch (cause) {
    const error =
      cause instanceof MergeError
        ? { what: cause.what, details: { ...cause.details, cause: undefined }, isOurs: false }
        : { what: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), details: {}, isOurs: true }
    port.postMessage({ error } satisfies Answer)
  }
})
