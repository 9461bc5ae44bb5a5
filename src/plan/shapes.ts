import type { CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { MergeError } from '../errors.ts'
import type { Expression, Recipe } from '../recipe/recipe.ts'
import { leading } from './donor.ts'

/** Methods of mergekit that merge the rows which all models have; the task-arithmetic family crops to the base instead. */
const COMMON_ROWS: ReadonlySet<string> = new Set(['linear', 'slerp', 'nuslerp', 'model_stock', 'arcee_fusion'])

/** A tensor to be merged, and the model it is of. */
interface Leaf {
  readonly model: string
  readonly entry: CheckpointTensor
}
type Call = Extract<Expression, { kind: 'call' }>

/** The shape in which all `leaves` give tensor `name`, which `isByToken` where it has a row for each token. Throws where they differ, but for what mergekit's recipes rely on. */
export function commonShape(recipe: Recipe, name: string, leaves: readonly Leaf[], call: Call | null, isByToken: boolean): readonly number[] {
  const [first, ...rest] = leaves
  const { shape } = first!.entry
  const other = rest.find(({ entry }) => `${entry.shape}` !== `${shape}`)
  if (other === undefined) return shape
  const cropped = recipe.form === 'mergekit' && isByToken ? cropRows(leaves, call) : null
  if (cropped) return cropped
  const theirs = other.entry.shape
  const fix = advice(recipe, name, isByToken && shape[1] === theirs[1])
  throw new MergeError(`${name}: shapes [${shape}] in ${first!.model} and [${theirs}] in ${other.model} differ`, { where: recipe.source.name, fix })
}

/** With no tokenizer key, mergekit merges the first rows of embeddings of unequal height: the rows all models have, or those of the base. */
function cropRows(leaves: readonly Leaf[], call: Call | null): readonly number[] | null {
  const shapes = leaves.map(({ entry }) => entry.shape)
  if (shapes.some(s => s.length !== 2 || s[1] !== shapes[0]![1])) return null
  const rows = shapes.map(s => s[0]!)
  if (call && COMMON_ROWS.has(call.method)) return [Math.min(...rows), shapes[0]![1]!]
  const base = call?.base && leading(call.base)
  const theirs = leaves.find(({ model }) => model === base)?.entry.shape
  return theirs && rows.every(r => r >= theirs[0]!) ? theirs : null
}

function advice(recipe: Recipe, name: string, isVocabulary: boolean): string {
  if (isVocabulary) {
    if (recipe.form === 'mergekit')
      return 'the vocabularies differ: let `tokenizer_source: union` match their rows by token, or name the model with the smaller vocabulary as base_model'
    return `the vocabularies differ: let ${recipe.form === 'expression' ? '`--vocab common`' : '`vocab: common`'} match their rows by token (or \`union\`, \`skip\`), or take these from one model: \`rules: [{ tensors: '${name}', from: MODEL }]\``
  }
  if (recipe.form === 'mergekit') return 'merge models of one size, or write the recipe in Merganser’s own form, whose `rules:` say what becomes of such a tensor'
  return `merge models of one size, or take the tensor from one of them: \`rules: [{ tensors: '${name}', from: MODEL }]\``
}
