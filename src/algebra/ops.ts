/**
 * How the engine may run an op.
 * `leaf` reads nothing computed; `map` is elementwise, and all of a pass become one loop; `row` looks at each row as a whole, while it is in memory
 * anyway; `fold` turns a tensor into one number, or a matrix into one for each column, and ends a pass; `whole` needs the entire tensor at once and
 * is charged to the memory budget. `everywhere` turns all tensors of a merge into one number, which is known before the first pass over any of them
 * that writes.
 */
export type OpClass = 'leaf' | 'map' | 'row' | 'fold' | 'whole' | 'everywhere'

export const OPS = {
  /** A model's tensor; `arg` is the model's index among the formula's inputs. */
  source: 'leaf',
  constant: 'leaf',
  /** Uniform (0, 1), in steps of 2^-16; `arg` is the label. */
  random: 'leaf',
  add: 'map',
  sub: 'map',
  mul: 'map',
  div: 'map',
  max: 'map',
  min: 'map',
  ge: 'map',
  gt: 'map',
  eq: 'map',
  where: 'map',
  abs: 'map',
  sign: 'map',
  sqrt: 'map',
  sin: 'map',
  acos: 'map',
  exp: 'map',
  log: 'map',
  /** One number for each row; see Tensor.rows. */
  row_sum: 'row',
  row_max: 'row',
  /** Each element's place in its row in ascending order, from 0. */
  row_rank: 'row',
  /** One number for each column. */
  column_sum: 'fold',
  sum: 'fold',
  /** The k-th largest element; inputs: the tensor, and k: a number, rounded down. */
  largest: 'fold',
  /** Of matrices of one size, and after them numbers, one matrix of that size: src/kernels/whole says what. */
  tsv: 'whole',
  isotropic: 'whole',
  common_space: 'whole',
  wudi: 'whole',
  low_rank: 'whole',
  /** The same over the tensors of all formulas that have `arg` for their label; the last input is the share of all elements that k is. */
  everywhere_sum: 'everywhere',
  everywhere_largest: 'everywhere',
} as const satisfies Record<string, OpClass>

export type Op = keyof typeof OPS
export type OpOf<C extends OpClass> = { [K in Op]: (typeof OPS)[K] extends C ? K : never }[Op]
export type MapOp = OpOf<'map'>
export type FoldOp = OpOf<'fold'>
export const isMap = (op: Op): op is MapOp => OPS[op] === 'map'
export type RowOp = OpOf<'row'>
export const isRow = (op: Op): op is RowOp => OPS[op] === 'row'
export type WholeOp = OpOf<'whole'>
export const isFold = (op: Op): op is FoldOp => OPS[op] === 'fold'
export const isWhole = (op: Op): op is WholeOp => OPS[op] === 'whole'
export const isEverywhere = (op: Op): op is OpOf<'everywhere'> => OPS[op] === 'everywhere'
