import { openFile, readText } from '../bytes/file.ts'
import { sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import safetensors from '../formats/safetensors.ts'
import { kindOf, parseJsonFile, show } from '../json.ts'

/** A tensor of data, row-major. */
export interface DataTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array
}

/** Rows of tensors that share their first dimension. */
export interface TensorData {
  readonly kind: 'tensors'
  readonly file: string
  readonly tensors: ReadonlyMap<string, DataTensor>
}
/** One object a line. */
export interface LineData {
  readonly kind: 'lines'
  readonly file: string
  readonly lines: readonly Line[]
}
export interface Line {
  /** `file:line`, for errors. */
  readonly where: string
  readonly fields: Readonly<Record<string, unknown>>
}
export interface TextData {
  readonly kind: 'text'
  readonly file: string
  readonly text: string
}
export type Data = TensorData | LineData | TextData

/** What a file of data is taken for, by its name: safetensors, jsonl, else text. */
export function kindOfData(file: string): Data['kind'] {
  if (file.endsWith('.safetensors')) return 'tensors'
  return /\.(?:jsonl|ndjson)$/.test(file) ? 'lines' : 'text'
}

/** The data of a task; `name` is how errors call the file. Throws when there is none in it. */
export async function readData(file: string, name: string): Promise<Data> {
  const kind = kindOfData(file)
  if (kind === 'tensors') return { kind, file: name, tensors: await readTensors(file, name) }
  const text = (await readText(file, name)).replace(/^\ufeff/, '')
  if (text.trim() === '') throw new MergeError('there is no data in this file', { where: name, fix: 'name a file with at least one example' })
  return kind === 'text' ? { kind, file: name, text } : { kind, file: name, lines: linesOf(text, name) }
}

/** The first `limit` examples: rows, objects, or lines of text. */
export function takeFirst(data: Data, limit: number): Data {
  if (data.kind === 'lines') return { ...data, lines: data.lines.slice(0, limit) }
  if (data.kind === 'text')
    return {
      ...data,
      text: data.text
        .split(/(?<=\n)/)
        .slice(0, limit)
        .join(''),
    }
  return { ...data, tensors: takeRows(data.tensors, rows => rows.slice(0, limit)) }
}

/** How many rows, objects or lines of text there are: what a limit counts. */
export function lengthOf(data: Data): number {
  if (data.kind === 'lines') return data.lines.length
  return data.kind === 'text' ? data.text.split(/(?<=\n)/).length : rowsIn(data.tensors)
}

/** The rows for which each field of `wanted` has one of the values given for it. */
export function whereRows(data: TensorData, wanted: Readonly<Record<string, readonly number[]>>): TensorData {
  const fields = Object.entries(wanted).map(([field, values]) => [tensorOf(data, field).data, new Set(values)] as const)
  const tensors = takeRows(data.tensors, rows => rows.filter(row => fields.every(([values, set]) => set.has(Number(values[row])))))
  if (rowsIn(tensors) === 0)
    throw new MergeError('no row of the data is as `where` wants it', { where: data.file, fix: `fields of this file: ${[...data.tensors.keys()].join(', ')}` })
  return { ...data, tensors }
}

/** A field of the data, or an error that lists those there are. */
export function tensorOf({ tensors, file }: TensorData, field: string): DataTensor {
  const found = tensors.get(field)
  if (found) return found
  throw new MergeError(`the data has no field "${field}"`, { where: file, fix: `fields of this file: ${[...tensors.keys()].join(', ')}` })
}

/** How many examples: the first dimension of what is not a single number for all. */
export const rowsIn = (tensors: ReadonlyMap<string, DataTensor>): number => [...tensors.values()].reduce((most, { shape }) => Math.max(most, shape[0] ?? 0), 0)

function takeRows(tensors: ReadonlyMap<string, DataTensor>, choose: (rows: readonly number[]) => readonly number[]): ReadonlyMap<string, DataTensor> {
  const count = rowsIn(tensors)
  const rows = choose(Array.from({ length: count }, (_, i) => i))
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const [height, ...rest] = tensor.shape
      if (height !== count || (count === 1 && rows.length === 1)) return [name, tensor] // a number for all rows
      const width = sizeOf(rest)
      const taken = tensor.data.slice(0, rows.length * width)
      for (const [i, row] of rows.entries()) taken.set(tensor.data.subarray(row * width, (row + 1) * width) as never, i * width) // both are of one type
      return [name, { shape: [rows.length, ...rest], data: taken }]
    }),
  )
}

function linesOf(text: string, name: string): readonly Line[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return []
    const where = `${name}:${i + 1}`
    return [{ where, fields: parseJsonFile(where, line.replace(/\r$/, ''), 'write one JSON object on each line') }]
  })
}

/** A text field of a line. */
export function textField({ where, fields }: Line, field: string): string {
  const value = fields[field]
  if (typeof value === 'string') return value
  throw faultIn(where, fields, field, 'must be text', value)
}

/** A field that holds a list of texts, at least `least`. */
export function textsField({ where, fields }: Line, field: string, least: number): readonly string[] {
  const value = fields[field]
  if (Array.isArray(value) && value.length >= least && value.every(v => typeof v === 'string')) return value as readonly string[] // every has looked
  throw faultIn(where, fields, field, `must be a list of ${least > 1 ? `at least ${least} ` : ''}texts`, value)
}

/** A field that holds numbers, or true and false for 1 and 0: as many as `length` says. */
export function numbersField({ where, fields }: Line, field: string, length: number): readonly number[] {
  const value = fields[field]
  if (Array.isArray(value) && value.length === length && value.every(v => typeof v === 'boolean' || Number.isFinite(v))) return value.map(Number)
  throw faultIn(where, fields, field, `must be a list of ${length} numbers, or of true and false`, value)
}

/** A field that holds a whole number from 0 to below `end`. */
export function indexField({ where, fields }: Line, field: string, end: number): number {
  const value = fields[field]
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < end) return value
  throw faultIn(where, fields, field, `must be a whole number from 0 to ${end - 1}`, value)
}

/** A text, or the ids of its tokens. */
export function promptField({ where, fields }: Line, field: string): string | readonly number[] {
  const value = fields[field]
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.length > 0 && value.every(id => Number.isInteger(id) && id >= 0)) return value as readonly number[] // every has looked
  throw faultIn(where, fields, field, 'must be text, or a list of token ids', value)
}

function faultIn(where: string, fields: Line['fields'], field: string, must: string, value: unknown): MergeError {
  if (!(field in fields)) return new MergeError(`the field "${field}" is missing`, { where, fix: `fields of this line: ${Object.keys(fields).join(', ') || 'none'}` })
  return new MergeError(`the field "${field}" ${must}; here it is ${Array.isArray(value) || typeof value === 'object' ? kindOf(value) : show(value)}`, {
    where: `${where}, field "${field}"`,
    fix: 'correct this line',
  })
}

const ARRAYS = {
  U8: (bytes: ArrayBuffer) => new Uint8Array(bytes),
  BOOL: (bytes: ArrayBuffer) => new Uint8Array(bytes),
  I8: (bytes: ArrayBuffer) => new Int8Array(bytes),
  I32: (bytes: ArrayBuffer) => new Int32Array(bytes),
  I64: (bytes: ArrayBuffer) => new BigInt64Array(bytes),
  F32: (bytes: ArrayBuffer) => new Float32Array(bytes),
} as const

async function readTensors(file: string, where: string): Promise<ReadonlyMap<string, DataTensor>> {
  const source = await openFile(file, where)
  const { tensors } = await safetensors.readTable(source)
  const entries = tensors.map(async ({ name, dtype, shape, start, end }) => {
    const make = Object.hasOwn(ARRAYS, dtype) ? ARRAYS[dtype as keyof typeof ARRAYS] : null // hasOwn has looked
    if (!make) throw new MergeError(`${show(name)}: evaluation data of dtype ${dtype}`, { where, fix: `store it as one of ${Object.keys(ARRAYS).join(', ')}` })
    const bytes = (await source.read(start, end)).slice() // a copy, so that its buffer begins with it
    return [name, { shape, data: make(bytes.buffer as ArrayBuffer) }] as const
  })
  const read = new Map(await Promise.all(entries))
  if (rowsIn(read) === 0) throw new MergeError('there is no data in this file', { where, fix: 'name a file with at least one example' })
  return read
}
