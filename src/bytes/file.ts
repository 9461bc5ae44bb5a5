import { closeSync, openSync, readSync } from 'node:fs'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { MergeError } from '../errors.ts'
import type { Locator, Reader, Source } from './source.ts'

/** A file as a source; `name` is how errors call it. Bytes are read when asked for, and no handle stays open. */
export async function openFile(path: string, name = path): Promise<Source> {
  const file = resolve(path)
  const status = await statPath(path, name)
  if (!status) throw new MergeError(`${name}: no such file`, { fix: 'check the path' })
  // Opening a pipe or a device could wait forever.
  if (!status.isFile) throw new MergeError(`${name} is ${status.isFolder ? 'a folder' : 'not a regular file'}`, { fix: 'give the path of a file' })
  return {
    name,
    size: status.size,
    version: status.version,
    locator: { file },
    read: async (start, end) => {
      const target = new Uint8Array(end - start)
      const handle = await explained(name, () => open(file, 'r'))
      try {
        let done = 0
        while (done < target.byteLength) {
          const { bytesRead } = await explained(name, () => handle.read(target, done, Math.min(target.byteLength - done, MAX_READ_BYTES), start + done))
          if (bytesRead === 0) throw shrunk(name, start, end, start + done)
          done += bytesRead
        }
        return target
      } finally {
        await handle.close()
      }
    },
  }
}

const MAX_READ_BYTES = 2 ** 30 // one read(2) gives at most 0x7ffff000 bytes, and Node refuses longer requests

/** Synchronous positional reads; for workers, which have nothing else to do meanwhile. */
export function openReader(locator: Locator): Reader {
  if ('memory' in locator) return memoryReader(locator.memory)
  const { file } = locator
  const descriptor = attempt(file, () => openSync(file, 'r'))
  return {
    read(target, at) {
      for (let done = 0; done < target.byteLength; ) {
        const count = readSome(target, done, at + done)
        if (count === 0) throw shrunk(file, at, at + target.byteLength, at + done)
        done += count
      }
    },
    close: () => closeSync(descriptor),
  }

  function readSome(target: Uint8Array, from: number, at: number): number {
    try {
      return readSync(descriptor, target, from, Math.min(target.byteLength - from, MAX_READ_BYTES), at)
    } catch (cause) {
      throw fileError(cause, file)
    }
  }
}

function memoryReader(memory: Uint8Array): Reader {
  return {
    read(target, at) {
      const end = at + target.byteLength
      if (end > memory.byteLength) throw shrunk('the array', at, end, memory.byteLength)
      target.set(memory.subarray(at, end))
    },
    close() {},
  }
}

const shrunk = (name: string, start: number, end: number, size: number): MergeError =>
  new MergeError(`the file shrank while in use: bytes ${start} to ${end} were asked for, but it ends at byte ${size}`, {
    where: name,
    fix: 'let nothing else write to this file, and start again',
  })

export interface PathStatus {
  readonly isFile: boolean
  readonly isFolder: boolean
  readonly size: number
  readonly version: string
}

/** What lies at `path`, links followed; null if nothing does. */
export async function statPath(path: string, name = path): Promise<PathStatus | null> {
  try {
    const found = await stat(path)
    return { isFile: found.isFile(), isFolder: found.isDirectory(), size: found.size, version: `${found.size}-${found.mtimeMs}` }
  } catch (cause) {
    if (isMissing(cause)) return null
    throw fileError(cause, name)
  }
}

export interface FolderEntry {
  readonly name: string
  readonly size: number
  /** Absolute. */
  readonly path: string
  /** A regular file, or a link to one (the Hugging Face cache is made of links). */
  readonly isFile: boolean
}

/** The entries of a folder by name; null if `path` is not a folder. */
export async function listFolder(path: string): Promise<readonly FolderEntry[] | null> {
  const folder = resolve(path)
  if (!(await statPath(folder, path))?.isFolder) return null
  const names = await explained(path, () => readdir(folder))
  names.sort()
  return Promise.all(
    names.map(async name => {
      const status = await statPath(join(folder, name)).catch(error => {
        if (codeOf(error.cause) === 'ELOOP') return null // like a link that leads nowhere: no reason not to show the others
        throw error
      })
      return { name, size: status?.size ?? 0, path: join(folder, name), isFile: status?.isFile ?? false }
    }),
  )
}

const MAX_TEXT_BYTES = 256 * 2 ** 20 // far above any index.json, and half of what one string of V8 can hold

/** The text of a UTF-8 file. */
export async function readText(path: string, name = path): Promise<string> {
  const size = (await statPath(path, name))?.size ?? 0
  if (size > MAX_TEXT_BYTES) throw new MergeError(`${name} has ${size} bytes; text files up to ${MAX_TEXT_BYTES} bytes are read`, { fix: 'check that this is the right file' })
  const bytes = await explained(name, () => readFile(path))
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new MergeError(`${name} is not UTF-8 text`, { fix: 'check that this is the right file, or save it as UTF-8', cause })
  }
}

/** The first existing `folder`/`ref`, absolute; null if none exists. An absolute `ref` is looked up as it is. */
export async function findPath(ref: string, folders: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    const path = resolve(folder, ref)
    if (await statPath(path, ref)) return path
  }
  return null
}

/** The folder in which the process was started. Throws if somebody has removed it. */
export function workingFolder(): string {
  try {
    return process.cwd()
  } catch (cause) {
    throw new MergeError('the working folder does not exist any more', { fix: 'change to another folder', cause })
  }
}

/** Where the libraries of Hugging Face keep what they have downloaded, by the variables of huggingface_hub. */
export function hubCacheFolder(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env
  return HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'), 'hub')
}

export const folderOf = (path: string): string => dirname(resolve(path))
export const fileNameOf = (path: string): string => basename(path)
export const isAbsolutePath = (path: string): boolean => isAbsolute(path)
export const resolvePath = (...parts: readonly string[]): string => resolve(...parts)

/** The error a user can act on for an error of the file system. */
export function fileError(cause: unknown, name: string, done: 'read' | 'written' = 'read'): MergeError {
  const code = codeOf(cause)
  const [what, fix] = REASONS[code] ?? [`cannot be ${done} (${cause instanceof Error ? cause.message : String(cause)})`, 'check the path and the disk']
  return new MergeError(`${name.replace(/\p{Cc}/gu, '?')} ${what}`, { fix, cause })
}

const REASONS: Readonly<Record<string, readonly [what: string, fix: string]>> = {
  ENOENT: ['does not exist', 'check the path'],
  ENOTDIR: ['does not exist: a part of its path is a file', 'check the path'],
  EACCES: ['may not be accessed: permission denied', 'run as a user who may, or change its permissions'],
  EPERM: ['may not be accessed: permission denied', 'run as a user who may, or change its permissions'],
  EISDIR: ['is a folder, not a file', 'give the path of a file'],
  EMFILE: ['cannot be opened: this process has too many open files', 'raise the limit (`ulimit -n 4096`), or merge with fewer threads'],
  ENFILE: ['cannot be opened: the system has too many open files', 'close other programs, or merge with fewer threads'],
  ELOOP: ['cannot be reached: its links form a loop', 'check the links on its path'],
  ENAMETOOLONG: ['is too long for a path', 'check the path'],
  ERR_INVALID_ARG_VALUE: ['is not a path: it contains a NUL character', 'check the path'],
}

const codeOf = (cause: unknown): string => (cause instanceof Error && 'code' in cause ? String(cause.code) : '')
const isMissing = (cause: unknown): boolean => codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR'

async function explained<T>(name: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    throw fileError(cause, name)
  }
}

function attempt<T>(name: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    throw fileError(cause, name)
  }
}
