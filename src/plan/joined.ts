import { deltaOf } from '../checkpoint/adapted.ts'
import type { Adapter, AdapterModule } from '../checkpoint/adapter.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { shellOf } from '../checkpoint/shell.ts'
import { sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'

/** How adapters are put together. */
export const COMBINATIONS = ['concat', 'svd', 'core', 'peft_linear'] as const
export type Combination = (typeof COMBINATIONS)[number]

/** A module that some of several adapters change. `rows` × `columns` is B·A, `out` and `into` the shapes of B and A without the rank. */
export interface JoinedModule {
  readonly name: string
  readonly isEmbedding: boolean
  readonly rows: number
  readonly columns: number
  readonly out: readonly number[]
  readonly into: readonly number[]
  /** By the order of the adapters; null where one leaves it alone. */
  readonly parts: readonly (AdapterModule | null)[]
}

/** The modules of adapters by name, in the order in which they are met. Throws at adapters that are no plain differences, or of different architectures. */
export function joinAdapters(adapters: ReadonlyMap<string, Adapter>): readonly JoinedModule[] {
  for (const adapter of adapters.values()) refuseWhole(adapter)
  const names = [...new Set([...adapters.values()].flatMap(({ modules }) => [...modules.keys()]))]
  return names.map((name): JoinedModule => {
    const holders = [...adapters].flatMap(([label, { modules }]) => (modules.has(name) ? [{ label, module: modules.get(name)! }] : []))
    const [first, ...others] = holders
    for (const { label, module } of others) {
      if (shapeText(module) === shapeText(first!.module) && module.isEmbedding === first!.module.isEmbedding) continue
      throw new MergeError(`${name}: B·A is ${shapeText(first!.module)} in ${first!.label} and ${shapeText(module)} in ${label}: the adapters are for different architectures`, {
        fix: 'combine adapters of one base model',
      })
    }
    const { a, b, isEmbedding } = first!.module
    const [out, into] = [[b.shape[0]!, ...b.shape.slice(2)], a.shape.slice(1)]
    return { name, isEmbedding, rows: b.shape[0]!, columns: sizeOf(into), out, into, parts: [...adapters.values()].map(({ modules }) => modules.get(name) ?? null) }
  })
}

/** Throws where what the combination needs is not there. */
export function checkCombination(by: Combination, modules: readonly JoinedModule[], adapters: readonly string[]): void {
  if (by === 'concat' || adapters.length < 2) return
  if (modules.every(({ parts }) => parts.filter(part => part !== null).length < 2)) {
    throw new MergeError(`${adapters.join(' and ')} have no module in common, so that ${by} has nothing to combine`, {
      fix: 'write --by concat, which puts them side by side, or check that the adapters name modules alike',
    })
  }
  if (by !== 'peft_linear') return
  for (const { name, parts } of modules) {
    const ranks = adapters.flatMap((label, i) => (parts[i] ? [{ label, rank: parts[i].rank }] : []))
    const other = ranks.find(({ rank }) => rank !== ranks[0]!.rank)
    if (!other) continue
    throw new MergeError(`${name}: peft_linear adds A to A and B to B, and ranks differ: ${ranks[0]!.rank} in ${ranks[0]!.label}, ${other.rank} in ${other.label}`, {
      fix: 'write --by concat, or --by svd with a --rank',
    })
  }
}

/** What each adapter adds to a model of which nothing is known but the shapes of their modules. */
export async function onShell(adapters: ReadonlyMap<string, Adapter>, modules: readonly JoinedModule[]): Promise<ReadonlyMap<string, Checkpoint>> {
  const shapes = modules.map(module => [tensorOf(module), module.isEmbedding ? [module.columns, module.rows] : [module.rows, ...module.into]] as const)
  const shell = await shellOf('the adapters', new Map(shapes))
  const lying = (adapter: Adapter): Adapter => ({ ...adapter, config: { ...adapter.config, fanInFanOut: false } }) // here B·A lies as it is
  return new Map(await Promise.all([...adapters].map(async ([label, adapter]) => [label, await deltaOf(lying(adapter), shell)] as const)))
}

/** The tensor that a module changes. */
export const tensorOf = ({ name }: Pick<JoinedModule, 'name'>): string => `${name}.weight`

function refuseWhole({ ref, config, saved }: Adapter): void {
  const fix = 'add each adapter to its model instead, and merge the models'
  if (config.useDora) throw new MergeError('adapters of DoRA cannot be combined without their model: what they add depends on its weights', { where: ref, fix })
  for (const { name } of saved.values()) throw new MergeError(`${name} is a whole tensor and no difference, so that it cannot be combined without the model`, { where: ref, fix })
}

const shapeText = ({ a, b }: AdapterModule): string => `[${[b.shape[0]!, ...a.shape.slice(1)].join(', ')}]`
