import { distance } from 'fastest-levenshtein'
import { fileNameOf, findPath, folderOf, isAbsolutePath, listFolder, resolvePath, statPath } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import safetensors from '../formats/safetensors.ts'
import { show } from '../json.ts'
import { isHubName } from './hub.ts'

/** Where a reference leads: a folder, or a file in one. */
export interface Location {
  readonly path: string
  readonly folder: string
  /** Name of the file; null if the reference is a folder. */
  readonly file: string | null
}

/** The folder or .safetensors file that `ref` means, looked up in each of `folders`; throws with near names. */
export async function locate(ref: string, folders: readonly string[]): Promise<Location> {
  if (ref.trim() === '') throw new MergeError('the path of a model is empty', { fix: 'give a folder or a .safetensors file' })
  const path = await findPath(ref, folders)
  if (path === null) throw await notFound(ref, folders)
  if ((await statPath(path, ref))?.isFolder) return { path, folder: path, file: null }
  const file = fileNameOf(path)
  if (file.endsWith('.safetensors.index.json')) throw new MergeError(`${ref} is an index, not a model`, { fix: 'give the folder it lies in' })
  if (!safetensors.extensions.some(extension => file.endsWith(extension))) {
    throw new MergeError(`${ref} is not a checkpoint that Merganser reads`, { fix: 'give a .safetensors file or a folder with one' })
  }
  return { path, folder: folderOf(path), file }
}

async function notFound(ref: string, folders: readonly string[]): Promise<MergeError> {
  const looked = isAbsolutePath(ref) || folders.length === 0 ? '' : ` in ${folders.map(folder => resolvePath(folder)).join(' or in ')}`
  const near = new Set<string>()
  for (const folder of folders) for (const name of await nearPaths(ref, folder)) near.add(name)
  const download = isHubName(ref) ? `: \`hf download ${ref}\`` : ''
  const fix = near.size > 0 ? `did you mean ${[...near].slice(0, MAX_NEAR).map(show).join(' or ')}?` : `check the path, or download the model first${download}`
  return new MergeError(`no file or folder ${show(ref)}${looked}`, { fix })
}

const MAX_NEAR = 3 // more would not be suggestions

/** `ref` with its first missing segment replaced by the names that exist there and look alike, nearest first. */
async function nearPaths(ref: string, folder: string): Promise<string[]> {
  const segments = ref.split('/')
  const at = await firstMissing(segments, folder)
  const [before, missing, after] = [segments.slice(0, at), segments[at] ?? '', segments.slice(at + 1)]
  const siblings = (await listFolder(resolvePath(folder, before.length > 0 ? `${before.join('/')}/` : '.'))) ?? []
  const isNear = (name: string): boolean => distance(name.toLowerCase(), missing.toLowerCase()) <= (missing.length < 4 ? 1 : Math.max(2, missing.length / 3))
  const near = siblings.map(({ name }) => name).filter(isNear)
  near.sort((a, b) => distance(a, missing) - distance(b, missing))
  const paths: string[] = []
  for (const name of near) {
    const whole = [...before, name, ...after].join('/')
    paths.push((await statPath(resolvePath(folder, whole))) ? whole : [...before, name].join('/'))
  }
  return paths
}

async function firstMissing(segments: readonly string[], folder: string): Promise<number> {
  for (let at = 0; at < segments.length; at++) {
    const path = segments.slice(0, at + 1).join('/')
    if (path !== '' && !(await statPath(resolvePath(folder, path)))) return at
  }
  return segments.length - 1
}
