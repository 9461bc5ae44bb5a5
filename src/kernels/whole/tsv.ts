import { lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../matrix.ts'
import { polar, polarOperations, polarScratchBytes } from '../polar.ts'
import { svdOperations, svdScratchBytes } from '../svd.ts'
import { bestTriplets, operandBytes, type Problem, rankOf, type Solver, scaleColumns } from './solver.ts'

/** Triplets of each operand: together no more than a matrix has. */
const shareOf = (problem: Problem): number => Math.floor(rankOf(problem) / problem.operands)

// `spare` holds an operand when its turn comes, and afterwards the polar factor of the long sides `long`; where those were the result comes to lie.
// Sizes for 4096 × 14336: ../polar.ts.
const layout = (at: number, problem: Problem) => {
  const { rows, cols } = problem
  const rank = rankOf(problem)
  const total = shareOf(problem) * problem.operands // no more than the rank, so that longer × total is no more than an operand
  return lay(at, {
    spare: operandBytes(problem),
    long: operandBytes(problem),
    short: matrixBytes(rank, total),
    factor: matrixBytes(rank, total),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: Math.max(svdScratchBytes(rows, cols), polarScratchBytes(rows, total), polarScratchBytes(cols, total)),
  })
}

/**
 * The best k = ⌊min(m, n)/N⌋ singular triplets of each of N operands, side by side, both sides made orthogonal: polar(U)·diag(σ)·polar(V)ᵀ.
 * Gargiulo et al. 2024 (TSV-M), https://arxiv.org/abs/2412.00081. min(m, n) ≥ N.
 */
export const tsv: Solver = {
  bytes: problem => layout(0, problem).end,
  operations(problem) {
    const { rows, cols, operands } = problem
    const k = shareOf(problem)
    const total = k * operands
    return operands * svdOperations(rows, cols, k) + polarOperations(rows, total) + polarOperations(cols, total) + 2 * rows * cols * total
  },
  *solve({ engine, rows, cols, operands, at }) {
    const problem = { rows, cols, operands }
    const k = shareOf(problem)
    const total = k * operands
    const places = layout(at, problem)
    const lying = (a: Matrix): Matrix => (rows > cols ? transposed(a) : a) // shorter × longer
    const operand = matrix(places.spare, rows, cols)
    const [shorter, longer] = [rankOf(problem), Math.max(rows, cols)]
    const [short, long] = [matrix(places.short, shorter, total), matrix(places.long, longer, total)]
    const values = new Float64Array(total)
    for (let i = 0; i < operands; i++) {
      yield { operand: i, to: operand.at }
      const columns = (of: Matrix): Matrix => part(of, 0, of.rows, i * k, (i + 1) * k)
      values.set(yield* bestTriplets(engine, lying(operand), k, { u: columns(short), v: columns(long) }, places.scratch), i * k)
    }
    const [left, right] = [matrix(places.factor, shorter, total), matrix(places.spare, longer, total)]
    yield* polar(engine, short, left, places.scratch)
    yield* polar(engine, long, right, places.scratch)
    scaleColumns(engine, left, values)
    const result = matrix(places.long, rows, cols)
    yield* multiply(engine, lying(result), left, transposed(right), places.product)
    return result.at
  },
}
