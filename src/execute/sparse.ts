import type { Sparse, Stored } from '../bytes/low_rank.ts'
import { bytesOf, type FloatDType } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import type { Engine } from '../kernels/kernels.ts'

/** Fills in what few elements a tensor has. */
export interface Filler {
  /** Elements [first, first + n) as float32 into `target`, of 4·n bytes. */
  fill(sparse: Sparse, target: Uint8Array, first: number): void
}

/** Memory of an engine with room for a piece as it is stored, and as float32. */
interface Room {
  readonly memory: WebAssembly.Memory
  readonly at: number
  readonly to: number
}

const PIECE = 16_384 // elements at once: less than plan/low_rank.ts has room for

/** `read` fills an array with elements of a part, from the given one on. Remembers where the last read ended, so that a tensor read in order is searched once. */
export function createFiller(read: (part: Stored, target: Uint8Array, from: number) => void, load: Engine['load'], { memory, at, to }: Room): Filler {
  let last: { readonly sparse: Sparse; readonly element: number; readonly place: number } | null = null
  return { fill }

  function fill(sparse: Sparse, target: Uint8Array, first: number): void {
    target.fill(0)
    const end = first + target.byteLength / 4
    let place = last?.sparse === sparse && last.element === first ? last.place : search(sparse, first)
    for (let isIn = true; isIn && place < sparse.count; ) {
      const indices = indicesAt(sparse, place, Math.min(PIECE, sparse.count - place))
      let n = 0
      let least = first
      for (; n < indices.length && Number(indices[n]!) < end; n++) {
        const index = Number(indices[n]!)
        if (index < least) throw new MergeError('a sparse task vector is damaged: its indices do not ascend', { fix: 'extract it again' })
        least = index + 1
      }
      isIn = n === indices.length
      if (n === 0) break
      const values = valuesAt(sparse, place, n)
      for (let i = 0; i < n; i++) target.set(values.subarray(4 * i, 4 * i + 4), (Number(indices[i]!) - first) * 4)
      place += n
    }
    last = { sparse, element: end, place }
  }

  /** How many elements lie before element `element`. */
  function search(sparse: Sparse, element: number): number {
    let low = 0
    let high = sparse.count
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (Number(indicesAt(sparse, middle, 1)[0]!) < element) low = middle + 1
      else high = middle
    }
    return low
  }

  function indicesAt({ indices }: Sparse, from: number, n: number): Int32Array | BigInt64Array {
    const bytes = new Uint8Array(n * bytesOf(indices.dtype))
    read(indices, bytes, from)
    return indices.dtype === 'I32' ? new Int32Array(bytes.buffer) : new BigInt64Array(bytes.buffer)
  }

  function valuesAt({ values }: Sparse, from: number, n: number): Uint8Array {
    const dtype = values.dtype as FloatDType // checkpoint/sparse.ts has looked
    read(values, new Uint8Array(memory.buffer, at, n * bytesOf(dtype)), from)
    load[dtype](to, at, n)
    return new Uint8Array(memory.buffer, to, 4 * n)
  }
}
