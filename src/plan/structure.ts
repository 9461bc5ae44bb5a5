import type { Checkpoint, LayerOf } from '../checkpoint/checkpoint.ts'
import type { Division } from '../checkpoint/divisions.ts'
import { findTensor, isHead } from '../checkpoint/find.ts'
import { assert } from '../errors.ts'
import { faultAt } from '../recipe/locate.ts'
import { positionOf } from '../recipe/parameters.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'
import { childrenOf, partsOf } from '../recipe/walk.ts'
import { leading } from './donor.ts'
import { chooseDivision, layerIn, layerName, onlyStack, spellLike, spellStack, stackCount } from './layers.ts'

/** What a part of an expression gives a tensor for. */
export interface Place {
  /** The tensor of the whole result, which filters of the whole merge see. */
  readonly output: string
  /** The tensor here. Inside a slice its layer counts from the slice's first. */
  readonly name: string
  /** For gradients: 0 at the first layer, 1 at the last. */
  readonly position: number
}

/** How the layers and modules of a merge are put together from those of the models. */
export interface Structure {
  /** The tensors of the result, in the order of the leading model. */
  namesOf(e: Expression): readonly string[]
  placeOf(e: Expression, name: string): Place
  /** The parts of `e` that a tensor comes from, and which of their tensors it is. */
  childrenAt(e: Expression, place: Place): readonly (readonly [Expression, Place])[]
  /** Layers of the result in the stack that is called `prefix`; 0 where there is none. */
  countOf(e: Expression, prefix: string): number
  /** The layer that a tensor is in, as the donor or else another model has it. */
  layerNamed(name: string): LayerOf | null
  /** Whether some layers are not where the models have them. */
  isSliced(e: Expression): boolean
}

type Kind<K extends Expression['kind']> = Extract<Expression, { kind: K }>
type Checkpoints = ReadonlyMap<string, Checkpoint>

/** Works out the structure of all expressions of a recipe. Throws at layers and modules that the models do not have. */
export function structureOf(recipe: Recipe, checkpoints: Checkpoints, donor: string): Structure {
  const divisions = new Map<Expression, Division>()
  const prefixes = new Map<Expression, string | null>() // of stacks, and of layers
  const counts = new Map<Expression, Map<string, number>>()
  const outlines = new Map<Expression, readonly string[]>()
  const sliced = new Map<Expression, boolean>()
  const shared = checkpoints.get(donor)!.family?.parts.flatMap(part => part.shared) ?? []
  for (const e of [recipe.merge, ...recipe.rules.flatMap(r => (r.action.kind === 'merge' ? [r.action.expression] : []))]) resolve(e, undefined)
  return { namesOf, placeOf, childrenAt, countOf, layerNamed, isSliced }

  /** `prefix`: of the layers of the module that `e` is; undefined where `e` stands for a whole model. */
  function resolve(e: Expression, prefix: string | null | undefined): void {
    if (prefixes.has(e) || divisions.has(e)) return
    switch (e.kind) {
      case 'modules': {
        const division = chooseDivision(recipe, leaderOf(e), e)
        divisions.set(e, division)
        for (const { name, expression } of e.modules) resolve(expression, division.stackOf(name))
        return
      }
      case 'stack':
      case 'layers': {
        const own = prefix === undefined ? spellStack(checkpoints.get(donor)!, leaderOf(e), onlyStack(recipe, leaderOf(e), e)) : prefix
        prefixes.set(e, own)
        for (const child of childrenOf(e)) resolve(child, e.kind === 'layers' ? undefined : own)
        if (e.kind === 'layers') checkRange(e, own)
        else if (own !== null && countOf(e, own) === 0) throw faultAt(recipe.source, e.at, 'the slices hold no layer', 'give at least one slice a range of layers, such as [0, 16]')
        return
      }
      case 'stage':
        resolve(e.of, undefined)
        return
      default:
        for (const child of childrenOf(e)) resolve(child, prefix)
        if (isSliced(e)) for (const stack of prefix === undefined ? leaderOf(e).layers.stacks.keys() : [prefix ?? []].flat()) checkLengths(e, stack)
    }
  }

  function checkRange(e: Kind<'layers'>, prefix: string | null): void {
    if (e.start === e.end) return
    const leader = leaderOf(e)
    const name = e.of.kind === 'stage' ? e.of.name : leader.ref
    if (prefix === null) {
      const fix =
        leader.layers.count === 0
          ? 'layers are told by names such as `model.layers.0.mlp…`; merge this model whole, with `models:`'
          : 'give this module `models:`, or a range of no layers such as [0, 0]'
      throw faultAt(recipe.source, e.at, `${name}: no layers are recognised here`, fix)
    }
    const count = countOf(e.of, prefix)
    if (e.end <= count) return
    const fix = e.start < count ? `layers are counted from 0 and the end is not included: [${e.start}, ${count}] reaches the last` : `the last layer is [${count - 1}, ${count}]`
    throw faultAt(recipe.source, e.at, `${name} has ${count} layer${count === 1 ? '' : 's'}, and [${e.start}, ${e.end}] goes beyond`, fix)
  }

  /** All that is merged layer by layer must have as many layers. */
  function checkLengths(e: Expression, prefix: string): void {
    const parts = childrenOf(e).filter(child => leading(child) !== null)
    const [first, ...rest] = parts.map(child => ({ child, count: countOf(child, prefix) }))
    const other = rest.find(({ count }) => count !== first!.count)
    if (!first || !other) return
    const spell = ({ child, count }: typeof first) => `${count} of ${child.kind === 'stage' ? child.name : leading(child)}`
    throw faultAt(recipe.source, e.at, `layers are merged one by one, and these are ${spell(first)}, but ${spell(other)}`, 'choose as many layers of each, with `slices:`')
  }

  function layerOf(prefix: string | null, name: string): ReturnType<typeof layerIn> {
    return shared.some(end => name.endsWith(end)) ? null : layerIn(prefix, name)
  }

  function leaderOf(e: Expression): Checkpoint {
    const leader = leading(e)
    assert(leader !== null, 'what has layers names a model')
    return checkpoints.get(leader)!
  }

  function countOf(e: Expression, prefix: string): number {
    const known = counts.get(e)?.get(prefix)
    if (known !== undefined) return known
    const count = countAnew(e, prefix)
    counts.set(e, (counts.get(e) ?? new Map<string, number>()).set(prefix, count))
    return count
  }

  function countAnew(e: Expression, prefix: string): number {
    switch (e.kind) {
      case 'model':
        return stackCount(checkpoints.get(e.model)!, prefix)
      case 'layers':
        return prefixes.get(e) === prefix ? e.end - e.start : countOf(e.of, prefix)
      case 'stack':
        return prefixes.get(e) === prefix ? e.slices.reduce((sum, slice) => sum + countOf(slice, prefix), 0) : countOf(e.slices[0]!, prefix)
      case 'modules': {
        const owner = e.modules.find(m => divisions.get(e)!.stackOf(m.name) === prefix)
        return owner ? countOf(owner.expression, prefix) : 0
      }
      default: {
        const child = childrenOf(e).find(c => leading(c) === leading(e) && leading(c) !== null)
        return child ? countOf(child, prefix) : 0
      }
    }
  }

  function namesOf(e: Expression): readonly string[] {
    const known = outlines.get(e) ?? [...new Set(outline(e))]
    outlines.set(e, known)
    return known
  }

  function outline(e: Expression): readonly string[] {
    switch (e.kind) {
      case 'model': {
        const own = checkpoints.get(e.model)!
        return [...own.tensors.keys()].map(name => spellLike(checkpoints.get(donor)!, own, name))
      }
      case 'layers': {
        const prefix = prefixes.get(e)!
        return namesOf(e.of).flatMap(name => {
          const layer = layerOf(prefix, name)
          if (!layer) return [name]
          return layer.index >= e.start && layer.index < e.end ? [layerName(prefix!, layer.index - e.start, layer.rest)] : []
        })
      }
      case 'stack':
        return outlineStack(e)
      case 'modules':
        return e.modules.flatMap(m => namesOf(m.expression).filter(name => divisions.get(e)!.of(name) === m.name))
      default:
        return childrenOf(e)
          .toSorted((a, b) => Number(leading(b) === leading(e)) - Number(leading(a) === leading(e)))
          .flatMap(child => namesOf(child))
    }
  }

  function outlineStack(e: Kind<'stack'>): readonly string[] {
    const prefix = prefixes.get(e) ?? null
    const leader = leaderOf(e)
    const outside = (slice: Expression, role: 'before' | 'after') =>
      namesOf(slice).filter(name => !layerOf(prefix, name) && (leader.layers.role(name) === 'after') === (role === 'after'))
    let first = 0
    const inside = e.slices.flatMap(slice => {
      const offset = first
      first += prefix === null ? 0 : countOf(slice, prefix)
      return namesOf(slice).flatMap(name => {
        const layer = layerOf(prefix, name)
        return layer ? [layerName(prefix!, layer.index + offset, layer.rest)] : []
      })
    })
    const afterLayers = e.after ?? e.slices.at(-1)!
    const last = checkpoints.get(leading(afterLayers)!)!
    // A head that only another slice has: the last one's tied embedding is written out in its place.
    const heads = e.slices.flatMap(slice => namesOf(slice).filter(name => isHead(leader, name) && findTensor(last, name) !== null))
    return [...outside(e.slices[0]!, 'before'), ...inside, ...outside(afterLayers, 'after'), ...heads]
  }

  function placeOf(e: Expression, name: string): Place {
    return { output: name, name, position: positionOf(layerAt(e, name)) }
  }

  function layerAt(e: Expression, name: string): LayerOf | null {
    const layer = layerNamed(name)
    return layer !== null && isSliced(e) ? { ...layer, count: countOf(e, layer.stack) || layer.count } : layer
  }

  function isSliced(e: Expression): boolean {
    const known = sliced.get(e) ?? partsOf(e).some(part => prefixes.has(part))
    sliced.set(e, known)
    return known
  }

  function layerNamed(name: string): LayerOf | null {
    const known = checkpoints.get(donor)!.layers.of(name)
    if (known) return known
    for (const { tensors, layers } of checkpoints.values()) {
      const layer = tensors.has(name) ? layers.of(name) : null
      if (layer) return layer
    }
    return null
  }

  function childrenAt(e: Expression, place: Place): readonly (readonly [Expression, Place])[] {
    switch (e.kind) {
      case 'stack':
        return [sliceAt(e, place)]
      case 'layers': {
        const prefix = prefixes.get(e)!
        const layer = layerOf(prefix, place.name)
        const name = layer ? layerName(prefix!, layer.index + e.start, layer.rest) : place.name
        return [[e.of, { output: name, name, position: layer ? positionOf({ index: layer.index + e.start, count: countOf(e.of, prefix!) }) : 0 }]]
      }
      case 'modules':
        return [[e.modules.find(m => m.name === divisions.get(e)!.of(place.name))!.expression, place]]
      case 'stage':
        return [[e.of, placeOf(e.of, place.name)]]
      default:
        return (e.kind === 'call' && e.base ? [e.base, ...e.arguments.map(a => a.expression)] : childrenOf(e)).map(child => [child, place])
    }
  }

  function sliceAt(e: Kind<'stack'>, place: Place): readonly [Expression, Place] {
    const prefix = prefixes.get(e) ?? null
    const layer = layerOf(prefix, place.name)
    if (!layer) return [leaderOf(e).layers.role(place.name) === 'after' ? (e.after ?? e.slices.at(-1)!) : e.slices[0]!, { ...place, position: 0 }]
    let index = layer.index
    for (const slice of e.slices) {
      const count = countOf(slice, prefix!)
      if (index < count) return [slice, { output: place.output, name: layerName(prefix!, index, layer.rest), position: positionOf({ index, count }) }]
      index -= count
    }
    throw new Error(`no slice holds ${place.name}`) // names come from the slices
  }
}
