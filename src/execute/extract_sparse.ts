import type { Sink } from '../bytes/sink.ts'
import { bytesOf, type FloatDType, sizeOf } from '../dtype.ts'
import { assert } from '../errors.ts'
import { headerOf } from '../formats/safetensors.ts'
import { createEngine } from '../kernels/kernels.ts'
import type { Plan, Task } from '../plan/plan.ts'
import type { SparseLayout } from '../plan/sparse_layout.ts'
import { BLOCK } from '../plan/tiling.ts'
import { pathsRead, refuseChanged } from './execute.ts'
import { isOfAdapter } from './extract_lora.ts'
import { openTensors, type Tensors } from './tensors.ts'

/** What is kept of a tensor. */
export interface Sparsified {
  readonly tensor: string
  readonly size: number
  readonly count: number
  /** ‖Δ‖², and that of what is kept. */
  readonly energy: number
  readonly kept: number
}

const WINDOW = 64 * BLOCK // elements in memory at once: 16 MiB

type Placed = SparseLayout['tensors'][number]
/** Of the elements whose magnitude has the bits `least`, the first `ties` are kept, and all above. */
interface Bound {
  readonly least: number
  readonly ties: number
}

/** Writes the largest elements of each tensor of a task vector, ties by their place. A tensor is read window by window: three times if it is longer than one. */
export async function* extractSparse({ file, tensors }: SparseLayout, delta: Plan, dtype: FloatDType, sink: Sink): AsyncGenerator<Sparsified, void, void> {
  const engine = createEngine(WINDOW * 8 + 256)
  const reader = await openTensors(delta, WINDOW * 4)
  const tasks = new Map(delta.tasks.map(task => [task.name, task]))
  await sink.begin({ bytes: file.size, fingerprint: '', inputs: pathsRead(delta), files: [{ name: file.name, size: file.size }], isOfModel: isOfAdapter })
  let isComplete = false
  try {
    await sink.write(file.name, 0, headerOf(file.tensors, file.metadata).header)
    for (const tensor of tensors) yield await write(tensor, windowsOf(reader, tasks.get(tensor.name)!))
    await refuseChanged(delta)
    await sink.finish()
    isComplete = true
  } finally {
    reader.close()
    if (!isComplete) await sink.abandon(false)
  }

  async function write(tensor: Placed, each: Each): Promise<Sparsified> {
    const { name, shape, count, isWide, indicesAt, valuesAt } = tensor
    if (count === 0) return { tensor: name, size: sizeOf(shape), count, energy: 0, kept: 0 }
    const { least, ties } = await boundOf(count, each)
    let [energy, kept, left, done] = [0, 0, ties, 0]
    const indices = isWide ? new BigInt64Array(WINDOW) : new Int32Array(WINDOW)
    const values = new Float32Array(engine.memory.buffer, engine.heap, WINDOW)
    await each(async (elements, start) => {
      const words = magnitudesOf(elements)
      let n = 0
      for (let i = 0; i < words.length; i++) {
        const bits = words[i]! & MAGNITUDE
        const value = elements[i]!
        energy += value * value
        if (bits < least || (bits === least && left-- <= 0)) continue
        if (isWide) indices[n] = BigInt(start + i)
        else indices[n] = start + i
        values[n++] = value
        kept += value * value
      }
      await sink.write(file.name, indicesAt + done * indices.BYTES_PER_ELEMENT, new Uint8Array(indices.buffer, 0, n * indices.BYTES_PER_ELEMENT))
      await sink.write(file.name, valuesAt + done * bytesOf(dtype), stored(n))
      done += n
    })
    assert(done === count, `${name} has ${count} elements to keep, not ${done}`)
    return { tensor: name, size: sizeOf(shape), count, energy, kept }
  }

  function stored(n: number): Uint8Array {
    const to = engine.heap + WINDOW * 4 + 64
    engine.store[dtype](to, engine.heap, n)
    return new Uint8Array(engine.memory.buffer, to, n * bytesOf(dtype))
  }
}

type Each = (see: (elements: Float32Array, start: number) => Promise<void> | void) => Promise<void>

/** Goes over a tensor; one that fits a window is computed once. */
function windowsOf(reader: Tensors, task: Task): Each {
  let only: Float32Array | null = null
  return async see => {
    if (only) return see(only, 0)
    for (let start = 0; start < task.size; start += WINDOW) {
      const bytes = await reader.part(task, start, Math.min(task.size, start + WINDOW))
      const elements = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
      if (task.size <= WINDOW) only = elements
      await see(elements, start)
    }
  }
}

const MAGNITUDE = 0x7fffffff // of a float32 without its sign, which orders as its bits do

/** The bits of the element of descending rank `count` by magnitude: by their upper halves, then by the lower ones of those that share it. */
async function boundOf(count: number, each: Each): Promise<Bound> {
  const upper = new Float64Array(32_768)
  await each(elements => {
    for (const word of magnitudesOf(elements)) upper[(word & MAGNITUDE) >>> 16]!++
  })
  const high = descend(upper, count)
  const lower = new Float64Array(65_536)
  await each(elements => {
    for (const word of magnitudesOf(elements)) if ((word & MAGNITUDE) >>> 16 === high.bin) lower[word & 0xffff]!++
  })
  const low = descend(lower, high.left)
  return { least: high.bin * 65_536 + low.bin, ties: low.left }
}

const magnitudesOf = (elements: Float32Array): Uint32Array => new Uint32Array(elements.buffer, elements.byteOffset, elements.length)

/** The bin of the element of descending rank `rank` (from 1), and its rank within. */
function descend(counts: Float64Array, rank: number): { readonly bin: number; readonly left: number } {
  let left = rank
  for (let bin = counts.length - 1; ; bin--) {
    assert(bin >= 0, 'the rank lies within what was counted')
    if (counts[bin]! >= left) return { bin, left }
    left -= counts[bin]!
  }
}
