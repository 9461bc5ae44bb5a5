import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { torchName } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { type JsonScalar, patchJson } from '../patch_json.ts'
import { isAll, massOf, numberAt } from '../recipe/mass.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'
import type { Lowered } from './lower.ts'

/** A file of the output beside its tensors: copied from an input, or written out. */
export type Companion = { readonly name: string; readonly size: number } & ({ readonly path: string } | { readonly text: string })

/**
 * The model that config, dtypes and tensor order follow: the recipe's choice, else the first that the merge builds on. Task vectors only change a
 * model: terms of mass 0 do not count, nor do subtracted ones. So it is a in `ties(b - a, c - a) + a`, b in `-1*a + 2*b`; and of a call its base.
 */
export function chooseDonor(recipe: Recipe): string {
  return recipe.output.configFrom ?? leading(recipe.merge, 1, recipe) ?? Object.keys(recipe.models)[0]!
}

/** The first model in `sign`·`e` that is there with positive mass, in terms which are. */
function leading(e: Expression, sign: number, recipe: Recipe): string | null {
  const masses = massOf(e, recipe) ?? []
  if (isAll(masses, 0) || !masses.some(mass => mass * sign > 0)) return null
  switch (e.kind) {
    case 'model':
      return e.model
    case 'number':
      return null
    case 'negate':
      return leading(e.of, -sign, recipe)
    case 'binary': {
      const factor = signOf(e.op === '*' ? (isNumber(e.left) ? e.left : e.right) : e.op === '/' ? e.right : null)
      return leading(e.left, sign * factor, recipe) ?? leading(e.right, e.op === '-' ? -sign : sign * factor, recipe)
    }
    case 'call':
      return (e.base && leading(e.base, sign, recipe)) ?? e.arguments.map(a => leading(a.expression, sign, recipe)).find(m => m !== null) ?? null
    default:
      throw e satisfies never
  }
}

const isNumber = (e: Expression): boolean => numberAt(e, 0) !== null

/** The sign of a number, of a gradient where it is not 0; 1 of nothing. */
function signOf(number: Expression | null): number {
  const values = number === null ? [] : [0, 0.5, 1].map(position => numberAt(number, position) ?? 1)
  return Math.sign(values.find(value => value !== 0) ?? 1)
}

/** Config, tokenizer, custom code and index of the output, and what the user should know about them. */
export function companionsOf(
  recipe: Recipe,
  checkpoints: ReadonlyMap<string, Checkpoint>,
  donor: string,
  lowered: ReadonlyMap<string, Lowered>,
  index: string | null,
): { files: Companion[]; notes: string[] } {
  const files: Companion[] = []
  const notes: string[] = []
  const tokenizerDonor = recipe.output.tokenizerFrom ?? donor
  const { config, configText } = checkpoints.get(donor)!
  if (config && configText !== null) {
    const { changes, note } = changesOf(config, recipe, checkpoints.get(donor)!, lowered)
    if (note) notes.push(note)
    files.push(written('config.json', patchJson(configText, changes)))
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

/** What config.json must say anew: the dtype and vocabulary that the tensors really have. */
function changesOf(
  config: Readonly<Record<string, unknown>>,
  recipe: Recipe,
  donor: Checkpoint,
  lowered: ReadonlyMap<string, Lowered>,
): { changes: Readonly<Record<string, JsonScalar>>; note: string | null } {
  const { dtype } = recipe.output
  const dtypeKeys = ['dtype', 'torch_dtype'].filter(key => key in config)
  const changes: Record<string, JsonScalar> = dtype ? Object.fromEntries((dtypeKeys.length > 0 ? dtypeKeys : ['torch_dtype']).map(key => [key, torchName(dtype)])) : {}
  const was = config['vocab_size']
  const rows = [...lowered].find(([name, { shape }]) => shape.length === 2 && donor.tensors.get(name)?.shape[0] === was && shape[0] !== was)?.[1].shape[0]
  if (rows === undefined) return { changes, note: null }
  changes['vocab_size'] = rows
  return { changes, note: `the vocabularies differ: embeddings keep the first ${rows} rows, and config.json's vocab_size goes from ${was} to ${rows}` }
}
