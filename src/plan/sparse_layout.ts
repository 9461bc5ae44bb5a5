import { indicesOf, MAX_I32_ELEMENTS, SPARSE, valuesOf } from '../checkpoint/sparse.ts'
import { VECTOR_STEM } from '../checkpoint/vector.ts'
import { type FloatDType, sizeOf } from '../dtype.ts'
import { layOut, type OutputFile, type Placeable } from './layout.ts'

/** A tensor of which the `count` largest elements are kept. */
export interface SparseTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly count: number
}

export interface SparseLayout {
  readonly file: OutputFile
  readonly tensors: readonly (SparseTensor & { readonly isWide: boolean; readonly indicesAt: number; readonly valuesAt: number })[]
}

/** How many elements of a tensor are kept: its share, at least one, and none that are 0. */
export const countKept = (shape: readonly number[], nonzeros: number, density: number): number => Math.min(nonzeros, Math.max(1, Math.round(density * sizeOf(shape))))

/** A task vector as the places of its elements, and the values there. */
export function layOutSparse(tensors: readonly SparseTensor[], dtype: FloatDType, metadata: Readonly<Record<string, string>>): SparseLayout {
  const isWide = ({ shape }: SparseTensor): boolean => sizeOf(shape) > MAX_I32_ELEMENTS
  const placeable = tensors.flatMap((tensor): Placeable[] =>
    tensor.count === 0
      ? []
      : [
          { name: indicesOf(tensor.name), dtype: isWide(tensor) ? 'I64' : 'I32', shape: [tensor.count] },
          { name: valuesOf(tensor.name), dtype, shape: [tensor.count] },
        ],
  )
  const shapes = JSON.stringify(Object.fromEntries(tensors.map(({ name, shape }) => [name, shape])))
  const file = layOut(placeable, { ...metadata, [SPARSE]: shapes }, Number.POSITIVE_INFINITY, VECTOR_STEM)[0]!
  const at = new Map(file.tensors.map(tensor => [tensor.name, tensor.at]))
  return {
    file,
    tensors: tensors.map(tensor => ({ ...tensor, isWide: isWide(tensor), indicesAt: at.get(indicesOf(tensor.name)) ?? 0, valuesAt: at.get(valuesOf(tensor.name)) ?? 0 })),
  }
}
