import type { Tensor } from '../src/algebra/tensor.ts'
import { bytesOf, type FloatDType, sizeOf } from '../src/dtype.ts'
import { combine, computeScalars, type Partials } from '../src/execute/folds.ts'
import { createRunner } from '../src/execute/runner.ts'
import { bytesFor } from '../src/plan/budget.ts'
import { compile } from '../src/plan/passes.ts'
import { BLOCK, type Tiling } from '../src/plan/tiling.ts'
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
  { tiling = { strip: 4096, chunk: BLOCK }, range = Number.POSITIVE_INFINITY, key = [1, 2] }: Cut = {},
  dtype: FloatDType = 'F32',
): Promise<Float32Array> {
  const { program, constants } = compile(
    root,
    sources.map(() => dtype),
    dtype,
  )
  const size = sizeOf(root.shape)
  const inputs = sources.map(s => encode(dtype, s))
  const width = bytesOf(dtype)
  const output = new Uint8Array(size * width)
  const runner = createRunner(bytesFor(program, tiling) + 1024, tiling)
  const scalars = new Float64Array(program.scalars)
  scalars.set(constants)
  const ranks = new Map<number, number>()
  const ports = {
    read: (slot: number, target: Uint8Array, at: number) => target.set(inputs[slot]!.subarray(at * width, at * width + target.length)),
    write: (bytes: Uint8Array, at: number) => output.set(bytes, at * width),
  }
  for (const [pass, { folds }] of program.passes.entries()) {
    computeScalars(program.passes[pass]!, scalars, runner.engine.kernels)
    const gathered: Partials[] = []
    for (let start = 0; start < size; start += range) {
      gathered.push(await runner.run({ program, pass, start, end: Math.min(size, start + range), scalars, key, resident: false }, ports, () => {}))
    }
    combine(folds, gathered, scalars, ranks)
  }
  return Float32Array.from(decode(dtype, output))
}
