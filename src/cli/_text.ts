/** Text for terminals. Colours only where someone looks: not in pipes, and not when NO_COLOR is set (https://no-color.org). */
const isColoured = (process.stdout.isTTY ?? false) && (process.stderr.isTTY ?? false) && !process.env['NO_COLOR']
const style = (on: number, off: number) => (text: string) => (isColoured ? `\x1b[${on}m${text}\x1b[${off}m` : text)
export const bold = style(1, 22)
export const dim = style(2, 22)
export const red = style(31, 39)
export const green = style(32, 39)

/** Rows as aligned columns; the first row is the head. Columns named in `right` are numbers. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = rows[0]!.map((_, c) => rows.reduce((most, row) => Math.max(most, (row[c] ?? '').length), 0))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, c) => (right.includes(c) ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
      .join('  ')
      .trimEnd()
  const [head, ...body] = rows
  return [bold(line(head!)), dim(widths.map(w => '─'.repeat(w)).join('  ')), ...body.map(line)].join('\n')
}

export const bytes = (count: number): string => scaled(count, ['B', 'KB', 'MB', 'GB', 'TB'])

/** Floating-point operations: `3.10 TFLOP`. */
export const operations = (count: number): string => scaled(count, ['FLOP', 'kFLOP', 'MFLOP', 'GFLOP', 'TFLOP', 'PFLOP'])

function scaled(count: number, units: readonly string[]): string {
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`
}

export const count = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ',') // Intl takes ten milliseconds to load

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`

/** Text from files as a terminal may show it: what would drive the terminal is spelt out, and so are line ends, but where `lines`. */
export const harmless = (text: string, lines = false): string =>
  text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, c => (lines && c === '\n' ? c : `\\u{${c.codePointAt(0)!.toString(16)}}`))

/** A share as `99.3 %`: with as many digits as tell it from all and from nothing. */
export function percent(share: number): string {
  const value = 100 * share
  if (value === 0 || value === 100) return `${value} %`
  const rest = Math.min(Math.abs(value), Math.abs(100 - value))
  const digits = rest >= 10 ? 1 : rest >= 0.1 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(rest)))
  const text = value.toFixed(digits)
  return `${Number(text) === 100 ? 100 : text} %` // what rounding leaves of all is all
}

/** How a command of its own speaks: events as JSON lines, or notes for people and a line that says how far it is. */
export function speaker(json: boolean) {
  const isShown = !json && process.stderr.isTTY
  return {
    say: (event: object): void => void (json && process.stdout.write(`${JSON.stringify(event)}\n`)),
    note: (text: string): void => void (json ? process.stdout.write(`${JSON.stringify({ kind: 'note', text })}\n`) : process.stderr.write(`${dim('note:')} ${harmless(text)}\n`)),
    step: (text: string): void => void (isShown && process.stderr.write(`\r\x1b[2K${text}`)),
    end: (): void => void (isShown && process.stderr.write('\r\x1b[2K')),
  }
}
