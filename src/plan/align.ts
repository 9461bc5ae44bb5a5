import { layersOf } from '../checkpoint/architecture.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { type Renaming, renameTensors } from '../checkpoint/renamed.ts'
import { MergeError } from '../errors.ts'

/** How a model could be renamed to meet another; several where they would serve alike. */
export interface Alignment {
  readonly renamings: readonly Renaming[]
  /** Tensors that meet then, and that met before. */
  readonly matched: number
  readonly before: number
}

type Shapes = ReadonlyMap<string, readonly number[]>

const MAX_TRIED = 24 // beginnings; the right one is among those that most tensors suggest

/**
 * The renaming under which most tensors of `other` meet those of `lead`: another beginning, layers counted anew where some have no partner, or
 * both. Null where nothing is gained.
 */
export function align(lead: Checkpoint, other: Checkpoint): Alignment | null {
  const [theirs, own] = [shapesOf(lead), shapesOf(other)]
  const before = countMet(theirs, own)
  const tried = suggestBeginnings(theirs, own).flatMap(({ strip, add }) => {
    const renaming: Renaming = { strip: strip || null, regex: [], layers: null, add: add || null }
    const plain = strip || add ? tryRenaming(other, renaming) : other
    const layers = plain && alignLayers(theirs, shapesOf(plain))
    const whole = { ...renaming, layers }
    const view = layers ? tryRenaming(other, whole) : plain
    return view ? [{ renaming: whole, matched: countMet(theirs, shapesOf(view)) }] : []
  })
  const matched = tried.reduce((most, t) => Math.max(most, t.matched), 0)
  if (matched <= before) return null
  const best = tried.filter(t => t.matched === matched).map(t => t.renaming)
  return { renamings: best.filter((renaming, i) => best.findIndex(b => JSON.stringify(b) === JSON.stringify(renaming)) === i), matched, before }
}

const shapesOf = ({ tensors }: Checkpoint): Shapes => new Map([...tensors.values()].map(({ name, shape }) => [name, shape]))

/** Tensors that meet: of one shape, or tables of one width. */
const countMet = (theirs: Shapes, own: Shapes): number => [...own].reduce((n, [name, shape]) => n + (theirs.has(name) && fits(theirs.get(name)!, shape) ? 1 : 0), 0)
const fits = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && (a.length === 1 ? a[0] === b[0] : `${a.slice(1)}` === `${b.slice(1)}`)

function tryRenaming(checkpoint: Checkpoint, renaming: Renaming): Checkpoint | null {
  try {
    return renameTensors(checkpoint, renaming)
  } catch (error) {
    if (error instanceof MergeError) return null // a suggestion that collides is none
    throw error
  }
}

/** Beginnings to take away and to put in front, those that most tensors suggest first; names are compared without their layer. */
function suggestBeginnings(theirs: Shapes, own: Shapes): readonly { readonly strip: string; readonly add: string }[] {
  const heads = new Map<string, Set<string>>() // end of a name → what stands before it
  for (const name of new Set([...theirs.keys()].map(plain))) for (const { head, tail } of cuts(name)) heads.set(tail, (heads.get(tail) ?? new Set<string>()).add(head))
  const votes = new Map<string, number>()
  for (const name of own.keys()) {
    for (const { head: strip, tail } of cuts(plain(name))) {
      for (const add of heads.get(tail) ?? []) {
        if (lastOf(strip) === lastOf(add) && strip !== '') continue // a longer end is shared
        const key = JSON.stringify([strip, add])
        votes.set(key, (votes.get(key) ?? 0) + 1)
      }
    }
  }
  const found = [...votes].toSorted((a, b) => b[1] - a[1]).slice(0, MAX_TRIED)
  const pairs = found.map(([key]) => JSON.parse(key) as [string, string]).filter(pair => !pair.some(head => head.includes('#'))) // just made of two strings
  return [['', ''] as const, ...pairs].map(([strip, add]) => ({ strip, add }))
}

/** A name with its numbers as `#`. */
const plain = (name: string): string => name.replace(/(?<=^|\.)\d+(?=\.|$)/g, '#')
const lastOf = (head: string): string => head.slice(head.lastIndexOf('.', head.length - 2) + 1)

/** Every way to cut a name between two segments, the longest end first. */
function cuts(name: string): readonly { readonly head: string; readonly tail: string }[] {
  const segments = name.split('.')
  return segments.map((_, i) => ({
    head: segments
      .slice(0, i)
      .map(segment => `${segment}.`)
      .join(''),
    tail: segments.slice(i).join('.'),
  }))
}

/** New indices where one model has layers that the other lacks, between the others; null where none are needed, or they cannot be told apart. */
function alignLayers(theirs: Shapes, own: Shapes): Renaming['layers'] {
  const [lead, other] = [kindsOfLayers(theirs), kindsOfLayers(own)]
  for (const [stack, kinds] of other) {
    const wanted = lead.get(stack)
    if (!wanted || wanted.length === kinds.length) continue
    const of = other.size > 1 ? stack : null
    const [short, long] = kinds.length < wanted.length ? [kinds, wanted] : [wanted, kinds]
    const extra = onlyExtra(short, long)
    if (extra) return { of, skip: kinds === long ? extra : [], gaps: kinds === short ? extra : [], map: null }
  }
  return null
}

/** For each stack what its layers hold: names and shapes. */
function kindsOfLayers(shapes: Shapes): ReadonlyMap<string, readonly string[]> {
  const layers = layersOf(shapes.keys())
  const parts = new Map([...layers.stacks].map(([stack, count]) => [stack, Array.from({ length: count }, (): string[] => [])]))
  for (const [name, shape] of shapes) {
    const layer = layers.of(name)
    if (layer) parts.get(layer.stack)![layer.index]!.push(`${name.slice(`${layer.stack}.${layer.index}`.length)} ${shape}`)
  }
  return new Map([...parts].map(([stack, all]) => [stack, all.map(part => part.toSorted().join('\n'))]))
}

/** The indices of `long` that are left when `short` is found in it in order; null unless there is exactly one way to find it. */
function onlyExtra(short: readonly string[], long: readonly string[]): readonly number[] | null {
  const forwards = embed(short, long)
  const backwards = embed(short.toReversed(), long.toReversed())
    ?.map(index => long.length - 1 - index)
    .reverse()
  if (!forwards || `${forwards}` !== `${backwards}`) return null // as early and as late as can be are the same place: there is no other
  return long.map((_, index) => index).filter(index => !forwards.includes(index))
}

/** The places of `short` in `long`, each as early as can be. */
function embed(short: readonly string[], long: readonly string[]): readonly number[] | null {
  const places: number[] = []
  for (const kind of short) {
    const at = long.indexOf(kind, (places.at(-1) ?? -1) + 1)
    if (at < 0) return null
    places.push(at)
  }
  return places
}
