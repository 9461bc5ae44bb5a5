import { bytesOf } from '../dtype.ts'
import { assert } from '../errors.ts'
import { createEngine } from '../kernels/kernels.ts'
import type { Plan, Task } from '../plan/plan.ts'
import { BLOCK } from '../plan/tiling.ts'
import { nonfiniteError } from './execute.ts'
import { computeNumbers } from './folds.ts'
import { fill, findEverywhere } from './survey.ts'
import { createUnitRunner, startOf, type UnitResult } from './units.ts'

/** The tensors of a plan, computed for whoever asks, instead of being written. */
export interface Tensors {
  /** A whole tensor, in the dtype of the plan's output. */
  whole(task: Task): Promise<Uint8Array>
  /** Elements [start, end) of one that takes a single pass; `start` begins a block. */
  part(task: Task, start: number, end: number): Promise<Uint8Array>
  close(): void
}

/** `roomBytes` is the most that is asked for at once. What is given is overwritten by what is asked for next. Throws at what is not finite. */
export async function openTensors(plan: Plan, roomBytes: number): Promise<Tensors> {
  const { inputs, programs, rowMaps, memory } = plan
  const room = new Uint8Array(roomBytes)
  const runner = createUnitRunner({ inputs, outputs: [{ memory: room }], programs, rowMaps, memory })
  const { kernels } = createEngine(0)
  const nothing = (): void => {}
  const values = await findEverywhere(plan, { submit: unit => runner.run(unit, nothing) }, nothing)
  return { whole, part, close: () => runner.close() }

  async function whole(task: Task): Promise<Uint8Array> {
    check(await runner.run({ kind: 'whole', tasks: [{ id: 0, task: placed(task, 0) }] }, nothing))
    return room.subarray(0, task.size * widthOf(task))
  }

  async function part(task: Task, start: number, end: number): Promise<Uint8Array> {
    const program = programs[task.program]!
    assert(start % BLOCK === 0 && program.passes.length === 1, 'a part begins with a block, of a tensor that takes a single pass')
    const own = placed(task, start)
    const known = startOf(program, own)
    computeNumbers(program.passes[0]!, known, kernels)
    check(await runner.run({ kind: 'range', id: 0, task: own, pass: 0, step: { kind: 'pass', brackets: [] }, start, end, known }, nothing))
    return room.subarray(0, (end - start) * widthOf(task))
  }

  /** The task with what was found everywhere, and its element `start` at the beginning of the room. */
  function placed(task: Task, start: number): Task {
    return { ...fill(task, values), output: { file: 0, at: -start * widthOf(task) } }
  }

  function widthOf({ program }: Task): number {
    return bytesOf(programs[program]!.output)
  }
}

function check({ nonfinite }: UnitResult): void {
  if (nonfinite[0]) throw nonfiniteError(nonfinite[0])
}
