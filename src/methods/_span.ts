import { sum, Tensor, where } from '../algebra/tensor.ts'

// Methods that stay in the span of their models need to know of them only their inner products: one pass gathers those, the iteration runs on
// coefficients, which are numbers in float64, and the last pass writes the linear combination.

/** One number per model. */
export type Coefficients = readonly Tensor[]

/**
 * The share of the summed lengths below which a sum of vectors counts as none: products are rounded to float32 before they are added,
 * by 2^-24 of themselves, so the square of a sum's length is known to 2^-24 of the square of the summed lengths, and no better.
 */
export const CANCELLED = 2 ** -12

/** Inner products of all pairs, of whole tensors (which costs a pass) or of each row. */
export function gramOf(tensors: readonly Tensor[], along: 'sum' | 'rowSum' = 'sum'): readonly Coefficients[] {
  return tensors.map((_, i) => tensors.map((_, j) => tensors[Math.min(i, j)]!.mul(tensors[Math.max(i, j)]!)[along]()))
}

/** Squared distances of all pairs, from the differences themselves: taken from a Gram matrix those of close models would be rounding. Costs one pass. */
export function distancesOf(tensors: readonly Tensor[]): readonly Coefficients[] {
  const square = (i: number, j: number): Tensor => {
    const apart = tensors[i]!.sub(tensors[j]!)
    return apart.dot(apart)
  }
  return tensors.map((_, i) => tensors.map((_, j) => (i === j ? Tensor.constant(0) : square(Math.min(i, j), Math.max(i, j)))))
}

/**
 * How many steps of an iteration are made, of those wanted: at most 50, and fewer for more than five models: 20 for 10, 6 for 20.
 * A step writes about 2N² + 20N operations on numbers into the formula of each shape; a plan has to stay small.
 */
export const stepsOf = (wanted: number, models: number): number => Math.min(Math.round(wanted), 50, Math.max(1, Math.floor(8000 / (2 * models ** 2 + 20 * models))))

/** Matrix times vector. */
export const times = (matrix: readonly Coefficients[], x: Coefficients): Coefficients => matrix.map(row => inner(row, x))

export const inner = (x: Coefficients, y: Coefficients): Tensor => total(x.map((a, i) => a.mul(y[i]!)))

/** Sums by halves, so that formulas of many steps over many models stay flat. */
export function total(x: Coefficients): Tensor {
  const half = Math.ceil(x.length / 2)
  return x.length <= 2 ? sum(x) : total(x.slice(0, half)).add(total(x.slice(half)))
}

export const scale = (x: Coefficients, factor: Tensor): Coefficients => x.map(a => a.mul(factor))

export const add = (x: Coefficients, y: Coefficients): Coefficients => x.map((a, i) => a.add(y[i]!))

/** 1 ÷ x, or 0 where x is 0. */
export function invert(x: Tensor): Tensor {
  const isZero = x.eq(0)
  return where(isZero, 0, Tensor.constant(1).div(where(isZero, 1, x)))
}

/** Σ cᵢθᵢ */
export const combination = (tensors: readonly Tensor[], coefficients: Coefficients): Tensor => sum(tensors.map((t, i) => t.mul(coefficients[i]!)))
