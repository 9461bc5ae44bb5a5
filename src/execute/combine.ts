import { memorySink, type Sink } from '../bytes/sink.ts'
import { memoryCheckpoint } from '../checkpoint/shell.ts'
import { headerOf } from '../formats/safetensors.ts'
import { transposed } from '../kernels/matrix.ts'
import type { CombinationPlan, CombinedModule } from '../plan/combination.ts'
import { onShell, tensorOf } from '../plan/joined.ts'
import { type PlanOptions, plan } from '../plan/plan.ts'
import { coreEngine, coreSides, encodeFloats, lift, openFactors, spaceOf } from './core_space.ts'
import { execute } from './execute.ts'
import { isOfAdapter } from './extract_lora.ts'
import { type Cut, factor, factorEngine, operandOf, writtenOf } from './factor.ts'
import { openTensors } from './tensors.ts'

/** A module that was written. */
export interface Combined {
  readonly module: string
  readonly rank: number
  /** ‖Δ‖² of what the formula gives, and ‖Δ − B·A‖² of what its rank could not hold; null where nothing is cut off. */
  readonly cut: { readonly energy: number; readonly lost: number } | null
}

/** A module's parts as they are written. */
interface Parts extends Omit<Combined, 'module' | 'rank'> {
  readonly a: Uint8Array
  readonly b: Uint8Array
}

/**
 * Writes one adapter made of several, module by module, and tells of each.
 *
 * @example
 * const models = { math: 'zoo/text/math-lora', code: 'zoo/text/code-lora' }
 * const adapters = new Map([['math', await openAdapter(models.math)], ['code', await openAdapter(models.code)]])
 * const recipe = parse('ties(math, code, density=0.5)', { models, adapters: new Set(['math', 'code']), result: 'vector', output: { dtype: 'F32' } })
 * const sink = memorySink()
 * for await (const { module, rank } of combineAdapters(planCombination(recipe, adapters, { by: 'core', rank: 8, dtype: 'F32' }), sink)) console.log(module, rank)
 * console.log([...sink.files.keys()])
 */
export async function* combineAdapters(combination: CombinationPlan, sink: Sink, options: PlanOptions = {}): AsyncGenerator<Combined, void, void> {
  const { adapters, modules, layout } = combination
  const { file, config, places } = layout
  const text = new TextEncoder().encode(config)
  await sink.begin({
    bytes: file.size + text.byteLength,
    fingerprint: '', // never gone on with
    inputs: [...adapters.values()].map(({ path }) => path),
    files: [{ name: file.name, size: file.size }],
    isOfModel: isOfAdapter,
  })
  let isComplete = false
  try {
    await sink.write(file.name, 0, headerOf(file.tensors, file.metadata).header)
    let next = 0
    for await (const { a, b, cut } of partsOf(combination, options)) {
      const { name, rank } = modules[next++]!
      await sink.write(file.name, places.get(name)!.a, a)
      await sink.write(file.name, places.get(name)!.b, b)
      yield { module: name, rank, cut }
    }
    await sink.write('adapter_config.json', 0, text)
    await sink.finish()
    isComplete = true
  } finally {
    if (!isComplete) await sink.abandon(false)
  }
}

/** In the order of the modules. */
function partsOf(combination: CombinationPlan, options: PlanOptions): AsyncGenerator<Parts, void, void> {
  const { by, weights } = combination
  if (by === 'concat' || by === 'peft_linear') return sideBySide(combination)
  return by === 'svd' && !weights ? cutDense(combination, options) : throughCores(combination, options) // a sum is the same in any basis
}

/** Factors put beside each other, or added one by one. */
async function* sideBySide({ by, adapters, weights, modules, dtype }: CombinationPlan): AsyncGenerator<Parts, void, void> {
  const factors = openFactors([...adapters.values()])
  try {
    for (const module of modules) {
      const [a, b] = by === 'concat' ? concatenated(module) : addedApart(module)
      yield { a: encodeFloats(a, dtype), b: encodeFloats(b, dtype), cut: null }
    }
  } finally {
    factors.close()
  }

  /** Weights on A, as PEFT has them. */
  function concatenated({ parts, rows, columns, rank }: CombinedModule): [Float32Array, Float32Array] {
    const [a, b] = [new Float32Array(rank * columns), new Float32Array(rows * rank)]
    let first = 0
    for (const [i, p] of parts.entries()) {
      if (!p) continue
      const by = Math.fround(weights![i]! * p.scale)
      const [ownA, ownB] = [factors.read(i, p.a), factors.read(i, p.b)]
      for (let k = 0; k < ownA.length; k++) a[first * columns + k] = by * ownA[k]!
      for (let row = 0; row < rows; row++) b.set(ownB.subarray(row * p.rank, (row + 1) * p.rank), row * rank + first)
      first += p.rank
    }
    return [a, b]
  }

  /** √|w| on either side, the sign on A: what PEFT calls linear, whose product has terms of one adapter's B with another's A. */
  function addedApart({ parts, rows, columns, rank }: CombinedModule): [Float32Array, Float32Array] {
    const [a, b] = [new Float32Array(rank * columns), new Float32Array(rows * rank)]
    for (const [i, p] of parts.entries()) {
      if (!p) continue
      const weight = weights![i]! * p.scale
      const root = Math.fround(Math.sqrt(Math.abs(weight)))
      addTo(a, factors.read(i, p.a), weight < 0 ? -root : root)
      addTo(b, factors.read(i, p.b), root)
    }
    return [a, b]
  }
}

function addTo(sum: Float32Array, x: Float32Array, by: number): void {
  for (let i = 0; i < x.length; i++) sum[i] = sum[i]! + Math.fround(by * x[i]!)
}

/** The formula over the cores of all adapters, in the space that they share; then the best product of the rank. */
async function* throughCores({ recipe, adapters, modules, dtype }: CombinationPlan, options: PlanOptions): AsyncGenerator<Parts, void, void> {
  const factors = openFactors([...adapters.values()])
  const engine = coreEngine(modules)
  const cutOf = (module: CombinedModule): Cut => ({ rows: coreSides(module).left, columns: coreSides(module).right, rank: module.rank })
  const small = factorEngine(modules.map(cutOf))
  try {
    const merged = await mergeCores()
    for (const module of modules) {
      const cut = cutOf(module)
      const space = spaceOf(engine, module, factors)
      const floats = new Float32Array(small.memory.buffer)
      floats.set(merged.get(tensorOf(module))!, operandOf(small, cut).at / 4)
      const { left, right, energy, lost } = factor(small, cut, 'F32')
      const [l, r] = [left, right].map(({ at, rows, cols }) => floats.slice(at / 4, at / 4 + rows * cols)) as [Float32Array, Float32Array]
      yield { ...lift(engine, module, space, { left: l, right: r, rank: module.rank }, dtype), cut: { energy, lost } }
    }
  } finally {
    factors.close()
  }

  /** Each adapter's cores are a small model, and the merge is one like any other. */
  async function mergeCores(): Promise<ReadonlyMap<string, Float32Array>> {
    const cores = [...adapters].map(() => new Map<string, { shape: readonly number[]; values: Float32Array }>())
    for (const module of modules) {
      const { left, right } = coreSides(module)
      for (const [i, core] of spaceOf(engine, module, factors).cores.entries()) {
        cores[i]!.set(tensorOf(module), { shape: [left, right], values: core ?? new Float32Array(left * right) })
      }
    }
    const merging = plan(recipe, new Map([...adapters.keys()].map((label, i) => [label, memoryCheckpoint(label, cores[i]!)])), options)
    const sink = memorySink()
    for await (const _ of execute(merging, sink)) {
      // only the result matters
    }
    return new Map(
      merging.outputs.flatMap(({ name: file, tensors }) =>
        tensors.map(({ name, at, shape }) => [name, new Float32Array(sink.files.get(file)!.slice(at, at + 4 * shape[0]! * shape[1]!).buffer)] as const),
      ),
    )
  }
}

/** The formula over whole matrices, one at a time in memory; then the best product of the rank. */
async function* cutDense({ recipe, adapters, modules, dtype }: CombinationPlan, options: PlanOptions): AsyncGenerator<Parts, void, void> {
  const merging = plan(recipe, await onShell(adapters, modules), options)
  const cutOf = ({ rows, columns, rank, isEmbedding }: CombinedModule): Cut => (isEmbedding ? { rows: columns, columns: rows, rank } : { rows, columns, rank })
  const engine = factorEngine(modules.map(cutOf))
  const reader = await openTensors(
    merging,
    modules.reduce((most, { rows, columns }) => Math.max(most, 4 * rows * columns), 0),
  )
  const tasks = new Map(merging.tasks.map(task => [task.name, task]))
  try {
    for (const module of modules) {
      const cut = cutOf(module)
      const bytes = await reader.whole(tasks.get(tensorOf(module))!)
      new Uint8Array(engine.memory.buffer, operandOf(engine, cut).at, bytes.byteLength).set(bytes)
      const { left, right, energy, lost } = factor(engine, cut, dtype)
      const [b, a] = module.isEmbedding ? [transposed(right), transposed(left)] : [left, right]
      yield { a: writtenOf(engine, cut, a, dtype), b: writtenOf(engine, cut, b, dtype), cut: { energy, lost } }
    }
  } finally {
    reader.close()
  }
}
