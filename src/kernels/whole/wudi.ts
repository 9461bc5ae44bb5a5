import { eigen, eigenOperations, eigenScratchBytes } from '../eigen.ts'
import type { Engine } from '../kernels.ts'
import { addLower, copy, gram, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../matrix.ts'
import { dividesOf, gatesOf } from './gates.ts'
import { countOf, operandBytes, type Problem, rankOf, type Solver, scaleColumns } from './solver.ts'
import { isWide, solveWide, wideBytes, wideOperations } from './wudi_wide.ts'

const CHUNK = 256 // eigenvectors at once

const layout = (at: number, problem: Problem) => {
  const { rows, cols } = problem
  const rank = rankOf(problem)
  const wide = matrixBytes(rows, cols, true)
  return lay(at, {
    sum: operandBytes(problem),
    operand: operandBytes(problem), // and at last the result
    cubes: wide,
    total: wide,
    inner: matrixBytes(cols, cols, true),
    turned: 2 * matrixBytes(rows, Math.min(CHUNK, cols), true),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: Math.max(eigenScratchBytes(cols), matrixBytes(rank, rank, true)), // a Gram matrix of each operand, and then eigenvectors
  })
}

/**
 * Operand 0 is the sum Θ of the task vectors τᵢ, which follow. With wᵢ = 1/‖τᵢ‖² (0 for a task vector of zeros), C = Σ wᵢτᵢᵀτᵢ = QΛQᵀ and
 * D = Σ wᵢτᵢτᵢᵀτᵢ it is Θ − (ΘQ∘g)Qᵀ + (DQ∘g/Λ)Qᵀ, where g = 1 − exp(−numbers[1]·λ) on the largest ⌊numbers[0]·n⌋ eigenvalues, else 0.
 * Closed form of WUDI, https://arxiv.org/abs/2606.07289. Everything between operands and result is f64. Wide matrices take the way of wudi_wide.ts.
 */
export const wudi: Solver = {
  bytes: problem => (isWide(problem) ? wideBytes(problem) : layout(0, problem).end),
  operations(problem) {
    if (isWide(problem)) return wideOperations(problem)
    const { rows, cols, operands } = problem
    const [rank, count] = [rankOf(problem), 0.65 * cols]
    return (operands - 1) * (3 * rows * cols * rank + rows * cols * cols) + eigenOperations(cols, count) + 6 * rows * cols * count
  },
  *solve(desk) {
    if (isWide(desk)) return yield* solveWide(desk)
    const {
      engine,
      rows,
      cols,
      operands,
      at,
      numbers: [share = 0.65, rate = 300],
    } = desk
    const problem = { rows, cols, operands }
    const rank = rankOf(problem)
    const places = layout(at, problem)
    const wide = { isWide: true }
    const [sum, operand] = [matrix(places.sum, rows, cols), matrix(places.operand, rows, cols)]
    const [cubes, total] = [matrix(places.cubes, rows, cols, wide), matrix(places.total, rows, cols, wide)]
    const [inner, small] = [matrix(places.inner, cols, cols, wide), matrix(places.scratch, rank, rank, wide)]
    yield { operand: 0, to: sum.at }
    copy(engine, total, sum)
    const count = countOf(share, cols)
    if (count > 0 && operands > 1) {
      for (let i = 1; i < operands; i++) {
        yield { operand: i, to: operand.at }
        const beta = i === 1 ? 0 : 1
        yield* gram(engine, small, rows < cols ? operand : transposed(operand), places.product)
        const square = traceOf(engine, small)
        const weight = square === 0 ? 0 : 1 / square
        const [left, right] = rows < cols ? [small, operand] : [operand, small]
        yield* multiply(engine, cubes, left, right, places.product, { alpha: weight, beta })
        yield* addLower(engine, inner, transposed(operand), operand, places.product, weight, beta)
      }
      const { values, vectors } = yield* eigen(engine, inner, count, places.scratch)
      const gates = gatesOf(engine, values, rate)
      const divides = dividesOf(gates, values)
      for (let from = 0; from < count; from += CHUNK) {
        const to = Math.min(from + CHUNK, count)
        const directions = part(vectors, from, to) // (to − from) × n
        const ofCubes = matrix(places.turned, rows, to - from, wide)
        const ofSum = matrix(ofCubes.at + matrixBytes(rows, to - from, true), rows, to - from, wide)
        yield* multiply(engine, ofCubes, cubes, transposed(directions), places.product)
        yield* multiply(engine, ofSum, sum, transposed(directions), places.product)
        scaleColumns(engine, ofCubes, divides.subarray(from, to))
        scaleColumns(engine, ofSum, gates.subarray(from, to))
        yield* multiply(engine, total, ofCubes, directions, places.product, { beta: 1 })
        yield* multiply(engine, total, ofSum, directions, places.product, { alpha: -1, beta: 1 })
      }
    }
    copy(engine, operand, total)
    return operand.at
  },
}

/** ‖A‖² from a Gram matrix of A. */
function traceOf({ memory }: Engine, { at, rows }: Matrix): number {
  const square = new Float64Array(memory.buffer, at, rows * rows)
  let sum = 0
  for (let i = 0; i < rows; i++) sum += square[i * rows + i]!
  return sum
}
