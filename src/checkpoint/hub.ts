import { hubCacheFolder, listFolder, readText, resolvePath, statPath } from '../bytes/file.ts'

/** Whether a reference can be the name of a repository of the Hugging Face hub: `org/name`. */
export const isHubName = (ref: string): boolean => /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(ref) && !ref.includes('..')

/**
 * The snapshot of a repository in the local cache of the Hugging Face hub, as `hf download` and transformers fill it; null where there is none.
 * A revision is a branch, a tag, a pull request (refs/pr/1) or a commit. Nothing is downloaded.
 */
export async function findInHubCache(name: string, revision = 'main'): Promise<string | null> {
  if (!isHubName(name) || !isRevision(revision)) return null
  const folder = resolvePath(hubCacheFolder(), `models--${name.replace('/', '--')}`)
  const ref = resolvePath(folder, 'refs', revision)
  const commit = (await statPath(ref))?.isFile ? (await readText(ref)).trim() : revision
  if (!/^[\w.-]+$/.test(commit)) return null
  const snapshot = resolvePath(folder, 'snapshots', commit)
  return (await listFolder(snapshot)) === null ? null : snapshot
}

/** Parts of a path that lead nowhere else. */
const isRevision = (revision: string): boolean => revision.split('/').every(part => /^[\w.+-]+$/.test(part) && !/^\.+$/.test(part))
