import { copy, lay, matrix } from '../matrix.ts'
import { polar, polarOperations, polarScratchBytes } from '../polar.ts'
import { meanOf, operandBytes, type Problem, type Solver } from './solver.ts'

const layout = (at: number, problem: Problem) => lay(at, { operand: operandBytes(problem), factor: operandBytes(problem), scratch: polarScratchBytes(problem.rows, problem.cols) })

/**
 * mean(σ)·U·Vᵀ of one operand U·diag(σ)·Vᵀ: the mean is over all min(m, n) singular values. Directions that the operand maps to nothing stay at
 * nothing, where a library's full U·Vᵀ has whatever completes its bases.
 */
export const isotropic: Solver = {
  bytes: problem => layout(0, problem).end,
  operations: ({ rows, cols }) => polarOperations(rows, cols),
  *solve({ engine, rows, cols, operands, at }) {
    const places = layout(at, { rows, cols, operands })
    yield { operand: 0, to: places.operand }
    const [operand, factor] = [matrix(places.operand, rows, cols), matrix(places.factor, rows, cols)]
    const values = yield* polar(engine, operand, factor, places.scratch)
    copy(engine, operand, factor, meanOf(values))
    return operand.at
  },
}
