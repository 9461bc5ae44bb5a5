/** Where in a text an error stands: what `MergeError` needs to draw a line with a caret under it. */
export interface Excerpt {
  /** The source line, without its newline. */
  readonly line: string
  /** 1-based line number. */
  readonly number: number
  /** 1-based first column of the fault, and one past its last. */
  readonly start: number
  readonly end: number
}

export interface ErrorDetails {
  /** `file:line:column`, a file, a tensor, a command-line flag: the place to look at. */
  readonly where?: string | undefined
  readonly excerpt?: Excerpt | undefined
  /** What to do about it, as an instruction. */
  readonly fix?: string | undefined
  readonly cause?: unknown
}

/** Every failure a user can cause. Prints as: what happened; where; how to fix it. */
export class MergeError extends Error {
  override readonly name = 'MergeError'
  readonly what: string
  readonly details: ErrorDetails
  constructor(what: string, details: ErrorDetails = {}) {
    super(describe(what, details), details.cause === undefined ? undefined : { cause: details.cause })
    this.what = what
    this.details = details
  }
}

function describe(what: string, { where, excerpt, fix }: ErrorDetails): string {
  const lines = [what]
  if (where) lines.push(`  at ${where}`)
  if (excerpt) lines.push(...draw(excerpt))
  if (fix) lines.push(`  fix: ${fix}`)
  return lines.join('\n')
}

const MAX_EXCERPT_COLUMNS = 160 // wider lines are cut around the fault, so that a minified recipe stays readable

function draw({ line, number, start, end }: Excerpt): string[] {
  const from = Math.max(0, Math.min(start - 1 - MAX_EXCERPT_COLUMNS / 2, line.length - MAX_EXCERPT_COLUMNS))
  const shown = line.slice(from, from + MAX_EXCERPT_COLUMNS).replaceAll('\t', ' ')
  const gutter = `  ${number} | `
  const carets = '^'.repeat(Math.max(1, Math.min(end, from + MAX_EXCERPT_COLUMNS + 1) - start))
  return [gutter + shown, `${' '.repeat(gutter.length - 2)}| ${' '.repeat(start - 1 - from)}${carets}`]
}

/** For a broken promise of our own, never for a user's mistake. */
export function assert(condition: unknown, why: string): asserts condition {
  if (!condition) throw new Error(`Merganser broke its own promise: ${why}. Please report this.`)
}
