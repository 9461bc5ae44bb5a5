import { findPath, listFolder, workingFolder } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import { show } from '../json.ts'
import { type Checkpoint, type CheckpointTensor, type OpenOptions, open } from './checkpoint.ts'
import { filledIn } from './sparse.ts'
import { zerosLike } from './zeros.ts'

/** The files of a task vector are called after this: no loader of models takes them for one. */
export const VECTOR_STEM = 'task_vector'

const KIND = 'merganser.kind'
const BASE = 'merganser.base'

/** What the files of a task vector say of themselves: what they are, and from which base they were taken. */
export const vectorMetadata = (base: Checkpoint): Readonly<Record<string, string>> => ({
  [KIND]: VECTOR_STEM,
  [BASE]: JSON.stringify({ path: base.ref, headers: base.files.map(file => file.headerHash) }),
})

/** Whether a folder holds a task vector: what `merganser vector extract` has written. */
export async function isVector(ref: string, { from = [workingFolder()] }: OpenOptions = {}): Promise<boolean> {
  const path = await findPath(ref, from)
  const names = ((path !== null && (await listFolder(path))) || []).map(entry => entry.name)
  return names.some(name => name === `${VECTOR_STEM}.safetensors` || name === `${VECTOR_STEM}.safetensors.index.json`)
}

/** The task vector in a folder, from its headers alone. */
export async function openVector(ref: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const vector = await open(ref, options)
  for (const { name, metadata } of vector.files) {
    if (metadata[KIND] === VECTOR_STEM) continue
    throw new MergeError(`${name} is called like a task vector, but does not say that it is one`, { where: ref, fix: 'extract it with `merganser vector extract`' })
  }
  return filledIn(vector)
}

/**
 * A task vector as what it adds to each tensor of `base`: nothing to those that it does not hold. Throws where it holds others, or of other shapes.
 */
export async function vectorFor(vector: Checkpoint, base: Checkpoint): Promise<Checkpoint> {
  for (const { name, shape } of vector.tensors.values()) {
    const own = base.tensors.get(name)
    const fix = 'apply it to a model of the architecture that it was taken from'
    if (!own) throw new MergeError(`${show(name)} is not in ${base.ref}`, { where: vector.ref, fix })
    if (`${own.shape}` !== `${shape}`) throw new MergeError(`${show(name)} is [${shape}], and in ${base.ref} [${own.shape}]`, { where: vector.ref, fix })
  }
  const absent = [...base.tensors.values()].filter(({ name }) => !vector.tensors.has(name))
  const zeros = await zerosLike(absent, vector.files.length)
  const tensors = new Map([...base.tensors.keys()].map((name): [string, CheckpointTensor] => [name, vector.tensors.get(name) ?? zeros.tensors.get(name)!]))
  return { ...base, ref: vector.ref, path: vector.path, files: [...vector.files, ...zeros.files], tensors }
}

/** The base that a task vector was taken from, as it was called then; null where nobody has noted it. */
export function vectorBase(vector: Checkpoint): string | null {
  const text = vector.files[0]?.metadata[BASE]
  return text === undefined ? null : (JSON.parse(text) as { readonly path: string }).path
}
