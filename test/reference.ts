import type { Tensor } from '../src/algebra/tensor.ts'
import { sizeOf } from '../src/dtype.ts'

/**
 * The naive evaluator: a formula over whole arrays, one op after the other, written to be read.
 * Elementwise ops round to float32 as the engine does, so there results are equal bit for bit; sums are exact to float64,
 * where the engine adds four neighbours in float32 first, so what depends on them agrees within a tolerance.
 */
export function evaluate(root: Tensor, sources: readonly Float32Array[], uniform: (label: string, size: number) => Float32Array): Float32Array {
  const known = new Map<Tensor, Float64Array>()
  const value = (t: Tensor): Float64Array => {
    const before = known.get(t)
    if (before) return before
    const result = compute(t)
    known.set(t, result)
    return result
  }
  const compute = (t: Tensor): Float64Array => {
    if (t.op === 'source') return Float64Array.from(sources[t.arg as number]!)
    if (t.op === 'constant') return Float64Array.of(t.arg as number)
    if (t.op === 'random') return Float64Array.from(uniform(t.arg as string, sizeOf(t.shape)))
    const inputs = t.inputs.map(value)
    if (t.op === 'sum') return Float64Array.of(inputs[0]!.reduce((a, b) => a + b, 0))
    if (t.op === 'largest') return Float64Array.of(inputs[0]!.toSorted((a, b) => b - a)[inputs[1]![0]! - 1]! + 0) // a selected zero has no sign
    if (t.shape.length === 0) return Float64Array.of(MAPS[t.op]!(...inputs.map(x => x[0]!)))
    const size = sizeOf(t.shape)
    const operands = inputs.map((x, i) => (t.inputs[i]!.shape.length === 0 ? new Float64Array(size).fill(Math.fround(x[0]!)) : x))
    return Float64Array.from({ length: size }, (_, i) => Math.fround(MAPS[t.op]!(...operands.map(x => x[i]!))))
  }
  return Float32Array.from(value(root))
}

const MAPS: Readonly<Record<string, (...x: number[]) => number>> = {
  add: (a, b) => a! + b!,
  sub: (a, b) => a! - b!,
  mul: (a, b) => a! * b!,
  div: (a, b) => a! / b!,
  max: Math.max,
  min: Math.min,
  ge: (a, b) => Number(a! >= b!),
  gt: (a, b) => Number(a! > b!),
  eq: (a, b) => Number(a === b),
  where: (test, yes, no) => (test !== 0 ? yes! : no!),
  abs: Math.abs,
  sign: a => Number(a! > 0) - Number(a! < 0), // 0 for both zeros and for NaN
  sqrt: Math.sqrt,
  sin: Math.sin,
  acos: x => Math.acos(Math.min(1, Math.max(-1, x!))),
}
