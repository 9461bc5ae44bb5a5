import { type FolderEntry, findPath, listFolder, openFile, readText, workingFolder } from '../bytes/file.ts'
import { sha256 } from '../bytes/hash.ts'
import type { InputLocator } from '../bytes/low_rank.ts'
import type { DType } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import type { TensorEntry } from '../formats/format.ts'
import safetensors from '../formats/safetensors.ts'
import { isObject, parseJsonFile, show } from '../json.ts'
import { chooseFiles } from './_files.ts'
import { checkIndex } from './_index.ts'
import { locate } from './_locate.ts'
import { collectSidecars, type Sidecar } from './_sidecars.ts'
import { type Layers, layersOf } from './architecture.ts'
import { FAMILIES, type Family } from './families.ts'

export { isModelFile, type Sidecar } from './_sidecars.ts'
export type { LayerOf, Layers } from './architecture.ts'

export interface CheckpointFile {
  readonly name: string
  readonly locator: InputLocator
  readonly size: number
  readonly version: string
  /** SHA-256 of the safetensors header (its JSON with padding, without the 8 bytes of length), hex. */
  readonly headerHash: string
  readonly metadata: Readonly<Record<string, string>>
}

export interface CheckpointTensor extends TensorEntry {
  /** Index into `files`. */
  readonly file: number
  /** The dtype that an output takes from it, where it is read in another one. */
  readonly outputDType?: DType
  /** Set where an adapter leaves the tensor as it is, so that its task vector is zero. */
  readonly isZero?: true
}

export interface Checkpoint {
  /** As the user wrote it. */
  readonly ref: string
  /** The folder or file, absolute. */
  readonly path: string
  /** In the order of their names. */
  readonly files: readonly CheckpointFile[]
  /** By name; in file order, then by offset. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>
  /** Where a recipe has renamed the tensors: what the files call them, by the new names. */
  readonly renamed?: ReadonlyMap<string, string>
  /** config.json; null where there is none. May hold NaN and Infinity, which Python writes and JSON.stringify turns into null. */
  readonly config: Readonly<Record<string, unknown>> | null
  /** The text of config.json, which says more than its values: integers beyond 2^53, the order of keys. */
  readonly configText: string | null
  /** The files beside the weights that a model needs to load, without config.json. */
  readonly sidecars: readonly Sidecar[]
  readonly layers: Layers
  /** What is known of models of this kind; null for one that is not listed. */
  readonly family: Family | null
  /** `architectures[0]` of config.json, else its `model_type`. */
  readonly architecture: string | null
}

export interface OpenOptions {
  /** Folders in which a relative path is looked up, in this order; by default the working folder. */
  readonly from?: readonly string[]
}

/**
 * The checkpoint in a folder or a .safetensors file, from its headers alone. Throws on anything that is not a sound model.
 *
 * @example
 * const base = await open('zoo/text/base')
 * console.log(base.architecture, base.tensors.get('lm_head.weight').shape)
 */
export async function open(ref: string, { from = [workingFolder()] }: OpenOptions = {}): Promise<Checkpoint> {
  const { path, folder, file } = await locate(ref, from)
  const entries = (await listFolder(folder)) ?? []
  // Errors name files as the user wrote the path.
  const prefix = file === null ? `${ref.replace(/[\\/]+$/, '')}/` : ref.slice(0, ref.length - file.length)
  const { weights, index } = file === null ? await chooseFiles(ref, prefix, entries) : { weights: entries.filter(entry => entry.name === file), index: null }
  const files: CheckpointFile[] = []
  const tensors = new Map<string, CheckpointTensor>()
  for (const weight of weights) await addFile(weight, prefix, files, tensors)
  if (index) checkIndex(index, tensors, files)
  const [config, configText] = await readConfig(entries, prefix)
  const family = familyOf(config)
  return {
    ref,
    path,
    files,
    tensors,
    config,
    configText,
    sidecars: await collectSidecars(entries, config, prefix),
    layers: layersOf(tensors.keys(), family, stack => countIn(config, family, stack)),
    family,
    architecture: architectureOf(config),
  }
}

/** Whether there is a file or folder that `ref` means. */
export async function exists(ref: string, { from = [workingFolder()] }: OpenOptions = {}): Promise<boolean> {
  return (await findPath(ref, from)) !== null
}

/** The text of a file beside the weights; null where there is none. */
export async function readSidecar({ ref, sidecars }: Checkpoint, name: string): Promise<string | null> {
  const sidecar = sidecars.find(s => s.name === name)
  return sidecar ? readText(sidecar.path, `${ref}/${name}`) : null
}

async function addFile({ name, path }: FolderEntry, prefix: string, files: CheckpointFile[], tensors: Map<string, CheckpointTensor>): Promise<void> {
  const source = await openFile(path, prefix + name)
  const table = await safetensors.readTable(source)
  for (const entry of table.tensors) {
    const other = tensors.get(entry.name)
    if (other) {
      throw new MergeError(`tensor ${show(entry.name)} is in two files: ${files[other.file]?.name} and ${name}`, {
        where: prefix + name,
        fix: 'remove files that belong to another model, or download the model again',
      })
    }
    tensors.set(entry.name, { ...entry, file: files.length })
  }
  files.push({ name, locator: source.locator, size: source.size, version: source.version, headerHash: await sha256(table.header), metadata: table.metadata })
}

async function readConfig(entries: readonly FolderEntry[], prefix: string): Promise<[Checkpoint['config'], string | null]> {
  const entry = entries.find(({ name, isFile }) => name === 'config.json' && isFile)
  if (!entry) return [null, null]
  const name = `${prefix}config.json`
  const text = await readText(entry.path, name)
  return [parseJsonFile(name, text, 'correct the file, or take it anew from the model’s source'), text]
}

function familyOf(config: Checkpoint['config']): Family | null {
  const type: unknown = config?.model_type
  return FAMILIES.find(family => family.types.some(t => t === type)) ?? null
}

/** The number of layers of a stack that config.json tells; infinite where it does not. */
function countIn(config: Checkpoint['config'], family: Family | null, stack: string): number {
  const fields = family?.parts.find(part => part.stacks.includes(stack))?.counts ?? []
  const told = fields.map(field => field.split('.').reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), config))
  return told.find((count): count is number => typeof count === 'number' && Number.isInteger(count) && count > 0) ?? Infinity
}

function architectureOf(config: Checkpoint['config']): string | null {
  const listed: unknown = config?.architectures
  const candidates: readonly unknown[] = [Array.isArray(listed) ? listed[0] : null, config?.model_type]
  return candidates.find(name => typeof name === 'string') ?? null
}
