import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { isTable, isTied } from '../checkpoint/find.ts'
import { vectorMetadata } from '../checkpoint/vector.ts'
import type { FloatDType } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { type AdapterLayout, type LoraModule, layOutAdapter } from './adapter_layout.ts'

/** What a tensor of a task vector has: its energy is the square of its norm. */
export interface Change {
  readonly name: string
  readonly shape: readonly number[]
  readonly energy: number
}

/** How a task vector becomes an adapter. Tensors that it does not change are nowhere. */
export interface Extraction {
  readonly modules: readonly ExtractedModule[]
  /** Written whole, as the fine-tune has them. */
  readonly saved: readonly Change[]
  /** What an adapter cannot carry. */
  readonly left: readonly Change[]
  readonly layout: AdapterLayout
  readonly notes: readonly string[]
}

export interface ExtractedModule extends LoraModule, Pick<Change, 'energy'> {
  /** Of the model. */
  readonly tensor: string
  readonly rows: number
  readonly columns: number
  /** The model has it transposed: its rows are what A takes in. */
  readonly isTransposed: boolean
}

const CONV1D = /^(?:gpt2|openai-gpt|decision_transformer|imagegpt|clvp)$/ // model types of transformers whose layers are Conv1D, stored transposed

/** What becomes of each tensor that `model` changes in `base`. `fits` says whether a matrix can be worked on as a whole. Throws where `rank` is more than any matrix has. */
export function planExtraction(
  base: Checkpoint,
  model: Checkpoint,
  changes: readonly Change[],
  { rank, dtype }: { readonly rank: number; readonly dtype: FloatDType },
  fits: (rows: number, columns: number, rank: number) => boolean,
): Extraction {
  const changed = changes.filter(({ energy }) => energy > 0)
  if (changed.length === 0) throw new MergeError(`${model.ref} does not differ from ${base.ref}`, { fix: 'give a fine-tune of the base' })
  const isConv1D = CONV1D.test(String(base.config?.['model_type']))
  const [matrices, others] = partition(changed, ({ name, shape }) => shape.length === 2 && name.endsWith('.weight') && fits(shape[0]!, shape[1]!, Math.min(rank, ...shape)))
  const most = matrices.reduce((side, { shape }) => Math.max(side, Math.min(...shape)), 0)
  if (matrices.length > 0 && rank > most) {
    const widest = matrices.find(({ shape }) => Math.min(...shape) === most)!
    throw new MergeError(`rank ${rank} is more than any matrix has: ${widest.name} [${widest.shape}] has the most, ${most}`, {
      where: '--lora',
      fix: `write --lora ${most} or less, or leave --lora out for the task vector as it is`,
    })
  }
  const modules = matrices.map(({ name, shape, energy }): ExtractedModule => {
    const [rows = 1, columns = 1] = shape
    const isEmbedding = isTable(base, name)
    const isTransposed = isEmbedding || (isConv1D && base.layers.of(name) !== null)
    const [out, into] = isTransposed ? [columns, rows] : [rows, columns]
    return { name: moduleOf(name), tensor: name, isEmbedding, isTransposed, rank: Math.min(rank, rows, columns), out: [out], into: [into], rows, columns, energy }
  })
  const factored = new Set(modules.map(module => module.name))
  const [saved, left] = partition(others, ({ name }) => name.endsWith('.bias') || (name.endsWith('.weight') && !factored.has(moduleOf(name))))
  // PEFT copies a saved module as a whole: what has not changed of it goes along.
  const savedModules = new Set(saved.map(({ name }) => moduleOf(name)).filter(name => !factored.has(name)))
  const companions = changes.filter(({ name, energy }) => energy === 0 && /\.(?:weight|bias)$/.test(name) && savedModules.has(moduleOf(name)))
  const whole = [...saved, ...companions]
  const layout = layOutAdapter({
    modules,
    saved: whole.map(({ name, shape }) => {
      const own = model.tensors.get(name)!
      return { name, shape, dtype: own.outputDType ?? own.dtype }
    }),
    dtype,
    others: [...base.tensors.keys()].filter(name => name.endsWith('.weight')).map(moduleOf),
    baseName: base.ref,
    taskType: base.architecture?.endsWith('ForCausalLM') ? 'CAUSAL_LM' : null,
    fanInFanOut: isConv1D,
    metadata: { format: 'pt', ...vectorMetadata(base) },
  })
  return { modules, saved: whole, left, layout, notes: tiedNotes(base, modules) }
}

function tiedNotes(base: Checkpoint, modules: readonly ExtractedModule[]): readonly string[] {
  const embedding = modules.find(module => module.isEmbedding && module.tensor === base.family?.embedding)
  return embedding && isTied(base) ? [`${embedding.tensor} is the output head, too: PEFT changes both only where it merges the adapter into the model`] : []
}

const moduleOf = (tensor: string): string => tensor.slice(0, tensor.lastIndexOf('.'))

function partition<T>(all: readonly T[], is: (item: T) => boolean): [T[], T[]] {
  return [all.filter(is), all.filter(item => !is(item))]
}
