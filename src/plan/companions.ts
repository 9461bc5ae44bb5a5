import { VECTOR_STEM } from '../checkpoint/vector.ts'
import { assert, MergeError } from '../errors.ts'
import { parseJsonFile } from '../json.ts'
import { patchJson } from '../patch_json.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { CARD, cardOf } from './card.ts'
import { configChanges, ownerOf } from './config_changes.ts'
import type { Lowered, Lowering } from './lower.ts'
import type { OpenedModels } from './open_models.ts'
import type { VocabularyPlan } from './vocabulary.ts'
import { planTokenizerFiles, type VocabularyFiles, vocabularyChanges } from './vocabulary_files.ts'

/** A file of the output beside its tensors: copied from an input, or written out. */
export type Companion = { readonly name: string; readonly size: number } & ({ readonly path: string } | { readonly text: string })

const GENERATION = 'generation_config.json'

/** Config, tokenizer, custom code and index of the output, and what the user should know about them. */
export function companionsOf(
  recipe: Recipe,
  models: OpenedModels,
  donor: string,
  lowered: ReadonlyMap<string, Lowered>,
  index: string | null,
  lowering: Lowering,
): { files: Companion[]; notes: string[] } {
  const files: Companion[] = []
  const notes: string[] = []
  if (recipe.result === 'vector') return { files: index ? [written(`${VECTOR_STEM}.safetensors.index.json`, index)] : [], notes } // what is no model should not look like one
  const { config, configText, sidecars, ref } = models.get(donor)!
  const vocabulary = lowering.matching?.vocabulary ?? null
  if (config && configText !== null) {
    const { changes, notes: found } = configChanges(recipe, models, donor, lowered, lowering)
    notes.push(...found)
    files.push(written('config.json', patchJson(configText, changes)))
  }
  for (const sidecar of sidecars) if (sidecar.role !== 'tokenizer') files.push((sidecar.name === GENERATION && generation()) || copied(sidecar))
  const tokenizerDonor = recipe.output.tokenizerFrom ?? donor
  const tokenizer = tokenizerFilesOf(recipe, models, tokenizerDonor, vocabulary)
  notes.push(...tokenizer.notes)
  files.push(...tokenizer.files.map(file => ('text' in file ? written(file.name, file.text) : copied(file))))
  if (recipe.form !== 'mergekit' && recipe.output.tokenizerFrom && !files.some(f => f.name.startsWith('tokenizer'))) {
    throw new MergeError(`${recipe.output.tokenizerFrom} has no tokenizer files`, {
      where: `${recipe.source.name}: output.tokenizer_from`,
      fix: 'name a model that has a tokenizer.json or tokenizer.model',
    })
  }
  if (index) files.push(written('model.safetensors.index.json', index))
  if (recipe.output.card !== false) files.push(written(CARD, cardOf(recipe, models, donor)))
  return { files, notes }

  /** generation_config.json with the ids of tokens that have moved; null where none has. */
  function generation(): Companion | null {
    const text = models.generationText
    if (!vocabulary || !text) return null
    const json = parseJsonFile(`${ref}/${GENERATION}`, text, 'correct the file, or take it anew from the model’s source')
    const { changes, notes: found } = vocabularyChanges(GENERATION, json, ownerOf(models, donor), vocabulary)
    notes.push(...found)
    return Object.keys(changes).length > 0 ? written(GENERATION, patchJson(text, changes)) : null
  }
}

/** The tokenizer's files: a model's as they are, unless the recipe speaks of tokens. */
function tokenizerFilesOf({ source, chatTemplate, models: named }: Recipe, models: OpenedModels, donor: string, vocabulary: VocabularyPlan | null): VocabularyFiles {
  if (!vocabulary && !chatTemplate) return { files: models.get(donor)!.sidecars.filter(({ role }) => role === 'tokenizer'), notes: [] }
  const { tokenizers } = models
  assert(tokenizers, 'the tokenizers were opened before planning, by openModels')
  const [first = null, ...others] = [donor, ...Object.keys(named).filter(name => name !== donor)].map(name => tokenizers.get(name) ?? null)
  return planTokenizerFiles(source, chatTemplate, vocabulary, first, [first, ...others])
}

const written = (name: string, text: string): Companion => ({ name, text, size: new TextEncoder().encode(text).length })
const copied = ({ name, path, size }: { readonly name: string; readonly path: string; readonly size: number }): Companion => ({ name, path, size })
