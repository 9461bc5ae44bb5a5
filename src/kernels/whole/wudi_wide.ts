import { eigen, eigenOperations, eigenScratchBytes } from '../eigen.ts'
import { copy, gram, lay, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../matrix.ts'
import { dividesOf, gatesOf } from './gates.ts'
import { countOf, type Desk, lengthOf, operandBytes, type Problem, type Request, scaleColumns } from './solver.ts'

const CHUNK = 256 // eigenvectors at once

/** Rows of all task vectors, one below the other. */
const stackOf = ({ rows, operands }: Problem): number => rows * (operands - 1)

/** Whether task vectors below each other are not as tall as they are wide: then the eigenvectors of their rows are fewer than those of columns. */
export const isWide = (problem: Problem): boolean => stackOf(problem) < problem.cols

const layout = (at: number, problem: Problem) => {
  const { rows, cols } = problem
  const stack = stackOf(problem)
  return lay(at, {
    sum: operandBytes(problem),
    tasks: matrixBytes(stack, cols),
    inner: matrixBytes(stack, stack, true),
    others: matrixBytes(rows, stack, true),
    change: matrixBytes(rows, stack, true),
    turned: matrixBytes(rows, Math.min(CHUNK, stack), true),
    narrow: matrixBytes(rows, stack),
    product: PRODUCT_SCRATCH_BYTES,
    scratch: eigenScratchBytes(stack),
  })
}

export const wideBytes = (problem: Problem): number => layout(0, problem).end

export function wideOperations(problem: Problem): number {
  const { rows, cols } = problem
  const stack = stackOf(problem)
  return stack * stack * cols + eigenOperations(stack, stack) + 4 * rows * stack * stack + 2 * rows * stack * cols
}

/**
 * What wudi.ts computes, by the rows. With B the task vectors √wᵢτᵢ one below the other, C = BᵀB has but the eigenvalues of H = BBᵀ = PΛPᵀ, and
 * Q = BᵀPΛ^(−1/2). What each task takes from the sum and gives back then is Δ = Θ + F·P·diag(g/λ)·Pᵀ·B, where block i of F is −Σⱼ≠ᵢ Hⱼᵢ/√wⱼ.
 */
export function* solveWide({ engine, rows, cols, operands, at, numbers: [share = 0.65, rate = 300] }: Desk): Generator<number | Request, number, void> {
  const problem = { rows, cols, operands }
  const stack = stackOf(problem)
  const places = layout(at, problem)
  const wide = { isWide: true }
  const [sum, tasks] = [matrix(places.sum, rows, cols), matrix(places.tasks, stack, cols)]
  const [inner, others, change] = [matrix(places.inner, stack, stack, wide), matrix(places.others, rows, stack, wide), matrix(places.change, rows, stack, wide)]
  const blockOf = (of: Matrix, i: number): Matrix => part(of, i * rows, (i + 1) * rows)
  yield { operand: 0, to: sum.at }
  const count = Math.min(countOf(share, cols), stack)
  if (count === 0) return sum.at
  const lengths = new Float64Array(operands - 1)
  for (let i = 0; i < operands - 1; i++) {
    const task = blockOf(tasks, i)
    yield { operand: i + 1, to: task.at }
    lengths[i] = lengthOf(engine, task)
    copy(engine, task, task, lengths[i] === 0 ? 0 : 1 / lengths[i]!)
  }
  yield* gram(engine, inner, tasks, places.product)
  addOthers(new Float64Array(engine.memory.buffer, inner.at, stack * stack), new Float64Array(engine.memory.buffer, others.at, rows * stack), rows, lengths)
  yield rows * stack * operands
  const { values, vectors } = yield* eigen(engine, inner, count, places.scratch)
  const factors = dividesOf(gatesOf(engine, values, rate), values)
  for (let from = 0; from < count; from += CHUNK) {
    const directions = part(vectors, from, Math.min(from + CHUNK, count))
    const turned = matrix(places.turned, rows, directions.rows, wide)
    yield* multiply(engine, turned, others, transposed(directions), places.product)
    scaleColumns(engine, turned, factors.subarray(from, from + directions.rows))
    yield* multiply(engine, change, turned, directions, places.product, { beta: from === 0 ? 0 : 1 })
  }
  const narrow = matrix(places.narrow, rows, stack)
  copy(engine, narrow, change)
  yield* multiply(engine, sum, narrow, tasks, places.product, { beta: 1 })
  return sum.at
}

/** F, rows × stack: block i is −Σⱼ≠ᵢ Hⱼᵢ·‖τⱼ‖. */
function addOthers(inner: Float64Array, others: Float64Array, rows: number, lengths: Float64Array): void {
  const stack = rows * lengths.length
  others.fill(0)
  for (const [j, length] of lengths.entries()) {
    for (let r = 0; r < rows; r++) {
      const from = inner.subarray((j * rows + r) * stack, (j * rows + r + 1) * stack)
      const to = others.subarray(r * stack, (r + 1) * stack)
      for (let c = 0; c < stack; c++) if (c < j * rows || c >= (j + 1) * rows) to[c] = to[c]! - from[c]! * length
    }
  }
}
