import { createEngine, type Engine } from '../src/kernels/kernels.ts'
import { type Matrix, matrix } from '../src/kernels/matrix.ts'
import type { Rows } from './linear_algebra.ts'

/** A place to lay out matrices: each with a fence behind it, which must stand when `alone` ends. */
export interface Bench {
  readonly engine: Engine
  /** Room for so many bytes, filled with NaN: whoever reads what nobody wrote is found out. */
  readonly hold: (bytes: number) => number
  readonly put: (rows: Rows, layout?: { readonly gap?: number; readonly isWide?: boolean }) => Matrix
  readonly take: (of: Matrix) => Rows
  /** Runs `what` and then frees all that it held. */
  readonly alone: <T>(what: () => T) => T
}

const FENCE = 0x5eed5eed

export function createBench(bytes: number): Bench {
  const engine = createEngine(bytes)
  const { memory } = engine
  let next = engine.heap
  let fences: number[] = []

  const hold = (size: number): number => {
    const at = Math.ceil(next / 8) * 8
    const end = Math.ceil((at + size) / 4) * 4
    if (end + 64 > engine.heap + bytes) throw new Error(`the bench is too small for ${size} bytes more`)
    new Uint8Array(memory.buffer, at, end - at).fill(0xff)
    new Uint32Array(memory.buffer, end, 4).fill(FENCE)
    fences.push(end)
    next = end + 16
    return at
  }
  const numbers = ({ isWide }: Matrix): Float32Array | Float64Array => (isWide ? new Float64Array(memory.buffer) : new Float32Array(memory.buffer))
  const index = ({ at, rowStride, colStride, isWide }: Matrix, i: number, j: number): number => at / (isWide ? 8 : 4) + i * rowStride + j * colStride

  return {
    engine,
    hold,
    put(rows, { gap = 0, isWide = false } = {}) {
      const cols = rows[0]?.length ?? 0
      const stride = cols + gap
      const of = matrix(hold(rows.length * stride * (isWide ? 8 : 4)), rows.length, cols, { isWide, stride })
      const all = numbers(of)
      all.fill(7, index(of, 0, 0), index(of, 0, 0) + rows.length * stride)
      rows.forEach((row, i) => {
        all.set(row, index(of, i, 0))
      })
      return of
    },
    take(of) {
      const all = numbers(of)
      return Array.from({ length: of.rows }, (_, i) => Array.from({ length: of.cols }, (_, j) => all[index(of, i, j)]!))
    },
    alone(what) {
      const [before, outer] = [next, fences]
      fences = []
      try {
        const result = what()
        const fallen = fences.filter(at => !new Uint32Array(memory.buffer, at, 4).every(word => word === FENCE))
        if (fallen.length > 0) throw new Error(`written beyond the end of what was held, at ${fallen.join(', ')}`)
        return result
      } finally {
        next = before
        fences = outer
      }
    },
  }
}
