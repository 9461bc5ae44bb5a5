import { Worker } from 'node:worker_threads'

// Tests run the sources, which only Node 22 could load in a thread: there the thread runs the build of the same sources.
const WORKER = new URL(import.meta.url.endsWith('.ts') ? '../../dist/execute/worker.js' : './worker.js', import.meta.url)

const waiting: Worker[] = []

/** Starts threads that then wait for a setup: a start takes about as long as making a plan, and the two can go on beside each other. */
export function warmThreads(count: number): void {
  while (waiting.length < count) {
    const worker = new Worker(WORKER)
    worker.unref() // who never takes them need not stop them
    worker.on('error', () => {
      const at = waiting.indexOf(worker)
      if (at >= 0) waiting.splice(at, 1)
    })
    waiting.push(worker)
  }
}

/** One of the threads that wait, or a new one. */
export function takeThread(): Worker {
  warmThreads(1)
  const worker = waiting.shift()!
  worker.ref()
  return worker
}
