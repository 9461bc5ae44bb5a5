import { readFileSync } from 'node:fs'
import { access, constants, lstat, readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { MergeError } from '../errors.ts'
import { writeError } from './_errors.ts'
import { statPath } from './file.ts'

export interface Replacing {
  readonly force: boolean
  /** Whether a file of the folder, by its relative path, may go with the model. */
  isOfModel(file: string): boolean
}

/** Throws unless a finished folder can be given the name `path`: nothing is there, an empty folder, or with `force` a model and nothing but. */
export async function refuseExisting(path: string, name: string, { force, isOfModel }: Replacing): Promise<void> {
  const there = await statPath(path, name)
  if (!there) return refuseBrokenLink(path, name)
  if (!there.isFolder) throw new MergeError(`the output ${name} is a file`, { fix: 'give the name of a folder to be made' })
  const entries = await readdir(path, { withFileTypes: true })
  if (entries.length > 0) {
    if (!force) throw new MergeError(`the output folder ${name} exists and is not empty`, { fix: 'choose another name, or replace the model in it with --force' })
    const foreign = await firstForeign(path, '', isOfModel)
    if (foreign !== null || !entries.some(e => e.name.endsWith('.safetensors'))) {
      throw new MergeError(`the output folder ${name} holds more than a model${foreign === null ? '' : ` (${foreign})`}, and --force would delete it`, {
        fix: 'choose another name, or empty the folder yourself',
      })
    }
  }
  if (await isMountPoint(path)) {
    throw new MergeError(`the output folder ${name} is a mount point, which a finished model cannot replace`, { fix: `write to a folder in it: ${join(name, 'model')}` })
  }
  await access(path, constants.W_OK).catch(cause => {
    throw writeError(cause, name)
  })
}

export async function refuseBrokenLink(path: string, name = path): Promise<void> {
  if ((await statPath(path)) || !(await lstat(path).catch(() => null))) return
  throw new MergeError(`${name} is a link that leads nowhere`, { fix: 'choose another folder, or mend the link' })
}

/** Whether another file system begins at this folder, or the same one shows again (a bind mount, as containers have): it cannot be renamed over. */
export async function isMountPoint(folder: string): Promise<boolean> {
  const [here, above] = await Promise.all([stat(folder), stat(dirname(resolve(folder)))])
  return here.dev !== above.dev || mounts().has(folder)
}

/** Linux's table of mounts; elsewhere bind mounts are no custom. */
function mounts(): ReadonlySet<string> {
  try {
    const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    return new Set(lines.map(line => (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))))
  } catch {
    return new Set()
  }
}

/** The first thing in the folder that is no file of a model, in words; null if all are. */
async function firstForeign(folder: string, prefix: string, isOfModel: Replacing['isOfModel']): Promise<string | null> {
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix + entry.name
    if (!entry.isDirectory()) {
      if (!isOfModel(path)) return path
    } else if (prefix !== '' || !isOfModel(`${path}/config.json`)) return `the folder ${path}`
    else {
      const inner = await firstForeign(folder, `${path}/`, isOfModel)
      if (inner !== null) return inner
    }
  }
  return null
}
