import { rowsOf, type Shape } from '../algebra/tensor.ts'
import { SOLVERS } from '../kernels/whole/solvers.ts'
import type { WholeNeed } from './budget.ts'
import type { Task } from './plan.ts'
import { type Program, type Whole, wholesOf } from './program.ts'

/** Where the matrices lie that a program makes of whole matrices: in bytes from where its other buffers end. */
export interface WholePlace {
  /** Of each matrix but the last, by its source: it outlives the work on the next. The last stays where it was made. */
  readonly kept: ReadonlyMap<number, number>
  /** Where solvers work, and the memory of the one that takes most. */
  readonly work: number
  readonly bytes: number
}

/** Null where a program makes none. `shape` has two dimensions where it does. */
export function placeWholes(program: Program, shape: Shape): WholePlace | null {
  const wholes = wholesOf(program)
  if (wholes.length === 0) return null
  const { rows, columns } = rowsOf(shape)
  const each = align(4 * rows * columns)
  const kept = new Map(wholes.slice(0, -1).map(({ to }, i) => [to, i * each]))
  const work = kept.size * each
  const most = wholes.reduce((bytes, whole) => Math.max(bytes, SOLVERS[whole.op].bytes(problemOf(whole, shape))), 0)
  return { kept, work, bytes: work + align(most) }
}

/** About how many floating-point operations a matrix takes that is made of whole ones. */
export const operationsFor = (whole: Whole, shape: Shape): number => Math.round(SOLVERS[whole.op].operations(problemOf(whole, shape)))

/** Likewise all of a program. */
export const operationsOf = (program: Program, shape: Shape): number => wholesOf(program).reduce((sum, whole) => sum + operationsFor(whole, shape), 0)

/** The tensors that are worked on as wholes. */
export interface Wholes {
  readonly tensors: number
  /** The one that takes most memory. */
  readonly largest: WholeNeed
}

/** Null where none is. */
export function wholesIn(tasks: readonly Task[], programs: readonly Program[]): Wholes | null {
  const needs = tasks.flatMap(task => wholeNeed(task, programs[task.program]!) ?? [])
  const [first, ...rest] = needs
  return first ? { tensors: needs.length, largest: rest.reduce((most, need) => (need.bytes > most.bytes ? need : most), first) } : null
}

export function wholeNeed({ name, shape }: Pick<Task, 'name' | 'shape'>, program: Program): WholeNeed | null {
  const place = placeWholes(program, shape)
  return place && { tensor: name, shape, bytes: place.bytes }
}

export function problemOf({ operands }: Whole, shape: Shape): { readonly rows: number; readonly cols: number; readonly operands: number } {
  const { rows, columns: cols } = rowsOf(shape)
  return { rows, cols, operands: operands.length }
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64
