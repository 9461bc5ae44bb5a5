import type { FloatDType } from '../dtype.ts'
import { layOut, type OutputFile, type Placeable } from './layout.ts'

/** A module of an adapter to be written: B·A of `out` × `into`, with what else the shapes of a convolution have. */
export interface LoraModule {
  readonly name: string
  readonly isEmbedding: boolean
  readonly rank: number
  /** Shapes without the rank: of B, and of A. */
  readonly out: readonly number[]
  readonly into: readonly number[]
}

export interface AdapterRequest {
  readonly modules: readonly LoraModule[]
  /** Whole tensors, by their names in the model, that stand in the place of the model's; biases of the modules among them. */
  readonly saved: readonly Placeable[]
  readonly dtype: FloatDType
  /** Every module that the model has, or else the adapters' own short names; they say when a module may be called by the end of its name. */
  readonly others: readonly string[] | null
  readonly baseName: string | null
  readonly taskType: string | null
  readonly fanInFanOut: boolean
  readonly metadata: Readonly<Record<string, string>>
}

/** The files of an adapter as PEFT reads it, with alpha = rank, so that it adds B·A as it is. */
export interface AdapterLayout {
  readonly file: OutputFile
  /** adapter_config.json */
  readonly config: string
  /** Where the parts of a module lie in the file. */
  readonly places: ReadonlyMap<string, { readonly a: number; readonly b: number }>
  /** Likewise of tensors that are saved whole. */
  readonly savedPlaces: ReadonlyMap<string, number>
}

const PREFIX = 'base_model.model.' // of PEFT's wrapper and of the model in it

export function layOutAdapter(request: AdapterRequest): AdapterLayout {
  const { modules, saved, dtype, metadata } = request
  const tensors = modules.flatMap((module): Placeable[] => {
    const [a, b] = partNames(module)
    return [
      { name: a, dtype, shape: [module.rank, ...module.into] },
      { name: b, dtype, shape: [module.out[0]!, module.rank, ...module.out.slice(1)] },
    ]
  })
  const own = new Set(modules.map(module => module.name))
  const whole = saved.map(tensor => ({ ...tensor, name: savedName(tensor.name, own) }))
  const file = layOut([...tensors, ...whole], metadata, Number.POSITIVE_INFINITY, 'adapter_model')[0]!
  const at = new Map(file.tensors.map(tensor => [tensor.name, tensor.at]))
  return {
    file,
    config: `${JSON.stringify(configOf(request), null, 2)}\n`,
    places: new Map(
      modules.map(module => {
        const [a, b] = partNames(module)
        return [module.name, { a: at.get(a)!, b: at.get(b)! }]
      }),
    ),
    savedPlaces: new Map(saved.map(({ name }) => [name, at.get(savedName(name, own))!])),
  }
}

/** PEFT's embeddings are parameters, all others modules with a weight. */
const partNames = ({ name, isEmbedding }: LoraModule): readonly [a: string, b: string] =>
  isEmbedding ? [`${PREFIX}${name}.lora_embedding_A`, `${PREFIX}${name}.lora_embedding_B`] : [`${PREFIX}${name}.lora_A.weight`, `${PREFIX}${name}.lora_B.weight`]

/** PEFT keeps what it adapts as a layer within its own. */
const savedName = (tensor: string, adapted: ReadonlySet<string>): string => (isBiasOf(tensor, adapted) ? `${PREFIX}${ownerOf(tensor)}.base_layer.bias` : PREFIX + tensor)

const ownerOf = (tensor: string): string => tensor.slice(0, tensor.lastIndexOf('.'))
const isBiasOf = (tensor: string, adapted: ReadonlySet<string>): boolean => tensor.endsWith('.bias') && adapted.has(ownerOf(tensor))

function configOf({ modules, saved, others, baseName, taskType, fanInFanOut }: AdapterRequest): object {
  const adapted = new Set(modules.map(module => module.name))
  const savedModules = saved.filter(({ name }) => !isBiasOf(name, adapted)).map(({ name }) => ownerOf(name))
  const rank = mostFrequent(modules.map(module => module.rank))
  const patterns = Object.fromEntries(
    modules
      .filter(module => module.rank !== rank)
      .toSorted((a, b) => b.name.length - a.name.length) // a key also matches longer names that end in it, and the first that matches counts
      .map(module => [module.name, module.rank]),
  )
  return {
    peft_type: 'LORA',
    task_type: taskType,
    base_model_name_or_path: baseName,
    r: rank,
    lora_alpha: rank,
    rank_pattern: patterns,
    alpha_pattern: patterns,
    target_modules: targetsOf(
      modules.map(module => module.name),
      others,
    ),
    modules_to_save: savedModules.length > 0 ? [...new Set(savedModules)] : null,
    bias: savedModules.length < saved.length ? 'lora_only' : 'none',
    fan_in_fan_out: fanInFanOut,
    use_rslora: false,
    use_dora: false,
    lora_dropout: 0,
    init_lora_weights: true,
    inference_mode: true,
    layers_to_transform: null,
    layers_pattern: null,
    revision: null,
  }
}

/** The ends of the names where no other module of the model has one, else all names. */
function targetsOf(names: readonly string[], others: readonly string[] | null): readonly string[] {
  const own = new Set(names)
  const ends = new Set(names.map(endOf))
  const isPlain = others?.every(name => own.has(name) || !ends.has(endOf(name)))
  return isPlain ? [...ends].sort() : [...names].sort()
}

const endOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1)

function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([a, m], [b, n]) => n - m || b - a)[0]?.[0] ?? 1
}
