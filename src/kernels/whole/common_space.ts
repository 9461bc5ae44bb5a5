import { lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../matrix.ts'
import { polar, polarOperations, polarScratchBytes } from '../polar.ts'
import { svdOperations, svdScratchBytes } from '../svd.ts'
import { bestTriplets, countOf, lengthOf, meanOf, operandBytes, type Problem, rankOf, type Solver, scaleColumns } from './solver.ts'

/**
 * What is left of a task vector outside of the common space is nothing up to this share of its length: the common directions are known to roundings
 * of float32, 2^-24, of which products of thousands of terms add up some dozens.
 */
const LEFT_OVER = 2 ** -18

/** Of r = min(m, n) directions, how many each task adds, and how many are common to all: what does not divide by the tasks goes to the common ones. */
function divide(problem: Problem, fraction: number): { readonly common: number; readonly own: number } {
  const rank = rankOf(problem)
  const tasks = problem.operands - 1
  const own = Math.floor((rank - countOf(fraction, rank)) / tasks)
  return { common: rank - own * tasks, own }
}

// `operand` holds one when its turn comes, and afterwards the polar factor of the longer basis; where that was the result comes to lie.
const layout = (at: number, problem: Problem) => {
  const { rows, cols } = problem
  const rank = rankOf(problem)
  return lay(at, {
    operand: operandBytes(problem),
    u: matrixBytes(rows, rank),
    v: matrixBytes(cols, rank),
    factor: matrixBytes(rank, rank),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: Math.max(svdScratchBytes(rows, cols), polarScratchBytes(rows, rank), polarScratchBytes(cols, rank), matrixBytes(rank, cols)),
  })
}

/**
 * Operand 0 is the sum of the task vectors, which follow. Its best triplets span the common space, numbers[0] of all directions; each task adds the best
 * triplets of what the common left directions U do not reach, τ − U·Uᵀ·τ. Both sides are made orthogonal, and all singular values their mean.
 * Marczak et al. 2025 (Iso-CTS), https://arxiv.org/abs/2502.04959, section 5
 */
export const commonSpace: Solver = {
  bytes: problem => layout(0, problem).end,
  operations(problem) {
    const { rows, cols, operands } = problem
    const rank = rankOf(problem)
    const projections = (operands - 1) * 4 * rows * cols * rank
    const common = svdOperations(rows, cols, 0.8 * rank)
    const own = (operands - 1) * svdOperations(rows, cols, (0.2 * rank) / (operands - 1)) // by the default fraction
    return common + own + projections + polarOperations(rows, rank) + polarOperations(cols, rank) + 2 * rows * cols * rank
  },
  *solve({ engine, rows, cols, operands, at, numbers: [fraction = 0.8] }) {
    const problem = { rows, cols, operands }
    const rank = rankOf(problem)
    const { common, own } = divide(problem, fraction)
    const places = layout(at, problem)
    const operand = matrix(places.operand, rows, cols)
    const [u, v] = [matrix(places.u, rows, rank), matrix(places.v, cols, rank)]
    const columns = (of: Matrix, from: number, to: number): Matrix => part(of, 0, of.rows, from, to)
    const values = new Float64Array(rank)
    const shared = columns(u, 0, common)
    for (let i = 0; i < operands; i++) {
      const from = i === 0 ? 0 : common + (i - 1) * own
      const to = common + i * own
      if (from === to) continue
      yield { operand: i, to: operand.at }
      const least = i === 0 ? 0 : LEFT_OVER * lengthOf(engine, operand)
      if (i > 0 && common > 0) {
        const reached = matrix(places.scratch, common, cols)
        yield* multiply(engine, reached, transposed(shared), operand, places.product)
        yield* multiply(engine, operand, shared, reached, places.product, { alpha: -1, beta: 1 })
      }
      const sides = { u: columns(u, from, to), v: columns(v, from, to) }
      values.set(yield* bestTriplets(engine, operand, to - from, sides, places.scratch, least), from)
    }
    const isTall = rows > cols
    const left = matrix(isTall ? places.operand : places.factor, rows, rank)
    const right = matrix(isTall ? places.factor : places.operand, cols, rank)
    yield* polar(engine, u, left, places.scratch)
    yield* polar(engine, v, right, places.scratch)
    scaleColumns(engine, left, new Float64Array(rank).fill(meanOf(values)))
    const result = matrix(isTall ? places.u : places.v, rows, cols)
    yield* multiply(engine, result, left, transposed(right), places.product)
    return result.at
  },
}
