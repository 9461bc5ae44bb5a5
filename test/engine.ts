import { rowsOf, type Tensor } from '../src/algebra/tensor.ts'
import { bytesOf, type FloatDType, sizeOf } from '../src/dtype.ts'
import { type Partials, runPass, type Step } from '../src/execute/folds.ts'
import { createRunner } from '../src/execute/runner.ts'
import { createSelector } from '../src/execute/select.ts'
import { mapMemory } from '../src/plan/budget.ts'
import { compile } from '../src/plan/passes.ts'
import { isByRows } from '../src/plan/program.ts'
import { BLOCK, blockOf, type Tiling } from '../src/plan/tiling.ts'
import { decode, encode } from './floats.ts'

export interface Cut {
  readonly tiling?: Tiling
  /** Elements of the ranges that are run apart and combined; a multiple of a block. */
  readonly range?: number
  readonly key?: readonly [number, number]
}

/** Runs a formula on the engine, over arrays. */
export async function run(
  root: Tensor,
  sources: readonly Float32Array[],
  { tiling = { chunk: BLOCK }, range = Number.POSITIVE_INFINITY, key = [1, 2] }: Cut = {},
  dtype: FloatDType = 'F32',
): Promise<Float32Array> {
  const { program, constants } = compile(
    root,
    sources.map(() => dtype),
    dtype,
  )
  const size = sizeOf(root.shape)
  const rows = isByRows(program) ? rowsOf(root.shape) : null
  const inputs = sources.map(s => encode(dtype, s))
  const width = bytesOf(dtype)
  const output = new Uint8Array(size * width)
  const runner = createRunner(mapMemory(program, tiling, rows).size, tiling)
  const scalars = new Float64Array(program.scalars)
  scalars.set(constants)
  const known = { size, rows, scalars, columnValues: Array.from({ length: program.columns }, () => new Float64Array(rows?.columns ?? 0)) }
  const ports = {
    read: (slot: number, target: Uint8Array, at: number) => target.set(inputs[slot]!.subarray(at * width, at * width + target.length)),
    write: (bytes: Uint8Array, at: number) => output.set(bytes, at * width),
  }
  for (const [pass, spec] of program.passes.entries()) {
    const take = async (step: Step): Promise<readonly Partials[]> => {
      const gathered: Partials[] = []
      const length = step.kind === 'sample' ? size : Math.ceil(range / blockOf(rows)) * blockOf(rows)
      for (let start = 0; start < size; start += length) {
        gathered.push(await runner.run({ program, pass, step, start, end: Math.min(size, start + length), known, key, resident: false }, ports, () => {}))
      }
      return gathered
    }
    await runPass(spec, known, { kernels: runner.engine.kernels, selector: createSelector() }, take)
  }
  return Float32Array.from(decode(dtype, output))
}
