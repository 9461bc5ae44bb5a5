import { openAdapter } from '../checkpoint/adapter.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { isVector, openVector, vectorBase } from '../checkpoint/vector.ts'
import { bytesOf, sizeOf } from '../dtype.ts'
import { findAdapters, locateModel, openReference } from '../plan/open_reference.ts'
import { referenceOf, referenceText } from '../recipe/references.ts'
import { adapterAsJson, describeAdapter } from './_adapter.ts'
import type { Command } from './_command.ts'
import { spell } from './_layers.ts'
import { bold, bytes, count, dim, harmless, plural, table } from './_text.ts'

export default {
  summary: 'Show what a checkpoint holds: tensors, dtypes, sizes, architecture, tokenizer; of an adapter rank, scale and targets.',
  positionals: 'MODEL',
  count: [1, 1],
  flags: { json: { doc: 'Print everything as JSON.' } },
  examples: ['merganser inspect models/base', 'merganser inspect model.safetensors --json', 'merganser inspect adapters/math'],
  async run({ positionals, values }) {
    const reference = referenceOf(positionals[0]!, null)
    const path = await locateModel(reference).catch(() => null) // openReference tells what is wrong with it
    if (path !== null && (await isVector(path))) {
      const vector = { ...(await openVector(path)), ref: referenceText(reference) }
      process.stdout.write(values['json'] === true ? `${JSON.stringify({ ...asJson(vector), taskVectorOf: vectorBase(vector) })}\n` : describe(vector))
      return
    }
    if ((await findAdapters({ adapter: reference })).size > 0) {
      const adapter = { ...(await openAdapter(await locateModel(reference))), ref: referenceText(reference) }
      process.stdout.write(values['json'] === true ? `${JSON.stringify(adapterAsJson(adapter))}\n` : describeAdapter(adapter))
      return
    }
    const checkpoint = await openReference(reference, 'expression')
    process.stdout.write(values['json'] === true ? `${JSON.stringify(asJson(checkpoint))}\n` : describe(checkpoint))
  },
} satisfies Command

/** Those that lie somewhere. */
const filesOf = (c: Checkpoint): Checkpoint['files'] => c.files.filter(f => !('lowRank' in f.locator))
const parametersOf = (c: Checkpoint): number => [...c.tensors.values()].reduce((sum, t) => sum + sizeOf(t.shape), 0)
const tokenizerFiles = (c: Checkpoint): string[] => c.sidecars.filter(s => s.role === 'tokenizer').map(s => s.name)

function asJson(c: Checkpoint) {
  return {
    path: c.ref,
    architecture: c.architecture,
    parameters: parametersOf(c),
    layers: c.layers.count,
    files: filesOf(c).map(({ name, size, headerHash, metadata }) => ({ name, size, headerSha256: headerHash, metadata })),
    tokenizer: tokenizerFiles(c),
    sidecars: c.sidecars.map(s => s.name),
    config: c.config,
    tensors: [...c.tensors.values()].map(({ name, dtype, shape, file, start, end }) => ({
      name,
      dtype,
      shape,
      ...('lowRank' in c.files[file]!.locator ? { computed: true } : { file: c.files[file]!.name, start, end }),
    })),
  }
}

function describe(c: Checkpoint): string {
  const size = filesOf(c).reduce((sum, f) => sum + f.size, 0)
  const dtypes = new Map<string, number>()
  for (const t of c.tensors.values()) dtypes.set(t.dtype, (dtypes.get(t.dtype) ?? 0) + sizeOf(t.shape))
  const tokenizer = tokenizerFiles(c)
  const base = vectorBase(c)
  const facts = [
    base === null ? ['architecture', c.architecture ?? 'unknown (no config.json)'] : ['task vector', `of a fine-tune of ${base}`],
    ['parameters', `${count(parametersOf(c))}  (${[...dtypes].map(([d, n]) => (dtypes.size === 1 ? d : `${d} ${count(n)}`)).join(', ')})`],
    ['layers', c.layers.count === 0 ? 'none recognised' : [...c.layers.stacks].map(([stack, n]) => `${n} in ${stack}`).join(', ')],
    ['files', `${plural(filesOf(c).length, 'file')}, ${bytes(size)}`],
    ['tokenizer', tokenizer.length > 0 ? tokenizer.join(', ') : 'none'],
  ]
  const others = c.sidecars.filter(s => s.role !== 'tokenizer').map(s => s.name)
  if (others.length > 0) facts.push(['also', others.join(', ')])
  const metadata = Object.entries(c.files[0]?.metadata ?? {})
  if (metadata.length > 0) facts.push(['metadata', metadata.map(([k, v]) => `${k}: ${v.length > 60 ? `${v.slice(0, 57).replaceAll('\n', ' ')}…` : v}`).join('; ')])
  const rows = [['tensor', 'dtype', 'shape', 'bytes'], ...group(c).map(row => [...row])]
  return `${bold(harmless(c.ref))}\n${facts.map(([k, v]) => `  ${dim(k!.padEnd(12))}  ${harmless(v!)}`).join('\n')}\n\n${table(rows, [3])}\n`
}

/** One row a tensor, but layers that look alike in one row: `model.layers.{0..31}.mlp.up_proj.weight`. */
function group(c: Checkpoint): string[][] {
  const rows = new Map<string, { name: string; indices: number[]; cells: string[]; bytes: number }>()
  for (const { name, dtype, shape } of c.tensors.values()) {
    const layer = c.layers.of(name)
    const pattern = layer ? name.replace(`${layer.stack}.${layer.index}.`, `${layer.stack}.{}.`) : name
    const key = `${pattern} ${dtype} ${shape}`
    const row = rows.get(key) ?? { name: pattern, indices: [], cells: [dtype, `[${shape.join(', ')}]`], bytes: 0 }
    if (layer) row.indices.push(layer.index)
    row.bytes += sizeOf(shape) * bytesOf(dtype)
    rows.set(key, row)
  }
  return [...rows.values()].map(({ name, indices, cells, bytes: size }) => [harmless(name.replace('{}', spell(indices))), ...cells, bytes(size)])
}
