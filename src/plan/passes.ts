import { isEverywhere, isFold, isMap, isRow, isWhole, type RowOp, type WholeOp } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'
import { type DType, type FloatDType, isFloat } from '../dtype.ts'
import { assert } from '../errors.ts'
import { asScalar, type ElementOp, type Fold, isScalar, type Operand, type Pass, type Program, type ScalarOp, type Stage, type VectorOp, type Whole } from './program.ts'
import { isInner, joinReady, meetingRows, visit } from './rows.ts'

/** A formula's program, and what the task must put into its slots. */
export interface Compiled {
  readonly program: Program
  readonly constants: readonly number[]
  /** The constants that are not known yet: what is found everywhere under that label. */
  readonly found: readonly { readonly slot: number; readonly label: string }[]
  /** Equal for programs that differ in nothing but their constants. */
  readonly key: string
}

const isNumber = (t: Tensor): boolean => t.space === 'number'

/**
 * Cuts a formula into passes over its inputs and each pass into ops on elements.
 * Map nodes are recomputed in every pass that needs them; folds, scalars and numbers of rows are kept.
 */
export function compile(root: Tensor, sources: readonly FloatDType[], output: FloatDType): Compiled {
  assert(!isNumber(root), 'the formula of a tensor gives a tensor')
  return compileAll([root], root, root.level + 1, sources, output)
}

/** The program that writes nothing and ends in `folds`, which are those of its last pass, in that order. They differ, and are of one level. */
export function compileFolds(folds: readonly Tensor[], sources: readonly FloatDType[]): Compiled {
  const { level } = folds[0]!
  assert(
    folds.every(t => isFold(t.op) && t.level === level),
    'these are folds of one level',
  )
  return compileAll(folds, null, level, sources, 'F32')
}

function compileAll(roots: readonly Tensor[], written: Tensor | null, count: number, sources: readonly FloatDType[], output: FloatDType): Compiled {
  const slots = numberSlots(roots, written, sources.length)
  const head = {
    copy: false,
    sources: [...sources, ...Array.from(slots.wholes, () => 'F32' as const)],
    constants: slots.constants.length + slots.found.length,
    scalars: slots.scalars.size,
    rows: slots.rows.size,
    columns: slots.columns.size,
    buffers: slots.buffers.size,
  }
  const operandOf = (t: Tensor): Program => ({ ...head, output: 'F32', passes: [compileOperand(t, slots)] })
  const passes = compilePasses(roots, written, count, slots, operandOf)
  const program: Program = { ...head, output, passes }
  const found = slots.found.map((t, i) => ({ slot: slots.constants.length + i, label: t.arg as string }))
  return { program, constants: [...slots.constants, ...found.map(() => 0)], found, key: JSON.stringify(program) }
}

/** The program that moves a tensor's bytes as they are. */
export function compileCopy(dtype: DType): Compiled {
  const ops: ElementOp[] = isFloat(dtype) ? [{ kind: 'load', source: 0 }] : []
  const pass: Pass = { ...NO_NUMBERS, stages: [{ spreads: [], ops, rowOps: [], rows: [] }], folds: [], wholes: [], output: null }
  const program: Program = { copy: true, sources: [dtype], output: dtype, constants: 0, scalars: 0, rows: 0, columns: 0, buffers: 0, passes: [pass] }
  return { program, constants: [], found: [], key: JSON.stringify(program) }
}

/** Where the results live that outlast a loop over elements. */
interface Slots {
  /** Constants first, then what is found everywhere. */
  readonly scalars: ReadonlyMap<Tensor, number>
  readonly constants: readonly number[]
  readonly found: readonly Tensor[]
  readonly rows: ReadonlyMap<Tensor, number>
  readonly columns: ReadonlyMap<Tensor, number>
  /** Of numbers of rows and columns that meet elements, and of ranks. */
  readonly buffers: ReadonlyMap<Tensor, number>
  /** Sources, after those that the formula reads. */
  readonly wholes: ReadonlyMap<Tensor, number>
}

function numberSlots(roots: readonly Tensor[], written: Tensor | null, sources: number): Slots {
  const constants: Tensor[] = []
  const found: Tensor[] = []
  const others: Tensor[] = []
  const rows: Tensor[] = []
  const columns: Tensor[] = []
  const wholes: Tensor[] = []
  const spread = new Set<Tensor>()
  visitOwn(roots, t => {
    if (isWhole(t.op)) wholes.push(t)
    if (t.op === 'constant') constants.push(t)
    else if (isEverywhere(t.op)) found.push(t)
    else if (isNumber(t)) others.push(t)
    else if (t.space === 'rows') rows.push(t)
    else if (t.space === 'columns') columns.push(t)
    else if (t.op === 'row_rank') spread.add(t)
    const meets = t.space === 'elements' || isFold(t.op) || isRow(t.op)
    if (meets) for (const i of t.inputs) if (i.space === 'rows' || i.space === 'columns') spread.add(i)
  })
  if (written && written.space !== 'elements') spread.add(written)
  const numbered = (tensors: Iterable<Tensor>): Map<Tensor, number> => new Map([...tensors].map((t, i) => [t, i]))
  return {
    scalars: numbered([...constants, ...found, ...others]),
    constants: constants.map(t => t.arg as number),
    found,
    rows: numbered(rows),
    columns: numbered(columns),
    buffers: numbered(spread),
    wholes: new Map(wholes.map((t, i) => [t, sources + i])),
  }
}

/** What is found everywhere is found by programs of its own. */
const visitOwn = (roots: readonly Tensor[], see: (t: Tensor) => void): void => visit(roots, see, t => !isEverywhere(t.op))

/** What a level of folds, or the last pass, needs of the elements. */
interface Level {
  readonly folded: readonly Tensor[]
  readonly written: Tensor | null
  readonly ends: readonly Tensor[]
}

/**
 * A pass for each level. Numbers of rows that later passes want as well are kept by the first that does. Selects go over their operands several times,
 * or over a sample of them: the numbers of rows that they want are found by a pass ahead.
 */
function compilePasses(roots: readonly Tensor[], written: Tensor | null, count: number, slots: Slots, operandOf: (t: Tensor) => Program): readonly Pass[] {
  const levels = Array.from({ length: count }, (_, p) => levelOf(roots, p, p === count - 1 ? written : null))
  const kept = new Set<Tensor>()
  const keep = (rows: readonly Tensor[]): void => rows.forEach(t => void kept.add(t))
  return levels.flatMap((level, p): Pass[] => {
    const ready = joinReady(level.ends, kept)
    const numbers = compileNumbers(roots, p, ready, slots)
    const wholes = compileWholes(roots, p, slots, operandOf)
    const wanted = meetingRows(level.ends, kept)
    if (wanted.length > 0 && level.folded.some(t => t.op === 'largest')) {
      const ahead = { ...numbers, ...compileElements({ folded: [], written: null, ends: [] }, wanted, slots, kept), wholes: [] }
      keep(wanted)
      return [ahead, { ...NO_NUMBERS, ...compileElements(level, [], slots, kept), wholes }]
    }
    const later = meetingRows(
      levels.slice(p + 1).flatMap(l => l.ends),
      kept,
    )
    const lasting = wanted.filter(t => later.includes(t))
    const pass = { ...numbers, ...compileElements(level, lasting, slots, kept), wholes }
    keep(lasting)
    return [pass]
  })
}

function levelOf(roots: readonly Tensor[], p: number, written: Tensor | null): Level {
  const folded: Tensor[] = []
  visitOwn(roots, t => void (isFold(t.op) && t.level === p + 1 && folded.push(t)))
  return { folded, written, ends: [...folded.map(t => t.inputs[0]!), ...(written ? [written] : [])] }
}

const NO_NUMBERS: Pick<Pass, 'scalars' | 'columns' | 'rows'> = { scalars: [], columns: [], rows: [] }

/** What a pass computes before it looks at elements; `ready` are numbers of rows. */
function compileNumbers(roots: readonly Tensor[], p: number, ready: readonly Tensor[], slots: Slots): Pick<Pass, 'scalars' | 'columns' | 'rows'> {
  const slot = (t: Tensor): number => slots.scalars.get(t)!
  const scalars: ScalarOp[] = []
  const columns: VectorOp[] = []
  visitOwn(roots, t => {
    if (t.level !== p || !isMap(t.op)) return
    if (isNumber(t)) scalars.push({ op: t.op, to: slot(t), inputs: t.inputs.map(slot) })
    if (t.space === 'columns') columns.push(vectorOp(t, slots.columns, slot))
  })
  return { scalars, columns, rows: ready.map(t => vectorOp(t, slots.rows, slot)) }
}

function compileWholes(roots: readonly Tensor[], p: number, slots: Slots, operandOf: (t: Tensor) => Program): readonly Whole[] {
  const wholes: Whole[] = []
  visitOwn(roots, t => void (isWhole(t.op) && t.level === p + 1 && wholes.push(compileWhole(t, t.op, slots, operandOf))))
  return wholes
}

/** `lasting`: numbers of rows to be kept for later passes; `kept`: those that earlier ones have. */
function compileElements({ folded, written, ends }: Level, lasting: readonly Tensor[], slots: Slots, kept: ReadonlySet<Tensor>): Pick<Pass, 'stages' | 'folds' | 'output'> {
  const slot = (t: Tensor): number => slots.scalars.get(t)!
  const { stages, resultOf } = compileStages(ends, lasting, slots, kept, slot)
  const folds = folded.map((t): Fold => {
    const of = resultOf(t.inputs[0]!)
    if (t.op === 'column_sum') return { kind: 'columns', of, to: slots.columns.get(t)! }
    return t.op === 'sum' ? { kind: 'sum', of, to: slot(t) } : { kind: 'select', of, rank: slot(t.inputs[1]!), to: slot(t) }
  })
  const rows = lasting.map((t): Fold => ({ kind: 'rows', to: slots.rows.get(t)! }))
  return { stages, folds: [...folds, ...rows], output: written ? resultOf(written) : null }
}

function compileWhole(t: Tensor, op: WholeOp, slots: Slots, operandOf: (t: Tensor) => Program): Whole {
  const [matrices, numbers] = [t.inputs.filter(i => !isNumber(i)), t.inputs.filter(isNumber)]
  return { op, operands: matrices.map(operandOf), numbers: numbers.map(n => slots.scalars.get(n)!), to: slots.wholes.get(t)! }
}

/** The pass that gives a tensor whose numbers are known. */
function compileOperand(t: Tensor, slots: Slots): Pass {
  const level = { folded: [], written: t, ends: [t] }
  return { ...NO_NUMBERS, ...compileElements(level, [], slots, new Set()), wholes: [] }
}

/** A stage for each level of row ops, and one after them for `ends`. */
function compileStages(
  ends: readonly Tensor[],
  lasting: readonly Tensor[],
  slots: Slots,
  kept: ReadonlySet<Tensor>,
  slot: (t: Tensor) => number,
): { stages: readonly Stage[]; resultOf: (t: Tensor) => number } {
  const depths = depthsOf([...ends, ...lasting], kept)
  const nodes = [...depths.keys()]
  const depth = Math.max(0, ...depths.values())
  let results: (t: Tensor) => number = () => -1
  const stages = Array.from({ length: ends.length > 0 || depth === 0 ? depth + 1 : depth }, (_, s): Stage => {
    const called = nodes.filter(t => isRow(t.op) && depths.get(t) === s + 1)
    const { ops, resultOf, spreads } = linearise(s === depth ? ends : called.map(t => t.inputs[0]!), slots, kept, slot)
    results = resultOf
    return {
      spreads,
      ops,
      rowOps: called.map(t => ({ op: t.op as RowOp, of: resultOf(t.inputs[0]!), to: (t.space === 'rows' ? slots.rows : slots.buffers).get(t)! })),
      rows: nodes.filter(t => t.space === 'rows' && isMap(t.op) && depths.get(t) === s + 1).map(t => vectorOp(t, slots.rows, slot)),
    }
  })
  return { stages, resultOf: results }
}

/** For each node that a pass computes of elements and rows, the row ops on the longest path to it. */
function depthsOf(ends: readonly Tensor[], kept: ReadonlySet<Tensor>): ReadonlyMap<Tensor, number> {
  const depths = new Map<Tensor, number>()
  const isOwn = (t: Tensor): boolean => isInner(t) && !kept.has(t)
  visit(ends, t => void (isOwn(t) && depths.set(t, Math.max(0, ...t.inputs.map(i => depths.get(i) ?? 0)) + (isRow(t.op) ? 1 : 0))), isOwn)
  return depths
}

function vectorOp(t: Tensor, vectors: ReadonlyMap<Tensor, number>, slot: (t: Tensor) => number): VectorOp {
  assert(isMap(t.op), `${t.op} is arithmetic`)
  return { op: t.op, to: vectors.get(t)!, operands: t.inputs.map(i => (isNumber(i) ? asScalar(slot(i)) : vectors.get(i)!)) }
}

/** The element ops which `roots` need, inputs first. */
function linearise(
  roots: readonly Tensor[],
  slots: Slots,
  kept: ReadonlySet<Tensor>,
  slot: (t: Tensor) => number,
): { ops: ElementOp[]; resultOf: (t: Tensor) => number; spreads: Stage['spreads'] } {
  const results = new Map<Tensor, number>()
  const ops: ElementOp[] = []
  const spreads: { buffer: number; from: 'rows' | 'kept' | 'columns'; slot: number }[] = []
  visit(
    roots,
    t => {
      if (isNumber(t)) return
      results.set(t, ops.length)
      const buffer = slots.buffers.get(t)
      const made = slots.wholes.get(t)
      if (made !== undefined) ops.push({ kind: 'load', source: made })
      else if (buffer === undefined) ops.push(elementOp(t, i => (isNumber(i) ? asScalar(slot(i)) : results.get(i)!)))
      else {
        ops.push({ kind: 'buffer', buffer })
        if (t.space === 'rows' || t.space === 'columns') spreads.push({ buffer, from: kept.has(t) ? 'kept' : t.space, slot: slots[t.space].get(t)! })
      }
    },
    t => t.space === 'elements' && !slots.buffers.has(t) && !isWhole(t.op),
  )
  return { ops, resultOf: t => results.get(t)!, spreads }
}

function elementOp(t: Tensor, operand: (t: Tensor) => Operand): ElementOp {
  if (t.op === 'source') return { kind: 'load', source: t.arg as number }
  if (t.op === 'random') return { kind: 'random', label: labelWord(t.arg as string) }
  assert(isMap(t.op), `${t.op} is an elementwise op`)
  const operands = t.inputs.map(operand)
  if (t.op === 'where' && !isScalar(operands[0]!)) {
    const [test, yes, no] = operands as [Operand, Operand, Operand]
    if (isPlusZero(t.inputs[2]!)) return { kind: 'map', op: 'keep', operands: [test, yes] }
    if (isPlusZero(t.inputs[1]!)) return { kind: 'map', op: 'drop', operands: [test, no] }
  }
  return { kind: 'map', op: t.op, operands }
}

const isPlusZero = (t: Tensor): boolean => t.op === 'constant' && Object.is(t.arg, 0)

/** A label as the 32-bit word it is in the random generator's counter: numbers as they are, words by FNV-1a. */
function labelWord(label: string): number {
  if (/^\d{1,9}$/.test(label)) return Number(label)
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(label)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
