import type { Adapter } from '../checkpoint/adapter.ts'
import type { FloatDType } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { modelsIn } from '../recipe/walk.ts'
import { type AdapterLayout, layOutAdapter } from './adapter_layout.ts'
import { type Combination, checkCombination, type JoinedModule, joinAdapters } from './joined.ts'
import { weightsIn } from './weights.ts'

/** How adapters become one, decided before a factor is read. */
export interface CombinationPlan {
  readonly by: Combination
  /** What is computed over the adapters, each a task vector. */
  readonly recipe: Recipe
  /** Those that the recipe names, in its order. */
  readonly adapters: ReadonlyMap<string, Adapter>
  /** Of each adapter, where the recipe is a weighted sum; else null. */
  readonly weights: readonly number[] | null
  readonly modules: readonly CombinedModule[]
  readonly dtype: FloatDType
  readonly layout: AdapterLayout
}

export interface CombinedModule extends JoinedModule {
  /** Of the output. */
  readonly rank: number
}

export interface CombineOptions {
  readonly by: Combination
  /** The most that a module may have; null for what the combination has by itself. */
  readonly rank: number | null
  readonly dtype: FloatDType
}

/**
 * Plans one adapter made of several by a recipe of mass 0, in which each is a task vector. Reads nothing; throws where they do not go together.
 *
 * @example
 * const models = { math: 'zoo/text/math-lora', code: 'zoo/text/code-lora' }
 * const adapters = new Map([['math', await openAdapter(models.math)], ['code', await openAdapter(models.code)]])
 * const recipe = parse('0.7*math + 0.3*code', { models, adapters: new Set(['math', 'code']), result: 'vector', output: { dtype: 'F32' } })
 * console.log(planCombination(recipe, adapters, { by: 'svd', rank: 4, dtype: 'F32' }).modules.length)
 */
export function planCombination(recipe: Recipe, opened: ReadonlyMap<string, Adapter>, { by, rank, dtype }: CombineOptions): CombinationPlan {
  const used = new Set(modelsIn(recipe.merge))
  const adapters = new Map([...opened].filter(([label]) => used.has(label)))
  const weights = weightsIn(recipe.merge)
  const joined = joinAdapters(adapters)
  checkCombination(by, joined, [...adapters.keys()])
  if (!weights && (by === 'concat' || by === 'peft_linear')) {
    throw new MergeError(`${by} takes a weighted sum of adapters, such as \`0.5*a + 0.5*b\`, and this is another formula`, {
      where: recipe.source.name,
      fix: 'write --by core or --by svd',
    })
  }
  if (rank !== null) checkRank(by, rank, joined)
  const modules = joined.map((module): CombinedModule => ({ ...module, rank: rankOf(by, rank, module, weights !== null) }))
  const first = [...adapters.values()][0]!
  const layout = layOutAdapter({
    modules,
    saved: [],
    dtype,
    others: areNamedShort([...adapters.values()], modules) ? modules.map(m => m.name) : null,
    baseName: first.config.baseName,
    taskType: taskTypeOf(first),
    fanInFanOut: [...adapters.values()].some(({ config }) => config.fanInFanOut),
    metadata: { format: 'pt', 'merganser.combination': JSON.stringify({ expression: recipe.source.text, by, rank, adapters: origins(adapters) }) },
  })
  return { by, recipe, adapters, weights: weights && [...adapters.keys()].map(label => weights.get(label) ?? 0), modules, dtype, layout }
}

function rankOf(by: Combination, rank: number | null, { parts, rows, columns }: JoinedModule, isSum: boolean): number {
  const ranks = parts.flatMap(part => part?.rank ?? [])
  const sum = ranks.reduce((a, b) => a + b, 0)
  const most = Math.max(...ranks)
  switch (by) {
    case 'concat':
      return sum
    case 'peft_linear':
      return most
    case 'svd':
      return Math.min(rank ?? most, isSum ? sum : rows, rows, columns)
    case 'core':
      return Math.min(rank ?? sum, sum, rows, columns)
    default:
      throw by satisfies never
  }
}

function checkRank(by: Combination, rank: number, modules: readonly JoinedModule[]): void {
  if (by === 'concat' || by === 'peft_linear') {
    const own = by === 'concat' ? 'concat has the sum of all ranks' : 'peft_linear has the rank of its adapters'
    throw new MergeError(`${own}, and no --rank`, { fix: 'leave --rank out, or write --by svd' })
  }
  const sideOf = ({ rows, columns }: JoinedModule): number => Math.min(rows, columns)
  const largest = modules.reduce((most, module) => (sideOf(module) > sideOf(most) ? module : most))
  if (rank > sideOf(largest)) {
    throw new MergeError(`rank ${rank} is more than any matrix has: ${largest.name} [${largest.rows}, ${largest.columns}] has the most, ${sideOf(largest)}`, {
      where: '--rank',
      fix: `write --rank ${sideOf(largest)} or less`,
    })
  }
}

/** Whether all adapters change the same modules, and call them by the ends of their names: then so may the result. */
function areNamedShort(adapters: readonly Adapter[], modules: readonly JoinedModule[]): boolean {
  const ends = new Set(modules.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))
  return adapters.every(({ config, configText, modules: own }) => {
    const json = JSON.parse(configText) as Readonly<Record<string, unknown>> // openAdapter has read it
    const isOfAllLayers = (json['layers_to_transform'] ?? null) === null && (json['exclude_modules'] ?? null) === null
    return own.size === modules.length && isOfAllLayers && Array.isArray(json['target_modules']) && config.targets.every(target => ends.has(target))
  })
}

function taskTypeOf({ configText }: Adapter): string | null {
  const type = (JSON.parse(configText) as Readonly<Record<string, unknown>>)['task_type'] // openAdapter has read it
  return typeof type === 'string' ? type : null
}

const origins = (adapters: ReadonlyMap<string, Adapter>) =>
  Object.fromEntries([...adapters].map(([label, { ref, files }]) => [label, { path: ref, headers: files.map(f => `sha256:${f.headerHash}`) }]))
