import type { Event } from '../execute/execute.ts'
import { bytes, duration, operations } from './_text.ts'

/** Follows a merge's events. */
export interface Progress {
  see(event: Event): void
  end(): void
}

const REDRAW_MS = 100
const BAR_COLUMNS = 28

const OPERATIONS_PER_BYTE = 20 // what takes about as long, on one thread: 1 GB/s of bytes, 20 billion operations a second on whole matrices

/** A bar with bytes, rate and time left on a terminal, with operations where there are whole matrices; nothing elsewhere. */
export function progressBar(stream: NodeJS.WriteStream, now: () => number = () => performance.now()): Progress {
  if (!stream.isTTY) return { see() {}, end() {} }
  const begun = now()
  let total: Amount = { bytes: 0, operations: 0 }
  let drawn = Number.NEGATIVE_INFINITY
  return {
    see(event) {
      if (event.kind === 'start') total = amountOf(event)
      if (event.kind !== 'progress' || now() - drawn < REDRAW_MS) return
      drawn = now()
      stream.write(`\r\x1b[2K${line(amountOf(event), total, (now() - begun) / 1000)}`)
    },
    end: () => void stream.write('\r\x1b[2K'),
  }
}

/** Work done, or to do. */
interface Amount {
  readonly bytes: number
  readonly operations: number
}
const amountOf = (event: { readonly read: number; readonly written: number; readonly operations: number }): Amount => ({
  bytes: event.read + event.written,
  operations: event.operations,
})
const weightOf = (amount: Amount): number => amount.bytes + amount.operations / OPERATIONS_PER_BYTE

/**
 * The bar's one line: `████████░░░░  62 %  1.21 GB of 1.95 GB  1.4 GB/s  0.5 s left`; where whole matrices take longer than bytes do, what was done
 * of their operations: `████████░░░░  62 %  3.10 TFLOP of 5.00 TFLOP  1 min 30 s left`.
 */
export function line(done: Amount, total: Amount, seconds: number): string {
  const capped = { bytes: Math.min(done.bytes, total.bytes), operations: Math.min(done.operations, total.operations) } // passes that read again count again
  const share = weightOf(total) > 0 ? weightOf(capped) / weightOf(total) : 1
  const filled = Math.round(share * BAR_COLUMNS)
  const isOfOperations = total.operations / OPERATIONS_PER_BYTE > total.bytes
  const amount = isOfOperations
    ? `${operations(capped.operations)} of ${operations(total.operations)}`
    : `${bytes(capped.bytes)} of ${bytes(total.bytes)}  ${bytes(seconds > 0 ? capped.bytes / seconds : 0)}/s`
  const left = share > 0 && seconds > 0 ? `  ${duration((seconds * (1 - share)) / share)} left` : ''
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_COLUMNS - filled)}  ${Math.round(share * 100)} %  ${amount}${left}`
}
