import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { findTensor } from '../checkpoint/find.ts'
import { MergeError } from '../errors.ts'
import { nearest } from '../recipe/locate.ts'
import type { Recipe } from '../recipe/recipe.ts'
import type { Wanted } from './lower.ts'

/** The error for a tensor that some of the models which should give it do not have. */
export function missingTensor(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, name: string, wanted: readonly Wanted[]): MergeError {
  const has = (w: Wanted): boolean => findTensor(checkpoints.get(w.model)!, w.name) !== null
  const spell = (w: Wanted): string => (w.name === name ? w.model : `${w.model} (as ${w.name})`)
  const without = wanted.filter(w => !has(w))
  const holders = wanted.some(has) ? wanted.filter(has).map(spell) : [...checkpoints].filter(([, c]) => c.tensors.has(name)).map(([model]) => model)
  const models = [...new Set(wanted.map(w => w.model))]
  const architectures = new Set(models.map(m => checkpoints.get(m)!.architecture))
  const reason = architectures.size > 1 ? ` (architectures: ${models.map(m => `${m} ${checkpoints.get(m)!.architecture ?? 'unknown'}`).join(', ')})` : ''
  const instead = without.flatMap(w => likeIn(checkpoints, w, wanted)).at(0)
  const where = holders.length > 0 ? `in ${holders.join(', ')}, but not in ` : 'not in '
  const fix = wanted.some(w => w.name !== name)
    ? 'these layers are not of one kind: choose ranges in which they are'
    : recipe.form === 'mergekit'
      ? 'merge models of one architecture, or write the recipe in Merganser’s own form, whose `rules:` say what becomes of such a tensor'
      : `say what becomes of it in \`rules:\`, e.g. \`- { tensors: '${name}', from: ${holders[0]} }\` or \`drop: true\``
  return new MergeError(`${name}: ${where}${without.map(spell).join(', ')}${instead ?? ''}${reason}`, { where: recipe.source.name, fix })
}

/** A tensor that a model may have in the place of the missing one: fused or split, it has a name of its own there. */
function likeIn(checkpoints: ReadonlyMap<string, Checkpoint>, { model, name }: Wanted, wanted: readonly Wanted[]): string[] {
  const holder = wanted.find(w => checkpoints.get(w.model)!.tensors.has(w.name))
  const parent = name.split('.').slice(0, -2).join('.')
  if (!holder || parent === '') return []
  const theirs = checkpoints.get(holder.model)!.tensors
  const only = [...checkpoints.get(model)!.tensors.keys()].filter(n => n.startsWith(`${parent}.`) && !theirs.has(n) && n.endsWith(name.slice(name.lastIndexOf('.'))))
  const like = nearest(name, only) ?? only[0]
  return like === undefined ? [] : [`, which has ${like}`]
}
