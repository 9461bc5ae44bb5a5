import { sha256 } from '../bytes/hash.ts'
import type { LowRankTensor } from '../bytes/low_rank.ts'
import { isFloat, sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { isObject, parseJson, show } from '../json.ts'
import { layersOf } from './architecture.ts'
import type { Checkpoint, CheckpointTensor } from './checkpoint.ts'

/** The key of the metadata that has the shapes of sparse tensors, by name. */
export const SPARSE = 'merganser.sparse'

/** What the file calls the two parts of a sparse tensor. */
export const indicesOf = (name: string): string => `${name}.indices`
export const valuesOf = (name: string): string => `${name}.values`

/** Elements up to which indices fit 32 bits. */
export const MAX_I32_ELEMENTS = 2 ** 31

/** A task vector that was stored by the places of its elements, as the tensors that it stands for; any other as it is. */
export async function filledIn(vector: Checkpoint): Promise<Checkpoint> {
  const [file] = vector.files
  const text = file?.metadata[SPARSE]
  if (!file || text === undefined) return vector
  const where = `${vector.ref}/${file.name}`
  const shapes = shapesIn(text, where)
  const places: LowRankTensor[] = []
  const tensors = Object.entries(shapes).map(([name, shape]): [string, CheckpointTensor] => {
    const start = places.at(-1)?.end ?? 0
    const [rows, columns] = [shape[0] ?? 1, sizeOf(shape.slice(1))]
    const end = start + rows * columns * 4
    const [indices, values] = [vector.tensors.get(indicesOf(name)), vector.tensors.get(valuesOf(name))]
    const count = sizeOf(indices?.shape ?? [0])
    const isSound = indices === undefined ? values === undefined : (indices.dtype === 'I32' || indices.dtype === 'I64') && values !== undefined
    if (!isSound || (values && !(isFloat(values.dtype) && sizeOf(values.shape) === count)) || count > rows * columns)
      throw new MergeError(`${show(name)}: indices and values do not belong together`, { where, fix: DAMAGED })
    const part = ({ start: at, dtype }: CheckpointTensor) => ({ file: 0, at, dtype })
    places.push({ start, end, rows, columns, base: null, product: null, ...(indices && values ? { sparse: { count, indices: part(indices), values: part(values) } } : {}) })
    return [name, { name, dtype: 'F32', shape, start, end, file: 1 }]
  })
  const hash = await sha256(new TextEncoder().encode(text))
  const locator = { lowRank: { files: 'lowRank' in file.locator ? [] : [file.locator], tensors: places } }
  const files = [file, { name: 'sparse', locator, size: places.at(-1)?.end ?? 0, version: hash, headerHash: hash, metadata: {} }]
  return { ...vector, files, tensors: new Map(tensors), layers: layersOf(tensors.map(([name]) => name)) }
}

const DAMAGED = 'the file is damaged: extract the task vector again'

function shapesIn(text: string, where: string): Readonly<Record<string, readonly number[]>> {
  const fault = (reason: string): never => {
    throw new MergeError(`the metadata’s ${SPARSE} ${reason}`, { where, fix: DAMAGED })
  }
  const shapes = parseJson(text, reason => fault(`is no JSON: ${reason}`))
  if (!isObject(shapes)) return fault('must be an object of shapes')
  for (const name in shapes) {
    const shape = shapes[name]
    if (!(Array.isArray(shape) && shape.every(n => Number.isSafeInteger(n) && n >= 0) && Number.isSafeInteger(4 * sizeOf(shape)))) fault(`has no shape for ${show(name)}`)
  }
  return shapes as Readonly<Record<string, readonly number[]>> // each was checked above
}
