import { sizeOf } from '../dtype.ts'
import { assert } from '../errors.ts'
import { isEverywhere, isFold, isWhole, type MapOp, type Op, type WholeOp } from './ops.ts'
import { simplify } from './rewrite.ts'

export type Shape = readonly number[]
export type Like = Tensor | number

/** Equal expressions are the same object: what makes one program serve every layer of a model. */
const interned = new Map<string, Tensor>()
const MAX_INTERNED = 100_000 // formulas of one model share nodes heavily; past this many the table starts anew (a missed share costs time, never bytes)
let made = 0

/**
 * What a formula has a value for: each element of a tensor; each row, or each column of one, which meets every element of the row or column; or the
 * tensor as a whole (shape []), which meets any element.
 */
export type Space = 'elements' | 'rows' | 'columns' | 'number'

/**
 * A tensor that has not been computed: one op over other tensors. Elements are float32; numbers, and those of rows and columns, float64 until they
 * meet an element. A row is what lies along the last dimension (a tensor of one dimension is one row); of more than two dimensions all but the first
 * are one.
 */
export class Tensor {
  readonly id = made++
  /** Passes over the inputs that must have ended before the engine can compute it. */
  readonly level: number
  readonly space: Space
  readonly op: Op
  readonly inputs: readonly Tensor[]
  readonly arg: number | string | null
  readonly shape: Shape
  private constructor(op: Op, inputs: readonly Tensor[], arg: number | string | null, shape: Shape, space: Space) {
    this.op = op
    this.inputs = inputs
    this.arg = arg
    this.shape = shape
    this.space = space
    this.level = isEverywhere(op) ? 0 : inputs.reduce((most, t) => Math.max(most, t.level), 0) + (isFold(op) || isWhole(op) ? 1 : 0)
  }

  static of(op: Op, inputs: readonly Tensor[], arg: number | string | null, shape: Shape, space: Space = shape.length === 0 ? 'number' : 'elements'): Tensor {
    const key = `${op}(${inputs.map(t => t.id)})${Object.is(arg, -0) ? '-0' : arg}[${shape}]`
    const known = interned.get(key)
    if (known) return known
    if (interned.size >= MAX_INTERNED) interned.clear()
    const tensor = new Tensor(op, inputs, arg, shape, space)
    interned.set(key, tensor)
    return tensor
  }

  /** The tensor of input number `index`, unread. */
  static source(index: number, shape: Shape): Tensor {
    return Tensor.of('source', [], index, shape)
  }
  static constant(value: number): Tensor {
    return Tensor.of('constant', [], value, [])
  }
  /** Uniform (0, 1), in steps of 2^-16: a pure function of recipe seed, tensor name, `label` and element index. */
  static random(label: string, shape: Shape): Tensor {
    return Tensor.of('random', [], label, shape)
  }

  add(o: Like): Tensor {
    return map('add', this, o)
  }
  sub(o: Like): Tensor {
    return map('sub', this, o)
  }
  mul(o: Like): Tensor {
    return map('mul', this, o)
  }
  div(o: Like): Tensor {
    const inverse = inverseOf(o)
    return inverse === null ? map('div', this, o) : map('mul', this, inverse)
  }
  max(o: Like): Tensor {
    return map('max', this, o)
  }
  min(o: Like): Tensor {
    return map('min', this, o)
  }
  /** 1 where this ≥ o, else 0; so for `gt` and `eq`. */
  ge(o: Like): Tensor {
    return map('ge', this, o)
  }
  gt(o: Like): Tensor {
    return map('gt', this, o)
  }
  lt(o: Like): Tensor {
    return map('gt', asTensor(o), this)
  }
  eq(o: Like): Tensor {
    return map('eq', this, o)
  }
  abs(): Tensor {
    return map('abs', this)
  }
  /** −1, 0 or 1. */
  sign(): Tensor {
    return map('sign', this)
  }
  sqrt(): Tensor {
    return map('sqrt', this)
  }
  sin(): Tensor {
    return map('sin', this)
  }
  /** As the sine of x + π/2: exact to a rounding for numbers, which are float64; for tensors the sum rounds to float32 first. */
  cos(): Tensor {
    return this.add(Math.PI / 2).sin()
  }
  /** Arguments beyond ±1 (rounding) count as ±1. */
  acos(): Tensor {
    return map('acos', this)
  }
  exp(): Tensor {
    return map('exp', this)
  }
  /** The natural logarithm. */
  log(): Tensor {
    return map('log', this)
  }

  /** The sum of each row. */
  rowSum(): Tensor {
    return this.#alongRows('row_sum', 'rows')
  }
  rowMax(): Tensor {
    return this.#alongRows('row_max', 'rows')
  }
  /** Each element's place in its row in ascending order, 0 to its length − 1; equal elements by their index. */
  rowRank(): Tensor {
    return this.#alongRows('row_rank', 'elements')
  }
  #alongRows(op: 'row_sum' | 'row_max' | 'row_rank', space: Space): Tensor {
    assert(this.space === 'elements', `${op} takes elements`)
    return Tensor.of(op, [this], null, this.shape, space)
  }
  /** The sum of each column. Costs a pass. */
  columnSum(): Tensor {
    assert(this.space === 'elements', 'column_sum takes elements')
    return Tensor.of('column_sum', [this], null, this.shape, 'columns')
  }

  /** Sum of all elements: four neighbours in float32, these in float64 over fixed blocks of 65,536, combined in block order. Costs a pass. Shape []. */
  sum(): Tensor {
    assert(this.space === 'elements', 'elements are summed')
    return Tensor.of('sum', [this], null, [])
  }
  dot(o: Tensor): Tensor {
    return this.mul(o).sum()
  }
  /** ‖x‖₂. */
  norm(): Tensor {
    return this.dot(this).sqrt()
  }
  mean(): Tensor {
    return this.sum().div(sizeOf(this.shape))
  }
  /**
   * The k-th largest element, 1 ≤ k ≤ size; exact. Costs a pass. Shape [].
   * A computed k, itself of shape [], is rounded down and then taken into that range.
   */
  largest(k: Like): Tensor {
    assert(this.space === 'elements', 'the largest is one of elements')
    const size = sizeOf(this.shape)
    assert(typeof k !== 'number' || (Number.isInteger(k) && k >= 1 && k <= size), `rank ${k} lies within a tensor of ${size} elements`)
    assert(typeof k === 'number' || k.space === 'number', 'a rank is one number')
    return Tensor.of('largest', [this, typeof k === 'number' ? Tensor.constant(k) : k.max(1).min(size)], null, [])
  }

  /** The sum of all elements of this and of the tensors that stand for it in other formulas, under the same label. Costs a pass over all. Shape []. */
  sumEverywhere(label: string): Tensor {
    assert(this.space === 'elements', 'elements are summed')
    return Tensor.of('everywhere_sum', [this], label, [])
  }
  /**
   * Of the n elements of this and of the tensors that stand for it in other formulas, under the same label, the ⌊share·n⌋-th largest, at least the
   * first; exact. 0 ≤ share ≤ 1. Costs two passes over all. Shape [].
   */
  largestEverywhere(label: string, share: number): Tensor {
    assert(this.space === 'elements', 'the largest is one of elements')
    assert(share >= 0 && share <= 1, `${share} is a share`)
    return Tensor.of('everywhere_largest', [this, Tensor.constant(share)], label, [])
  }
}

/** Elementwise: `yes` where `test` is not 0, else `no`. */
export const where = (test: Tensor, yes: Like, no: Like): Tensor => map('where', test, yes, no)

/** Adds from the first to the last: the order is part of the result's bits. */
export function sum(tensors: readonly Tensor[]): Tensor {
  return tensors.length === 0 ? Tensor.constant(0) : tensors.reduce((a, b) => a.add(b))
}

/** Of a power of two, by which multiplying gives the bits that dividing gives, in a quarter of the time; else null. */
function inverseOf(like: Like): number | null {
  const value = typeof like === 'number' ? like : like.op === 'constant' ? (like.arg as number) : 0
  return value >= 2 ** -64 && value <= 2 ** 64 && 2 ** Math.round(Math.log2(value)) === value ? 1 / value : null
}

const asTensor = (like: Like): Tensor => (typeof like === 'number' ? Tensor.constant(like) : like)

function map(op: MapOp, ...operands: Like[]): Tensor {
  const inputs = operands.map(asTensor)
  let shape: Shape = []
  let space: Space = 'number'
  for (const { shape: next, space: own } of inputs) {
    if (own === 'number') continue
    assert(shape.length === 0 || `${shape}` === `${next}`, `${op} got the shapes [${shape}] and [${next}]; the plan must refuse them first`)
    shape = next
    space = space === 'number' || space === own ? own : 'elements'
  }
  return simplify(op, inputs) ?? Tensor.of(op, inputs, null, shape, space)
}

/**
 * What `op` makes of whole matrices of one shape, and of numbers: a matrix of that shape. The matrices are computed in float32 first.
 * Costs a pass, and memory for several matrices at once, which the plan counts.
 */
export function whole(op: WholeOp, matrices: readonly Tensor[], numbers: readonly Like[] = []): Tensor {
  const [first] = matrices
  assert(first !== undefined && matrices.every(t => t.space === 'elements' && `${t.shape}` === `${first.shape}`), `${op} takes matrices of one shape`)
  assert(first.shape.length === 2 && sizeOf(first.shape) > 0, `${op} takes matrices, not [${first.shape}]`)
  const values = numbers.map(asTensor)
  assert(
    values.every(t => t.space === 'number'),
    `${op} takes numbers after its matrices`,
  )
  return Tensor.of(op, [...matrices, ...values], null, first.shape)
}

/** The rows of a tensor and their length. */
export function rowsOf(shape: Shape): { readonly rows: number; readonly columns: number } {
  const size = sizeOf(shape)
  const rows = shape.length < 2 ? 1 : shape[0]!
  return { rows, columns: rows === 0 ? 0 : size / rows }
}
