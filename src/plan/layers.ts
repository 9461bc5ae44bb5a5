import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { type Division, divisionsOf } from '../checkpoint/divisions.ts'
import { faultAt, nearest } from '../recipe/locate.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'

/** The layer that `name` lies in, when its stack is called `prefix`, and what follows the layer's index; null outside. */
export function layerIn(prefix: string | null, name: string): { readonly index: number; readonly rest: string } | null {
  if (prefix === null || !name.startsWith(`${prefix}.`)) return null
  const [, index, rest] = /^(\d+)(\..*)?$/.exec(name.slice(prefix.length + 1)) ?? []
  return index === undefined ? null : { index: Number(index), rest: rest ?? '' }
}

/** The name of a layer's tensor: the inverse of `layerIn`. */
export const layerName = (prefix: string, index: number, rest: string): string => `${prefix}.${index}${rest}`

/** Layers of a model in a stack that another model of its kind calls `prefix`. */
export function stackCount({ layers, family }: Checkpoint, prefix: string): number {
  const own = layers.stacks.get(prefix)
  if (own !== undefined || !family?.prefix) return own ?? 0
  return layers.stacks.get(prefix.startsWith(family.prefix) ? prefix.slice(family.prefix.length) : family.prefix + prefix) ?? 0
}

/** `name` of `own` as `donor` spells it, where one of the two lacks the prefix of their family. */
export function spellLike(donor: Checkpoint, own: Checkpoint, name: string): string {
  const prefix = own.family?.prefix
  if (!prefix || donor === own || donor.tensors.has(name)) return name
  const other = name.startsWith(prefix) ? name.slice(prefix.length) : prefix + name
  if (donor.tensors.has(other)) return other
  const stack = own.layers.of(name)?.stack ?? null
  return spellStack(donor, own, stack) === stack ? name : other
}

/** The name of a stack of `own` as `donor` spells it. */
export function spellStack(donor: Checkpoint, own: Checkpoint, stack: string | null): string | null {
  const prefix = own.family?.prefix
  if (stack === null || !prefix || donor.layers.stacks.has(stack)) return stack
  const other = stack.startsWith(prefix) ? stack.slice(prefix.length) : prefix + stack
  return donor.layers.stacks.has(other) ? other : stack
}

/** What the layers' names begin with, in a model of one stack; null without layers. */
export function onlyStack(recipe: Recipe, leader: Checkpoint, e: Expression): string | null {
  const stacks = [...leader.layers.stacks.keys()]
  if (stacks.length <= 1) return stacks[0] ?? null
  const { modules } = divisionsOf(leader)[0]!
  throw faultAt(recipe.source, e.at, `${leader.ref} has several stacks of layers: ${stacks.join(', ')}`, `slice each under \`modules:\`, where it has ${modules.join(', ')}`)
}

/** The way of dividing a model that has all the modules a recipe names. */
export function chooseDivision(recipe: Recipe, leader: Checkpoint, e: Extract<Expression, { kind: 'modules' }>): Division {
  const divisions = divisionsOf(leader)
  const division = divisions.find(d => e.modules.every(m => d.modules.includes(m.name)))
  if (!division) {
    const unknown = e.modules.find(m => !divisions[0]!.modules.includes(m.name))! // else the first would do
    const near = nearest(unknown.name, divisions[0]!.modules)
    const fix = near ? `did you mean "${near}"?` : `its modules: ${divisions[0]!.modules.join(', ')}`
    throw faultAt(recipe.source, unknown.at, `${leader.architecture ?? leader.ref} has no module "${unknown.name}"`, fix)
  }
  const filled = new Set([...leader.tensors.keys()].map(name => division.of(name)))
  const missing = division.modules.find(name => filled.has(name) && !e.modules.some(m => m.name === name))
  if (missing === undefined) return division
  throw faultAt(recipe.source, e.at, `nothing is said of module ${missing} of ${leader.architecture ?? leader.ref}`, `add \`${missing}: {models: [{model: ${leader.ref}, …}]}\``)
}
