import { MergeError } from '../errors.ts'
import { isObject, kindOf, show } from '../json.ts'

/** What adapter_config.json says, as far as it changes the sum. */
export interface AdapterConfig {
  /** The model it was trained on, as its author called it; null where the file does not tell. */
  readonly baseName: string | null
  readonly rank: number
  readonly alpha: number
  readonly useRslora: boolean
  readonly useDora: boolean
  readonly fanInFanOut: boolean
  /** By module name, its end, or a pattern over it; the first that matches counts. */
  readonly rankPattern: Readonly<Record<string, number>>
  readonly alphaPattern: Readonly<Record<string, number>>
  readonly targets: readonly string[]
}

/** Fields that change what an adapter adds, in ways that are not computed here; and what to do. */
const REFUSED: Readonly<Record<string, readonly [why: string, fix: string]>> = {
  layer_replication: ['the adapter was trained on repeated layers', 'repeat the layers by `slices:` first, and merge the adapter into the result with PEFT'],
  alora_invocation_tokens: ['an adapter that is active after some tokens only (aLoRA) has no sum with the weights', 'serve it beside the model'],
  trainable_token_indices: ['rows trained for single tokens are not read', 'merge the adapter with PEFT, and name the folder of the result'],
  target_parameters: ['adapters of single parameters, such as those of experts, are not read', 'merge the adapter with PEFT, and name the folder of the result'],
  lora_bias: ['biases of lora_B are not read', 'merge the adapter with PEFT, and name the folder of the result'],
  use_qalora: ['QALoRA groups its inputs', 'merge the adapter with PEFT, and name the folder of the result'],
  use_bdlora: ['BD-LoRA’s blocks are not read', 'merge the adapter with PEFT, and name the folder of the result'],
  arrow_config: ['Arrow chooses among adapters for each token', 'serve it beside the model'],
  kasa_config: ['KaSA changes the weights of the base', 'merge the adapter with PEFT, and name the folder of the result'],
}
/** Ways to begin that take something out of the weights of the base. */
const CHANGES_BASE = /^(?:pissa|corda|olora|loftq|lora_ga)/i

/** Reads adapter_config.json; throws, naming the field, on whatever is not plain LoRA, rsLoRA or DoRA. */
export function readAdapterConfig(where: string, json: Readonly<Record<string, unknown>>): AdapterConfig {
  const fault = (what: string, fix: string): MergeError => new MergeError(what, { where, fix })
  const kind = json['peft_type']
  if (kind !== 'LORA') {
    const what = kind === undefined ? 'peft_type is missing' : `the adapter is of kind ${show(kind)}, and only LORA is read`
    throw fault(what, 'merge the adapter with PEFT, and name the folder of the result')
  }
  for (const [field, [why, fix]] of Object.entries(REFUSED)) if (isSet(json[field])) throw fault(`${field}: ${why}`, fix)
  const start = json['init_lora_weights']
  if (typeof start === 'string' && CHANGES_BASE.test(start)) {
    throw fault(
      `init_lora_weights is ${show(start)}: training has changed the base, and the adapter alone does not tell how`,
      'save the adapter anew with PEFT’s `path_initial_model_for_weight_conversion`, which makes it fit the unchanged base',
    )
  }
  return {
    baseName: typeof json['base_model_name_or_path'] === 'string' && json['base_model_name_or_path'] !== '' ? json['base_model_name_or_path'] : null,
    rank: number('r', json['r']),
    alpha: number('lora_alpha', json['lora_alpha']),
    useRslora: flag('use_rslora'),
    useDora: flag('use_dora'),
    fanInFanOut: flag('fan_in_fan_out'),
    rankPattern: pattern('rank_pattern'),
    alphaPattern: pattern('alpha_pattern'),
    targets: [json['target_modules'] ?? []].flat().filter(target => typeof target === 'string'),
  }

  function number(field: string, value: unknown): number {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw fault(`${field} must be a number, found ${value === undefined ? 'none' : show(value)}`, DAMAGED)
    return value
  }
  function flag(field: string): boolean {
    const value = json[field] ?? false
    if (typeof value !== 'boolean') throw fault(`${field} must be true or false, found ${show(value)}`, DAMAGED)
    return value
  }
  function pattern(field: string): Readonly<Record<string, number>> {
    const value = json[field] ?? {}
    if (!isObject(value)) throw fault(`${field} must be an object of numbers, found ${kindOf(value)}`, DAMAGED)
    for (const key in value) {
      number(`${field}: ${show(key)}`, value[key])
      matcherOf(where, field, key)
    }
    return value as Readonly<Record<string, number>> // each value was checked above
  }
}

const DAMAGED = 'correct the file, or take it anew from the adapter’s source'
const isSet = (value: unknown): boolean => !(value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0))

/** By what B·A is multiplied: alpha/rank, with rsLoRA alpha/√rank (Kalajdzievski 2023, https://arxiv.org/abs/2312.03732). */
export function scaleOf(where: string, { rank, alpha, useRslora, rankPattern, alphaPattern }: AdapterConfig, module: string, stored: number): number {
  const told = patternValue(where, 'rank_pattern', rankPattern, module) ?? rank
  if (told !== stored) {
    throw new MergeError(`${module}: its tensors have rank ${stored}, and adapter_config.json says ${told}`, {
      where,
      fix: 'the tensors and adapter_config.json do not belong together: fetch the adapter again',
    })
  }
  return (patternValue(where, 'alpha_pattern', alphaPattern, module) ?? alpha) / (useRslora ? Math.sqrt(stored) : stored)
}

function patternValue(where: string, field: string, pattern: Readonly<Record<string, number>>, module: string): number | null {
  for (const key in pattern) if (matcherOf(where, field, key).test(module)) return pattern[key]!
  return null
}

/** Keys are regular expressions for the end of a module's name, from a dot on. Such as could take exponential time are refused. */
function matcherOf(where: string, field: string, key: string): RegExp {
  const repeats = key.match(/[*+{]/g)?.length ?? 0
  try {
    if (repeats <= MAX_REPEATS && !/\)[*+{]/.test(key)) return new RegExp(`^(?:.*\\.)?(?:${key})$`)
  } catch {
    // not a regular expression of JavaScript: told below
  }
  throw new MergeError(`${field}: ${show(key)} is not a pattern that is read`, { where, fix: 'write the name of the module, or a simple regular expression' })
}

const MAX_REPEATS = 3 // names have some hundred characters, and each repeat may try all of them
