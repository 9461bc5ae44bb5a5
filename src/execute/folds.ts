import { assert } from '../errors.ts'
import type { Kernels } from '../kernels/kernels.ts'
import { isScalar, isSelect, type Pass, type ScalarOp, scalarIndex, type VectorOp } from '../plan/program.ts'
import { BLOCK, type Rows } from '../plan/tiling.ts'
import { type Bracket, fromOrdered, isSingle, type Selector } from './select.ts'

/** One way over a tensor's elements. Most passes take one `pass`; selects look at a sample first, and count all elements when their bracket fails. */
export type Step =
  | { readonly kind: 'pass'; readonly brackets: readonly Bracket[] }
  /** Of all elements when there are few. */
  | { readonly kind: 'sample' }
  /** Counts by the upper 16 bits of each element, then of those with upper bits `prefixes[i]` by the lower. */
  | { readonly kind: 'high' }
  | { readonly kind: 'low'; readonly prefixes: readonly number[] }

/** What one range of a tensor gives to each fold of a pass (to each select, in the steps that only those need). */
export type Partial =
  | { readonly kind: 'sum'; readonly blocks: number[] }
  /** Of each block, the sum of each column. */
  | { readonly kind: 'columns'; readonly blocks: Float64Array[] }
  /** Of each chunk, the numbers of its rows. */
  | { readonly kind: 'rows'; readonly blocks: Float64Array[] }
  /** How many elements lie below the bracket's end, and below its beginning; `collected` is null when it was too much. */
  | { readonly kind: 'bracket'; readonly belowHigh: number; readonly belowLow: number; readonly collected: Float32Array | null }
  | { readonly kind: 'values'; readonly values: Float32Array }
  | { readonly kind: 'counts'; readonly counts: Uint32Array }
export type Partials = Partial[]

export interface Helpers {
  readonly kernels: Kernels
  readonly selector: Selector
}

/** What is known of a tensor between passes: its numbers, and by slot the numbers of its columns and, where they are kept, of its rows. */
export interface Known {
  readonly size: number
  readonly rows: Rows
  readonly scalars: Float64Array
  readonly columnValues: Float64Array[]
  readonly rowValues: Float64Array[]
  /** That `rowValues` begin with: a range of a tensor is given those of its own rows only. */
  readonly firstRow: number
}

/** What is to be known of a range of whole rows, or of any where rows do not matter. */
export function knownOf(known: Known, start: number, end: number): Known {
  const columns = known.rows?.columns ?? 0
  if (columns === 0) return known
  const slice = (values: Float64Array): Float64Array => values.slice(start / columns, end / columns) // a subarray would cross threads with all that it is of
  return { ...known, rowValues: known.rowValues.map(slice), firstRow: start / columns }
}

/** The numbers of `count` rows from row `first` of the tensor. */
export const keptRows = ({ rowValues, firstRow }: Known, slot: number, first: number, count: number): Float64Array =>
  rowValues[slot]!.subarray(first - firstRow, first - firstRow + count)

/** Does a pass: its numbers, then its steps, whose results it puts into what is known. `take` runs a step over the whole tensor, and gives its ranges in order. */
export async function runPass(pass: Pass, known: Known, { kernels, selector }: Helpers, take: (step: Step) => Promise<readonly Partials[]>): Promise<void> {
  const { size, rows, scalars, columnValues, rowValues } = known
  const columns = rows?.columns ?? 0
  computeNumbers(pass, known, kernels)
  const selects = pass.folds.filter(isSelect)
  const ranks = selects.map(s => {
    const rank = Math.floor(scalars[s.rank]!) // a computed rank is a share of a count
    assert(rank >= 1 && rank <= size, `rank ${rank} lies within ${size} elements`)
    return rank
  })
  const isAll = size <= BLOCK
  const isSampled = isAll || pass.stages.length === 1 // what looks at whole rows has only whole rows to look at
  const samples = selects.length > 0 && isSampled ? join(await take({ kind: 'sample' }), selects.length) : []
  if (isAll) for (const [i, select] of selects.entries()) scalars[select.to] = plusZero(selector.kthLargest(samples[i]!, [ranks[i]!])[0]!)
  if (isAll && selects.length > 0 && selects.length === pass.folds.length) return

  const brackets = selects.map((_, i): Bracket => (isAll || !isSampled ? NOTHING : selector.bracketOf(samples[i]!, ranks[i]!, size, rows === null ? 1 : ROWS_DIFFER)))
  let missed = !isSampled && selects.length > 0
  const ranges = missed && selects.length === pass.folds.length ? [] : await take({ kind: 'pass', brackets })
  for (const [i, fold] of pass.folds.entries()) {
    const parts = ranges.map(r => r[i]!)
    if (fold.kind === 'sum') scalars[fold.to] = addUp(parts)
    else if (fold.kind === 'columns') columnValues[fold.to] = addUpColumns(parts, columns)
    else if (fold.kind === 'rows') rowValues[fold.to] = joinRows(parts)
    else if (!isAll && !missed) {
      const found = within(selector, parts, ranks[selects.indexOf(fold)]!, size, brackets[selects.indexOf(fold)]!)
      if (found === null) missed = true
      else scalars[fold.to] = plusZero(found)
    }
  }
  if (!missed) return

  const upper = addCounts(await take({ kind: 'high' }), selects.length).map((counts, i) => descend(counts, ranks[i]!))
  const lower = addCounts(await take({ kind: 'low', prefixes: upper.map(u => u.bin) }), selects.length)
  for (const [i, { to }] of selects.entries()) {
    const { bin, above } = upper[i]!
    scalars[to] = plusZero(fromOrdered(((bin << 16) | descend(lower[i]!, ranks[i]! - above).bin) >>> 0))
  }
}

/** What a pass computes of what is known, before its steps. */
export function computeNumbers(pass: Pass, { rows, scalars, columnValues, rowValues }: Known, kernels: Kernels): void {
  computeScalars(pass, scalars, kernels)
  for (const op of pass.rows) rowValues[op.to] = computeVector(op, rows?.rows ?? 0, rowValues, scalars, kernels)
  for (const op of pass.columns) columnValues[op.to] = computeVector(op, rows?.columns ?? 0, columnValues, scalars, kernels)
}

const ROWS_DIFFER = 4 // numbers of rows differ more from each other than those of neighbours, and a sample has a piece of a row or two
const NOTHING: Bracket = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]

/** Arithmetic on the numbers of `count` rows or columns, in float64. */
export function computeVector({ op, operands }: VectorOp, count: number, vectors: readonly Float64Array[], scalars: Float64Array, kernels: Kernels): Float64Array {
  const values = new Float64Array(count)
  const [a, b, c] = operands.map(o => (isScalar(o) ? new Float64Array(count).fill(scalars[scalarIndex(o)]!) : vectors[o]!))
  for (let i = 0; i < count; i++) values[i] = compute(op, kernels, a?.[i] ?? 0, b?.[i] ?? 0, c?.[i] ?? 0)
  return values
}

function addUpColumns(parts: readonly Partial[], columns: number): Float64Array {
  const total = new Float64Array(columns)
  for (const part of parts) if (part.kind === 'columns') for (const block of part.blocks) for (let c = 0; c < columns; c++) total[c] = total[c]! + block[c]!
  return total
}

function joinRows(parts: readonly Partial[]): Float64Array {
  const blocks = parts.flatMap(part => (part.kind === 'rows' ? part.blocks : []))
  const all = new Float64Array(blocks.reduce((sum, b) => sum + b.length, 0))
  let at = 0
  for (const block of blocks) {
    all.set(block, at)
    at += block.length
  }
  return all
}

/** A selected zero has no sign: a bracket does not tell the two zeros apart. */
const plusZero = (value: number): number => value + 0

function addUp(parts: readonly Partial[]): number {
  let total = 0
  for (const part of parts) if (part.kind === 'sum') for (const block of part.blocks) total += block
  return total
}

/** The element of that rank if it lies in the bracket, else null. */
function within(selector: Selector, parts: readonly Partial[], rank: number, size: number, bracket: Bracket): number | null {
  let [belowHigh, belowLow] = [0, 0]
  const collected: Float32Array[] = []
  for (const part of parts) {
    assert(part.kind === 'bracket', 'a select gathers a bracket')
    belowHigh += part.belowHigh
    belowLow += part.belowLow
    if (part.collected) collected.push(part.collected)
  }
  const left = rank - (size - belowHigh)
  if (left < 1 || left > belowHigh - belowLow) return null
  if (isSingle(bracket)) return bracket[0]
  return collected.length === parts.length ? selector.kthLargest(concatenate(collected), [left], bracket)[0]! : null
}

function join(ranges: readonly Partials[], count: number): Float32Array[] {
  return Array.from({ length: count }, (_, i) => concatenate(ranges.map(r => (r[i] as Extract<Partial, { kind: 'values' }>).values))) // a sample gives values
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!
  const all = new Float32Array(parts.reduce((sum, p) => sum + p.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function addCounts(ranges: readonly Partials[], count: number): Uint32Array[] {
  return Array.from({ length: count }, (_, i) => {
    const parts = ranges.map(r => (r[i] as Extract<Partial, { kind: 'counts' }>).counts) // steps of a radix select give counts
    const total = parts[0]!
    for (const part of parts.slice(1)) for (let bin = 0; bin < total.length; bin++) total[bin] = total[bin]! + part[bin]!
    return total
  })
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
    case 'exp':
      return kernels.exp(a)
    case 'log':
      return kernels.log(a)
    default:
      op satisfies never
      throw new Error(`no scalar op ${op as string}`)
  }
}
