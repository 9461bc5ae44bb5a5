import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { findTensor, isHead, isTied } from '../checkpoint/find.ts'
import { torchName } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { type JsonValue, patchJson } from '../patch_json.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { layerChanges } from './layer_fields.ts'
import type { Lowered } from './lower.ts'
import type { Structure } from './structure.ts'

/** A file of the output beside its tensors: copied from an input, or written out. */
export type Companion = { readonly name: string; readonly size: number } & ({ readonly path: string } | { readonly text: string })

/** Config, tokenizer, custom code and index of the output, and what the user should know about them. */
export function companionsOf(
  recipe: Recipe,
  checkpoints: ReadonlyMap<string, Checkpoint>,
  donor: string,
  lowered: ReadonlyMap<string, Lowered>,
  index: string | null,
  structure: Structure,
): { files: Companion[]; notes: string[] } {
  const files: Companion[] = []
  const notes: string[] = []
  const tokenizerDonor = recipe.output.tokenizerFrom ?? donor
  const { config, configText } = checkpoints.get(donor)!
  if (config && configText !== null) {
    const layers = layerChanges(config, recipe, checkpoints, donor, structure)
    const { changes, notes: found } = changesOf(config, recipe, checkpoints, donor, lowered)
    notes.push(...layers.notes, ...found)
    files.push(written('config.json', patchJson(configText, { ...layers.changes, ...changes })))
  }
  for (const sidecar of checkpoints.get(donor)!.sidecars) if (sidecar.role !== 'tokenizer') files.push(sidecar)
  for (const sidecar of checkpoints.get(tokenizerDonor)!.sidecars) if (sidecar.role === 'tokenizer') files.push(sidecar)
  if (recipe.form !== 'mergekit' && recipe.output.tokenizerFrom && !files.some(f => f.name.startsWith('tokenizer'))) {
    throw new MergeError(`${recipe.output.tokenizerFrom} has no tokenizer files`, {
      where: `${recipe.source.name}: output.tokenizer_from`,
      fix: 'name a model that has a tokenizer.json or tokenizer.model',
    })
  }
  if (index) files.push(written('model.safetensors.index.json', index))
  return {
    files: files.map(({ name, size, ...rest }) => ('text' in rest ? { name, size, text: rest.text as string } : { name, size, path: (rest as { path: string }).path })),
    notes,
  }
}

const written = (name: string, text: string): Companion => ({ name, text, size: new TextEncoder().encode(text).length })

/** What config.json must say anew: the dtype, vocabulary and output head that the tensors really have. */
function changesOf(
  config: Readonly<Record<string, unknown>>,
  recipe: Recipe,
  checkpoints: ReadonlyMap<string, Checkpoint>,
  donorName: string,
  lowered: ReadonlyMap<string, Lowered>,
): { changes: Readonly<Record<string, JsonValue>>; notes: string[] } {
  const donor = checkpoints.get(donorName)!
  const { dtype } = recipe.output
  const dtypeKeys = ['dtype', 'torch_dtype'].filter(key => key in config)
  const changes: Record<string, JsonValue> = dtype ? Object.fromEntries((dtypeKeys.length > 0 ? dtypeKeys : ['torch_dtype']).map(key => [key, torchName(dtype)])) : {}
  const notes: string[] = []
  const was = config['vocab_size']
  const rows = [...lowered].find(([name, { shape }]) => typeof was === 'number' && shape.length === 2 && donor.tensors.get(name)?.shape[0] === was && shape[0] !== was)?.[1]
    .shape[0]
  if (rows !== undefined) {
    changes['vocab_size'] = rows
    notes.push(`the vocabularies differ: embeddings keep the first ${rows} rows, and config.json's vocab_size goes from ${was} to ${rows}`)
  }
  const head = isTied(donor) ? [...lowered.keys()].find(name => isHead(donor, name)) : undefined
  if (head !== undefined && (!findTensor(donor, head) || findTensor(donor, head)!.as === 'embedding' || [...checkpoints.values()].some(c => !isTied(c)))) {
    changes['tie_word_embeddings'] = false
    notes.push(`the output has a head of its own, ${head}: config.json's tie_word_embeddings goes from true to false`)
  }
  return { changes, notes }
}
