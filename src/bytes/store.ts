import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeError } from './_errors.ts'
import { openFile, statPath } from './file.ts'
import { sha256 } from './hash.ts'

/** Texts by key, kept on disk from one run to the next. */
export interface Store {
  readonly folder: string
  /** Null where there is none. */
  get(key: string): Promise<string | null>
  /** Whoever reads meanwhile sees the old text or the new one. */
  put(key: string, text: string): Promise<void>
}

/**
 * A store whose keys are file names in `folder`, which is made when something is put there.
 *
 * @example
 * const cache = folderStore('out/cache')
 * await cache.put('greeting', 'hello')
 * console.log(await cache.get('greeting')) // hello
 */
export function folderStore(folder: string): Store {
  return {
    folder,
    get: key => readFile(join(folder, key), 'utf8').catch(() => null), // what cannot be read is computed again
    async put(key, text) {
      const temporary = join(folder, `${key}.${crypto.randomUUID()}.partial`) // other processes, and threads of this one, may put the same key
      try {
        await mkdir(folder, { recursive: true })
        await writeFile(temporary, text)
        await rename(temporary, join(folder, key))
      } catch (cause) {
        await rm(temporary, { force: true }).catch(() => {})
        throw writeError(cause, temporary)
      }
    },
  }
}

/**
 * Merganser's own folder among a user's caches: in XDG_CACHE_HOME, else in ~/.cache; on Windows in LOCALAPPDATA, on a Mac in ~/Library/Caches.
 *
 * @example
 * console.log(folderStore(cacheFolder()).folder)
 */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'merganser')
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'merganser', 'cache')
  return process.platform === 'darwin' ? join(homedir(), 'Library', 'Caches', 'merganser') : join(homedir(), '.cache', 'merganser')
}

/** A new folder for `use`, removed afterwards. */
export async function withTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'merganser-'))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const PIECE = 64 * 2 ** 20 // bytes in memory at once: Web Crypto digests whole arrays only

/** SHA-256 of the SHA-256s of a file's pieces of 64 MiB, hex. `memory` knows files by path, size and time of change: their bytes are read once. */
export async function hashFile(path: string, memory: Store | null, name = path): Promise<string> {
  const version = (await statPath(path, name))?.version ?? ''
  const key = `file-${await sha256(new TextEncoder().encode(JSON.stringify([path, version])))}`
  const known = await memory?.get(key)
  if (known) return known
  const source = await openFile(path, name)
  const digests: string[] = []
  for (let start = 0; start < source.size; start += PIECE) digests.push(await sha256(await source.read(start, Math.min(start + PIECE, source.size))))
  const hash = await sha256(new TextEncoder().encode(digests.join('\n')))
  await memory?.put(key, hash)
  return hash
}
