import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { COUNT_FIELDS, LISTS_BY_LAYER, LISTS_OF_INDICES, RULES_BY_INDEX } from '../checkpoint/families.ts'
import { isObject } from '../json.ts'
import type { JsonValue } from '../patch_json.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'
import { leading } from './donor.ts'
import { layerIn, layerName } from './layers.ts'
import type { Structure } from './structure.ts'

type Config = Readonly<Record<string, unknown>>

/** A layer of a model. */
interface Layer {
  readonly model: string
  readonly index: number
}

/** The fields of config.json that speak of layers, as they must be for those of the output; by the keys that lead to them with dots between. */
export function layerChanges(
  config: Config,
  recipe: Recipe,
  checkpoints: ReadonlyMap<string, Checkpoint>,
  donor: string,
  structure: Structure,
): { changes: Readonly<Record<string, JsonValue>>; notes: string[] } {
  const notes: string[] = []
  const changes: Record<string, JsonValue> = {}
  for (const [stack, was] of structure.isSliced(recipe.merge) ? checkpoints.get(donor)!.layers.stacks : []) {
    const layers = Array.from({ length: structure.countOf(recipe.merge, stack) }, (_, i) => originOf(recipe.merge, structure, stack, i))
    if (layers.length === was && layers.every(({ model, index }, i) => model === donor && index === i)) continue
    const path = countField(config, checkpoints.get(donor)!, stack, was)
    if (path === null) {
      notes.push(`config.json has no field that is known to count the layers of ${stack}: where it tells their number, ${was}, it must tell ${layers.length}`)
      continue
    }
    const parent = path.slice(0, -1)
    const own = objectAt(config, parent)!
    const change = (key: string, value: JsonValue): void => {
      changes[[...parent, key].join('.')] = value
    }
    change(path.at(-1)!, layers.length)
    for (const key of LISTS_BY_LAYER)
      if (listAt(own, key)?.length === was)
        change(
          key,
          layers.map(layer => entryOf(layer, parent, key, own)),
        )
    for (const key of LISTS_OF_INDICES)
      if (listAt(own, key))
        change(
          key,
          layers.flatMap((layer, i) => (listOf(layer, parent, key)?.includes(layer.index) ? [i] : [])),
        )
    const moved = layers.findIndex(({ index }, i) => index !== i)
    const rules = moved < 0 || listAt(own, 'layer_types') ? [] : RULES_BY_INDEX.filter(key => typeof own[key] === 'number' && own[key] > (key === 'first_k_dense_replace' ? 0 : 1))
    for (const key of rules) notes.push(`config.json's ${key} tells layers apart by their index, and layer ${moved} was layer ${layers[moved]!.index}: check that it still holds`)
  }
  return { changes, notes }

  function listOf({ model }: Layer, parent: readonly string[], key: string): readonly JsonValue[] | null {
    const theirs = objectAt(checkpoints.get(model)!.config ?? {}, parent)
    return theirs && listAt(theirs, key)
  }

  function entryOf(layer: Layer, parent: readonly string[], key: string, own: Config): JsonValue {
    return (listOf(layer, parent, key) ?? listAt(own, key))![layer.index] ?? null
  }
}

/** The layer of the leading model that layer `index` of the result comes from. */
function originOf(merge: Expression, structure: Structure, stack: string, index: number): Layer {
  let e = merge
  let place = structure.placeOf(e, layerName(stack, index, '.weight'))
  while (e.kind !== 'model') {
    const children = structure.childrenAt(e, place)
    const [child, at] = (children.length === 1 ? children : children.filter(([c]) => leading(c) === leading(e)))[0]! // what leads has a leader
    e = child
    place = at
  }
  return { model: e.model, index: layerIn(stack, place.name)?.index ?? index }
}

/** Where config.json tells how many layers a stack has. */
function countField(config: Config, { family, layers }: Checkpoint, stack: string, count: number): readonly string[] | null {
  const part = family?.parts.find(p => p.stacks.includes(stack))
  const known = part?.counts.map(field => field.split('.')).find(path => objectAt(config, path.slice(0, -1))?.[path.at(-1)!] === count)
  if (known) return known
  if (layers.stacks.size > 1) return null // one number would do for several
  const nested = Object.keys(config).filter(key => !key.includes('.') && objectAt(config, [key])) // dots part the keys of a change
  return (
    [[], ...nested.map(key => [key])].flatMap(parent => COUNT_FIELDS.map(field => [...parent, field])).find(path => objectAt(config, path.slice(0, -1))![path.at(-1)!] === count) ??
    null
  )
}

function objectAt(config: Config, path: readonly string[]): Config | null {
  let value: unknown = config
  for (const key of path) value = isObject(value) ? value[key] : null
  return isObject(value) ? value : null
}

const listAt = (config: Config, key: string): readonly JsonValue[] | null => (Array.isArray(config[key]) ? (config[key] as readonly JsonValue[]) : null) // it was read from JSON
