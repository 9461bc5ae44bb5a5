import type { Layers } from '../checkpoint/architecture.ts'

/** Names that differ in nothing but their layer, as one: `model.layers.{0..31}.mlp.up_proj.weight`; in the order in which they are met. */
export function byPattern<T>(items: readonly T[], nameOf: (item: T) => string, layers: Layers): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, { readonly indices: number[]; readonly members: T[] }>()
  for (const item of items) {
    const name = nameOf(item)
    const layer = layers.of(name)
    const pattern = layer ? name.replace(`${layer.stack}.${layer.index}.`, `${layer.stack}.{}.`) : name
    const group = groups.get(pattern) ?? { indices: [], members: [] }
    groups.set(pattern, group)
    if (layer) group.indices.push(layer.index)
    group.members.push(item)
  }
  return new Map([...groups].map(([pattern, { indices, members }]) => [pattern.replace('{}', spell(indices)), members]))
}

/** 0, 1, 2, 5 as `{0..2,5}`; a single index as itself. */
export function spell(indices: readonly number[]): string {
  const sorted = indices.toSorted((a, b) => a - b)
  const runs: [number, number][] = []
  for (const i of sorted) {
    const last = runs.at(-1)
    if (last && last[1] === i - 1) last[1] = i
    else runs.push([i, i])
  }
  const text = runs.map(([a, b]) => (a === b ? String(a) : `${a}..${b}`)).join(',')
  return sorted.length === 1 ? text : `{${text}}`
}
