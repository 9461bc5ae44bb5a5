import { appendFileSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { copyFile, lstat, mkdir, open, readdir, readFile, realpath, rename, rm, stat, statfs, truncate, writeFile } from 'node:fs/promises'
import { uptime } from 'node:os'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { MergeError } from '../errors.ts'
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
 * Until then everything lies in `NAME.partial`: the model, and a journal of finished tasks for `resume`.
 *
 * @example
 * const sink = folderSink('out', { force: true })
 * console.log(sink.name)
 */
export function folderSink(path: string, { force = false, resume = false }: FolderOptions = {}): Sink {
  if (path.trim() === '') throw new MergeError('the output folder has no name', { fix: 'give the name of a folder to be made' })
  const final = resolve(path)
  const partial = `${final}.partial`
  const model = join(partial, 'model')
  const replaced = join(partial, 'replaced')
  const journal = join(partial, 'journal.jsonl')
  const reserved = new Set<string>()
  return { name: path, begin, write, copy, record, finish, abandon }

  async function begin(request: SinkRequest): Promise<{ finished: ReadonlySet<number>; locators: readonly SinkLocator[] }> {
    await refuseInputs(request.inputs)
    const earlier = await readJournal()
    await bringBackReplaced()
    await refuseExisting()
    const finished = resume ? await unfinishedRun(earlier, request) : new Set<number>()
    const isResumed = finished.size > 0
    await changing(() => makeFolder(dirname(final)))
    if (!isResumed) await changing(() => rm(partial, { recursive: true, force: true }))
    if (!isResumed) await refuseFullDisk(request.bytes)
    await changing(() => makeFolder(model))
    appendFileSync(journal, `${JSON.stringify({ fingerprint: request.fingerprint, process: thisProcess() })}\n`)
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
    if ((await statPath(replaced)) && !(await statPath(final))) await rename(replaced, final)
  }

  async function refuseInputs(inputs: readonly string[]): Promise<void> {
    const output = await followed(final)
    for (const input of inputs) {
      const read = await followed(resolve(input))
      const relation = read === output ? 'is' : output.startsWith(read + sep) ? 'lies inside' : read.startsWith(output + sep) ? 'contains' : null
      if (relation) throw new MergeError(`the output folder ${path} ${relation} the input ${input}`, { fix: 'write to a folder apart from the inputs' })
    }
  }

  async function refuseExisting(): Promise<void> {
    const there = await statPath(final, path)
    if (!there) return refuseBrokenLink(path)
    if (!there.isFolder) throw new MergeError(`the output ${path} is a file`, { fix: 'give the name of a folder to be made' })
    const entries = await readdir(final, { withFileTypes: true })
    if (entries.length === 0) return
    if (!force) throw new MergeError(`the output folder ${path} exists and is not empty`, { fix: 'choose another name, or replace the model in it with --force' })
    const foreign = entries.find(e => (e.isDirectory() ? !/^\d+_[A-Z]/.test(e.name) : !/\.(safetensors|json|txt|model|jinja|py|md)$|^(LICENSE|NOTICE)/.test(e.name))) // sentence-transformers' 1_Pooling belongs to a model
    if (foreign || !entries.some(e => e.name.endsWith('.safetensors'))) {
      throw new MergeError(
        `the output folder ${path} holds more than a model${foreign ? ` (${foreign.isDirectory() ? 'the folder ' : ''}${foreign.name})` : ''}, and --force would delete it`,
        {
          fix: 'choose another name, or empty the folder yourself',
        },
      )
    }
  }

  interface Journal {
    readonly fingerprint: string
    readonly process: string
    readonly finished: Set<number>
  }

  async function readJournal(): Promise<Journal | null> {
    if (!(await statPath(partial))) return null
    let text: string
    try {
      text = await readFile(journal, 'utf8')
    } catch {
      const entries = await readdir(partial).catch(() => [])
      if (entries.length === 0 || entries.every(e => e === 'model' || e === 'replaced')) return null
      throw new MergeError(`${path}.partial is in the way: Merganser did not make it`, { fix: 'rename or remove it' })
    }
    const finished = new Set<number>()
    let [fingerprint, process] = ['', '']
    for (const line of text.split('\n')) {
      let entry: { fingerprint?: string; process?: string; done?: number[] }
      try {
        entry = JSON.parse(line)
      } catch {
        continue // the last line of a killed run may be cut
      }
      if (entry.fingerprint) fingerprint = entry.fingerprint
      if (entry.process) process = entry.process
      for (const task of entry.done ?? []) finished.add(task)
    }
    if (process !== thisProcess() && isAlive(process)) {
      throw new MergeError(`another merge is writing to ${path}`, { where: `process ${process.split(' ')[0]}`, fix: 'wait until it ends, or choose another output folder' })
    }
    return { fingerprint, process, finished }
  }

  async function unfinishedRun(earlier: Journal | null, request: SinkRequest): Promise<Set<number>> {
    if (!earlier || earlier.finished.size === 0) return new Set()
    if (earlier.fingerprint !== request.fingerprint) {
      throw new MergeError(`the unfinished merge in ${path}.partial was another one: its recipe, its inputs or this version of Merganser have changed`, {
        fix: 'start over without --resume',
      })
    }
    // Nothing is synchronised before the end: after a power cut the disk may have the journal, and not the tensors that it names.
    if ((await stat(journal)).mtimeMs < Date.now() - uptime() * 1000) return new Set()
    for (const { name, size } of request.files) if ((await statPath(join(model, name)))?.size !== size) return new Set()
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
    appendFileSync(journal, `${JSON.stringify({ done: tasks })}\n`)
  }

  async function finish(): Promise<void> {
    await refuseExisting() // a folder may have come to be there meanwhile
    await changing(async () => {
      await synchronise(model)
      if (await statPath(final)) {
        await rm(replaced, { recursive: true, force: true })
        await rename(final, replaced)
      }
      await rename(model, final)
      await synchroniseOne(dirname(final))
      await rm(partial, { recursive: true, force: true })
    })
  }

  async function abandon(keep: boolean): Promise<void> {
    if (!keep) await rm(partial, { recursive: true, force: true })
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

async function refuseBrokenLink(path: string): Promise<void> {
  if ((await statPath(path)) || !(await lstat(path).catch(() => null))) return
  throw new MergeError(`${path} is a link that leads nowhere`, { fix: 'choose another folder, or mend the link' })
}

/** Positional writes into a reserved file, for workers. */
export interface FileWriter {
  write(bytes: Uint8Array, at: number): void
  close(): void
}

export function openWriter(locator: SinkLocator): FileWriter {
  if ('memory' in locator) return { write: (bytes, at) => locator.memory.set(bytes, at), close() {} }
  const { file } = locator
  const descriptor = openSync(file, 'r+')
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

/** `path` without links, as far as it exists. */
async function followed(path: string): Promise<string> {
  const parent = dirname(path)
  return await realpath(path).catch(async () => (parent === path ? path : join(await followed(parent), basename(path))))
}

const codeOf = (cause: unknown): string => (cause instanceof Error && 'code' in cause ? String(cause.code) : '')

function writeError(cause: unknown, name: string, where?: string): MergeError {
  if (cause instanceof MergeError) return cause
  const code = codeOf(cause)
  if (code === 'ENOSPC' || code === 'EDQUOT') return new MergeError(`${name}: the disk is full`, { where, fix: 'free space, then run the same command with --resume', cause })
  if (code === 'EROFS') return new MergeError(`${name} cannot be written: the file system is read-only`, { where, fix: 'write to another folder', cause })
  if (code === 'EACCES' || code === 'EPERM') return new MergeError(`${name} cannot be written: permission denied`, { where, fix: 'write to a folder of your own', cause })
  if (code === 'EIO') return new MergeError(`${name}: the disk failed while writing`, { where, fix: 'check the disk, then run the same command with --resume', cause })
  if (code === 'ENOENT') return new MergeError(`${name} cannot be made here`, { where, fix: 'choose another folder', cause })
  if (code === 'ENOTDIR' || code === 'EEXIST') return new MergeError(`${name} cannot be made: a part of its path is a file`, { where, fix: 'choose another folder', cause })
  return fileError(cause, name)
}

/** After this a power cut loses nothing of the folder. */
async function synchronise(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await synchronise(join(folder, entry.name))
    else await synchroniseOne(join(folder, entry.name))
  }
  await synchroniseOne(folder)
}
async function synchroniseOne(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => null) // some systems do not open folders
  await handle?.sync().catch(() => {})
  await handle?.close()
}

/** This process in a way that survives the reuse of process numbers, where the system tells when a process began. */
const thisProcess = (): string => `${process.pid} ${startOf(process.pid) ?? ''}`

function isAlive(id: string): boolean {
  const [pid, start] = id.split(' ') as [string, string | undefined]
  if (!/^\d+$/.test(pid)) return false
  try {
    process.kill(Number(pid), 0)
  } catch (cause) {
    return codeOf(cause) === 'EPERM'
  }
  return !start || (startOf(Number(pid)) ?? start) === start
}

function startOf(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[19]!
  } catch {
    return null
  }
}

const size = (bytes: number): string => (bytes < 1e6 ? `${bytes} bytes` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`)
