import { sha256 } from '../bytes/hash.ts'
import type { Factor, LowRankFile, LowRankTensor, Product, Stored } from '../bytes/low_rank.ts'
import { bytesOf, isFloat, sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import type { Adapter, AdapterModule } from './adapter.ts'
import type { Checkpoint, CheckpointFile, CheckpointTensor } from './checkpoint.ts'
import { findTensor, tokenAxis } from './find.ts'

/**
 * The model with an adapter added, as PEFT's `merge_and_unload` gives it, but in float32 and not before it is read: W + scale·(B·A), with DoRA
 * (Liu et al. 2024, equation 5, https://arxiv.org/abs/2402.09353) each row brought to its length; tensors that were saved whole stand in the place
 * of the model's. Throws where the adapter is for another model.
 */
export async function addAdapter(base: Checkpoint, adapter: Adapter): Promise<Checkpoint> {
  const { products, saved } = matchAdapter(base, adapter)
  const virtual: LowRankTensor[] = []
  const first = base.files.length
  const file = first + adapter.files.length
  const tensors = new Map(
    [...base.tensors.values()].map((tensor): [string, CheckpointTensor] => {
      const { name, dtype } = tensor
      const own = saved.get(name)
      const whole: CheckpointTensor = own ? { ...own, name, file: first + own.file, outputDType: dtype } : tensor
      const product = products.get(name)
      if (!product) return [name, whole]
      return [name, { ...placeNext(virtual, whole, stored(whole), shifted(product, first)), name, file, outputDType: dtype }]
    }),
  )
  const files = [...base.files, ...adapter.files]
  return { ...base, ref: `${base.ref}+${adapter.ref}`, files: [...files, await virtualFile(adapter, files, virtual)], tensors }
}

/** The adapter alone, as what it adds to each tensor of `base`: its task vector. Throws where that depends on the weights of the base, too. */
export async function deltaOf(adapter: Adapter, base: Checkpoint): Promise<Checkpoint> {
  const { products, saved } = matchAdapter(base, adapter)
  const instead = `name the model with it, \`tuned: ${base.ref}+${adapter.ref}\`, and write \`tuned - base\` for what it adds`
  if (adapter.config.useDora) throw fault(adapter, 'an adapter of DoRA is no task vector by itself: what it adds depends on the model’s weights', instead)
  for (const tensor of saved.values()) throw fault(adapter, `${tensor.name} is a whole tensor and no difference, so that the adapter is no task vector by itself`, instead)
  const virtual: LowRankTensor[] = []
  const file = adapter.files.length
  const tensors = new Map(
    [...base.tensors.values()].map((tensor): [string, CheckpointTensor] => {
      const product = products.get(tensor.name) ?? null
      const place = placeNext(virtual, tensor, null, product)
      return [tensor.name, product ? { ...place, file } : { ...place, dtype: tensor.dtype, file, isZero: true }]
    }),
  )
  return { ...base, ref: adapter.ref, path: adapter.path, files: [...adapter.files, await virtualFile(adapter, adapter.files, virtual)], tensors }
}

/** The next place of a file of tensors in float32; zeros are in their own dtype. */
function placeNext(virtual: LowRankTensor[], { name, dtype, shape }: CheckpointTensor, base: Stored | null, product: Product | null): Omit<CheckpointTensor, 'file'> {
  const start = virtual.at(-1)?.end ?? 0
  const rows = shape[0] ?? 1
  const columns = sizeOf(shape.slice(1))
  const end = start + rows * columns * (product ? 4 : bytesOf(dtype))
  virtual.push({ start, end, rows, columns, base, product })
  return { name, dtype: 'F32', shape, start, end }
}

async function virtualFile({ configText }: Adapter, files: readonly CheckpointFile[], tensors: readonly LowRankTensor[]): Promise<CheckpointFile> {
  const hash = await sha256(new TextEncoder().encode(configText))
  const locators = files.flatMap(({ locator }) => ('lowRank' in locator ? [] : [locator]))
  const lowRank: LowRankFile = { files: locators, tensors }
  return { name: 'adapter_config.json', locator: { lowRank }, size: tensors.at(-1)?.end ?? 0, version: hash, headerHash: hash, metadata: {} }
}

const stored = ({ file, start, dtype }: CheckpointTensor): Stored => ({ file, at: start, dtype })

/** The product with the files of the adapter counted from `first`. */
const shifted = ({ left, right, lengths, ...rest }: Product, first: number): Product => ({
  ...rest,
  left: { ...left, file: left.file + first },
  right: { ...right, file: right.file + first },
  lengths: lengths && { ...lengths, file: lengths.file + first },
})

/** What the adapter does to each tensor of a model, by the model's names. */
function matchAdapter(base: Checkpoint, adapter: Adapter): { products: ReadonlyMap<string, Product>; saved: ReadonlyMap<string, CheckpointTensor> } {
  const saved = new Map<string, CheckpointTensor>()
  for (const [name, tensor] of adapter.saved) {
    const target = targetOf(base, adapter, name, tensor)
    if (`${target.shape}` !== `${tensor.shape}`) throw misfit(base, adapter, target, tensor, tensor.shape[0]!)
    saved.set(target.name, tensor)
  }
  const products = new Map<string, Product>()
  for (const module of adapter.modules.values()) {
    const target = targetOf(base, adapter, `${module.name}.weight`, module.a)
    products.set(target.name, productOf(base, adapter, module, target))
  }
  return { products, saved }
}

function targetOf(base: Checkpoint, adapter: Adapter, name: string, { name: own }: CheckpointTensor): CheckpointTensor {
  const found = findTensor(base, name)
  if (found?.as === 'embedding') {
    throw fault(
      adapter,
      `${own} changes the output head, which ${base.ref} does not have: it uses its embedding for one`,
      'give the model a head of its own first: save it with `tie_word_embeddings: false`',
    )
  }
  if (!found) throw fault(adapter, `${own} matches no tensor of ${base.ref}: there is no ${name}`, otherBase(adapter))
  if (!isFloat(found.tensor.dtype)) throw fault(adapter, `${own} changes ${name}, which is ${found.tensor.dtype} in ${base.ref}`, 'use the model before it was quantised')
  return found.tensor
}

/** L·R for a tensor: B·A, or for embeddings and transposed layers (A and B as they are stored) Aᵀ·Bᵀ. */
function productOf(base: Checkpoint, adapter: Adapter, { isEmbedding, a, b, rank, scale, lengths }: AdapterModule, target: CheckpointTensor): Product {
  const [rows = 1, ...rest] = target.shape
  const columns = sizeOf(rest)
  const [into, out] = [sizeOf(a.shape.slice(1)), b.shape[0]!]
  const fits = out === rows && into === columns && (rest.length === 1 || `${a.shape.slice(1)}` === `${rest}`)
  const fitsTransposed = into === rows && out === columns && target.shape.length === 2
  // A layer may be stored transposed (Conv1D, as GPT-2 has it). Where it is square the adapter must tell.
  const isTransposed = isEmbedding || (fits && fitsTransposed ? adapter.config.fanInFanOut : !fits)
  if (isTransposed ? !fitsTransposed : !fits) throw misfit(base, adapter, target, isEmbedding || out === rows ? a : b, isEmbedding ? into : out)
  if (lengths && (isTransposed || target.shape.length !== 2)) {
    throw fault(
      adapter,
      `${lengths.name}: DoRA is read for plain linear layers; here lengths of columns would be needed, of the whole tensor at once`,
      'merge the adapter with PEFT, and name the folder of the result',
    )
  }
  if (lengths && sizeOf(lengths.shape) !== rows)
    throw fault(adapter, `${lengths.name} of shape [${lengths.shape}] does not give a length for each of ${rows} rows`, otherBase(adapter))
  const factor = (part: CheckpointTensor): Factor => ({ ...stored(part), isTransposed })
  const [left, right] = isTransposed ? [factor(a), factor(b)] : [factor(b), factor(a)]
  return { rank, scale, left, right, lengths: lengths && stored(lengths) }
}

/** The error for sizes that differ; `height` is what the adapter has for the rows of `target`. */
function misfit(base: Checkpoint, adapter: Adapter, target: CheckpointTensor, own: CheckpointTensor, height: number): MergeError {
  const rows = target.shape[0] ?? 1
  if (tokenAxis(base, target.name) !== null && height !== rows) {
    const what = `the adapter changes the vocabulary: ${own.name} has ${height} rows for tokens, and ${target.name} of ${base.ref} has ${rows}`
    return fault(adapter, what, `resize the embeddings of the model to ${height} rows first, as in training, and name the folder of the result`)
  }
  return fault(adapter, `${own.name} of shape [${own.shape}] does not fit ${target.name} of ${base.ref}, which is [${target.shape}]`, otherBase(adapter))
}

const otherBase = ({ config }: Adapter): string =>
  `use the adapter with the model it was trained on${config.baseName === null ? '' : ` (adapter_config.json calls it ${config.baseName})`}`
const fault = ({ ref }: Adapter, what: string, fix: string): MergeError => new MergeError(what, { where: ref, fix })
