import type { MapOp, RowOp, WholeOp } from '../algebra/ops.ts'
import type { DType } from '../dtype.ts'

/** A number from 0 names an earlier result of the pass, one for each element; −1 − j names scalar j. */
export type Operand = number
export const isScalar = (operand: Operand): boolean => operand < 0
export const scalarIndex = (operand: Operand): number => -1 - operand
export const asScalar = (index: number): Operand => -1 - index

/** What is computed for every element; result number i is that of op i. `keep` is `where` with 0 for its last operand, `drop` with 0 for its second. */
export type ElementOp =
  | { readonly kind: 'load'; readonly source: number }
  | { readonly kind: 'random'; readonly label: number }
  /** A buffer of float32, one for each element: numbers of rows or columns spread over their elements, or what a row op left there. */
  | { readonly kind: 'buffer'; readonly buffer: number }
  | { readonly kind: 'map'; readonly op: MapOp | 'keep' | 'drop'; readonly operands: readonly Operand[] }

/** Arithmetic on scalars, in float64, between passes. */
export interface ScalarOp {
  readonly op: MapOp
  readonly to: number
  readonly inputs: readonly number[]
}

/** Arithmetic on numbers of rows, or of columns, in float64. Operands from 0 name slots of rows (columns), −1 − j scalar j. */
export interface VectorOp {
  readonly op: MapOp
  readonly to: number
  readonly operands: readonly Operand[]
}

/** Of a chunk of whole rows: element ops, and at the end row ops on their results. What folds and output need is in the last stage of a pass, where no row ops end it. */
export interface Stage {
  /** Buffers to be filled before; `kept` are numbers of rows that are known of the whole tensor, in the same slots as `rows`. */
  readonly spreads: readonly { readonly buffer: number; readonly from: 'rows' | 'kept' | 'columns'; readonly slot: number }[]
  readonly ops: readonly ElementOp[]
  /** Of result `of`: sum and maximum into slot `to` of the rows, the rank into buffer `to`. */
  readonly rowOps: readonly { readonly op: RowOp; readonly of: number; readonly to: number }[]
  /** After the row ops. */
  readonly rows: readonly VectorOp[]
}

/**
 * What a pass gathers of result `of` into scalar `to`: the sum, or the element of descending rank `rank` (a scalar, from 1). Or into slot `to` of the
 * columns: the sum of each; or of the rows: what stages have left there, kept for later passes.
 */
export type Fold =
  | { readonly kind: 'sum'; readonly of: number; readonly to: number }
  | { readonly kind: 'columns'; readonly of: number; readonly to: number }
  | { readonly kind: 'rows'; readonly to: number }
  | { readonly kind: 'select'; readonly of: number; readonly rank: number; readonly to: number }
export type Select = Extract<Fold, { readonly kind: 'select' }>
export const isSelect = (fold: Fold): fold is Select => fold.kind === 'select'
/** What the loop over elements gathers. */
export type LoopFold = Extract<Fold, { readonly kind: 'sum' | 'select' }>
export const isInLoop = (fold: Fold): fold is LoopFold => fold.kind === 'sum' || fold.kind === 'select'

/** A matrix that is made of whole matrices after a pass; later passes load it as source `to`, in F32. */
export interface Whole {
  readonly op: WholeOp
  /** One pass each, over the sources of the program around it and with its numbers, that gives an operand in F32. */
  readonly operands: readonly Program[]
  /** Scalars. */
  readonly numbers: readonly number[]
  readonly to: number
}

export interface Pass {
  /** Before the pass, with what earlier passes gathered. */
  readonly scalars: readonly ScalarOp[]
  readonly columns: readonly VectorOp[]
  /** On numbers of rows that earlier passes have kept; these are kept, too. */
  readonly rows: readonly VectorOp[]
  /** More than one only where row ops end the others. */
  readonly stages: readonly Stage[]
  readonly folds: readonly Fold[]
  /** After the pass, in this order. */
  readonly wholes: readonly Whole[]
  /** The result that is the output; null but in the last pass. */
  readonly output: number | null
}

/**
 * A formula ready to run on any tensor of its structure: sources, constants and random labels are slots which a task fills.
 * Plain data: it crosses threads as JSON.
 */
export interface Program {
  /** Set when the one source's bytes are the output's: no arithmetic, any dtype. Floats are still looked at for NaN and infinity. */
  readonly copy: boolean
  /** Those that a task fills, and after them the matrices that passes make. */
  readonly sources: readonly DType[]
  readonly output: DType
  /** Scalars [0, constants) come from the task. */
  readonly constants: number
  readonly scalars: number
  /** Slots of numbers of rows and of columns, and buffers. */
  readonly rows: number
  readonly columns: number
  readonly buffers: number
  readonly passes: readonly Pass[]
}

export const lastStage = ({ stages }: Pass): Stage => stages.at(-1)!

/** The sources that a pass loads. */
export const sourcesOf = ({ stages }: Pass): readonly number[] => [...new Set(stages.flatMap(s => s.ops.flatMap(op => (op.kind === 'load' ? [op.source] : []))))]

/** What the program makes of whole matrices, in order. */
export const wholesOf = ({ passes }: Program): readonly Whole[] => passes.flatMap(p => p.wholes)

/** Slots of numbers of rows that are kept between passes. */
export const keptRowsOf = ({ passes }: Program): readonly number[] => passes.flatMap(p => [...p.rows, ...p.folds.filter(f => f.kind === 'rows')].map(f => f.to))

/** How often the program reads each source, a number for each time. */
export const readsOf = (program: Program): readonly number[] => program.passes.flatMap(pass => [...sourcesOf(pass), ...pass.wholes.flatMap(w => w.operands.flatMap(readsOf))])

/** Whether the program needs whole rows at a time. */
export const isByRows = ({ rows, columns, buffers }: Program): boolean => rows + columns + buffers > 0

/** Whether the program looks at its inputs more than once, and may keep them: not beside whole matrices, whose room is larger. */
export const rereads = (program: Program): boolean => program.passes.length > 1 && wholesOf(program).length === 0
