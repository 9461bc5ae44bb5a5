/** Tensors of one kind as one pattern, which matches them and no others. */
export interface Group {
  /** As rules have it: `model.layers.{0..15}.mlp.*`. */
  readonly pattern: string
  readonly kind: string
  /** In the order given. */
  readonly names: readonly string[]
}

/**
 * Names told by as few patterns as can be: what lies below a beginning becomes `BEGINNING.*` where all of it is of one kind, and layers that
 * are alike become `{0..15}`. `kinds` gives the kind of every name; `layerOf` the stack and index of those in layers.
 */
export function groupNames(kinds: ReadonlyMap<string, string>, layerOf: (name: string) => { readonly stack: string; readonly index: number } | null): readonly Group[] {
  const below = new Map<string, Set<string>>() // beginning → kinds below it
  for (const [name, kind] of kinds) for (const beginning of beginningsOf(name)) below.set(beginning, (below.get(beginning) ?? new Set<string>()).add(kind))
  const groups = new Map<string, { readonly kind: string; readonly names: string[]; readonly layers: Set<number>; readonly stack: string | null; readonly rest: string }>()
  for (const [name, kind] of kinds) {
    const shared = beginningsOf(name).find(beginning => below.get(beginning)!.size === 1) ?? null // else others begin with the whole name
    const layer = layerOf(name)
    const own = layer && `${layer.stack}.${layer.index}`
    const isInside = own !== null && `${shared ?? name}.`.startsWith(`${own}.`)
    const rest = (shared ?? name).slice(isInside ? own.length : 0)
    const stack = isInside ? layer!.stack : null
    const key = JSON.stringify([stack, rest, kind, shared === null])
    const group = groups.get(key) ?? { kind, names: [], layers: new Set<number>(), stack, rest }
    groups.set(key, group)
    group.names.push(name)
    if (isInside) group.layers.add(layer!.index)
  }
  return [...groups.values()].map(({ kind, names, layers, stack, rest }) => {
    const prefix = (name: string): number => (stack === null ? 0 : `${stack}.${layerOf(name)!.index}`.length)
    const ends = new Set(names.map(name => name.slice(prefix(name))))
    const end = ends.size === 1 ? escapeGlob([...ends][0]!) : `${escapeGlob(rest)}${ends.has(rest) ? '{,.*}' : '.*'}` // a tensor may be called as others begin
    return { pattern: stack === null ? end : `${escapeGlob(stack)}.${spellIndices([...layers])}${end}`, kind, names }
  })
}

/** `a`, `a.b`, `a.b.c` of `a.b.c`. */
function beginningsOf(name: string): readonly string[] {
  const segments = name.split('.')
  return segments.map((_, i) => segments.slice(0, i + 1).join('.'))
}

/** `3`, `{0..2,4}`. */
export function spellIndices(indices: readonly number[]): string {
  const sorted = indices.toSorted((a, b) => a - b)
  const runs: [number, number][] = []
  for (const index of sorted) {
    const last = runs.at(-1)
    if (last && last[1] === index - 1) last[1] = index
    else runs.push([index, index])
  }
  const spelt = runs.map(([from, to]) => (from === to ? `${from}` : to === from + 1 ? `${from},${to}` : `${from}..${to}`)).join(',')
  return sorted.length === 1 ? spelt : `{${spelt}}`
}

/** A name as a pattern that matches it alone. */
const escapeGlob = (name: string): string => name.replace(/[*?[\]{}()\\]/g, '\\$&').replace(/^!/, '\\!')
