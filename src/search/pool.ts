import { Worker } from 'node:worker_threads'
import { MergeError } from '../errors.ts'
import { createRunner, type Job, type Measured, type Setup } from './runner.ts'
import type { Answer, Order } from './worker.ts'

/** Measures, several at a time. */
export interface Pool {
  measure(job: Job): Promise<Measured>
  close(): Promise<void>
}

/** `workers` threads, each with sessions and models of its own; with one, this thread itself. */
export const createPool = (setup: Setup, workers: number): Pool => (workers === 1 ? inline(setup) : threaded({ ...setup, threads: 1 }, workers))

function inline(setup: Setup): Pool {
  const runner = createRunner(setup)
  let last: Promise<unknown> = Promise.resolve()
  let isClosed = false
  return {
    measure(job) {
      const result = last.then(() => {
        if (isClosed) throw new Error('the pool was closed') // nobody waits for it any more
        return runner.run(job)
      })
      last = result.catch(() => {}) // its asker hears of it
      return result
    },
    async close() {
      isClosed = true
      await last
      await runner.close()
    },
  }
}

interface Waiting {
  readonly job: Job
  readonly resolve: (measured: Measured) => void
  readonly reject: (error: unknown) => void
}

// Tests run the sources, which only Node 22 could load in a thread: there the thread runs the build of the same sources.
const FOLDER = import.meta.url.endsWith('.ts') ? '../../dist/search/' : './'
const WORKER = new URL(`${FOLDER}${/[\\/]cli[\\/][^\\/]*$/.test(import.meta.url) ? 'search_worker.js' : 'worker.js'}`, import.meta.url) // bundled beside the command line

function threaded(setup: Setup, count: number): Pool {
  const queue: Waiting[] = []
  const idle: Worker[] = []
  const busy = new Map<Worker, Waiting>()
  const workers: Worker[] = []
  let failure: unknown = null

  function start(): Worker {
    const worker = new Worker(WORKER)
    worker.postMessage({ setup } satisfies Order)
    worker.on('message', (answer: Answer) => {
      const { resolve, reject } = busy.get(worker)!
      busy.delete(worker)
      idle.push(worker)
      if ('measured' in answer) resolve(answer.measured)
      else reject(answer.error.isOurs ? new Error(answer.error.what) : new MergeError(answer.error.what, answer.error.details))
      deal()
    })
    worker.on('error', cause => {
      failure = new MergeError(`a worker thread died: ${cause instanceof Error ? cause.message : String(cause)}`, {
        fix: 'if memory ran out, lower --workers; run the same command again: finished tasks are known',
        cause,
      })
      for (const waiting of [...busy.values(), ...queue.splice(0)]) waiting.reject(failure)
    })
    workers.push(worker)
    return worker
  }

  function deal(): void {
    while (queue.length > 0 && (idle.length > 0 || workers.length < count)) {
      const worker = idle.shift() ?? start() // one that waits has its sessions open
      const waiting = queue.shift()!
      busy.set(worker, waiting)
      worker.postMessage({ job: waiting.job } satisfies Order)
    }
  }

  return {
    measure: job =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure)
        queue.push({ job, resolve, reject })
        deal()
      }),
    async close() {
      queue.length = 0
      await Promise.all(workers.map(worker => worker.terminate()))
    },
  }
}
