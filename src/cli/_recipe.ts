import { availableParallelism } from 'node:os'
import { folderOf, readText, statPath, workingFolder } from '../bytes/file.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { outputDType } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { type Comparison, compareModels, isUnsettled } from '../plan/comparison.ts'
import { openModels } from '../plan/open_models.ts'
import { findAdapters } from '../plan/open_reference.ts'
import { MAX_THREADS, type Plan, plan } from '../plan/plan.ts'
import { MIN_SHARD_BYTES } from '../recipe/fields.ts'
import { suggest } from '../recipe/locate.ts'
import { type ParseOptions, parse, readReferences } from '../recipe/parse.ts'
import { type Recipe, VOCABULARY_POLICIES, type VocabularyPolicy } from '../recipe/recipe.ts'
import { type Arguments, type Flag, readBytes, readCount, readSeed, UsageError } from './_command.ts'
import { harmless, plural } from './_text.ts'

/** Flags of every command that takes a recipe. */
export const RECIPE_FLAGS: Readonly<Record<string, Flag>> = {
  model: { doc: 'A model of an expression; once for each.', value: 'NAME=PATH', multiple: true },
  rename: { doc: 'What a model’s tensors are to be called (for an expression): docs/structure.md.', value: "NAME='{strip: language_model.}'", multiple: true },
  vocab: { doc: 'What becomes of different vocabularies (for an expression): skip, common or union.', value: 'common' },
  dtype: { doc: 'Dtype of the output (for an expression).', value: 'bf16' },
  'shard-size': { doc: 'Begin a new file after so many bytes (for an expression).', value: '5GB' },
  seed: { doc: 'Seed of random methods (for an expression).', value: 'N' },
  'no-card': { doc: 'Write no model card (README.md).' },
  threads: { doc: 'Worker threads. Default: one per processor.', value: 'N' },
  memory: { doc: 'Engine memory over all threads. Default: 256 MiB; Node itself takes about 100 MB more.', value: '256MiB' },
}

export interface Prepared {
  readonly recipe: Recipe
  readonly checkpoints: ReadonlyMap<string, Checkpoint>
  readonly plan: Plan
}

export interface Watch {
  /** Told before the plan is made. */
  readonly opened?: (checkpoints: Iterable<Checkpoint>, threads: number) => void
  /** Told before an error is thrown for tensors that the recipe does not settle. */
  readonly refused?: (comparison: Comparison) => void
}

const MAX_NOTES = 20 // a recipe of many rules may have a note for each

/** The notes of a plan for people. */
export function shownNotes(notes: readonly string[]): readonly string[] {
  const more = notes.length - MAX_NOTES
  return [...notes.slice(0, MAX_NOTES).map(note => harmless(note)), ...(more > 0 ? [`and ${plural(more, 'more note', 'more notes')}: \`merganser plan … --json\` lists all`] : [])]
}

/** From a recipe file or an expression on the command line to a plan: everything that reads headers only. */
export async function prepare(text: string, { values }: Arguments, watch: Watch = {}): Promise<Prepared> {
  const { recipe: source, options, folder } = await readRecipe(text, values)
  return prepareText(source, options, { values, from: [...new Set([workingFolder(), folder ?? workingFolder()])], ...watch })
}

interface Preparation extends Watch {
  readonly values: Arguments['values']
  /** Folders in which paths are looked up. */
  readonly from?: readonly string[]
}

/** As `prepare`, for the text of a recipe. */
export async function prepareText(text: string, options: ParseOptions, { values, from = [workingFolder()], opened, refused }: Preparation): Promise<Prepared> {
  const recipe = parse(text, { ...options, adapters: await findAdapters(readReferences(text, options), { from }) })
  const checkpoints = await openModels(recipe, { from })
  const resources = readResources(values)
  opened?.(checkpoints.values(), resources.threads)
  try {
    return { recipe, checkpoints, plan: plan(recipe, checkpoints, resources) }
  } catch (error) {
    if (!(error instanceof MergeError) || error.details.excerpt) throw error // what a line of the recipe is at fault for, no table mends
    const comparison = compareModels(recipe, checkpoints)
    if (!comparison?.lines.some(isUnsettled)) throw error
    if (!refused) throw new MergeError(error.what, { ...error.details, fix: `${error.details.fix}; \`merganser plan\` shows which tensors match, and what to write` })
    refused(comparison)
    throw error
  }
}

/** `--threads` and `--memory`. */
export function readResources(values: Arguments['values']): { readonly threads: number; readonly memory: number | undefined } {
  return {
    threads: values['threads'] === undefined ? availableParallelism() : Math.min(MAX_THREADS, readCount('threads', values['threads'] as string)),
    memory: values['memory'] === undefined ? undefined : readBytes('memory', values['memory'] as string),
  }
}

/** The text of a recipe file or of an expression, and what the flags say beside it. */
export async function readRecipe(text: string, values: Arguments['values']): Promise<{ recipe: string; options: ParseOptions; folder: string | null }> {
  const models = readModels(values)
  const rename = readFlags('rename', values['rename'], '{…}', "vlm='{strip: language_model.}'")
  const status = await statPath(text).catch(() => null) // an expression may be no possible path at all
  if (status && !status.isFolder) {
    // also a pipe: `<(…)`, /dev/stdin
    for (const flag of ['model', 'rename', 'vocab', 'dtype', 'shard-size', 'seed']) {
      if (values[flag] !== undefined) throw new UsageError(`--${flag} goes with an expression, but ${text} is a recipe file`, 'say it in the recipe instead')
    }
    return { recipe: await readText(text), options: { name: text, ...(values['no-card'] === true ? { output: { card: false } } : {}) }, folder: folderOf(text) }
  }
  if (status?.isFolder && Object.keys(models).length === 0)
    throw new UsageError(`${text} is a folder, not a recipe`, "give a recipe file, or an expression such as 'base + 0.5*(code - base)'")
  if (/\.(ya?ml|json)$/i.test(text) || (Object.keys(models).length === 0 && /[\\/]/.test(text) && !/[\s*+()]/.test(text))) {
    throw new MergeError(`${text}: no such recipe file`, { fix: 'check the path' })
  }
  const output = {
    ...(values['no-card'] === true ? { card: false } : {}),
    ...(values['dtype'] === undefined ? {} : { dtype: outputDType(values['dtype'] as string, { where: '--dtype' }) }),
    ...(values['shard-size'] === undefined ? {} : { shardSize: readShardSize(values['shard-size'] as string) }),
  }
  const vocab = values['vocab'] === undefined ? {} : { vocab: readPolicy(values['vocab'] as string) }
  const seed = values['seed'] === undefined ? {} : { seed: readSeed('seed', values['seed'] as string) }
  return { recipe: text, options: { name: 'expression', models, rename, output, ...seed, ...vocab }, folder: null }
}

function readPolicy(text: string): VocabularyPolicy {
  const policy = VOCABULARY_POLICIES.find(p => p === text)
  if (!policy) throw new UsageError(`--vocab "${text}" is no policy of vocabularies`, suggest(text, VOCABULARY_POLICIES, 'policies'))
  return policy
}

function readShardSize(text: string): number {
  const bytes = readBytes('shard-size', text)
  if (bytes < MIN_SHARD_BYTES) throw new UsageError(`--shard-size ${text} is too small`, 'write at least 1MB')
  return bytes
}

/** The models that `--model NAME=PATH` names. */
export const readModels = (values: Arguments['values']): Record<string, string> => readFlags('model', values['model'], 'PATH', 'base=models/llama')

/** The flags `--FLAG NAME=VALUE`, by name. */
export function readFlags(flag: string, given: Arguments['values'][string], value: string, example: string): Record<string, string> {
  const found = new Map<string, string>() // not an object: a name may be `__proto__`
  for (const text of (given as readonly string[] | undefined) ?? []) {
    const at = text.indexOf('=')
    if (at <= 0 || at === text.length - 1) throw new UsageError(`--${flag} "${text}" is not NAME=${value}`, `write e.g. --${flag} ${example}`)
    const name = text.slice(0, at)
    if (found.has(name)) throw new UsageError(`--${flag} ${name} is given twice`, flag === 'model' ? 'give each model a name of its own' : 'keep one of the two')
    found.set(name, text.slice(at + 1))
  }
  return Object.fromEntries(found)
}
