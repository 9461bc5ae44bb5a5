import { type Checkpoint, type OpenOptions, readSidecar } from '../checkpoint/checkpoint.ts'
import { renameTensors } from '../checkpoint/renamed.ts'
import { openTokenizer, readTokenizer, type Tokenizer } from '../checkpoint/tokenizer.ts'
import { MergeError } from '../errors.ts'
import { faultAt, nearest } from '../recipe/locate.ts'
import type { ModelRef, Recipe } from '../recipe/recipe.ts'
import { referenceText } from '../recipe/references.ts'
import { wholeModels } from '../recipe/walk.ts'
import { chooseDonor } from './donor.ts'
import { locateModel, openDelta, openReference } from './open_reference.ts'

/** The models of a recipe by name, and what else the plan wants to know of them. */
export interface Models extends ReadonlyMap<string, Checkpoint> {
  /** Where the recipe speaks of tokens: of its models, and of a source that is none of them, by name; null where one has none. */
  readonly tokenizers: ReadonlyMap<string, Tokenizer | null>
  /** generation_config.json of the model that gives it, where its ids may move. */
  readonly generationText: string | null
}

/** Models opened by hand will do where the recipe does not speak of tokens. */
export type OpenedModels = ReadonlyMap<string, Checkpoint> & Partial<Pick<Models, 'tokenizers' | 'generationText'>>

/**
 * Opens every model of a recipe, from headers alone, and the tokenizers that it asks for. Relative paths are looked up in `from`, by default the working folder.
 *
 * @example
 * const recipe = parse('0.5*a + 0.5*b', { models: { a: 'zoo/text/code', b: 'zoo/text/math' } })
 * const checkpoints = await openModels(recipe)
 * console.log(checkpoints.get('a').tensors.size)
 */
export async function openModels(recipe: Recipe, options: OpenOptions = {}): Promise<Models> {
  const models = await openAll()
  const tokenizers = await Promise.all([
    ...tokenizersWanted(recipe).map(async name => [name, await readTokenizer(models.get(name)!)] as const),
    ...foreignSource(recipe).map(async ({ model, reference }) => [model, await at(reference, async () => openTokenizer(await locateModel(reference, options), options))] as const),
  ])
  const generationText = recipe.tokenizer ? await readSidecar(models.get(chooseDonor(recipe))!, 'generation_config.json') : null
  return Object.assign(models, { tokenizers: new Map(tokenizers), generationText })

  /** Adapters alone last, as they change the model that the merge builds on; all in the order of the recipe. */
  async function openAll(): Promise<Map<string, Checkpoint>> {
    const entries = Object.entries(recipe.models)
    const whole = await Promise.all(
      entries.map(async ([name, reference]) => [name, reference.isAdapter ? null : await at(reference, () => openReference(reference, recipe.form, options))] as const),
    )
    const base = whole.find(([name]) => name === chooseDonor(recipe))?.[1]
    const all = await Promise.all(
      whole.map(async ([name, model]): Promise<[string, Checkpoint]> => [name, model ?? (await at(recipe.models[name]!, () => openDelta(recipe.models[name]!, base!, options)))]), // a merge has mass 1, so it builds on a model
    )
    return new Map(all.map(([name, model]) => [name, renamed(recipe.models[name]!, model)]))

    /** An adapter alone goes by the names of the model that the merge builds on. */
    function renamed(reference: ModelRef, model: Checkpoint): Checkpoint {
      const rename = reference.rename ?? (reference.isAdapter ? recipe.models[chooseDonor(recipe)]!.rename : undefined)
      if (!rename) return model
      try {
        return renameTensors(model, rename)
      } catch (error) {
        if (!(error instanceof MergeError) || rename.at === null) throw error
        throw faultAt(recipe.source, rename.at, error.what, error.details.fix)
      }
    }
  }

  async function at<T>(reference: ModelRef, read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof MergeError) || error.details.where || reference.at === null) throw error
      const stage = nearest(referenceText(reference), recipe.stages)
      const fix = stage ? `did you mean "${stage}", the name of another document?` : error.details.fix
      throw faultAt(recipe.source, reference.at, error.what, fix) // an error about the path belongs to the line that names it
    }
  }
}

/** The models whose tokenizers take part in the choice of the vocabulary, or of the chat template. */
function tokenizersWanted(recipe: Recipe): readonly string[] {
  if (recipe.tokenizer || recipe.chatTemplate?.kind === 'auto') return wholeModels(recipe.models)
  return recipe.chatTemplate ? [recipe.output.tokenizerFrom ?? chooseDonor(recipe)] : []
}

/** The tokenizer's source where it is not merged. */
function foreignSource({ tokenizer, models }: Recipe): readonly { readonly model: string; readonly reference: ModelRef }[] {
  const source = tokenizer?.source
  return source?.kind === 'model' && !Object.hasOwn(models, source.model) ? [source] : []
}
