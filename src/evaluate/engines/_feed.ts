import { sizeOf } from '../../dtype.ts'
import { MergeError } from '../../errors.ts'
import type { DataTensor } from '../data.ts'
import type { Input, Value } from './_graph.ts'

/** Rows [start, end) of a tensor of data as an input of a graph takes them: of its type and shape, times `scale`. */
export function rowsFor(input: Input, { shape, data }: DataTensor, start: number, end: number, scale: number): Value {
  const [, ...own] = shape
  const [, ...rest] = input.shape
  const wanted = rest.every(n => typeof n === 'number') ? (rest as readonly number[]) : own // the test has looked
  const width = sizeOf(own)
  if (sizeOf(wanted) !== width) {
    throw new MergeError(`${input.name}: the data has the shape [${shape.join(',')}], where the graph needs [${input.shape.join(',')}]`, {
      fix: 'use data that was made for this graph',
    })
  }
  return { dims: [end - start, ...wanted], data: convert(data.subarray(start * width, end * width), input, scale) }
}

function convert(data: DataTensor['data'], { name, type }: Input, scale: number): Value['data'] {
  const make = Object.hasOwn(TYPES, type) ? TYPES[type as keyof typeof TYPES] : null // hasOwn has looked
  if (make === null)
    throw new MergeError(`${name}: the graph takes ${type}, which data cannot be turned into`, { fix: `use a graph whose inputs are ${Object.keys(TYPES).join(', ')}` })
  const isAsItIs = scale === 1 && data instanceof TYPES[type as keyof typeof TYPES]
  if (isAsItIs) return data
  if (make === BigInt64Array) return BigInt64Array.from(data as ArrayLike<number>, x => BigInt(Math.round(Number(x) * scale)))
  const target = new (make as typeof Float32Array)(data.length) // any array of numbers: filled alike
  for (let i = 0; i < data.length; i++) target[i] = Number(data[i]) * scale
  return target
}

const TYPES = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array, int64: BigInt64Array } as const
