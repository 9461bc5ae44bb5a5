import { type FolderEntry, listFolder, readText } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import { type Index, parseIndex } from './_index.ts'

export interface Chosen {
  /** In the order of their names. */
  readonly weights: readonly FolderEntry[]
  readonly index: Index | null
}

const EXTENSION = '.safetensors'
const SHARD = /^(.+)-(\d{5,})-of-(\d{5,})\.safetensors$/

/** The weight files among the `entries` of a model's folder, in the order in which transformers looks for them. */
export async function chooseFiles(ref: string, prefix: string, entries: readonly FolderEntry[]): Promise<Chosen> {
  const single = entries.filter(({ name, isFile }) => isFile && name.endsWith(EXTENSION))
  const whole = single.find(({ name }) => name === `model${EXTENSION}`)
  if (whole) return { weights: [whole], index: null }
  const index = chooseIndex(entries)
  if (index) return fromIndex(parseIndex(prefix + index.name, await readText(index.path, prefix + index.name)), entries)
  if (single.length === 0) throw await nothingToRead(ref, prefix, entries)
  if (single.length > 1 || SHARD.test(single[0]?.name ?? '')) checkShards(ref, single)
  return { weights: single, index: null }
}

function chooseIndex(entries: readonly FolderEntry[]): FolderEntry | undefined {
  const indices = entries.filter(({ name, isFile }) => isFile && name.endsWith(`${EXTENSION}.index.json`))
  return indices.find(({ name }) => name === `model${EXTENSION}.index.json`) ?? (indices.length === 1 ? indices[0] : undefined)
}

function fromIndex(index: Index, entries: readonly FolderEntry[]): Chosen {
  const byName = new Map(entries.filter(({ isFile }) => isFile).map(entry => [entry.name, entry]))
  const missing = index.shards.filter(name => !byName.has(name))
  if (missing.length > 0) throw missingShards(index.name, missing, index.shards.length)
  return { weights: index.shards.flatMap(name => byName.get(name) ?? []), index }
}

/** Several files without an index are one model only if they say so themselves. */
function checkShards(ref: string, files: readonly FolderEntry[]): void {
  const [stem, , total] = SHARD.exec(files[0]?.name ?? '')?.slice(1) ?? []
  const others = files.filter(({ name }) => SHARD.exec(name)?.[1] !== stem || SHARD.exec(name)?.[3] !== total)
  if (stem === undefined || total === undefined || others.length > 0) {
    throw new MergeError(`${ref} holds several safetensors files that are not shards of one model: ${some(files.map(({ name }) => name))}`, {
      fix: 'give the path of one file, or remove the others',
    })
  }
  const present = new Set(files.map(({ name }) => name))
  const count = Number(total)
  const missing: string[] = []
  for (let i = 1; i <= count && missing.length <= MAX_LISTED; i++) {
    const name = `${stem}-${String(i).padStart(total.length, '0')}-of-${total}${EXTENSION}`
    if (!present.has(name)) missing.push(name)
  }
  if (missing.length > 0) throw missingShards(ref, missing, count, count - files.length)
}

const missingShards = (where: string, missing: readonly string[], total: number, count = missing.length): MergeError =>
  new MergeError(`${count} of ${total} shards ${count === 1 ? 'is' : 'are'} missing: ${some(missing, count)}`, {
    where,
    fix: 'the download is probably incomplete: fetch the missing files',
  })

const MAX_LISTED = 5 // names in one message

function some(names: readonly string[], count = names.length): string {
  const shown = names.slice(0, MAX_LISTED).map(name => name.replace(/\p{Cc}/gu, '?')) // file names may hold what drives a terminal
  return shown.join(', ') + (count > MAX_LISTED ? ` and ${count - MAX_LISTED} more` : '')
}

const OTHER_FORMATS: readonly (readonly [ending: RegExp, name: string])[] = [
  [/\.(?:bin|pt|pth|ckpt)$/, 'PyTorch'],
  [/\.gguf$/, 'GGUF'],
  [/\.onnx$/, 'ONNX'],
  [/\.(?:h5|keras)$/, 'Keras'],
  [/\.msgpack$/, 'Flax'],
]

async function nothingToRead(ref: string, prefix: string, entries: readonly FolderEntry[]): Promise<MergeError> {
  if (entries.length === 0) return new MergeError(`the folder ${ref} is empty`, { fix: 'give a folder with a .safetensors file' })
  const broken = entries.find(({ name, isFile }) => !isFile && /\.safetensors(?:\.index\.json)?$/.test(name))
  if (broken) return new MergeError(`${prefix}${broken.name} is not a regular file, nor a link to one`, { fix: 'the download is probably incomplete: fetch the model again' })
  const models: string[] = []
  for (const { name, path, isFile } of entries.slice(0, MAX_SUBFOLDERS)) {
    if (!isFile && (await listFolder(path))?.some(inner => inner.isFile && inner.name.endsWith(EXTENSION))) models.push(prefix + name)
  }
  const names = entries.map(({ name }) => name)
  const formats = OTHER_FORMATS.filter(([ending]) => names.some(name => ending.test(name))).map(([, name]) => name)
  const what = `no .safetensors file in ${ref}, which holds ${formats.length > 0 ? `${formats.join(' and ')} weights: ` : ''}${some(names)}`
  if (models.length > 0) return new MergeError(what, { fix: `give one of the models in it: ${some(models)}` })
  if (formats.length > 0)
    return new MergeError(what, { fix: 'Merganser reads safetensors: download that version of the model, or load it in transformers and call save_pretrained' })
  return new MergeError(what, { fix: 'Merganser reads safetensors: give a folder with such a file' })
}

const MAX_SUBFOLDERS = 100 // enough to find the models beside each other; a whole disk is not searched
