import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { MergeError } from '../errors.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { modelsIn, partsOf } from '../recipe/walk.ts'
import { leading } from './donor.ts'

/** Sizes in config.json that tell two models apart at a glance, before their tensors do. */
const SIZES = ['hidden_size', 'n_embd', 'd_model'] as const

/** Refuses models of different make with one sentence, where comparing tensor by tensor would only name a symptom. */
export function checkCompatible(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>): void {
  const merged = [...new Set([leading(recipe.merge)!, ...modelsIn(recipe.merge)])] // a merge has mass 1, so it names a model
  const [first, ...rest] = merged.map(name => ({ name, checkpoint: checkpoints.get(name)! }))
  for (const other of rest) {
    const differing = difference(first!.checkpoint, other.checkpoint, recipe)
    if (!differing) continue
    const [what, a, b] = differing
    throw new MergeError(`${first!.name} and ${other.name} cannot be merged: ${what} ${a} against ${b}`, {
      where: recipe.source.name,
      fix: recipe.form === 'mergekit' ? 'merge fine-tunes of one base model' : 'merge fine-tunes of one base model, or say in `rules:` which tensors come from which model',
    })
  }
}

function difference(a: Checkpoint, b: Checkpoint, recipe: Recipe): readonly [string, unknown, unknown] | null {
  if (recipe.form === 'mergekit' && a.architecture && b.architecture && a.architecture !== b.architecture) return ['architecture', a.architecture, b.architecture]
  if (recipe.rules.length > 0) return null // rules may deal with what differs; tensors are compared one by one
  for (const key of SIZES) {
    const [x, y] = [a.config?.[key], b.config?.[key]]
    if (typeof x === 'number' && typeof y === 'number' && x !== y) return [key, x, y]
  }
  const isWhole = !partsOf(recipe.merge).some(e => e.kind === 'layers') // else ranges are compared, slice by slice
  return !isWhole || a.layers.count === b.layers.count ? null : ['number of layers', a.layers.count, b.layers.count]
}
