import { MergeError } from '../errors.ts'
import { show } from '../json.ts'
import { layersOf } from './architecture.ts'
import type { Checkpoint, CheckpointTensor } from './checkpoint.ts'
import type { Family } from './families.ts'
import { findTensor } from './find.ts'

/** The four steps of a renaming, taken in this order. Where `strip` is given, tensors without that beginning keep their names. */
export interface Renaming {
  readonly strip: string | null
  readonly regex: readonly { readonly from: string; readonly to: string }[]
  readonly layers: {
    readonly of: string | null
    readonly skip: readonly number[]
    readonly gaps: readonly number[]
    readonly map: readonly (readonly [number, number])[] | null
  } | null
  readonly add: string | null
}

/** Own name → name after the steps so far. */
type Names = Map<string, string>

/**
 * A model whose tensors have other names: the same bytes, told by what another model calls them. Layers that are left out of the count are called
 * `STACK.skipped.INDEX.…`. Throws where a step changes nothing, where two tensors would have one name, and for layers that are not there.
 */
export function renameTensors(checkpoint: Checkpoint, renaming: Renaming): Checkpoint {
  const { strip, add } = renaming
  const names: Names = new Map()
  for (const name of checkpoint.tensors.keys()) if (strip === null || name.startsWith(strip)) names.set(name, name.slice(strip?.length ?? 0))
  if (names.size === 0) throw new MergeError(`no tensor of ${checkpoint.ref} begins with ${show(strip ?? '')}`, { fix: `its names begin with ${beginnings(checkpoint)}` })
  for (const regex of renaming.regex) replace(checkpoint, names, regex)
  if (renaming.layers) countLayers(checkpoint, names, renaming.layers)
  for (const [own, name] of names) names.set(own, (add ?? '') + name)
  const tensors = new Map<string, CheckpointTensor>()
  const renamed = new Map<string, string>()
  for (const [own, tensor] of checkpoint.tensors) {
    const name = names.get(own) ?? own
    const other = renamed.get(name)
    if (name === '') throw new MergeError(`${own} of ${checkpoint.ref} would have no name`, { fix: 'strip or replace less' })
    if (other !== undefined) {
      throw new MergeError(`${show(other)} and ${show(own)} of ${checkpoint.ref} would both be called ${show(name)}`, {
        fix: 'let the patterns tell the two apart; `strip` renames only the tensors that begin with it',
      })
    }
    tensors.set(name, { ...tensor, name })
    renamed.set(name, own)
  }
  return { ...checkpoint, tensors, renamed, ...kindOf(checkpoint, renaming, renamed) }
}

const MAX_SHOWN = 6
const MAX_NAME = 500 // characters: no model comes near, and what a pattern takes grows with their third power

const beginnings = ({ tensors }: Checkpoint): string => {
  const first = [...new Set([...tensors.keys()].map(name => name.slice(0, name.indexOf('.') + 1) || name))]
  return `${first.slice(0, MAX_SHOWN).join(', ')}${first.length > MAX_SHOWN ? ', …' : ''}`
}

function replace({ ref }: Checkpoint, names: Names, { from, to }: Renaming['regex'][number]): void {
  const pattern = new RegExp(from, 'u')
  let count = 0
  for (const [own, name] of names) {
    if (name.length > MAX_NAME)
      throw new MergeError(`a tensor of ${ref} has a name of ${name.length} characters, and patterns are tried on ${MAX_NAME} at most`, { fix: 'use strip and add' })
    if (!pattern.test(name)) continue
    count++
    names.set(own, name.replace(pattern, to))
  }
  if (count === 0)
    throw new MergeError(`the pattern "${from}" matches no tensor of ${ref}`, { fix: `at this step they are called, for example, ${[...names.values()].slice(0, 2).join(', ')}` })
}

function countLayers({ ref }: Checkpoint, names: Names, layers: NonNullable<Renaming['layers']>): void {
  const { stacks } = layersOf(names.values())
  const all = [...stacks.keys()]
  if (all.length === 0) throw new MergeError(`no layers are recognised in ${ref}`, { fix: 'layers are told by names such as `model.layers.0.mlp…`; use `regex`' })
  if (layers.of !== null && !stacks.has(layers.of)) throw new MergeError(`${ref} has no layers called ${layers.of}`, { fix: `it has ${all.join(', ')}` })
  if (layers.of === null && all.length > 1)
    throw new MergeError(`the layers to rename are ambiguous: ${ref} has ${all.join(' and ')}`, { fix: `say which, e.g. \`layers: {of: ${all[0]}, …}\`` })
  const stack = layers.of ?? all[0]!
  const indices = newIndices(ref, stacks.get(stack)!, layers)
  for (const [own, name] of names) {
    if (!name.startsWith(`${stack}.`)) continue
    const [, index, rest] = /^(\d+)(\..*)?$/.exec(name.slice(stack.length + 1)) ?? []
    if (index === undefined) continue
    const place = indices.get(Number(index)) ?? `skipped.${index}`
    names.set(own, `${stack}.${place}${rest ?? ''}`)
  }
}

/** The new index of each of `count` layers; those left out of the count have none. */
function newIndices(ref: string, count: number, { skip, gaps, map }: NonNullable<Renaming['layers']>): ReadonlyMap<number, number> {
  const range = `its layers are 0 to ${count - 1}`
  const beyond = [...skip, ...(map ?? []).map(([own]) => own)].find(index => index >= count)
  if (beyond !== undefined) throw new MergeError(`${ref} has no layer ${beyond}`, { fix: range })
  if (map) return new Map(map)
  const left = Array.from({ length: count }, (_, index) => index).filter(index => !skip.includes(index))
  const total = left.length + gaps.length
  const outside = gaps.find(gap => gap >= total)
  if (outside !== undefined)
    throw new MergeError(`a gap at ${outside} lies beyond the layers of ${ref}`, {
      fix: `with the gaps its ${left.length} layers take indices 0 to ${total - 1}; leave this one out`,
    })
  const places = Array.from({ length: total }, (_, index) => index).filter(index => !gaps.includes(index))
  return new Map(left.map((own, i) => [own, places[i]!]))
}

/** Layers and family by the new names. */
function kindOf(checkpoint: Checkpoint, renaming: Renaming, renamed: ReadonlyMap<string, string>): Pick<Checkpoint, 'layers' | 'family'> {
  const byNames = layersOf(renamed.keys())
  const stacks = new Map<string, string>() // own → new
  for (const [name, own] of renamed) {
    const [before, after] = [checkpoint.layers.of(own)?.stack, byNames.of(name)?.stack]
    if (before !== undefined && after !== undefined) stacks.set(before, after)
  }
  const family = checkpoint.family && familyAfter(checkpoint, checkpoint.family, renaming, renamed, stacks)
  const counts = new Map([...stacks].map(([before, after]) => [after, checkpoint.layers.stacks.get(before)!]))
  return { layers: layersOf(renamed.keys(), family, stack => (renaming.layers ? undefined : counts.get(stack)) ?? Number.POSITIVE_INFINITY), family }
}

function familyAfter(checkpoint: Checkpoint, family: Family, { strip, regex, add }: Renaming, renamed: ReadonlyMap<string, string>, stacks: ReadonlyMap<string, string>): Family {
  const newName = new Map([...renamed].map(([name, own]) => [own, name]))
  const called = (name: string): string => newName.get(name) ?? beginning(name)
  const parts = family.parts.map(part => ({
    ...part,
    prefixes: part.prefixes.map(beginning),
    stacks: part.stacks.flatMap(stack => stacks.get(stack) ?? []),
    after: part.after.map(beginning),
  }))
  const embedding = family.embedding && (findTensor(checkpoint, family.embedding)?.tensor.name ?? family.embedding)
  return { ...family, prefix: null, parts, head: family.head && called(family.head), embedding: embedding && called(embedding) } // a tied head is none of the tensors

  function beginning(text: string): string {
    if (text === '' || (strip !== null && !text.startsWith(strip))) return text
    return (add ?? '') + regex.reduce((name, { from, to }) => name.replace(new RegExp(from, 'u'), to), text.slice(strip?.length ?? 0))
  }
}
