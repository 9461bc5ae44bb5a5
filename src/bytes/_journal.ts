import { appendFileSync, readFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { uptime } from 'node:os'

/** What an earlier run has written down. */
export interface Journal {
  readonly fingerprint: string
  readonly finished: ReadonlySet<number>
  /** Numbers over the whole merge, found before its first task; null where there is no line of them. */
  readonly found: readonly number[] | null
  /** False when the machine has started anew since: after a power cut the disk may have the journal, and not the tensors that it names. */
  readonly isOfThisBoot: boolean
}

/** A record of finished tasks, a JSON object a line: one that names the merge, and then a line for every few tasks. */
export async function readJournal(file: string): Promise<Journal | null> {
  const text = await readFile(file, 'utf8').catch(() => null)
  if (text === null) return null
  const finished = new Set<number>()
  let fingerprint = ''
  let boot: string | null = null
  let found: readonly number[] | null = null
  for (const line of text.split('\n')) {
    let entry: Entry
    try {
      entry = JSON.parse(line)
    } catch {
      continue // the last line of a killed run may be cut
    }
    if (entry.fingerprint) fingerprint = entry.fingerprint
    if (entry.boot) boot = entry.boot
    if (entry.found) found = entry.found
    for (const task of entry.done ?? []) finished.add(task)
  }
  if (fingerprint === '') return null
  const now = bootId()
  return { fingerprint, finished, found, isOfThisBoot: boot !== null && now !== null ? boot === now : (await stat(file)).mtimeMs >= Date.now() - uptime() * 1000 }
}

interface Entry {
  readonly fingerprint?: string
  readonly boot?: string | null
  readonly done?: readonly number[]
  readonly found?: readonly number[]
}

export const openJournal = (file: string, fingerprint: string): void => append(file, { fingerprint, boot: bootId() })

/** Nothing is synchronised here: `isOfThisBoot` tells what may be trusted, and a merge costs no waiting for the disk. */
export const recordDone = (file: string, tasks: readonly number[]): void => append(file, { done: tasks })

/** JSON has no infinities and no NaN: numbers that hold one are found anew. */
export const recordFound = (file: string, found: readonly number[]): void => void (found.every(Number.isFinite) && append(file, { found }))

const append = (file: string, entry: Entry): void => appendFileSync(file, `${JSON.stringify(entry)}\n`)

/** Another one each time the machine starts; null where the system tells none. */
function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return null
  }
}
