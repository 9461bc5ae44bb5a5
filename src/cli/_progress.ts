import type { Event } from '../execute/execute.ts'
import { bytes, duration } from './_text.ts'

/** Follows a merge's events. */
export interface Progress {
  see(event: Event): void
  end(): void
}

const REDRAW_MS = 100
const BAR_COLUMNS = 28

/** A bar with bytes, rate and time left on a terminal; nothing elsewhere. */
export function progressBar(stream: NodeJS.WriteStream, now: () => number = () => performance.now()): Progress {
  if (!stream.isTTY) return { see() {}, end() {} }
  const begun = now()
  let total = 0
  let drawn = Number.NEGATIVE_INFINITY
  return {
    see(event) {
      if (event.kind === 'start') total = event.read + event.written
      if (event.kind !== 'progress' || now() - drawn < REDRAW_MS) return
      drawn = now()
      stream.write(`\r\x1b[2K${line(Math.min(event.read + event.written, total), total, (now() - begun) / 1000)}`)
    },
    end: () => void stream.write('\r\x1b[2K'),
  }
}

/** The bar's one line: `████████░░░░  62 %  1.21 of 1.95 GB  1.4 GB/s  0.5 s left`. */
export function line(done: number, total: number, seconds: number): string {
  const share = total > 0 ? done / total : 1
  const filled = Math.round(share * BAR_COLUMNS)
  const rate = seconds > 0 ? done / seconds : 0
  const left = rate > 0 ? `  ${duration((total - done) / rate)} left` : ''
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_COLUMNS - filled)}  ${Math.round(share * 100)} %  ${bytes(done)} of ${bytes(total)}  ${bytes(rate)}/s${left}`
}
