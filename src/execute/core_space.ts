import { openReader } from '../bytes/file.ts'
import type { Reader } from '../bytes/source.ts'
import type { Adapter, AdapterModule } from '../checkpoint/adapter.ts'
import type { CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { bytesOf, type FloatDType, sizeOf } from '../dtype.ts'
import { assert } from '../errors.ts'
import { createEngine, type Engine } from '../kernels/kernels.ts'
import { copy, finish, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../kernels/matrix.ts'
import { svd, svdScratchBytes } from '../kernels/svd.ts'
import type { JoinedModule } from '../plan/joined.ts'

/** The factors of adapters, read one module at a time. */
export interface FactorReader {
  /** A part as float32, row by row. */
  read(adapter: number, tensor: CheckpointTensor): Float32Array
  close(): void
}

export function openFactors(adapters: readonly Adapter[]): FactorReader {
  const readers = adapters.map(({ files }): (Reader | null)[] => files.map(() => null))
  let engine = createEngine(0)
  return {
    read(adapter, { file, start, end, dtype, shape }) {
      const { locator } = adapters[adapter]!.files[file]!
      assert(!('lowRank' in locator), 'an adapter is read from files')
      const reader = (readers[adapter]![file] ??= openReader(locator))
      const n = sizeOf(shape)
      const room = 4 * n + (end - start) + 256
      if (engine.memory.buffer.byteLength - engine.heap < room) engine = createEngine(room)
      const { memory, heap, load } = engine
      const at = heap + Math.ceil(n / 16) * 64
      void reader.read(new Uint8Array(memory.buffer, at, end - start), start) // files and arrays are read at once
      load[dtype as FloatDType](heap, at, n) // openAdapter lets only floats in
      return new Float32Array(memory.buffer, heap, n).slice()
    },
    close() {
      for (const reader of readers.flat()) reader?.close()
    },
  }
}

/**
 * The common space of several products sᵢ·BᵢAᵢ of one size: the left singular vectors U of [s₁B₁ … sₙBₙ] and the right ones V of the Aᵢ one below the
 * other, so that each product is U·Mᵢ·Vᵀ, with cores Mᵢ = UᵀsᵢBᵢAᵢV of at most Σr × Σr. Panariello et al. 2025, https://arxiv.org/abs/2509.17786
 */
export interface Space {
  /** rows × left, and columns × right. */
  readonly u: Matrix
  readonly v: Matrix
  /** Mᵢ, row by row; null where there is no product. */
  readonly cores: readonly (Float32Array | null)[]
}

/** Sides of the cores. */
export function coreSides({ rows, columns, parts }: JoinedModule): { readonly left: number; readonly right: number; readonly sum: number } {
  const sum = parts.reduce((n, p) => n + (p?.rank ?? 0), 0)
  return { left: Math.min(rows, sum), right: Math.min(columns, sum), sum }
}

const layout = (at: number, module: JoinedModule) => {
  const { rows, columns, parts } = module
  const { left, right, sum } = coreSides(module)
  const rank = parts.reduce((most, p) => Math.max(most, p?.rank ?? 0), 0)
  return lay(at, {
    b: matrixBytes(rows, sum),
    a: matrixBytes(sum, columns),
    u: matrixBytes(rows, left),
    v: matrixBytes(columns, right),
    other: Math.max(matrixBytes(sum, left), matrixBytes(sum, right)),
    ofB: matrixBytes(left, rank),
    ofA: matrixBytes(rank, right),
    core: matrixBytes(left, right),
    narrow: matrixBytes(left, Math.min(left, right)), // factors of a core
    wide: matrixBytes(Math.min(left, right), right),
    out: Math.max(matrixBytes(rows, Math.min(left, right)), matrixBytes(columns, Math.min(left, right))),
    stored: 2 * Math.max(matrixBytes(rows, sum), matrixBytes(columns, sum)),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: Math.max(svdScratchBytes(rows, sum), svdScratchBytes(sum, columns)),
  })
}

/** An engine with room for any of the modules. */
export const coreEngine = (modules: readonly JoinedModule[]): Engine => createEngine(modules.reduce((most, module) => Math.max(most, layout(0, module).end), 0))

/** All of it lies in the engine's memory until the next call. */
export function spaceOf(engine: Engine, module: JoinedModule, factors: FactorReader): Space {
  const { rows, columns, parts } = module
  const { left, right, sum } = coreSides(module)
  const places = layout(engine.heap, module)
  const floats = new Float32Array(engine.memory.buffer)
  const [b, a] = [matrix(places.b, rows, sum), matrix(places.a, sum, columns)]
  let from = 0
  const spans = parts.map((p, i): readonly [AdapterModule, number] | null => {
    if (!p) return null
    const own = matrix(places.stored, rows, p.rank)
    floats.set(factors.read(i, p.b), own.at / 4)
    copy(engine, part(b, 0, rows, from, from + p.rank), own, p.scale)
    floats.set(factors.read(i, p.a), part(a, from, from + p.rank).at / 4)
    from += p.rank
    return [p, from - p.rank]
  })
  const [u, v] = [matrix(places.u, rows, left), matrix(places.v, columns, right)]
  finish(svd(engine, b, left, { u, v: matrix(places.other, sum, left) }, places.scratch))
  finish(svd(engine, a, right, { u: matrix(places.other, sum, right), v }, places.scratch))
  const cores = spans.map(span => {
    if (!span) return null
    const [{ rank }, first] = span
    const [ofB, ofA] = [matrix(places.ofB, left, rank), matrix(places.ofA, rank, right)]
    const core = matrix(places.core, left, right)
    finish(multiply(engine, ofB, transposed(u), part(b, 0, rows, first, first + rank), places.product))
    finish(multiply(engine, ofA, part(a, first, first + rank), v, places.product))
    finish(multiply(engine, core, ofB, ofA, places.product))
    return floats.slice(core.at / 4, core.at / 4 + left * right)
  })
  return { u, v, cores }
}

/** U·L and R·Vᵀ of a core L·R in that space, as they are written. */
export function lift(
  engine: Engine,
  module: JoinedModule,
  { u, v }: Space,
  core: { readonly left: Float32Array; readonly right: Float32Array; readonly rank: number },
  dtype: FloatDType,
): { readonly a: Uint8Array; readonly b: Uint8Array } {
  const places = layout(engine.heap, module)
  const floats = new Float32Array(engine.memory.buffer)
  const { rank } = core
  const [narrow, wide] = [matrix(places.narrow, u.cols, rank), matrix(places.wide, rank, v.cols)]
  floats.set(core.left, narrow.at / 4)
  floats.set(core.right, wide.at / 4)
  const write = (to: Matrix, x: Matrix, y: Matrix): Uint8Array => {
    finish(multiply(engine, to, x, y, places.product))
    return stored(engine, to, dtype, places.stored)
  }
  const b = write(matrix(places.out, module.rows, rank), u, narrow)
  return { b, a: write(matrix(places.out, rank, module.columns), wide, transposed(v)) }
}

function stored(engine: Engine, { at, rows, cols }: Matrix, dtype: FloatDType, to: number): Uint8Array {
  engine.store[dtype](to, at, rows * cols)
  return new Uint8Array(engine.memory.buffer, to, rows * cols * bytesOf(dtype)).slice()
}

/** Numbers in `dtype`, row by row. */
export function encodeFloats(values: Float32Array, dtype: FloatDType): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const size = Math.ceil(values.length / 16) * 64
  const engine = createEngine(3 * size + 128)
  new Float32Array(engine.memory.buffer, engine.heap, values.length).set(values)
  return stored(engine, matrix(engine.heap, 1, values.length), dtype, engine.heap + size)
}
