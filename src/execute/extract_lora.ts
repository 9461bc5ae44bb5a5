import type { Sink } from '../bytes/sink.ts'
import { isModelFile } from '../checkpoint/checkpoint.ts'
import type { FloatDType } from '../dtype.ts'
import { headerOf } from '../formats/safetensors.ts'
import { transposed } from '../kernels/matrix.ts'
import type { ExtractedModule, Extraction } from '../plan/extraction.ts'
import type { Plan, Task } from '../plan/plan.ts'
import { pathsRead, refuseChanged } from './execute.ts'
import { type Cut, factor, factorEngine, isSketched, operandOf, writtenOf } from './factor.ts'
import { openTensors } from './tensors.ts'

/** What an adapter keeps of a matrix. */
export interface Kept {
  readonly tensor: string
  readonly rank: number
  readonly energy: number
  /** ‖Δ − B·A‖², measured on the factors as they are written. */
  readonly lost: number
  /** The largest triplets were found by a random sketch: another B·A of this rank could come somewhat nearer. */
  readonly isSketched: boolean
}

/** The plans of what is read: the differences in float32, and the fine-tune itself. */
export interface ExtractionSources {
  readonly delta: Plan
  readonly model: Plan
}

/** Writes an adapter: the best product of its rank for each matrix, one matrix in memory at a time. Tells of each as it is done. */
export async function* extractLora({ modules, saved, layout }: Extraction, { delta, model }: ExtractionSources, dtype: FloatDType, sink: Sink): AsyncGenerator<Kept, void, void> {
  const { file, config, places, savedPlaces } = layout
  const text = new TextEncoder().encode(config)
  await sink.begin({
    bytes: file.size + text.byteLength,
    fingerprint: '', // never gone on with
    inputs: [...pathsRead(delta), ...pathsRead(model)],
    files: [{ name: file.name, size: file.size }],
    isOfModel: isOfAdapter,
  })
  let isComplete = false
  try {
    await sink.write(file.name, 0, headerOf(file.tensors, file.metadata).header)
    yield* writeFactors()
    await writeSaved()
    await sink.write('adapter_config.json', 0, text)
    await refuseChanged(delta)
    await refuseChanged(model)
    await sink.finish()
    isComplete = true
  } finally {
    if (!isComplete) await sink.abandon(false)
  }

  async function* writeFactors(): AsyncGenerator<Kept, void, void> {
    const engine = factorEngine(modules.map(cutOf))
    const reader = await openTensors(
      delta,
      modules.reduce((most, { rows, columns }) => Math.max(most, 4 * rows * columns), 0),
    )
    const tasks = byName(delta)
    try {
      for (const module of modules) {
        const cut = cutOf(module)
        const bytes = await reader.whole(tasks.get(module.tensor)!)
        new Uint8Array(engine.memory.buffer, operandOf(engine, cut).at, bytes.byteLength).set(bytes)
        const factors = factor(engine, cut, dtype)
        const { a, b } = places.get(module.name)!
        const [left, right] = module.isTransposed ? [transposed(factors.right), transposed(factors.left)] : [factors.left, factors.right]
        await sink.write(file.name, b, writtenOf(engine, cut, left, dtype))
        await sink.write(file.name, a, writtenOf(engine, cut, right, dtype))
        yield { tensor: module.tensor, rank: module.rank, energy: factors.energy, lost: factors.lost, isSketched: isSketched(cut) }
      }
    } finally {
      reader.close()
    }
  }

  async function writeSaved(): Promise<void> {
    const tasks = byName(model)
    const reader = await openTensors(
      model,
      saved.reduce((most, { shape }) => Math.max(most, 8 * shape.reduce((n, side) => n * side, 1)), 0),
    )
    try {
      for (const { name } of saved) await sink.write(file.name, savedPlaces.get(name)!, await reader.whole(tasks.get(name)!))
    } finally {
      reader.close()
    }
  }
}

/** What replacing an adapter, or what had the name before, may delete. */
export const isOfAdapter = (file: string): boolean => isModelFile(file) || file === 'adapter_config.json'

const cutOf = ({ rows, columns, rank }: ExtractedModule): Cut => ({ rows, columns, rank })
const byName = ({ tasks }: Plan): ReadonlyMap<string, Task> => new Map(tasks.map(task => [task.name, task]))
