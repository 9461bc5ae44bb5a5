import { isWhole, type WholeOp } from '../src/algebra/ops.ts'
import { rowsOf, type Tensor } from '../src/algebra/tensor.ts'
import { sizeOf } from '../src/dtype.ts'
import { build } from './linear_algebra.ts'
import { WHOLES } from './whole_reference.ts'

/**
 * The naive evaluator: a formula over whole arrays, one op after the other, written to be read.
 * Elementwise ops round to float32 as the engine does, so there results are equal bit for bit; sums are exact to float64,
 * where the engine adds four neighbours in float32 first, so what depends on them agrees within a tolerance.
 */
export function evaluate(
  root: Tensor,
  sources: readonly Float32Array[],
  uniform: (label: string, size: number) => Float32Array,
  everywhere: (t: Tensor, of: Float64Array) => number = foldEverywhere,
): Float32Array {
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
    if (isWhole(t.op)) return computeWhole(t, inputs)
    if (t.op === 'sum') return Float64Array.of(inputs[0]!.reduce((a, b) => a + b, 0))
    if (t.op === 'largest') return Float64Array.of(inputs[0]!.toSorted((a, b) => b - a)[Math.floor(inputs[1]![0]!) - 1]! + 0) // a selected zero has no sign
    if (t.op === 'everywhere_sum' || t.op === 'everywhere_largest') return Float64Array.of(everywhere(t, inputs[0]!))
    if (t.op === 'row_sum' || t.op === 'row_max' || t.op === 'row_rank' || t.op === 'column_sum') return LINES[t.op]!(inputs[0]!, rowsOf(t.shape))
    if (t.space === 'number') return Float64Array.of(MAPS[t.op]!(...inputs.map(x => x[0]!)))
    const { rows, columns } = rowsOf(t.shape)
    if (t.space === 'rows' || t.space === 'columns') {
      const operand = (x: Float64Array, i: number, space: string): number => x[space === 'number' ? 0 : i]!
      return Float64Array.from({ length: t.space === 'rows' ? rows : columns }, (_, i) => MAPS[t.op]!(...inputs.map((x, j) => operand(x, i, t.inputs[j]!.space))))
    }
    // What stands for many elements becomes float32 when it meets one.
    const place = { number: () => 0, rows: (i: number) => Math.floor(i / columns), columns: (i: number) => i % columns, elements: (i: number) => i }
    const operand = (j: number, i: number): number => Math.fround(inputs[j]![place[t.inputs[j]!.space](i)]!)
    return Float64Array.from({ length: sizeOf(t.shape) }, (_, i) => Math.fround(MAPS[t.op]!(...inputs.map((_, j) => operand(j, i)))))
  }
  return Float32Array.from(value(root))
}

function computeWhole({ op, inputs, shape }: Tensor, values: readonly Float64Array[]): Float64Array {
  const [rows, cols] = shape as readonly [number, number] // whole matrices have two dimensions
  const matrices = values.filter((_, i) => inputs[i]!.space === 'elements').map(x => build(rows, cols, (i, j) => x[i * cols + j]!))
  const numbers = values.filter((_, i) => inputs[i]!.space === 'number').map(x => x[0]!)
  return Float64Array.from(WHOLES[op as WholeOp](matrices, numbers).flat(), Math.fround)
}

/** What is found everywhere, where `of` holds all elements there are. */
export function foldEverywhere({ op, inputs }: Tensor, of: Float64Array): number {
  if (op === 'everywhere_sum') return of.reduce((a, b) => a + b, 0)
  const rank = Math.max(1, Math.floor((inputs[1]!.arg as number) * of.length))
  return of.toSorted((a, b) => b - a)[rank - 1]! + 0
}

/** Numbers of rows and columns. */
const LINES: Readonly<Record<string, (x: Float64Array, shape: { readonly rows: number; readonly columns: number }) => Float64Array>> = {
  row_sum: (x, { rows, columns }) => Float64Array.from({ length: rows }, (_, r) => x.subarray(r * columns, (r + 1) * columns).reduce((a, b) => a + b, 0)),
  row_max: (x, { rows, columns }) => Float64Array.from({ length: rows }, (_, r) => x.subarray(r * columns, (r + 1) * columns).reduce((a, b) => Math.max(a, b))),
  row_rank: (x, { rows, columns }) => {
    const ranks = new Float64Array(x.length)
    for (let r = 0; r < rows; r++) {
      const row = x.subarray(r * columns, (r + 1) * columns)
      const order = [...row.keys()].sort((i, j) => row[i]! - row[j]! || Number(Object.is(row[j], -0)) - Number(Object.is(row[i], -0)) || i - j)
      for (const [rank, i] of order.entries()) ranks[r * columns + i] = rank
    }
    return ranks
  },
  column_sum: (x, { columns }) => Float64Array.from({ length: columns }, (_, c) => x.reduce((sum, v, i) => (i % columns === c ? sum + v : sum), 0)),
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
  exp: Math.exp,
  log: Math.log,
}
