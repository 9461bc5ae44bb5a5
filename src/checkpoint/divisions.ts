import type { Checkpoint } from './checkpoint.ts'

/** One way to see a model as modules, each with at most one stack of layers. */
export interface Division {
  readonly modules: readonly string[]
  /** The module that a tensor belongs to. */
  of(tensor: string): string
  /** What the names of a module's layers begin with; null without layers. */
  stackOf(module: string): string | null
}

/** The whole model, where it has no more than one stack. */
export const WHOLE = 'default'

/**
 * How a model divides into modules: as its family does, and as its names do. By names each stack is a module,
 * called as its layers begin, and `default` is all the rest; with one stack or none, `default` is the whole model.
 */
export function divisionsOf({ layers, family }: Checkpoint): readonly Division[] {
  const stacks = [...layers.stacks.keys()]
  const byNames: Division =
    stacks.length <= 1
      ? { modules: [WHOLE], of: () => WHOLE, stackOf: () => stacks[0] ?? null }
      : {
          modules: [WHOLE, ...stacks],
          of: name => layers.of(name)?.stack ?? WHOLE,
          stackOf: module => (module === WHOLE ? null : module),
        }
  if (!family || family.parts.length === 1) return [byNames]
  const of = (name: string): string => {
    const part = family.parts.find(p => p.prefixes.some(prefix => prefix !== '' && name.startsWith(prefix))) ?? family.parts.find(p => p.prefixes.includes(''))
    return part?.name ?? WHOLE
  }
  const byFamily: Division = {
    modules: family.parts.map(p => p.name),
    of,
    stackOf: module => stacks.find(stack => of(`${stack}.`) === module) ?? null,
  }
  return [byFamily, byNames]
}
