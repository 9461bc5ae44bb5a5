import { rowsOf, type Shape, type Tensor } from '../src/algebra/tensor.ts'
import { bytesOf, type FloatDType, sizeOf } from '../src/dtype.ts'
import { type Partials, runPass, type Step } from '../src/execute/folds.ts'
import { createRunner, type Finding } from '../src/execute/runner.ts'
import { createSelector } from '../src/execute/select.ts'
import { mapMemory, residentBytes } from '../src/plan/budget.ts'
import { type Compiled, compile } from '../src/plan/passes.ts'
import { isByRows } from '../src/plan/program.ts'
import { BLOCK, blockOf, type Tiling } from '../src/plan/tiling.ts'
import { decode, encode } from './floats.ts'

export interface Cut {
  readonly tiling?: Tiling
  /** Elements of the ranges that are run apart and combined; a multiple of a block. */
  readonly range?: number
  readonly key?: readonly [number, number]
  /** Whether the inputs are read once and stay in memory. */
  readonly resident?: boolean
}

/** What a run gave and how. */
export interface Ran {
  readonly bytes: Uint8Array
  readonly findings: readonly Finding[]
  /** What each fold gathered, pass by pass. */
  readonly folded: readonly number[]
  readonly steps: readonly Step['kind'][]
  /** The bytes that the last write handed over, with what lies after them in the engine's memory. */
  readonly last: { readonly length: number; readonly after: Uint8Array }
}

export interface Machine {
  /** Runs the program on tensors of `size` elements. `constants` replace those of the formula that are equal to their keys. */
  run(size: number, inputs: readonly Uint8Array[], options?: Omit<Cut, 'tiling'> & { readonly constants?: ReadonlyMap<number, number> }): Promise<Ran>
}

const MOST_RESIDENT = 4096 // elements of a tensor that tests keep in memory

/** An engine for one program: its code is generated once, whatever it then runs on. */
export function createMachine({ program, constants }: Compiled, tiling: Tiling = { chunk: BLOCK }, shape: Shape = []): Machine {
  const rows = isByRows(program) ? rowsOf(shape) : null
  const runner = createRunner(mapMemory(program, tiling, rows).size + residentBytes(program, MOST_RESIDENT), tiling)
  const selector = createSelector()
  const width = bytesOf(program.output)
  return { run }

  async function run(size: number, inputs: readonly Uint8Array[], options: Parameters<Machine['run']>[2] = {}): Promise<Ran> {
    const { range = Number.POSITIVE_INFINITY, key = [1, 2], resident = false, constants: replaced } = options
    const bytes = new Uint8Array(size * width)
    const findings: Finding[] = []
    const steps: Step['kind'][] = []
    let last = { length: 0, after: new Uint8Array(0) }
    const scalars = new Float64Array(program.scalars)
    scalars.set(constants.map(c => replaced?.get(c) ?? c))
    const known = { size, rows, scalars, columnValues: Array.from({ length: program.columns }, () => new Float64Array(rows?.columns ?? 0)) }
    const ports = {
      read(slot: number, target: Uint8Array, at: number): void {
        const own = bytesOf(program.sources[slot]!)
        target.set(inputs[slot]!.subarray(at * own, at * own + target.length))
      },
      write(from: Uint8Array, at: number): void {
        bytes.set(from, at * width)
        last = { length: from.length, after: new Uint8Array(from.buffer, from.byteOffset + from.length, 256).slice() }
      },
    }
    if (resident) runner.hold(program, known)
    for (const [pass, spec] of program.passes.entries()) {
      const take = async (step: Step): Promise<readonly Partials[]> => {
        steps.push(step.kind)
        const gathered: Partials[] = []
        const length = step.kind === 'sample' ? size : Math.ceil(range / blockOf(rows)) * blockOf(rows)
        for (let start = 0; start < size; start += length) {
          gathered.push(await runner.run({ program, pass, step, start, end: Math.min(size, start + length), known, key, resident }, ports, f => findings.push(f)))
        }
        return gathered
      }
      await runPass(spec, known, { kernels: runner.engine.kernels, selector }, take)
    }
    return { bytes, findings, folded: program.passes.flatMap(p => p.folds.map(f => scalars[f.to]!)), steps, last }
  }
}

/** Runs a formula on the engine, over arrays. */
export async function run(root: Tensor, sources: readonly Float32Array[], { tiling, ...cut }: Cut = {}, dtype: FloatDType = 'F32'): Promise<Float32Array> {
  const inputs = sources.map(s => encode(dtype, s))
  const machine = createMachine(
    compile(
      root,
      sources.map(() => dtype),
      dtype,
    ),
    tiling,
    root.shape,
  )
  const { bytes } = await machine.run(sizeOf(root.shape), inputs, cut)
  return Float32Array.from(decode(dtype, bytes))
}

/** The dtypes of a formula's inputs and of its output. */
export interface Types {
  readonly sources: readonly FloatDType[]
  readonly output: FloatDType
}
export const nameOf = ({ sources, output }: Types): string => `${sources.join(', ')} → ${output}`
