import { MergeError } from '../errors.ts'
import { check, checkLet } from './check.ts'
import { parseExpression } from './expression.ts'
import { DEFAULT_SHARD_BYTES } from './fields.ts'
import { suggest } from './locate.ts'
import { own } from './lookup.ts'
import { unusedNotes } from './merganser.ts'
import { nameFault, scopeOf } from './names.ts'
import { placedAlone } from './placed.ts'
import type { Expression, ModelRef, Recipe, SourceText, VocabularyPolicy } from './recipe.ts'
import { referenceOf } from './references.ts'
import { type RenameOptions, readLoneRename } from './rename.ts'
import { requestOf } from './vocabulary.ts'
import { readYaml } from './yaml.ts'

export interface ParseOptions {
  /** What messages call the text: the file's name. */
  readonly name?: string
  /** Names to paths. With them the text is one expression, without them a YAML recipe. */
  readonly models?: Readonly<Record<string, string>>
  /** With `models`: how the tensors of some are to be called, by model; as `rename:` in a recipe, as text or as values. */
  readonly rename?: Readonly<Record<string, string | RenameOptions>>
  /** With `models`: what becomes of different vocabularies, as `vocab:` in a recipe. */
  readonly vocab?: VocabularyPolicy
  /** Taken instead of what the recipe says. */
  readonly output?: Partial<Recipe['output']>
  readonly seed?: number
  /** Asks for a task vector: an expression such as `math - base`, whose weights add up to 0. */
  readonly result?: 'vector'
  /** Names of models that are adapters alone, as `findAdapters` finds them: task vectors. */
  readonly adapters?: ReadonlySet<string>
}

/**
 * Reads a recipe: YAML in mergekit's or Merganser's form, or an expression when `models` are given.
 * Everything that can be known without opening a checkpoint is checked; throws a MergeError at the line and column at fault.
 *
 * @example
 * const recipe = parse('base + 0.5*(math - base)', { models: { base: 'models/base', math: 'models/math' } })
 * recipe.merge.kind // 'binary'
 */
export function parse(text: string, options: ParseOptions = {}): Recipe {
  const source = sourceOf(text, options)
  const { recipe, lets } = readAny(source, options)
  const models = recipe.form === 'mergekit' ? recipe.models : marked(recipe.models, options.adapters ?? new Set()) // mergekit knows adapters only beside a model
  const given: Recipe = {
    ...recipe,
    ...(options.result ? { result: options.result } : {}),
    models,
    output: { ...recipe.output, ...options.output },
    seed: options.seed ?? recipe.seed,
  }
  checkOptions(given)
  for (const expression of lets) checkLet(given, expression)
  return { ...given, notes: [...given.notes, ...check(given)] }
}

/**
 * The models of a recipe by name, before anything else of it is checked: where they are decides what they are (`findAdapters`).
 *
 * @example
 * readReferences('base + 0.5*math', { models: { base: 'models/base', math: 'adapters/math' } }).math.path // 'adapters/math'
 */
export function readReferences(text: string, options: Pick<ParseOptions, 'name' | 'models' | 'rename'> = {}): Recipe['models'] {
  return readAny(sourceOf(text, options), options).recipe.models
}

function sourceOf(text: string, { name, models }: ParseOptions): SourceText {
  return { name: name ?? (models ? 'expression' : 'recipe'), text: text.replace(/^\ufeff/, '') }
}

const readAny = (source: SourceText, { models, rename, vocab }: ParseOptions): { recipe: Recipe; lets: readonly Expression[] } =>
  models ? readExpression(source, models, rename ?? {}, vocab ?? null) : readYaml(source)

const marked = (models: Recipe['models'], adapters: ReadonlySet<string>): Recipe['models'] =>
  Object.fromEntries(Object.entries(models).map(([name, reference]) => [name, adapters.has(name) ? { ...reference, isAdapter: true } : reference]))

function readExpression(
  source: SourceText,
  paths: Readonly<Record<string, string>>,
  renames: NonNullable<ParseOptions['rename']>,
  vocab: VocabularyPolicy | null,
): { recipe: Recipe; lets: readonly Expression[] } {
  const models: Readonly<Record<string, ModelRef>> = Object.fromEntries(
    Object.entries(paths).map(([name, path]) => {
      const fault = nameFault(name)
      if (fault) throw new MergeError(fault.what, { fix: fault.fix })
      if (path.trim() === '') throw new MergeError(`model "${name}" has no path`, { fix: `give it as ${name}=path/to/model` })
      const rename = own(renames, name)
      return [name, { ...referenceOf(path, null), ...(rename === undefined ? {} : { rename: readLoneRename(`rename of ${name}`, rename) }) }]
    }),
  )
  const stranger = Object.keys(renames).find(name => !own(models, name))
  if (stranger !== undefined) throw new MergeError(`a rename of "${stranger}", which is no model`, { fix: suggest(stranger, Object.keys(models), 'models') })
  const merge = parseExpression(placedAlone(source), scopeOf(source, models, []))
  const output = { dtype: null, shardSize: DEFAULT_SHARD_BYTES, configFrom: null, tokenizerFrom: null }
  const notes = unusedNotes(models, merge, [], output, null)
  const vocabularies = vocab ? requestOf({ policy: vocab, tokens: {}, at: merge.at }) : { vocabulary: null, tokenizer: null }
  return { recipe: { form: 'expression', source, models, merge, rules: [], stages: [], output, ...vocabularies, chatTemplate: null, seed: 0, notes }, lets: [] }
}

function checkOptions({ models, output, seed }: Recipe): void {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new MergeError(`the seed is ${seed}`, { fix: 'give a whole number from 0 to 2^53 - 1' })
  for (const donor of [output.configFrom, output.tokenizerFrom]) {
    if (donor !== null && !own(models, donor)) throw new MergeError(`unknown model "${donor}"`, { fix: `models: ${Object.keys(models).join(', ')}` })
  }
}
