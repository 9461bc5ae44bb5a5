import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { findTensor, isHead, isTied } from '../checkpoint/find.ts'
import { torchName } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'
import { adaptLayers } from './layer_fields.ts'
import type { Lowered } from './lower.ts'
import type { Structure } from './structure.ts'

/** A file of the output beside its tensors: copied from an input, or written out. */
export type Companion = { readonly name: string; readonly size: number } & ({ readonly path: string } | { readonly text: string })

/** The model that config, dtypes and tensor order follow: the recipe's choice, else the base, else the first model. */
export function chooseDonor(recipe: Recipe): string {
  return recipe.output.configFrom ?? leading(recipe.merge) ?? Object.keys(recipe.models)[0]!
}

/** The model that stands first in `e`, the base before others: the result has its architecture, and its names. Null for a number. */
export function leading(e: Expression): string | null {
  switch (e.kind) {
    case 'model':
      return e.model
    case 'number':
      return null
    case 'negate':
      return leading(e.of)
    case 'binary':
      return leading(e.left) ?? leading(e.right)
    case 'call':
      return (e.base && leading(e.base)) ?? e.arguments.map(a => leading(a.expression)).find(m => m !== null) ?? null
    case 'layers':
    case 'stage':
      return leading(e.of)
    case 'stack':
      return leading(e.slices[0]!)
    case 'modules':
      return leading(e.modules[0]!.expression)
    default:
      e satisfies never
      return null
  }
}

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
  const config = checkpoints.get(donor)!.config
  if (config) {
    const layers = adaptLayers(config, recipe, checkpoints, donor, structure)
    const { changed, notes: found } = adapt(layers.changed, recipe, checkpoints, donor, lowered)
    notes.push(...layers.notes, ...found)
    files.push(written('config.json', `${pythonJson(changed)}\n`))
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

/** JSON as Python writes and reads it: NaN and infinities are bare words (Mamba-2's config.json has one), which JSON.stringify turns into null. */
function pythonJson(value: unknown): string {
  const mark = '\u0000number '
  const text = JSON.stringify(value, (_, v: unknown) => (typeof v === 'number' && !Number.isFinite(v) ? mark + v : v), 2)
  return text.replaceAll(/"\\u0000number (-?Infinity|NaN)"/g, '$1')
}

const written = (name: string, text: string): Companion => ({ name, text, size: new TextEncoder().encode(text).length })

/** config.json with the dtype, vocabulary and output head that the tensors really have. */
function adapt(
  config: Readonly<Record<string, unknown>>,
  recipe: Recipe,
  checkpoints: ReadonlyMap<string, Checkpoint>,
  donorName: string,
  lowered: ReadonlyMap<string, Lowered>,
): { changed: Record<string, unknown>; notes: string[] } {
  const donor = checkpoints.get(donorName)!
  const changed: Record<string, unknown> = { ...config }
  const notes: string[] = []
  if (recipe.output.dtype) changed['dtype' in config ? 'dtype' : 'torch_dtype'] = torchName(recipe.output.dtype)
  const was = config['vocab_size']
  const rows = [...lowered].find(([name, { shape }]) => typeof was === 'number' && shape.length === 2 && donor.tensors.get(name)?.shape[0] === was && shape[0] !== was)?.[1]
    .shape[0]
  if (rows !== undefined) {
    changed['vocab_size'] = rows
    notes.push(`the vocabularies differ: embeddings keep the first ${rows} rows, and config.json's vocab_size goes from ${was} to ${rows}`)
  }
  const head = isTied(donor) ? [...lowered.keys()].find(name => isHead(donor, name)) : undefined
  if (head !== undefined && (!findTensor(donor, head) || findTensor(donor, head)!.as === 'embedding' || [...checkpoints.values()].some(c => !isTied(c)))) {
    changed['tie_word_embeddings'] = false
    notes.push(`the output has a head of its own, ${head}: config.json's tie_word_embeddings goes from true to false`)
  }
  return { changed, notes }
}
