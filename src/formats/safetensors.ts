import { closest, distance } from 'fastest-levenshtein'
import type { Source } from '../bytes/source.ts'
import { bytesOf, DTYPES, isDType, sizeOf } from '../dtype.ts'
import { assert, MergeError } from '../errors.ts'
import { isObject, kindOf, parseJson, show } from '../json.ts'
import type { Format, Table, TensorEntry } from './format.ts'

/** Hugging Face's safetensors: 8 bytes of header length, a JSON header, then the tensors without gaps. */
const safetensors: Format = { name: 'safetensors', extensions: ['.safetensors'], readTable }
export default safetensors

const LENGTH_BYTES = 8 // the header's length, unsigned, little-endian
const MAX_HEADER_BYTES = 100_000_000 // the limit of safetensors' own reader (tensor.rs)
const MAX_NESTING = 3 // header { tensor { shape [ ] } }
const METADATA = '__metadata__'
const DAMAGED = 'the file is damaged or was written by a faulty program: download or export it again'
const INCOMPLETE = 'the download is probably incomplete: fetch the file again'

async function readTable(source: Source): Promise<Table> {
  const dataStart = LENGTH_BYTES + (await headerLength(source))
  const header = await source.read(LENGTH_BYTES, dataStart)
  assert(header.byteLength === dataStart - LENGTH_BYTES, `${source.name} gave ${header.byteLength} bytes for its header`)
  const root = parseHeader(header, source.name)
  const tensors: TensorEntry[] = []
  for (const name in root) if (name !== METADATA) tensors.push(entryOf(name, root[name], dataStart, source.name))
  // An empty tensor shares its start with the tensor after it, so the end decides; else the header's order stays.
  tensors.sort((a, b) => a.start - b.start || a.end - b.end)
  checkCoverage(tensors, dataStart, source)
  return { tensors, metadata: metadataOf(root[METADATA], source.name), header }
}

async function headerLength(source: Source): Promise<number> {
  const { name: where, size } = source
  if (size < LENGTH_BYTES)
    throw new MergeError(`not a safetensors file: it has ${size} bytes, and the length of the header alone takes ${LENGTH_BYTES}`, { where, fix: INCOMPLETE })
  const first = await source.read(0, Math.min(size, LENGTH_BYTES + 1))
  const length = new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true)
  const fits = length <= MAX_HEADER_BYTES && LENGTH_BYTES + Number(length) <= size
  if (fits && first[LENGTH_BYTES] === OPEN_BRACE) return Number(length)
  const start = String.fromCharCode(...first)
  for (const [magic, what, fix] of OTHER_FILES) if (magic.test(start)) throw new MergeError(`not a safetensors file but ${what}`, { where, fix })
  if (length > MAX_HEADER_BYTES) throw new MergeError(`the header claims ${length} bytes; the limit is ${MAX_HEADER_BYTES}`, { where, fix: DAMAGED })
  if (!fits) throw new MergeError(`the header claims ${length} bytes, but only ${size - LENGTH_BYTES} follow`, { where, fix: INCOMPLETE })
  return Number(length)
}

const OPEN_BRACE = 0x7b // every safetensors header begins with it

/** What is found under the name of a safetensors file when something went wrong before. */
const OTHER_FILES: readonly (readonly [magic: RegExp, what: string, fix: string])[] = [
  [/^version /, 'a Git LFS pointer, which stands for a file that was not downloaded', 'run `git lfs pull` in its folder'],
  [/^<[!?hH]/, 'a web page', 'download the file itself: the address gave a page about it, or an error'],
  [/^GGUF/, 'a GGUF file', 'use the model’s safetensors files'],
  [/^PK\p{Cc}{2}/u, 'a zip archive (PyTorch’s .bin and .pt files are such)', 'use the model’s safetensors files'],
]

function parseHeader(header: Uint8Array, where: string): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header)
  } catch (cause) {
    throw new MergeError('the header is not valid UTF-8', { where, fix: DAMAGED, cause })
  }
  const fault = (reason: string, at: number, [name]: readonly string[]): never => {
    throw new MergeError(`bad header: ${name === undefined ? '' : `tensor ${show(name)}: `}${reason}`, { where: `${where}, character ${at} of the header`, fix: DAMAGED })
  }
  const root = parseJson(text, fault, { maxDepth: MAX_NESTING })
  if (!isObject(root)) throw new MergeError(`bad header: expected a JSON object of tensors, found ${kindOf(root)}`, { where, fix: DAMAGED })
  return root
}

function metadataOf(value: unknown, where: string): Readonly<Record<string, string>> {
  if (value === undefined) return {}
  if (!isObject(value)) throw new MergeError(`the metadata must be an object of strings, found ${kindOf(value)}`, { where, fix: DAMAGED })
  for (const key in value) {
    if (typeof value[key] !== 'string') throw new MergeError(`the metadata’s ${show(key)} must be a string, found ${kindOf(value[key])}`, { where, fix: DAMAGED })
    if (hasLoneSurrogate(key) || hasLoneSurrogate(value[key]))
      throw new MergeError(`the metadata’s ${show(key)} is not valid Unicode: half of a surrogate pair`, { where, fix: DAMAGED })
  }
  return value as Readonly<Record<string, string>> // each value was checked above
}

const hasLoneSurrogate = (text: string): boolean => /\p{Surrogate}/u.test(text)

function entryOf(name: string, entry: unknown, dataStart: number, where: string): TensorEntry {
  const fault = (why: string, fix = DAMAGED): MergeError => new MergeError(`tensor ${show(name)}: ${why}`, { where, fix })
  if (hasLoneSurrogate(name)) throw fault('the name is not valid Unicode: half of a surrogate pair')
  if (!isObject(entry)) throw fault(`expected an object with dtype, shape and data_offsets, found ${kindOf(entry)}`)
  const { dtype, shape, data_offsets: offsets } = entry
  for (const field of FIELDS) if (entry[field] === undefined) throw fault(`${field} is missing`)
  // A field we do not know could change what the bytes mean.
  for (const field in entry)
    if (!FIELDS.includes(field)) throw fault(`unknown field ${show(field)}`, `only ${FIELDS.join(', ')} are known: was the file written by a newer program?`)
  if (typeof dtype !== 'string') throw fault(`dtype must be a string, found ${kindOf(dtype)}`)
  if (!isDType(dtype)) throw fault(`unknown dtype ${show(dtype)}`, dtypeChoices(dtype))
  if (!Array.isArray(shape)) throw fault(`shape must be an array, found ${kindOf(shape)}`)
  if (!shape.every(isCount)) throw fault(`shape ${show(shape)} must hold whole numbers from 0 to 2^53 - 1`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) throw fault(`data_offsets must be two whole numbers, found ${show(offsets)}`)
  const [start, end] = offsets as [number, number] // both are counts, by the line above
  if (start > end) throw fault(`data_offsets [${start},${end}] end before they start`)
  // Zeros are left out, so that [2^53 - 1, 2^53 - 1, 0] cannot hide an overflow.
  if (!Number.isSafeInteger(shape.reduce((product, n) => product * (n || 1), bytesOf(dtype)))) throw fault(`shape ${show(shape)} is too large: more than 2^53 bytes`)
  const bytes = sizeOf(shape) * bytesOf(dtype)
  if (end - start !== bytes) throw fault(`shape ${show(shape)} of ${dtype} takes ${bytes} bytes, but data_offsets [${start},${end}] span ${end - start}`)
  return { name, dtype, shape, start: dataStart + start, end: dataStart + end }
}

const FIELDS: readonly string[] = ['dtype', 'shape', 'data_offsets']

/** JSON can also write -0, which would turn up later as a strange size. */
const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0 && !Object.is(n, -0) // isSafeInteger is false for non-numbers

function dtypeChoices(name: string): string {
  const known = Object.keys(DTYPES)
  const nearest = closest(name.slice(0, MAX_DTYPE_NAME).toUpperCase(), known)
  const near =
    distance(name.slice(0, MAX_DTYPE_NAME).toUpperCase(), nearest) <= 2
      ? `the nearest dtype that Merganser reads is ${nearest}`
      : 'convert the file to a dtype that Merganser reads'
  return `${near}; all: ${known.join(', ')}`
}

const MAX_DTYPE_NAME = 20 // characters compared; the distance of long texts is costly and says nothing

/** Tensors must follow each other without overlaps or holes and end where the file ends, as safetensors' own reader demands. */
function checkCoverage(tensors: readonly TensorEntry[], dataStart: number, { name: where, size }: Source): void {
  let at = dataStart
  let before: TensorEntry | undefined
  for (const tensor of tensors) {
    if (tensor.start !== at || tensor.end > size) throw new MergeError(misplaced(tensor, before, at, size), { where, fix: tensor.start === at ? INCOMPLETE : DAMAGED })
    at = tensor.end
    before = tensor
  }
  if (at < size)
    throw new MergeError(`the file has ${size} bytes, but its ${before ? `last tensor, ${show(before.name)},` : 'header'} ends at byte ${at}: no tensor covers the rest`, {
      where,
      fix: DAMAGED,
    })
}

function misplaced({ name, start, end }: TensorEntry, before: TensorEntry | undefined, at: number, size: number): string {
  const previous = before ? `tensor ${show(before.name)}` : 'the header'
  if (start < at) return `tensor ${show(name)} starts at byte ${start}, inside ${previous}, which ends at byte ${at}: they overlap`
  if (start > at) return `tensor ${show(name)} starts at byte ${start}, but ${previous} ends at byte ${at}: no tensor covers the bytes between`
  return `the file ends at byte ${size}, but tensor ${show(name)} needs bytes up to ${end}`
}

export interface Layout {
  /** Everything before the first tensor: length, JSON, padding. */
  readonly header: Uint8Array
  /** Where each tensor starts in the file, in the given order. */
  readonly offsets: readonly number[]
  /** Bytes of the whole file. */
  readonly size: number
}

/**
 * The header of a file that holds `tensors` in the given order, without holes; the data begins at a multiple of 8.
 * PyTorch's loader wants each tensor at a multiple of its element's width: put wider dtypes first, as safetensors' own writer does.
 */
export function headerOf(tensors: readonly Pick<TensorEntry, 'name' | 'dtype' | 'shape'>[], metadata: Readonly<Record<string, string>>): Layout {
  const entries = Object.keys(metadata).length ? [`"${METADATA}":${JSON.stringify(metadata)}`] : []
  const starts: number[] = []
  const names = new Set([METADATA])
  let at = 0
  for (const { name, dtype, shape } of tensors) {
    assert(!names.has(name), `the tensor name ${show(name)} is free`)
    names.add(name)
    starts.push(at)
    const end = at + sizeOf(shape) * bytesOf(dtype)
    entries.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${at},${end}]}`)
    at = end
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`)
  const dataStart = Math.ceil((LENGTH_BYTES + json.length) / 8) * 8
  if (dataStart - LENGTH_BYTES > MAX_HEADER_BYTES) {
    throw new MergeError(`a header for ${tensors.length} tensors would take ${dataStart - LENGTH_BYTES} bytes; the limit is ${MAX_HEADER_BYTES}`, { fix: 'write smaller shards' })
  }
  const header = new Uint8Array(dataStart).fill(0x20) // safetensors pads with spaces, which JSON ignores
  header.set(json, LENGTH_BYTES)
  new DataView(header.buffer).setUint32(0, dataStart - LENGTH_BYTES, true)
  header.fill(0, 4, LENGTH_BYTES)
  return { header, offsets: starts.map(start => dataStart + start), size: dataStart + at }
}
