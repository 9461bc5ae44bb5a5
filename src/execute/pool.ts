import { Worker } from 'node:worker_threads'
import { MergeError } from '../errors.ts'
import { compileKernels } from '../kernels/kernels.ts'
import { createUnitRunner, type Setup, type Unit, type UnitResult } from './units.ts'
import type { Answer, Order } from './worker.ts'

/** Does units, several at a time. */
export interface Pool {
  /** `urgent` goes before what waits. */
  submit(unit: Unit, urgent?: boolean): Promise<UnitResult>
  close(): Promise<void>
}

/** `threads` worker threads, or with 0 this thread itself. `tell` hears of operations done, while units last that take long. */
export function createPool(setup: Setup, threads: number, tell: (operations: number) => void): Pool {
  return threads === 0 ? inline(setup, tell) : threaded(setup, threads, tell)
}

function inline(setup: Setup, tell: (operations: number) => void): Pool {
  const runner = createUnitRunner(setup)
  let last: Promise<unknown> = Promise.resolve()
  let isClosed = false
  /** Lets the thread's other work go on, and ends this one when nobody wants its result any more. */
  async function pause(operations: number): Promise<void> {
    tell(operations)
    await new Promise(resolve => setTimeout(resolve, 0))
    if (isClosed) throw new Error('the pool was closed')
  }
  return {
    submit(unit) {
      const result = last.then(() => runner.run(unit, pause))
      last = result.catch(() => {})
      return result
    },
    async close() {
      isClosed = true
      await last
      runner.close()
    },
  }
}

interface Waiting {
  readonly unit: Unit
  readonly resolve: (result: UnitResult) => void
  readonly reject: (error: unknown) => void
}

function threaded(setup: Setup, threads: number, tell: (operations: number) => void): Pool {
  const queue: Waiting[] = []
  const idle: Worker[] = []
  const busy = new Map<Worker, Waiting>()
  const workers = Array.from({ length: threads }, () => start())
  let failure: unknown = null

  function start(): Worker {
    const worker = takeThread()
    worker.postMessage({ setup: { ...setup, kernels: compileKernels() } } satisfies Order)
    worker.on('message', (answer: Answer) => {
      if ('operations' in answer) return tell(answer.operations)
      const { resolve, reject } = busy.get(worker)!
      busy.delete(worker)
      idle.push(worker)
      if ('result' in answer) resolve(answer.result)
      else reject(answer.error.ours ? new Error(answer.error.what) : new MergeError(answer.error.what, answer.error))
      deal()
    })
    worker.on('error', cause => {
      failure = new MergeError(`a worker thread died: ${cause instanceof Error ? cause.message : String(cause)}`, {
        fix: 'if memory ran out, lower --memory or --threads; then run the same command with --resume',
        cause,
      })
      for (const waiting of [...busy.values(), ...queue.splice(0)]) waiting.reject(failure)
    })
    idle.push(worker)
    return worker
  }

  function deal(): void {
    while (idle.length > 0 && queue.length > 0) {
      const worker = idle.shift()!
      const waiting = queue.shift()!
      busy.set(worker, waiting)
      worker.postMessage({ unit: waiting.unit } satisfies Order)
    }
  }

  return {
    submit: (unit, urgent = false) =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure)
        if (urgent) queue.unshift({ unit, resolve, reject })
        else queue.push({ unit, resolve, reject })
        deal()
      }),
    async close() {
      queue.length = 0
      await Promise.all(workers.map(worker => worker.terminate()))
    },
  }
}

// Tests run the sources, which only Node 22 could load in a thread: there the thread runs the build of the same sources.
const WORKER = new URL(import.meta.url.endsWith('.ts') ? '../../dist/execute/worker.js' : './worker.js', import.meta.url)

const spare: Worker[] = []

/** Starts threads that then wait for a setup: a start takes about as long as making a plan, and the two can go on beside each other. */
export function warmThreads(count: number): void {
  while (spare.length < count) {
    const worker = new Worker(WORKER)
    worker.unref() // who never takes them need not stop them
    worker.on('error', () => {
      const at = spare.indexOf(worker)
      if (at >= 0) spare.splice(at, 1)
    })
    spare.push(worker)
  }
}

/** One of the threads that wait, or a new one. */
function takeThread(): Worker {
  warmThreads(1)
  const worker = spare.shift()!
  worker.ref()
  return worker
}
