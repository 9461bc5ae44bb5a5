import { closeSync, openSync, realpathSync, writeSync } from 'node:fs'
import { access, constants, copyFile, lstat, mkdir, open, readdir, rename, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { MergeError } from '../errors.ts'
import { codeOf, writeError } from './_errors.ts'
import { isMountPoint, refuseBrokenLink, refuseExisting } from './_existing.ts'
import { openJournal, readJournal, recordDone } from './_journal.ts'
import { isLock, type Lock, lockFolder } from './_lock.ts'
import { fileError, statPath } from './file.ts'
import type { Sink, SinkLocator, SinkRequest } from './sink.ts'

export interface FolderOptions {
  /** Replace a model that is already there. */
  readonly force?: boolean | undefined
  /** Go on where a broken run stopped. */
  readonly resume?: boolean | undefined
}

/**
 * A folder that appears under its name only when the model in it is complete.
 * Until then everything lies in `NAME.partial`: the model, a journal of finished tasks for `resume`, and the lock of the process that writes.
 * `resume` trusts what was finished since the machine started; after a power cut it begins anew.
 *
 * @example
 * const sink = folderSink('out', { force: true })
 * console.log(sink.name)
 */
export function folderSink(path: string, { force = false, resume = false }: FolderOptions = {}): Sink {
  if (path.trim() === '') throw new MergeError('the output folder has no name', { fix: 'give the name of a folder to be made' })
  const final = follow(resolve(path)) // a link to a folder on another disk means that disk
  const partial = `${final}.partial`
  const partialName = final === resolve(path) ? `${path.replace(/[\\/]+$/, '')}.partial` : partial
  const model = join(partial, 'model')
  const replaced = join(partial, 'replaced')
  const journal = join(partial, 'journal.jsonl')
  const reserved = new Set<string>()
  let refuseFinal = async (): Promise<void> => {}
  let lock: Lock | null = null
  return { name: path, begin, write, copy, record, finish, abandon }

  async function begin(request: SinkRequest): Promise<{ finished: ReadonlySet<number>; locators: readonly SinkLocator[] }> {
    refuseFinal = () => refuseExisting(final, path, { force, isOfModel: request.isOfModel })
    refuseInputs(request.inputs)
    await refuseUnreadable(request.inputs)
    await refuseForeignPartial()
    if (!(await statPath(replaced, path))) await refuseFinal() // before anything is made
    await changing(() => makeFolder(dirname(final)))
    lock = await changing(() => lockFolder(partial, path))
    try {
      return await beginLocked(request)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  async function beginLocked(request: SinkRequest): Promise<{ finished: ReadonlySet<number>; locators: readonly SinkLocator[] }> {
    await bringBackReplaced()
    await refuseFinal()
    const finished = resume ? await unfinishedRun(request) : new Set<number>()
    const isResumed = finished.size > 0
    if (!isResumed) await changing(clear)
    if (!isResumed) await refuseFullDisk(request.bytes)
    await changing(() => makeFolder(model))
    await changing(async () => openJournal(journal, request.fingerprint))
    const locators = await Promise.all(
      request.files.map(async ({ name, size }) => {
        const file = join(model, name)
        reserved.add(name)
        if (!isResumed) {
          await changing(() => writeFile(file, ''))
          await changing(() => truncate(file, size))
        }
        return { file }
      }),
    )
    return { finished, locators }
  }

  /** A kill between the two renames of `finish` leaves the old model aside: put it back. */
  async function bringBackReplaced(): Promise<void> {
    if ((await statPath(replaced)) && !(await statPath(final))) await changing(() => rename(replaced, final))
  }

  function refuseInputs(inputs: readonly string[]): void {
    for (const input of inputs) {
      const read = follow(resolve(input))
      const relation = read === final ? 'is' : final.startsWith(read + sep) ? 'lies inside' : read.startsWith(final + sep) ? 'contains' : null
      if (relation) throw new MergeError(`the output folder ${path} ${relation} the input ${input}`, { fix: 'write to a folder apart from the inputs' })
      if (read !== partial && !read.startsWith(partial + sep)) continue
      throw new MergeError(`the input ${input} lies inside ${partialName}, where the merge is written until it is complete`, {
        fix: 'move the input, or choose another name for the output',
      })
    }
  }

  /** Files beside the tensors are opened only in the end. */
  async function refuseUnreadable(inputs: readonly string[]): Promise<void> {
    for (const input of inputs)
      await access(input, constants.R_OK).catch(cause => {
        throw fileError(cause, input)
      })
  }

  /** What a run leaves behind may be used and cleared away, and nothing else of that name. */
  async function refuseForeignPartial(): Promise<void> {
    const there = await lstat(partial).catch(() => null)
    if (!there) return
    const entries = there.isDirectory() ? await changing(() => readdir(partial)) : []
    const isOurs = entries.length === 0 ? there.isDirectory() : entries.some(isLock) || (await readJournal(journal)) !== null
    if (isOurs && !(await isMountPoint(partial))) return
    throw new MergeError(`${partialName} is in the way: Merganser did not make it`, { fix: 'rename or remove it' })
  }

  async function unfinishedRun({ fingerprint, files }: SinkRequest): Promise<ReadonlySet<number>> {
    const earlier = await readJournal(journal)
    if (!earlier || earlier.finished.size === 0) return new Set()
    if (earlier.fingerprint !== fingerprint) {
      throw new MergeError(`the unfinished merge in ${partialName} was another one: its recipe, its inputs or this version of Merganser have changed`, {
        fix: 'start over without --resume',
      })
    }
    if (!earlier.isOfThisBoot) return new Set()
    for (const { name, size } of files) if ((await statPath(join(model, name)))?.size !== size) return new Set()
    return earlier.finished
  }

  async function refuseFullDisk(bytes: number): Promise<void> {
    const { bavail, bsize } = await changing(() => statfs(dirname(final)))
    const free = bavail * bsize
    if (free < bytes) {
      throw new MergeError(`the output needs ${size(bytes)}, but the disk of ${path} has ${size(free)} free`, {
        fix: 'free space, write to another disk, or choose a smaller dtype (`output: { dtype: bf16 }`)',
      })
    }
  }

  async function write(file: string, at: number, bytes: Uint8Array): Promise<void> {
    await changing(async () => {
      await makeFolder(dirname(join(model, file)))
      const handle = await open(join(model, file), reserved.has(file) ? 'r+' : 'w')
      try {
        for (let done = 0; done < bytes.byteLength; ) done += (await handle.write(bytes, done, bytes.byteLength - done, at + done)).bytesWritten
      } finally {
        await handle.close()
      }
    })
  }

  async function copy(file: string, from: string): Promise<void> {
    await changing(async () => {
      await makeFolder(dirname(join(model, file)))
      await copyFile(from, join(model, file))
    })
  }

  function record(tasks: readonly number[]): void {
    attempt(`${partialName}/journal.jsonl`, () => recordDone(journal, tasks))
  }

  async function finish(): Promise<void> {
    await refuseFinal() // a folder may have come to be there meanwhile
    await changing(async () => {
      await synchronise(model)
      const isReplacing = (await statPath(final)) !== null
      if (isReplacing) {
        await rm(replaced, { recursive: true, force: true })
        await rename(final, replaced)
      }
      await rename(model, final).catch(async cause => {
        if (isReplacing) await rename(replaced, final)
        throw cause
      })
      await synchroniseFolder(dirname(final))
      await clear()
    })
    await lock?.release()
  }

  async function abandon(keep: boolean): Promise<void> {
    if (!keep) await clear()
    await lock?.release()
  }

  /** The journal last: as long as there is anything else it tells whose it is. */
  async function clear(): Promise<void> {
    for (const made of [model, replaced, journal]) await rm(made, { recursive: true, force: true })
  }

  async function changing<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (cause) {
      throw writeError(cause, path)
    }
  }
}

/** A folder and those above it. One by one: Node's own recursion never ends below /proc, where making a folder fails with ENOENT. */
async function makeFolder(path: string): Promise<void> {
  if ((await statPath(path))?.isFolder) return
  if (dirname(path) !== path) await makeFolder(dirname(path))
  await mkdir(path).catch(async cause => {
    await refuseBrokenLink(path)
    if (codeOf(cause) !== 'EEXIST') throw cause
  })
}

/** Positional writes into a reserved file, for workers. */
export interface FileWriter {
  write(bytes: Uint8Array, at: number): void
  close(): void
}

export function openWriter(locator: SinkLocator): FileWriter {
  if ('memory' in locator) return { write: (bytes, at) => locator.memory.set(bytes, at), close() {} }
  const { file } = locator
  const descriptor = attempt(file, () => openSync(file, 'r+'))
  return {
    write(bytes, at) {
      try {
        for (let done = 0; done < bytes.byteLength; ) done += writeSync(descriptor, bytes, done, bytes.byteLength - done, at + done)
      } catch (cause) {
        throw writeError(cause, file, `bytes ${at} to ${at + bytes.byteLength}`)
      }
    },
    close: () => closeSync(descriptor),
  }
}

function attempt<T>(name: string, run: () => T, where?: string): T {
  try {
    return run()
  } catch (cause) {
    throw writeError(cause, name, where)
  }
}

/** `path` without links, as far as it exists. */
function follow(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(follow(parent), basename(path))
  }
}

/** After this a power cut loses nothing of the folder. */
async function synchronise(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await synchronise(join(folder, entry.name))
    else await synchroniseFile(join(folder, entry.name))
  }
  await synchroniseFolder(folder)
}

/** Throws where the disk fails only now: network disks and quotas tell late. */
async function synchroniseFile(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } catch (cause) {
    if (codeOf(cause) !== 'EPERM') throw cause // Windows synchronises only what is open for writing, and does so when it is closed
  } finally {
    await handle.close()
  }
}

async function synchroniseFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => null) // some systems do not open folders
  await handle?.sync().catch(() => {})
  await handle?.close()
}

const size = (bytes: number): string => (bytes < 1e6 ? `${bytes} bytes` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`)
