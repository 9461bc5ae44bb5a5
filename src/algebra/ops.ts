/**
 * How the engine may run an op.
 * `leaf` reads nothing computed; `map` is elementwise and fuses block by block; `fold` turns a tensor into one number and ends a pass;
 * `whole` needs the entire tensor at once and is charged to the memory budget.
 */
export type OpClass = 'leaf' | 'map' | 'fold' | 'whole'

export const OPS = {
  /** A model's tensor; `arg` is the model's index among the formula's inputs. */
  source: 'leaf',
  constant: 'leaf',
  /** Uniform [0, 1); `arg` is the label. */
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
  sum: 'fold',
  /** The k-th largest element; inputs: the tensor, and k: a number, rounded down. */
  largest: 'fold',
} as const satisfies Record<string, OpClass>

export type Op = keyof typeof OPS
export type OpOf<C extends OpClass> = { [K in Op]: (typeof OPS)[K] extends C ? K : never }[Op]
export type MapOp = OpOf<'map'>
export type FoldOp = OpOf<'fold'>
export const isMap = (op: Op): op is MapOp => OPS[op] === 'map'
export const isFold = (op: Op): op is FoldOp => OPS[op] === 'fold'

/** Passes over its input that a fold takes: a radix select looks at the upper bits first, then at the lower. */
export const PASSES: Readonly<Partial<Record<Op, number>>> = { sum: 1, largest: 2 }
