import { folderSink } from '../bytes/folder.ts'
import { layersOf } from '../checkpoint/architecture.ts'
import { vectorMetadata } from '../checkpoint/vector.ts'
import { type FloatDType, outputDType } from '../dtype.ts'
import { extractLora, type Kept } from '../execute/extract_lora.ts'
import { extractSparse, type Sparsified } from '../execute/extract_sparse.ts'
import { isCuttable } from '../execute/factor.ts'
import { findFigures } from '../execute/figures.ts'
import { type Change, planExtraction } from '../plan/extraction.ts'
import { planFigures } from '../plan/figures.ts'
import { countKept, layOutSparse } from '../plan/sparse_layout.ts'
import { type Arguments, readCount, UsageError } from './_command.ts'
import { byPattern } from './_layers.ts'
import { prepareText, readResources } from './_recipe.ts'
import { runToFolder, warm } from './_run.ts'
import { bytes, count, green, harmless, percent, plural, speaker, table } from './_text.ts'

const USE = 'write `merganser vector extract --base PATH --model PATH -o FOLDER`'

/** What a fine-tune has learnt, as files of its own: whole, as an adapter, or its largest entries. */
export async function extract(args: Arguments): Promise<void> {
  const { values } = args
  const [base, model, out] = ['base', 'model', 'out'].map(flag => {
    const given = flag === 'model' ? (values[flag] as readonly string[] | undefined) : [values[flag]].flatMap(value => (typeof value === 'string' ? [value] : []))
    if (given?.length !== 1) throw new UsageError(given === undefined || given.length === 0 ? `--${flag} is missing` : '--model is given twice', USE)
    return given[0]
  }) as [string, string, string]
  const dtype = values['dtype'] === undefined ? null : outputDType(values['dtype'] as string, { where: '--dtype' })
  const [rank, density] = [values['lora'], values['sparse']]
  if (rank !== undefined && density !== undefined) throw new UsageError('--lora and --sparse are two forms of a task vector', 'give one of them')
  const whole = rank === undefined && density === undefined
  for (const flag of ['resume', 'allow-nonfinite']) if (!whole && values[flag] === true) throw new UsageError(`--${flag} goes with whole task vectors`, `leave out --${flag}`)
  const options = { name: 'vector extract', models: { base, model }, result: 'vector', output: { configFrom: 'base', dtype: whole ? dtype : 'F32' } } as const
  if (whole) return runToFolder((await prepareText('model - base', options, { values, opened: warm })).plan, out, args)
  const prepared = await prepareText('model - base', options, { values })
  const request = { ...prepared, model, out, dtype: dtype ?? 'F32', values }
  await (rank === undefined ? extractEntries(request, readDensity(density as string)) : extractFactors(request, readCount('lora', rank as string)))
}

type Request = Awaited<ReturnType<typeof prepareText>> & { readonly model: string; readonly out: string; readonly dtype: FloatDType; readonly values: Arguments['values'] }

async function extractFactors({ recipe, checkpoints, plan, model, out, dtype, values }: Request, rank: number): Promise<void> {
  const { say, note, step, end } = speaker(values['json'] === true)
  const [base, tuned] = [checkpoints.get('base')!, checkpoints.get('model')!]
  const figures = await findFigures(planFigures(recipe, checkpoints, readResources(values)))
  const extraction = planExtraction(base, tuned, figures, { rank, dtype }, (rows, columns, r) => isCuttable({ rows, columns, rank: r }))
  const whole = await prepareText('model', { name: 'vector extract', models: { model } }, { values })
  const sum = (changes: readonly Change[]): number => changes.reduce((energy, change) => energy + change.energy, 0)
  const all = sum(figures)
  for (const text of [...plan.notes, ...extraction.notes]) note(text)
  for (const { name, shape, energy } of extraction.left) {
    say({ kind: 'left', tensor: name, energy: energy / all })
    note(`${name} [${shape.join(', ')}] is left out, with ${percent(energy / all)} of the energy: it is no module’s weight or bias, and adapters have no place for it`)
  }
  const done: Kept[] = []
  for await (const kept of extractLora(extraction, { delta: plan, model: whole.plan }, dtype, folderSink(out, { force: values['force'] === true }))) {
    done.push(kept)
    say({ kind: 'factor', tensor: kept.tensor, rank: kept.rank, kept: shareOf(kept), energy: kept.energy / all, sketched: kept.isSketched })
    step(`${done.length} of ${extraction.modules.length} matrices`)
  }
  end()
  const lost = done.reduce((energy, kept) => energy + kept.lost, 0)
  const keptInAll = Math.max(0, 1 - (lost + sum(extraction.left)) / all)
  const { file } = extraction.layout
  say({
    kind: 'done',
    output: out,
    rank,
    kept: keptInAll,
    matrices: done.length,
    saved: extraction.saved.map(({ name }) => name),
    left: extraction.left.map(({ name }) => name),
    bytes: file.size,
  })
  if (values['json'] === true) return
  const rows = [...byPattern(done, ({ tensor }) => tensor, base.layers)].map(([pattern, group]) => [
    harmless(pattern),
    spread(group.map(kept => kept.rank)),
    percent(sum(group.map(kept => ({ ...kept, name: '', shape: [] }))) / all),
    percent(1 - group.reduce((energy, kept) => energy + kept.lost, 0) / group.reduce((energy, kept) => energy + kept.energy, 0)),
    percent(Math.min(...group.map(shareOf))),
  ])
  process.stdout.write(`${table([['matrix', 'rank', 'of the energy', 'kept', 'least'], ...rows], [1, 2, 3, 4])}\n`)
  const saved = extraction.saved.filter(({ energy }) => energy > 0)
  if (saved.length > 0) process.stdout.write(`saved whole: ${plural(saved.length, 'tensor')}, ${percent(sum(saved) / all)} of the energy\n`)
  if (done.some(kept => kept.isSketched))
    process.stdout.write('kept is measured on what was written; of large matrices, found by a sketch, another adapter of this rank may keep somewhat more\n')
  process.stdout.write(`${green('✓')} ${harmless(out)}: adapter of ${plural(done.length, 'matrix', 'matrices')}, ${bytes(file.size)}, ${percent(keptInAll)} of the energy kept\n`)
}

async function extractEntries({ recipe, checkpoints, plan, out, dtype, values }: Request, density: number): Promise<void> {
  const { say, note, step, end } = speaker(values['json'] === true)
  const base = checkpoints.get('base')!
  const figures = await findFigures(planFigures(recipe, checkpoints, readResources(values)))
  const tensors = figures.map(({ name, shape, nonzeros }) => ({ name, shape, count: countKept(shape, nonzeros, density) }))
  const layout = layOutSparse(tensors, dtype, { format: 'pt', ...vectorMetadata(base) })
  for (const text of plan.notes) note(text)
  const done: Sparsified[] = []
  for await (const tensor of extractSparse(layout, plan, dtype, folderSink(out, { force: values['force'] === true }))) {
    done.push(tensor)
    const { energy, kept } = tensor
    say({ kind: 'sparse', tensor: tensor.tensor, size: tensor.size, entries: tensor.count, kept: energy === 0 ? 1 : kept / energy })
    step(`${done.length} of ${tensors.length} tensors`)
  }
  end()
  const total = (of: (tensor: Sparsified) => number, group: readonly Sparsified[] = done): number => group.reduce((sum, tensor) => sum + of(tensor), 0)
  const keptOf = (group: readonly Sparsified[]): number => (total(t => t.energy, group) === 0 ? 1 : total(t => t.kept, group) / total(t => t.energy, group))
  const entries = total(t => t.count)
  say({ kind: 'done', output: out, density, entries, kept: keptOf(done), bytes: layout.file.size })
  if (values['json'] === true) return
  const layers = layersOf(done.map(({ tensor }) => tensor))
  const rows = [...byPattern(done, ({ tensor }) => tensor, layers)].map(([pattern, group]) => [
    harmless(pattern),
    count(total(t => t.count, group)),
    percent(total(t => t.count, group) / total(t => t.size, group)),
    percent(keptOf(group)),
  ])
  process.stdout.write(`${table([['tensor', 'entries', 'of all', 'energy kept'], ...rows], [1, 2, 3])}\n`)
  process.stdout.write(`${green('✓')} ${harmless(out)}: ${plural(entries, 'entry', 'entries')}, ${bytes(layout.file.size)}, ${percent(keptOf(done))} of the energy kept\n`)
}

function readDensity(text: string): number {
  const density = Number(text)
  if (text.trim() === '' || !(density > 0 && density <= 1))
    throw new UsageError(`--sparse "${text}" is no density: the share of entries to keep lies above 0 and goes up to 1`, 'write e.g. --sparse 0.05')
  return density
}

const shareOf = ({ energy, lost }: Kept): number => (energy === 0 ? 1 : Math.max(0, 1 - lost / energy))

/** `8`, or `4 to 8`. */
export function spread(values: readonly number[], show: (value: number) => string = String): string {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return show(least) === show(most) ? show(least) : `${show(least)} to ${show(most)}`
}
