import type { DType } from '../dtype.ts'

/** A number from 0 names a register (a strip of float32); −1 − j names scalar j. */
export type Operand = number
export const isScalar = (operand: Operand): boolean => operand < 0
export const scalarIndex = (operand: Operand): number => -1 - operand
export const asScalar = (index: number): Operand => -1 - index

/** One kernel call per strip. The kernel `pick` is no kernel: its first operand, a scalar, chooses one of the others for the whole strip. */
export type StripOp =
  | { readonly kind: 'load'; readonly to: number; readonly source: number }
  | { readonly kind: 'random'; readonly to: number; readonly label: number }
  | { readonly kind: 'map'; readonly kernel: string; readonly to: number; readonly operands: readonly Operand[] }

/** Arithmetic on scalars, in float64, between passes. */
export interface ScalarOp {
  readonly op: 'add' | 'sub' | 'mul' | 'div' | 'max' | 'min' | 'ge' | 'gt' | 'eq' | 'where' | 'abs' | 'sign' | 'sqrt' | 'sin' | 'acos'
  readonly to: number
  readonly inputs: readonly number[]
}

/** What a pass gathers: a sum (of a register, of its magnitudes, of the product of two), or one of the two steps of a radix select. */
export type Fold =
  | { readonly kind: 'sum_add' | 'sum_abs' | 'sum_dot'; readonly registers: readonly number[]; readonly to: number }
  | { readonly kind: 'count_high' | 'count_low'; readonly registers: readonly number[]; readonly rank: number; readonly to: number }
export type Select = Extract<Fold, { readonly rank: number }>
export const isSelect = (fold: Fold): fold is Select => 'rank' in fold

export interface Pass {
  /** Before the pass, with what earlier passes gathered. */
  readonly scalars: readonly ScalarOp[]
  readonly strips: readonly StripOp[]
  readonly folds: readonly Fold[]
  /** The register that is the output; null but in the last pass. */
  readonly output: number | null
}

/**
 * A formula ready to run on any tensor of its structure: sources, constants and random labels are slots which a task fills.
 * Plain data: it crosses threads as JSON.
 */
export interface Program {
  /** Set when the one source's bytes are the output's: no arithmetic, any dtype. Floats are still looked at for NaN and infinity. */
  readonly copy: boolean
  readonly sources: readonly DType[]
  readonly output: DType
  /** Scalars [0, constants) come from the task. */
  readonly constants: number
  readonly scalars: number
  readonly registers: number
  readonly passes: readonly Pass[]
}
