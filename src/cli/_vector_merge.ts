import { folderSink } from '../bytes/folder.ts'
import { openAdapter } from '../checkpoint/adapter.ts'
import { outputDType } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { type Combined, combineAdapters } from '../execute/combine.ts'
import { planCombination } from '../plan/combination.ts'
import { COMBINATIONS, type Combination } from '../plan/joined.ts'
import { findAdapters, locateModel } from '../plan/open_reference.ts'
import { suggest } from '../recipe/locate.ts'
import { parse } from '../recipe/parse.ts'
import { referenceOf } from '../recipe/references.ts'
import { type Arguments, readCount, readSeed, UsageError } from './_command.ts'
import { spread } from './_extract.ts'
import { readModels, readResources } from './_recipe.ts'
import { bytes, green, harmless, percent, plural, speaker } from './_text.ts'

const USE = "write `merganser vector merge '0.5*a + 0.5*b' -o FOLDER --model a=ADAPTER --model b=ADAPTER --by concat`"

/** Adapters into one adapter, without their base. */
export async function mergeAdapters({ positionals, values }: Arguments): Promise<void> {
  const [, text] = positionals
  const out = values['out']
  if (text === undefined || typeof out !== 'string') throw new UsageError(text === undefined ? 'there is no expression' : '--out is missing', USE)
  const { say, note, step, end } = speaker(values['json'] === true)
  const models = readModels(values)
  const by = readCombination(values['by'])
  const rank = values['rank'] === undefined ? null : readCount('rank', values['rank'] as string)
  const dtype = values['dtype'] === undefined ? 'F32' : outputDType(values['dtype'] as string, { where: '--dtype' })
  const seed = values['seed'] === undefined ? {} : { seed: readSeed('seed', values['seed'] as string) }
  const adapters = await openAll(models)
  const recipe = parse(text, { name: 'expression', models, adapters: new Set(adapters.keys()), result: 'vector', output: { dtype: 'F32' }, ...seed })
  const combination = planCombination(recipe, adapters, { by, rank, dtype })
  for (const { text: told } of recipe.notes) note(told)
  const done: Combined[] = []
  for await (const combined of combineAdapters(combination, folderSink(out, { force: values['force'] === true }), readResources(values))) {
    done.push(combined)
    const { module, cut } = combined
    say({ kind: 'module', module, rank: combined.rank, ...(cut ? { error: errorOf([combined]) } : {}) })
    step(`${done.length} of ${plural(combination.modules.length, 'module')}`)
  }
  end()
  const error = errorOf(done)
  const { size } = combination.layout.file
  say({ kind: 'done', output: out, by, modules: done.length, bytes: size, ...(error === null ? {} : { error }) })
  if (values['json'] === true) return
  const lost = error === null ? '' : `, ${error < 1e-6 ? 'nothing cut off' : `relative error ${percent(error)} (${percent(1 - error ** 2)} of the energy kept)`}`
  process.stdout.write(
    `${green('✓')} ${harmless(out)}: ${by} of ${plural(combination.adapters.size, 'adapter')}, ${plural(done.length, 'module')} of rank ${spread(done.map(d => d.rank))}, ${bytes(size)}${lost}\n`,
  )
}

/** ‖Δ − B·A‖/‖Δ‖ over all modules; null where nothing is cut off. */
function errorOf(done: readonly Combined[]): number | null {
  let [energy, lost] = [0, 0]
  for (const { cut } of done) {
    if (!cut) return null
    energy += cut.energy
    lost += cut.lost
  }
  return energy === 0 ? 0 : Math.sqrt(lost / energy)
}

async function openAll(models: Readonly<Record<string, string>>) {
  const references = Object.fromEntries(Object.entries(models).map(([name, path]) => [name, referenceOf(path, null)]))
  const adapters = await findAdapters(references)
  return new Map(
    await Promise.all(
      Object.entries(references).map(async ([name, reference]) => {
        const path = await locateModel(reference)
        if (!adapters.has(name)) {
          // openAdapter says what is wrong with a folder that is neither
          const adapter = await openAdapter(path)
          throw new MergeError(`${adapter.ref} is a model, too`, { fix: 'give the folder of an adapter alone' })
        }
        return [name, { ...(await openAdapter(path)), ref: models[name]! }] as const
      }),
    ),
  )
}

function readCombination(given: Arguments['values'][string]): Combination {
  if (given === undefined) throw new UsageError('--by is missing', `write --by ${COMBINATIONS.join(', --by ')}`)
  const by = COMBINATIONS.find(name => name === given)
  if (!by) throw new UsageError(`--by "${given as string}" is no way to combine adapters`, suggest(given as string, COMBINATIONS, 'ways'))
  return by
}
