import { assert } from '../errors.ts'
import type { Kernels } from '../kernels/kernels.ts'
import { type Fold, isSelect, type Pass, type ScalarOp } from '../plan/program.ts'

/** What one range of a tensor gives to each fold of a pass. */
export type Partial = { readonly kind: 'sum'; readonly blocks: number[] } | { readonly kind: 'counts'; counts: Uint32Array }
export type Partials = Partial[]

/** Puts the partials of consecutive ranges together and the results into `scalars`. Ranges come in the order of their elements. */
export function combine(folds: readonly Fold[], ranges: readonly Partials[], scalars: Float64Array, ranks: Map<number, number>): void {
  for (const [i, fold] of folds.entries()) {
    const parts = ranges.map(r => r[i]!)
    if (!isSelect(fold)) {
      let total = 0
      for (const part of parts) if (part.kind === 'sum') for (const block of part.blocks) total += block
      scalars[fold.to] = total
      continue
    }
    const counts = addCounts(parts)
    const rank = fold.kind === 'count_high' ? Math.floor(scalars[fold.rank]!) : ranks.get(fold.to)! // computed ranks are shares of a count
    const { bin, above } = descend(counts, rank)
    if (fold.kind === 'count_high') {
      ranks.set(fold.to, rank - above) // the rank that is left within the bin
      scalars[fold.to] = bin
    } else scalars[fold.to] = unordered(((scalars[fold.to]! << 16) | bin) >>> 0)
  }
}

function addCounts(parts: readonly Partial[]): Uint32Array {
  const [first, ...rest] = parts
  assert(first?.kind === 'counts', 'a select gathers counts')
  const total = first.counts
  for (const part of rest) {
    if (part.kind !== 'counts') continue
    for (let bin = 0; bin < total.length; bin++) total[bin] = total[bin]! + part.counts[bin]! // plain loops: iterators take a tenth of a TIES merge
  }
  return total
}

/** The bin that holds the element of descending rank `rank` (from 1), and how many elements lie above that bin. */
function descend(counts: Uint32Array, rank: number): { bin: number; above: number } {
  let above = 0
  for (let bin = counts.length - 1; bin >= 0; bin--) {
    if (above + counts[bin]! >= rank) return { bin, above }
    above += counts[bin]!
  }
  throw new Error(`Merganser broke its own promise: rank ${rank} lies within ${above} elements. Please report this.`)
}

/** Undoes the kernels' order-preserving map from float bits to unsigned integers. */
function unordered(key: number): number {
  const bits = key & 0x80000000 ? key ^ 0x80000000 : ~key
  return new Float32Array(Int32Array.of(bits).buffer)[0]!
}

/** Arithmetic between passes, in float64; the transcendental functions are the kernels' own, so that every machine agrees. */
export function computeScalars(pass: Pass, scalars: Float64Array, kernels: Kernels): void {
  for (const op of pass.scalars) {
    const [a, b, c] = op.inputs.map(i => scalars[i]!) as [number, number, number]
    scalars[op.to] = compute(op.op, kernels, a, b, c)
  }
}

function compute(op: ScalarOp['op'], kernels: Kernels, a: number, b: number, c: number): number {
  switch (op) {
    case 'add':
      return a + b
    case 'sub':
      return a - b
    case 'mul':
      return a * b
    case 'div':
      return a / b
    case 'max':
      return Math.max(a, b)
    case 'min':
      return Math.min(a, b)
    case 'ge':
      return a >= b ? 1 : 0
    case 'gt':
      return a > b ? 1 : 0
    case 'eq':
      return a === b ? 1 : 0
    case 'where':
      return a !== 0 ? b : c
    case 'abs':
      return Math.abs(a)
    case 'sign':
      return Math.sign(a)
    case 'sqrt':
      return Math.sqrt(a)
    case 'sin':
      return kernels.sin(a)
    case 'acos':
      return kernels.acos(a)
    default:
      op satisfies never
      throw new Error(`no scalar op ${op as string}`)
  }
}
