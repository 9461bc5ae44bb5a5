import { isEverywhere, isWhole } from '../algebra/ops.ts'
import { Tensor } from '../algebra/tensor.ts'
import { findTensor } from '../checkpoint/find.ts'
import { isFloat, sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { chooseDonor } from '../plan/donor.ts'
import { createLowering, type Input, type Lowering } from '../plan/lower.ts'
import type { OpenedModels } from '../plan/open_models.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { modelsIn, partsOf } from '../recipe/walk.ts'
import type { TaskView } from './measures/measure.ts'

/** A tensor that the base and at least one task have alike, as measures see it. */
export interface Subject {
  readonly name: string
  readonly shape: readonly number[]
  readonly base: Tensor
  readonly inputs: readonly Input[]
  /** By task, those that have the tensor. */
  readonly tasks: ReadonlyMap<string, TaskView>
}

/** What is compared, and what is not, in words. */
export interface Subjects {
  readonly base: string
  readonly tasks: readonly string[]
  readonly tensors: readonly Subject[]
  readonly leftOut: readonly string[]
}

/** The base of a recipe: what a call names as its base, or what other models are subtracted from; null where no model is. */
export function baseOf(recipe: Recipe): string | null {
  const found = chooseDonor({ ...recipe, output: { ...recipe.output, configFrom: null } })
  const rules = recipe.rules.flatMap(({ action }) => (action.kind === 'merge' ? [action.expression] : []))
  const isBase = [recipe.merge, ...rules].flatMap(partsOf).some(part => {
    if (part.kind === 'call') return part.base !== null && modelsIn(part.base).has(found)
    return part.kind === 'binary' && part.op === '-' && modelsIn(part.right).has(found)
  })
  return isBase || Object.values(recipe.models).some(model => model.isAdapter) ? found : null
}

/** Pairs up the tensors of the models with those of the base. Reads nothing. Throws MergeError when there is nothing to compare. */
export function subjectsOf(recipe: Recipe, models: OpenedModels, base: string): Subjects {
  const tasks = [...models.keys()].filter(model => model !== base)
  if (tasks.length === 0) throw new MergeError('there is no model beside the base to diagnose', { where: recipe.source.name, fix: 'name at least one fine-tuned model' })
  const leftOut = new Map<string, number>()
  const leave = (why: string): void => void leftOut.set(why, (leftOut.get(why) ?? 0) + 1)
  const changeOf = createChanges(recipe, models, leave)
  const tensors: Subject[] = []
  for (const [name, entry] of models.get(base)!.tensors) {
    if (!isFloat(entry.dtype)) {
      leave('tensors of whole numbers, which have no task vector')
      continue
    }
    if (sizeOf(entry.shape) === 0) continue
    const shape = entry.shape.length === 0 ? [1] : entry.shape
    const { inputs, change } = changeOf(name)
    const read = (model: string, tensor: string): Tensor => {
      const known = inputs.findIndex(i => i.model === model && i.tensor === tensor)
      return Tensor.source(known >= 0 ? known : inputs.push({ model, tensor }) - 1, shape)
    }
    const own = read(base, name)
    const delta = change && (recipe.result === 'vector' ? change : change.sub(own))
    const views = tasks.flatMap((task): [string, TaskView][] => {
      const found = findTensor(models.get(task)!, name)
      if (!found || found.as === 'embedding' || !isFloat(found.tensor.dtype) || `${found.tensor.shape}` !== `${entry.shape}`) {
        leave(`tensors of the base that ${task} has not in the same shape`)
        return []
      }
      const tensor = read(task, found.tensor.name)
      const isVector = recipe.models[task]?.isAdapter === true
      const both = isVector ? { model: own.add(tensor), delta: tensor } : { model: tensor, delta: tensor.sub(own) }
      return [[task, { base: own, ...both, change: delta, shape, random: label => Tensor.random(label, shape) }]]
    })
    if (views.length > 0) tensors.push({ name, shape, base: own, inputs, tasks: new Map(views) })
  }
  if (tensors.length === 0) {
    throw new MergeError(`no tensor of ${base} is in ${tasks.join(' or ')} under the same name and in the same shape`, {
      where: recipe.source.name,
      fix: '`merganser plan` shows which tensors match, and what to write',
    })
  }
  return { base, tasks, tensors, leftOut: [...leftOut].map(([why, count]) => `${count} ${why}`) }
}

/** What the recipe makes of each tensor of its base, where that is a formula which streams. */
function createChanges(recipe: Recipe, models: OpenedModels, leave: (why: string) => void): (name: string) => { inputs: Input[]; change: Tensor | null } {
  const lowering = createLowering(recipe, new Map(models), chooseDonor(recipe))
  const names = new Set(lowering.names)
  return name => {
    const why = obstacle(lowering, names, name)
    if (why !== null) {
      leave(`tensors for which the damage of the recipe is not known: ${why}`)
      return { inputs: [], change: null }
    }
    const { root, inputs } = lowering.lower(name)!
    return { inputs: [...inputs], change: root }
  }

  function obstacle({ structure }: Lowering, known: ReadonlySet<string>, name: string): string | null {
    if (structure.isSliced(recipe.merge)) return 'the recipe puts layers together'
    if (!known.has(name)) return 'the output has none of the name'
    const lowered = lowering.lower(name)
    if (!lowered) return 'a rule drops them'
    if (lowered.matched) return 'their rows are merged by token'
    if (uses(lowered.root, isWhole)) return 'the method works on whole matrices'
    return uses(lowered.root, isEverywhere) ? 'the method looks at the whole model first' : null
  }
}

function uses(t: Tensor, what: (op: Tensor['op']) => boolean, seen = new Set<Tensor>()): boolean {
  if (seen.has(t)) return false
  seen.add(t)
  return what(t.op) || t.inputs.some(i => uses(i, what, seen))
}
