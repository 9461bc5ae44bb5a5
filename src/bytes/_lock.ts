import { readFileSync } from 'node:fs'
import { mkdir, readdir, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MergeError } from '../errors.ts'
import { codeOf } from './_errors.ts'

/** The sole right to write into a folder. */
export interface Lock {
  /** Gives it up, and removes the folder if nothing else is in it. */
  release(): Promise<void>
}

/**
 * Locks `folder`, which is made if its parent exists; throws while another process holds it, naming the output as `name`.
 *
 * Everyone leaves a file named after its own process and then looks at the others': whoever sees another living process withdraws. Of two the later
 * one to look sees both files, so never do both go on; and a file of a dead process may be removed by anybody, for nobody else's lock has its name.
 * Of those who come at the same moment the first by name waits for the others to withdraw.
 * Processes of other machines or containers that share the disk are not seen.
 */
export async function lockFolder(folder: string, name: string): Promise<Lock> {
  const own = `${PREFIX}${process.pid}-${startOf(process.pid) ?? ''}-${crypto.randomUUID()}`
  await leave(folder, own)
  const release = async (): Promise<void> => {
    await unlink(join(folder, own)).catch(() => {})
    await rmdir(folder).catch(() => {}) // what a later run needs stays
  }
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    const others = await livingOthers(folder, own)
    if (others.length === 0) return { release }
    if (others.every(other => other > own) && Date.now() < deadline) {
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
      continue
    }
    await release()
    throw new MergeError(`another merge is writing to ${name}`, { where: `process ${pidOf(others[0]!)}`, fix: 'wait until it ends, or choose another output folder' })
  }
}

export const isLock = (file: string): boolean => LOCK.test(file)

const PREFIX = 'lock-'
const LOCK = /^lock-(\d+)-(\d*)-[\da-f-]+$/
const PATIENCE_MS = 1000 // between leaving a file and withdrawing it pass some ms; a busy machine may take a hundred times as long
const POLL_MS = 10

const pidOf = (lock: string): string => LOCK.exec(lock)![1]!

async function leave(folder: string, file: string): Promise<void> {
  for (;;) {
    await mkdir(folder).catch(ignoreExisting)
    try {
      return await writeFile(join(folder, file), '', { flag: 'wx' })
    } catch (cause) {
      if (codeOf(cause) !== 'ENOENT') throw cause // else: who held the lock before has just removed the folder
    }
  }
}

function ignoreExisting(cause: unknown): void {
  if (codeOf(cause) !== 'EEXIST') throw cause
}

/** The locks of other processes that run; those of dead ones are removed. */
async function livingOthers(folder: string, own: string): Promise<readonly string[]> {
  const locks = (await readdir(folder)).filter(file => isLock(file) && file !== own)
  const dead = locks.filter(lock => !isAlive(lock))
  for (const lock of dead) await unlink(join(folder, lock)).catch(() => {}) // perhaps somebody else was faster
  return locks.filter(lock => !dead.includes(lock))
}

function isAlive(lock: string): boolean {
  const [, pid, start] = LOCK.exec(lock)!
  try {
    process.kill(Number(pid), 0)
  } catch (cause) {
    if (codeOf(cause) !== 'EPERM') return false
  }
  return start === '' || startOf(Number(pid)) === start
}

/** When a process began, where the system tells: process numbers are used again. Null for one that is gone, or dead and not yet buried. */
function startOf(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ') // from the third on: the second, a name, may hold anything
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!
  } catch {
    return null
  }
}
