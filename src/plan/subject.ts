import { addAdapter } from '../checkpoint/adapted.ts'
import { type Adapter, isAdapter, openAdapter } from '../checkpoint/adapter.ts'
import type { Checkpoint, OpenOptions } from '../checkpoint/checkpoint.ts'
import { isVector, openVector, vectorBase, vectorFor } from '../checkpoint/vector.ts'
import { MergeError } from '../errors.ts'
import { parse } from '../recipe/parse.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { referenceOf, referenceText } from '../recipe/references.ts'
import { joinAdapters, onShell } from './joined.ts'
import type { OpenedModels } from './open_models.ts'
import { locateModel, openReference } from './open_reference.ts'

/** A task vector to be looked at: what gives its tensors, and where they come from. */
export interface Subject {
  readonly kind: 'task vector' | 'adapter' | 'fine-tune'
  readonly ref: string
  /** The base as it is known: opened, or only called so. */
  readonly base: string | null
  readonly recipe: Recipe
  readonly checkpoints: OpenedModels
  /** Where the tensors are products of its factors; null for DoRA, too, whose rows are brought to lengths. */
  readonly factors: Adapter | null
}

/** Opens a task vector, an adapter, or with its base a fine-tune. Throws where it does not belong to the base, and where it cannot be without one. */
export async function openSubject(ref: string, baseRef: string | null, options: OpenOptions = {}): Promise<Subject> {
  const reference = referenceOf(ref, null)
  const base = baseRef === null ? null : await openReference(referenceOf(baseRef, null), 'expression', options)
  const path = await locateModel(reference, options)
  const text = referenceText(reference)
  if (reference.lora === null && (await isVector(path, options))) {
    const opened = { ...(await openVector(path, options)), ref: text }
    const vector = base ? await vectorFor(opened, base) : opened
    return { kind: 'task vector', ref: text, base: baseRef ?? vectorBase(opened), ...alone(text, vector), factors: null }
  }
  if (reference.lora === null && (await isAdapter(path, options))) {
    const adapter = { ...(await openAdapter(path, options)), ref: text }
    const { baseName, useDora } = adapter.config
    const factors = useDora ? null : adapter
    if (base) return { kind: 'adapter', ref: text, base: baseRef, ...difference(text, await addAdapter(base, adapter), base), factors }
    if (useDora) throw new MergeError('what an adapter of DoRA adds depends on the weights of its model', { where: text, fix: withBase(text, baseName) })
    if (adapter.saved.size > 0) {
      const first = [...adapter.saved.values()][0]!
      throw new MergeError(`${first.name} is a whole tensor, whose difference is not known without the model`, { where: text, fix: withBase(text, baseName) })
    }
    const modules = joinAdapters(new Map([[text, adapter]]))
    const deltas = await onShell(new Map([[text, adapter]]), modules)
    return { kind: 'adapter', ref: text, base: baseName, ...alone(text, deltas.get(text)!), factors }
  }
  if (!base) throw new MergeError(`${text} is a model, and no task vector`, { fix: withBase(text, null) })
  return { kind: 'fine-tune', ref: text, base: baseRef, ...difference(text, await openReference(reference, 'expression', options), base), factors: null }
}

const withBase = (ref: string, name: string | null): string =>
  `write \`merganser vector info ${ref} --base BASE\`, with the model that was fine-tuned${name === null ? '' : ` (${name})`}`

function alone(ref: string, tau: Checkpoint): Pick<Subject, 'recipe' | 'checkpoints'> {
  const recipe = parse('tau', { models: { tau: ref }, adapters: new Set(['tau']), result: 'vector', output: { dtype: 'F32' } })
  return { recipe, checkpoints: new Map([['tau', tau]]) }
}

function difference(ref: string, tuned: Checkpoint, base: Checkpoint): Pick<Subject, 'recipe' | 'checkpoints'> {
  const recipe = parse('tuned - base', { models: { base: base.ref, tuned: ref }, result: 'vector', output: { dtype: 'F32', configFrom: 'base' } })
  return { recipe, checkpoints: new Map(Object.entries({ base, tuned })) }
}
