import type { Shape } from '../algebra/tensor.ts'
import { assert } from '../errors.ts'
import { SOLVERS } from '../kernels/whole/solvers.ts'
import { mapBytes } from '../plan/budget.ts'
import type { Pass, Program, Whole } from '../plan/program.ts'
import type { Tiling } from '../plan/tiling.ts'
import { operationsFor, placeWholes, problemOf } from '../plan/whole.ts'
import type { Known } from './folds.ts'
import type { Finding, Ports, Runner } from './runner.ts'

/** Hears the floating-point operations done since it last heard; may make the work wait, and may end it by throwing. */
export type Tell = (operations: number) => void | Promise<void>

/** The tensor that a program runs on. */
export interface Subject {
  readonly program: Program
  readonly shape: Shape
  readonly known: Known
  readonly key: readonly [number, number]
  readonly tiling: Tiling
}

/** The matrices that a program makes of whole matrices, in its runner's memory. */
export interface Matrices {
  /** Where the passes read and write: what was made, and for all else the ports around it. */
  readonly ports: Ports
  /** Makes those of a pass, which has been run. */
  make(pass: Pass, tell: Tell): Promise<void>
}

const TELL_OPERATIONS = 2e9 // some tenths of a second

/**
 * `found` hears of what is not finite while operands are computed. There is no decomposition of such a matrix: what would be made of it is NaN
 * throughout, at once.
 */
export function createMatrices(runner: Runner, subject: Subject, ports: Ports, found: (finding: Finding) => void): Matrices {
  const { program, shape, known, key, tiling } = subject
  const { memory, heap } = runner.engine
  const place = placeWholes(program, shape)
  const size = known.size
  const first = heap + mapBytes(program, tiling, known.rows)
  const made = new Map<number, number>()
  return { ports: { read, write: ports.write }, make }

  function read(slot: number, target: Uint8Array, at: number): void | Promise<void> {
    const from = made.get(slot)
    if (from === undefined) return ports.read(slot, target, at)
    target.set(new Uint8Array(memory.buffer, from + 4 * at, target.length))
  }

  async function make({ wholes }: Pass, tell: Tell): Promise<void> {
    for (const whole of wholes) {
      const at = await solve(whole, tell)
      const kept = place!.kept.get(whole.to)
      if (kept !== undefined) new Uint8Array(memory.buffer).copyWithin(first + kept, at, at + 4 * size)
      made.set(whole.to, kept === undefined ? at : first + kept)
    }
  }

  async function solve(whole: Whole, tell: Tell): Promise<number> {
    const solver = SOLVERS[whole.op]
    const problem = problemOf(whole, shape)
    const at = first + place!.work
    assert(at + solver.bytes(problem) <= memory.buffer.byteLength, `whole matrices fit the memory planned for them (${whole.op} of ${shape})`)
    const expected = operationsFor(whole, shape)
    let told = 0
    let waiting = 0
    const count = async (operations: number): Promise<void> => {
      waiting += Math.min(operations, expected - told - waiting) // an estimate, which must add up
      if (waiting < TELL_OPERATIONS) return
      told += waiting
      await tell(waiting)
      waiting = 0
    }
    const work = solver.solve({ ...problem, engine: runner.engine, at, numbers: whole.numbers.map(n => known.scalars[n]!) })
    let step = work.next()
    while (!step.done) {
      if (typeof step.value === 'number') await count(step.value)
      else if (!(await materialise(whole, step.value))) {
        new Float32Array(memory.buffer, at, size).fill(Number.NaN)
        break
      }
      step = work.next()
    }
    await tell(expected - told)
    return step.done ? step.value : at
  }

  /** Whether the operand, which then lies at `to`, is finite. */
  async function materialise({ operands }: Whole, { operand, to }: { readonly operand: number; readonly to: number }): Promise<boolean> {
    let isSound = true
    const into: Ports = { read, write: (bytes, at) => new Uint8Array(memory.buffer, to + 4 * at, bytes.length).set(bytes) }
    const job = { program: operands[operand]!, pass: 0, step: { kind: 'pass', brackets: [] } as const, start: 0, end: size, known, key, resident: false }
    await runner.run(job, into, finding => {
      isSound = false
      found(finding)
    })
    return isSound
  }
}
