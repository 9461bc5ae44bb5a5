import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { embeddingOf, findTensor, isHead, isTied } from '../checkpoint/find.ts'
import { torchName } from '../dtype.ts'
import type { JsonValue } from '../patch_json.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { layerChanges } from './layer_fields.ts'
import type { Lowered, Lowering } from './lower.ts'
import type { OpenedModels } from './open_models.ts'
import { type Owner, vocabularyChanges } from './vocabulary_files.ts'

type Config = Readonly<Record<string, unknown>>

/** Values of config.json by the keys that lead to them with dots between, and what the user should know about them. */
interface Changes {
  readonly changes: Readonly<Record<string, JsonValue>>
  readonly notes: readonly string[]
}

/** What the config.json of `donor` must say anew: the layers, vocabulary, dtype and output head that the tensors really have. */
export function configChanges(recipe: Recipe, models: OpenedModels, donor: string, lowered: ReadonlyMap<string, Lowered>, { structure, matching }: Lowering): Changes {
  const checkpoint = models.get(donor)!
  const config = checkpoint.config!
  const parts = [
    layerChanges(config, recipe, models, donor, structure),
    matching ? vocabularyChanges('config.json', config, ownerOf(models, donor), matching.vocabulary) : croppedChanges(config, checkpoint, lowered),
    { changes: dtypeChanges(config, recipe), notes: [] },
    headChanges(checkpoint, models, lowered),
  ]
  return { changes: Object.assign({}, ...parts.map(part => part.changes)) as Changes['changes'], notes: parts.flatMap(part => part.notes) }
}

/** The model that ids of tokens in its configuration are to be understood by. */
export const ownerOf = (models: OpenedModels, name: string): Owner => ({
  tokenizer: models.tokenizers?.get(name) ?? null,
  rows: embeddingOf(models.get(name)!)?.shape[0] ?? null,
})

/** Embeddings that kept only the rows which all models have. */
function croppedChanges(config: Config, donor: Checkpoint, lowered: ReadonlyMap<string, Lowered>): Changes {
  const was = config['vocab_size']
  const rows = [...lowered].find(([name, { shape }]) => typeof was === 'number' && shape.length === 2 && donor.tensors.get(name)?.shape[0] === was && shape[0] !== was)?.[1]
    .shape[0]
  if (rows === undefined) return { changes: {}, notes: [] }
  return { changes: { vocab_size: rows }, notes: [`the vocabularies differ: embeddings keep the first ${rows} rows, and config.json's vocab_size goes from ${was} to ${rows}`] }
}

function dtypeChanges(config: Config, { output: { dtype } }: Recipe): Changes['changes'] {
  const keys = ['dtype', 'torch_dtype'].filter(key => key in config)
  return dtype ? Object.fromEntries((keys.length > 0 ? keys : ['torch_dtype']).map(key => [key, torchName(dtype)])) : {}
}

/** A head of its own, where the donor had its embedding for one. */
function headChanges(donor: Checkpoint, models: OpenedModels, lowered: ReadonlyMap<string, Lowered>): Changes {
  const head = isTied(donor) ? [...lowered.keys()].find(name => isHead(donor, name)) : undefined
  const found = head === undefined ? null : findTensor(donor, head)
  if (head === undefined || (found && found.as !== 'embedding' && [...models.values()].every(isTied))) return { changes: {}, notes: [] }
  return { changes: { tie_word_embeddings: false }, notes: [`the output has a head of its own, ${head}: config.json's tie_word_embeddings goes from true to false`] }
}
