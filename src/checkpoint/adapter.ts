import { findPath, listFolder, readText, workingFolder } from '../bytes/file.ts'
import { isFloat } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { parseJsonFile, show } from '../json.ts'
import { type AdapterConfig, readAdapterConfig, scaleOf } from './_adapter_config.ts'
import { type Checkpoint, type CheckpointTensor, type OpenOptions, open } from './checkpoint.ts'
import { isHubName } from './hub.ts'

export { type AdapterConfig, scaleOf } from './_adapter_config.ts'

/** A LoRA adapter as PEFT writes it: what it adds to some tensors of a model, and what it puts in the place of others. */
export interface Adapter {
  /** As the user wrote it. */
  readonly ref: string
  readonly path: string
  readonly config: AdapterConfig
  /** The text of adapter_config.json. */
  readonly configText: string
  readonly files: Checkpoint['files']
  /** Every tensor, by the name that the file has for it. */
  readonly tensors: Checkpoint['tensors']
  /** By the module's name in the base model. */
  readonly modules: ReadonlyMap<string, AdapterModule>
  /** Whole tensors by their name in the base model: modules saved besides, biases, embeddings. */
  readonly saved: ReadonlyMap<string, CheckpointTensor>
}

/** B·A for one module; `rank` rows of A. */
export interface AdapterModule {
  readonly name: string
  readonly isEmbedding: boolean
  readonly a: CheckpointTensor
  readonly b: CheckpointTensor
  readonly rank: number
  readonly scale: number
  /** DoRA's magnitudes. */
  readonly lengths: CheckpointTensor | null
}

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/** Whether a folder is an adapter and no whole model. */
export async function isAdapter(ref: string, { from = [workingFolder()] }: OpenOptions = {}): Promise<boolean> {
  const path = await findPath(ref, from)
  const names = new Set(((path !== null && (await listFolder(path))) || []).map(entry => entry.name))
  return names.has(CONFIG) && !names.has('model.safetensors') && !names.has('model.safetensors.index.json')
}

/**
 * The adapter in a folder, from its headers alone. Throws on what is not LoRA, and on variants whose sum with a model is another than W + scale·(B·A).
 *
 * @example
 * const { config, modules } = await openAdapter('zoo/text/math-lora')
 * console.log(config.rank, modules.size)
 */
export async function openAdapter(ref: string, { from = [workingFolder()] }: OpenOptions = {}): Promise<Adapter> {
  const path = await findPath(ref, from)
  if (path === null) {
    const download = isHubName(ref) ? `, or download it first: \`hf download ${ref}\`` : ''
    throw new MergeError(`no folder ${show(ref)} with an adapter`, { fix: `check the path of the adapter${download}` })
  }
  const entries = await listFolder(path)
  if (entries === null) throw new MergeError(`the adapter ${ref} is not a folder`, { fix: `give the folder that holds ${CONFIG}` })
  const prefix = `${ref.replace(/[\\/]+$/, '')}/`
  const has = (name: string): boolean => entries.some(entry => entry.name === name && entry.isFile)
  if (!has(CONFIG)) throw new MergeError(`${ref} is not an adapter: it has no ${CONFIG}`, { fix: 'give a folder that PEFT has written' })
  if (!has(WEIGHTS)) {
    const fix = has('adapter_model.bin')
      ? 'convert adapter_model.bin to safetensors: load it with PEFT, and save it again'
      : 'the download is probably incomplete: fetch the adapter again'
    throw new MergeError(`${ref} has no ${WEIGHTS}`, { fix })
  }
  const where = prefix + CONFIG
  const configText = await readText(`${path}/${CONFIG}`, where)
  const config = readAdapterConfig(where, parseJsonFile(where, configText, 'correct the file, or take it anew from the adapter’s source'))
  const { files, tensors } = await open(`${prefix}${WEIGHTS}`, { from })
  if (tensors.size === 0) throw new MergeError('the adapter holds no tensors', { where: prefix + WEIGHTS, fix: 'save it again with PEFT' })
  return { ref, path, config, configText, files, tensors, ...sortTensors(prefix + WEIGHTS, config, tensors) }
}

const PREFIX = 'base_model.model.' // of PEFT's wrapper and of the model in it
const FACTOR = /^(?<module>.+)\.lora_(?<embedding>embedding_)?(?<side>[AB])(?:\.default)?(?:\.weight)?$/
const LENGTHS = /^(?<module>.+)\.lora_magnitude_vector(?:\.default)?(?:\.weight)?$/
const WRAPPER = /\.(?:modules_to_save(?:\.default)?|base_layer)(?=\.)/ // PEFT's own steps on the way to a module of the model

interface Parts {
  isEmbedding: boolean
  a?: CheckpointTensor
  b?: CheckpointTensor
  lengths?: CheckpointTensor | null
}

function sortTensors(where: string, config: AdapterConfig, tensors: Checkpoint['tensors']): Pick<Adapter, 'modules' | 'saved'> {
  const parts = new Map<string, Parts>()
  const saved = new Map<string, CheckpointTensor>()
  for (const tensor of tensors.values()) {
    const name = tensor.name.startsWith(PREFIX) ? tensor.name.slice(PREFIX.length) : tensor.name
    if (!isFloat(tensor.dtype)) throw new MergeError(`${tensor.name} is ${tensor.dtype}, and adapters are floats`, { where, fix: 'use an adapter that is not quantised' })
    const [factor, lengths] = [FACTOR.exec(name)?.groups, LENGTHS.exec(name)?.groups]
    const module = factor?.['module'] ?? lengths?.['module']
    if (module === undefined) {
      saved.set(name.replace(WRAPPER, ''), tensor)
      continue
    }
    const known = parts.get(module) ?? { isEmbedding: false }
    parts.set(module, known)
    if (factor?.['embedding']) known.isEmbedding = true
    known[lengths ? 'lengths' : factor!['side'] === 'A' ? 'a' : 'b'] = tensor
  }
  return { modules: new Map([...parts].map(([name, part]) => [name, moduleOf(where, config, name, part)])), saved }
}

function moduleOf(where: string, config: AdapterConfig, name: string, { isEmbedding, a, b, lengths = null }: Parts): AdapterModule {
  const present = a ?? b ?? lengths!
  if (!a || !b) throw new MergeError(`${present.name}: there is no lora_${a ? 'B' : 'A'} for ${name}`, { where, fix: 'the adapter is damaged: fetch it again' })
  const [rank, other] = [a.shape[0], b.shape[1]]
  if (a.shape.length < 2 || b.shape.length < 2 || rank !== other || !rank) {
    throw new MergeError(`${name}: lora_A of shape [${a.shape}] and lora_B of shape [${b.shape}] have no rank in common`, { where, fix: 'the adapter is damaged: fetch it again' })
  }
  if (config.useDora !== (lengths !== null)) {
    const what = config.useDora ? `use_dora is set, but there is no lora_magnitude_vector for ${name}` : `${lengths!.name}: the adapter has magnitudes, but use_dora is not set`
    throw new MergeError(what, { where, fix: `the tensors and ${CONFIG} do not belong together: fetch the adapter again` })
  }
  return { name, isEmbedding, a, b, rank, scale: scaleOf(where, config, name, rank), lengths }
}
