import { addAdapter, deltaOf } from '../checkpoint/adapted.ts'
import { isAdapter, openAdapter } from '../checkpoint/adapter.ts'
import { type Checkpoint, exists, type OpenOptions, open } from '../checkpoint/checkpoint.ts'
import { findInHubCache, isHubName } from '../checkpoint/hub.ts'
import { isVector, openVector, vectorFor } from '../checkpoint/vector.ts'
import { MergeError } from '../errors.ts'
import type { ModelRef, Recipe } from '../recipe/recipe.ts'
import { referenceText } from '../recipe/references.ts'

/** The model that a reference leads to, with its adapter added if it names one. */
export async function openReference(reference: ModelRef, form: Recipe['form'], options: OpenOptions = {}): Promise<Checkpoint> {
  const path = await locateModel(reference, options)
  const { lora } = await readingOf(reference, options)
  const text = referenceText({ ...reference, text: lora ? null : reference.text, lora: null })
  if (await isAdapter(path, options)) {
    const fix =
      form === 'mergekit'
        ? `write it behind the model that it was trained on: \`path/to/model+${text}\``
        : `write it behind a model, \`path/to/model+${text}\`, or tell \`parse\` that it is a task vector: its \`adapters\`, which \`findAdapters\` finds`
    throw new MergeError(`${text} is an adapter, not a model`, { fix })
  }
  if (await isVector(path, options)) {
    const fix =
      form === 'mergekit'
        ? 'mergekit’s form knows no task vectors: write an expression, `base + 0.5*tau`'
        : 'tell `parse` that it is one: its `adapters`, which `findAdapters` finds'
    throw new MergeError(`${text} is a task vector, not a model`, { fix })
  }
  const base = { ...(await open(path, options)), ref: text } // the folder of a snapshot is this machine's own
  if (!lora) return base
  const adapter = await openAdapter(await locate(lora.path, lora.revision, options), options)
  return addAdapter(base, { ...adapter, ref: referenceText({ ...reference, text: null, ...lora, lora: null }) })
}

/** An adapter alone or a task vector, as what it adds to `base`. */
export async function openDelta(reference: ModelRef, base: Checkpoint, options: OpenOptions): Promise<Checkpoint> {
  const path = await locateModel(reference, options)
  if (await isVector(path, options)) return vectorFor({ ...(await openVector(path, options)), ref: referenceText(reference) }, base)
  return deltaOf({ ...(await openAdapter(path, options)), ref: referenceText(reference) }, base)
}

/**
 * The names of those models which are adapters alone, or extracted task vectors. Such a model is a task vector, which `parse` must be told, as it opens no folder.
 *
 * @example
 * const models = { base: 'zoo/text/base', math: 'zoo/text/math-lora' }
 * const adapters = await findAdapters(readReferences('base + 0.5*math', { models }))
 * const recipe = parse('base + 0.5*math', { models, adapters })
 * console.log(plan(recipe, await openModels(recipe)).tasks.length)
 */
export async function findAdapters(models: Recipe['models'], options: OpenOptions = {}): Promise<ReadonlySet<string>> {
  const leadsToOne = async (reference: ModelRef): Promise<boolean> => {
    if ((await readingOf(reference, options)).lora) return false
    const path = await locateModel(reference, options)
    return (await isAdapter(path, options)) || isVector(path, options)
  }
  const found = await Promise.all(Object.entries(models).map(async ([name, reference]) => ((await leadsToOne(reference).catch(() => false)) ? [name] : []))) // what fails here, openModels tells
  return new Set(found.flat())
}

/** The path of a model without its adapter. */
export async function locateModel(reference: ModelRef, options: OpenOptions = {}): Promise<string> {
  const { path, revision } = await readingOf(reference, options)
  return locate(path, revision, options)
}

/** A path that exists as it is written goes before revisions and adapters: `me@corp/a`, `c++/b`. */
async function readingOf(reference: ModelRef, options: OpenOptions): Promise<Pick<ModelRef, 'path' | 'revision' | 'lora'>> {
  const { text, revision, lora } = reference
  const isPlain = (revision !== null || lora !== null) && text !== null && (await exists(text, options))
  return isPlain ? { path: text, revision: null, lora: null } : reference
}

/** A path as it is, or where the local cache of the hub has a snapshot of what it names. */
async function locate(path: string, revision: string | null, options: OpenOptions): Promise<string> {
  if (await exists(path, options)) {
    if (revision !== null) throw new MergeError(`${path} is a local path, and has no revision ${revision}`, { fix: `write \`${path}\` alone` })
    return path
  }
  const snapshot = await findInHubCache(path, revision ?? undefined)
  if (snapshot !== null) return snapshot
  if (revision === null) return path // `open` tells what is wrong with it
  const whole = `no file or folder "${path}@${revision}"`
  if (!isHubName(path)) throw new MergeError(whole, { fix: 'check the path' })
  throw new MergeError(`${whole}, and revision ${revision} of ${path} is not in the local cache of the Hugging Face hub`, {
    fix: `run \`hf download ${path} --revision ${revision}\` first`,
  })
}
