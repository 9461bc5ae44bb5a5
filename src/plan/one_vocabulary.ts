import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { tokenAxis } from '../checkpoint/find.ts'
import { MergeError } from '../errors.ts'
import type { Recipe } from '../recipe/recipe.ts'
import type { Lowered } from './lower.ts'

/** Refuses a model whose embedding and output head would count different tokens: slices can take the two from different models. */
export function checkVocabulary(recipe: Recipe, donor: Checkpoint, lowered: ReadonlyMap<string, Lowered>): void {
  const tables = [...lowered].filter(([name, { shape }]) => tokenAxis(donor, name) === 'rows' && shape.length === 2)
  const [first, ...rest] = tables
  const other = rest.find(([, { shape }]) => shape[0] !== first![1].shape[0])
  if (!first || !other) return
  const own = [first, other].map(([name]) => donor.tensors.get(name)?.shape[0])
  if (own[0] !== own[1]) return // the donor is made so
  const [[embedding, { shape: a, inputs: from }], [head, { shape: b, inputs: to }]] = [first, other]
  throw new MergeError(`${embedding} has ${a[0]} rows and ${head} ${b[0]}: they come from models of different vocabularies, ${from[0]?.model} and ${to[0]?.model}`, {
    where: recipe.source.name,
    fix:
      recipe.form === 'mergekit'
        ? 'let one model give both: begin and end with its layers, or with a range of none, such as `layer_range: [0, 0]`'
        : 'let one model give both, e.g. with a rule `from:` it',
  })
}
