import { type Layers, layersOf } from '../checkpoint/architecture.ts'
import { sizeOf } from '../dtype.ts'
import { type Figures, findFigures } from '../execute/figures.ts'
import { adapterProfiles, type Profile, profilesOf } from '../execute/spectra.ts'
import { planFigures } from '../plan/figures.ts'
import { plan } from '../plan/plan.ts'
import { openSubject, type Subject } from '../plan/subject.ts'
import { type Arguments, UsageError } from './_command.ts'
import { spread } from './_extract.ts'
import { byPattern } from './_layers.ts'
import { readResources } from './_recipe.ts'
import { bold, count, dim, harmless, percent, plural, speaker, table } from './_text.ts'

/** A tensor that the task vector changes, or could. */
interface Row extends Figures {
  readonly profile: Profile | null
}

/** Norms, densities and ranks of a task vector, an adapter, or a fine-tune against its base. */
export async function showInfo({ positionals, values }: Arguments): Promise<void> {
  const ref = positionals[1]
  if (ref === undefined) throw new UsageError('there is no task vector to look at', 'write `merganser vector info VECTOR`, or `merganser vector info MODEL --base BASE`')
  const subject = await openSubject(ref, (values['base'] as string | undefined) ?? null)
  const resources = readResources(values)
  const figures = await findFigures(planFigures(subject.recipe, subject.checkpoints, resources))
  const { step, end } = speaker(values['json'] === true)
  const profiles = new Map<string, Profile>()
  for await (const profile of spectraOf(subject, figures, values)) {
    profiles.set(profile.tensor, profile)
    step(`${plural(profiles.size, 'spectrum', 'spectra')}`)
  }
  end()
  const rows = figures.map((own): Row => ({ ...own, profile: profiles.get(own.name) ?? null }))
  process.stdout.write(values['json'] === true ? `${JSON.stringify(asJson(subject, rows))}\n` : describe(subject, rows))
}

async function* spectraOf({ recipe, checkpoints, factors }: Subject, figures: readonly Figures[], values: Arguments['values']): AsyncGenerator<Profile, void, void> {
  const left = new Set(figures.filter(({ energy }) => energy > 0).map(({ name }) => name))
  if (factors) {
    for (const profile of adapterProfiles(factors)) {
      if (left.delete(profile.tensor)) yield profile
    }
  }
  if (left.size > 0) yield* profilesOf(plan(recipe, checkpoints, readResources(values)), left, { isExact: values['exact'] === true })
}

const energyOf = (rows: readonly Figures[]): number => rows.reduce((sum, { energy }) => sum + energy, 0)
const elementsOf = (rows: readonly Figures[]): number => rows.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
const densityOf = (rows: readonly Figures[]): number => (elementsOf(rows) === 0 ? 0 : rows.reduce((sum, { nonzeros }) => sum + nonzeros, 0) / elementsOf(rows))

function asJson({ kind, ref, base }: Subject, rows: readonly Row[]) {
  const layers = layersOf(rows.map(({ name }) => name))
  const summary = (group: readonly Figures[]) => ({ norm: Math.sqrt(energyOf(group)), density: densityOf(group), elements: elementsOf(group) })
  return {
    path: ref,
    kind,
    base,
    ...summary(rows),
    layers: byLayer(rows, layers).map(([layer, group]) => ({ layer, ...summary(group) })),
    tensors: rows.map(({ profile, ...own }) => ({
      name: own.name,
      shape: own.shape,
      norm: Math.sqrt(own.energy),
      density: densityOf([own]),
      ...(profile ? { stableRank: profile.stableRank, rank90: profile.rank90, rank99: profile.rank99, valuesLookedAt: profile.looked, areUpperBounds: profile.isSketched } : {}),
    })),
  }
}

function describe({ kind, ref, base }: Subject, rows: readonly Row[]): string {
  const layers = layersOf(rows.map(({ name }) => name))
  const all = energyOf(rows)
  const shown = rows.filter(({ energy }) => energy > 0)
  const facts = [
    [kind, base === null ? 'of an unknown base' : `of ${kind === 'fine-tune' ? '' : 'a fine-tune of '}${base}`],
    ['norm', number(Math.sqrt(all))],
    ['changed', `${count(shown.length)} of ${plural(rows.length, 'tensor')}, ${percent(densityOf(rows))} of ${count(elementsOf(rows))} elements`],
  ]
  const perLayer = byLayer(shown, layers).map(([layer, group]) => [harmless(layer), number(Math.sqrt(energyOf(group))), percent(energyOf(group) / all), percent(densityOf(group))])
  const perTensor = [...byPattern(shown, ({ name }) => name, layers)].map(([pattern, group]) => [
    harmless(pattern),
    number(Math.sqrt(energyOf(group))),
    percent(energyOf(group) / all),
    percent(densityOf(group)),
    ...(['stableRank', 'rank90', 'rank99'] as const).map(which => ranks(group, which)),
  ])
  const isSketched = shown.some(({ profile }) => profile?.isSketched)
  return [
    bold(harmless(ref)),
    ...facts.map(([k, v]) => `  ${dim(k!.padEnd(11))}  ${harmless(v!)}`),
    '',
    table([['layer', 'norm', 'energy', 'density'], ...perLayer], [1, 2, 3]),
    '',
    table([['tensor', 'norm', 'energy', 'density', 'stable rank', 'rank 90 %', 'rank 99 %'], ...perTensor], [1, 2, 3, 4, 5, 6]),
    ...(isSketched ? ['', '≤: of large matrices the 256 largest singular values are found by a sketch, which may give them a little too small; --exact finds all'] : []),
    '',
  ].join('\n')
}

/** By the layer's name, in the order of the layers; what lies outside of them by itself, last. */
function byLayer<T extends Figures>(rows: readonly T[], layers: Layers): readonly (readonly [string, readonly T[]])[] {
  const groups = new Map<string, { readonly index: number; readonly members: T[] }>()
  for (const row of rows) {
    const layer = layers.of(row.name)
    const key = layer ? `${layer.stack}.${layer.index}` : 'outside of layers'
    const group = groups.get(key) ?? { index: layer ? layer.index : Number.POSITIVE_INFINITY, members: [] }
    groups.set(key, group)
    group.members.push(row)
  }
  return [...groups].sort(([, a], [, b]) => a.index - b.index || 0).map(([key, { members }]) => [key, members])
}

function ranks(group: readonly Row[], which: 'stableRank' | 'rank90' | 'rank99'): string {
  const profiles = group.flatMap(({ profile }) => profile ?? [])
  if (profiles.length === 0) return '–'
  const values = profiles.map(profile => profile[which])
  if (values.includes(null)) return `over ${Math.max(...profiles.map(p => p.looked))}`
  return `${profiles.some(p => p.isSketched) ? '≤ ' : ''}${spread(values as number[], which === 'stableRank' ? v => v.toFixed(1) : String)}`
}

const number = (value: number): string => (value === 0 ? '0' : value >= 1e-3 && value < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2))
