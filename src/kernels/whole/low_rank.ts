import { lay, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../matrix.ts'
import { svd, svdOperations, svdScratchBytes } from '../svd.ts'
import { operandBytes, type Problem, rankOf, type Solver, scaleColumns, sumOf } from './solver.ts'

const layout = (at: number, problem: Problem) => {
  const { rows, cols } = problem
  const rank = rankOf(problem)
  return lay(at, {
    operand: operandBytes(problem),
    total: operandBytes(problem),
    u: matrixBytes(rows, rank),
    v: matrixBytes(cols, rank),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: svdScratchBytes(rows, cols),
  })
}

/**
 * The sum of all operands, each cut down to the fewest of its largest singular values that hold the share numbers[0] of its nuclear norm, and
 * scaled to that norm again. Lee et al. 2025 (STAR), https://arxiv.org/abs/2502.10339
 */
export const lowRank: Solver = {
  bytes: problem => layout(0, problem).end,
  operations(problem) {
    const { rows, cols, operands } = problem
    const rank = rankOf(problem)
    return operands * (svdOperations(rows, cols, rank) + rows * cols * rank) // about half of the triplets make up the sum
  },
  *solve({ engine, rows, cols, operands, at, numbers: [share = 1] }) {
    const problem = { rows, cols, operands }
    const rank = rankOf(problem)
    const places = layout(at, problem)
    const [operand, total] = [matrix(places.operand, rows, cols), matrix(places.total, rows, cols)]
    const [u, v] = [matrix(places.u, rows, rank), matrix(places.v, cols, rank)]
    for (let i = 0; i < operands; i++) {
      yield { operand: i, to: operand.at }
      const values = yield* svd(engine, operand, rank, { u, v }, places.scratch)
      const whole = sumOf(values)
      const { count, held } = fewestOf(values, share * whole)
      const left = part(u, 0, rows, 0, count)
      scaleColumns(
        engine,
        left,
        values.subarray(0, count).map(value => (held === 0 ? 0 : value * (whole / held))),
      )
      yield* multiply(engine, total, left, transposed(part(v, 0, cols, 0, count)), places.product, { beta: i === 0 ? 0 : 1 })
    }
    return total.at
  },
}

/** How many of the values, from the first on, make up `wanted`, and what they make up. */
function fewestOf(values: Float64Array, wanted: number): { readonly count: number; readonly held: number } {
  let held = 0
  let count = 0
  do held += values[count++]!
  while (count < values.length && held < wanted)
  return { count, held }
}
