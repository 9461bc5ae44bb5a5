import type { Adapter, AdapterModule } from '../checkpoint/adapter.ts'
import { sizeOf } from '../dtype.ts'
import { bold, bytes, count, dim, harmless, plural, table } from './_text.ts'

/** What an adapter adds, and to what; the rank and scale of each module as its tensors have them. */
export function adapterAsJson({ ref, config, files, tensors, modules, saved }: Adapter) {
  return {
    path: ref,
    adapter: true,
    base: config.baseName,
    rank: config.rank,
    alpha: config.alpha,
    scale: config.alpha / (config.useRslora ? Math.sqrt(config.rank) : config.rank),
    variant: variantOf(config),
    targets: config.targets,
    modules: [...modules.values()].map(({ name, rank, scale, a, b }) => ({ name, rank, scale, a: a.shape, b: b.shape, dtype: a.dtype })),
    saved: [...saved].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    parameters: [...tensors.values()].reduce((sum, t) => sum + sizeOf(t.shape), 0),
    files: files.map(({ name, size, headerHash, metadata }) => ({ name, size, headerSha256: headerHash, metadata })),
  }
}

export function describeAdapter(adapter: Adapter): string {
  const { base, rank, alpha, scale, variant, parameters, targets } = adapterAsJson(adapter)
  const modules = [...adapter.modules.values()]
  const facts = [
    ['adapter', variant],
    ['base', base ?? 'not told'],
    ['rank', spread(modules, m => m.rank) ?? String(rank)],
    ['alpha', String(alpha)],
    ['scale', `${spread(modules, m => m.scale) ?? scale}  (${adapter.config.useRslora ? 'alpha/√rank' : 'alpha/rank'})`],
    ['targets', targets.length > 0 ? targets.join(', ') : 'not told'],
    ['parameters', count(parameters)],
    ['files', `${plural(adapter.files.length, 'file')}, ${bytes(adapter.files.reduce((sum, f) => sum + f.size, 0))}`],
  ]
  if (adapter.saved.size > 0) facts.push(['saved whole', [...adapter.saved.keys()].join(', ')])
  const rows = modules.map(({ name, rank: r, scale: by, a, b }) => [harmless(name), String(r), rounded(by), `[${b.shape}]·[${a.shape}]`, a.dtype])
  return `${bold(harmless(adapter.ref))}\n${facts.map(([k, v]) => `  ${dim(k!.padEnd(12))}  ${harmless(v!)}`).join('\n')}\n\n${table([['module', 'rank', 'scale', 'B·A', 'dtype'], ...rows], [1, 2])}\n`
}

const variantOf = ({ useDora, useRslora }: Adapter['config']): string => (useDora ? 'DoRA' : useRslora ? 'rsLoRA' : 'LoRA')

/** A number of all modules: one, or the least and the largest; null without modules. */
function spread(modules: readonly AdapterModule[], of: (module: AdapterModule) => number): string | null {
  const values = modules.map(of).sort((a, b) => a - b)
  const [least, most] = [values[0], values.at(-1)]
  if (least === undefined || most === undefined) return null
  return least === most ? rounded(least) : `${rounded(least)} to ${rounded(most)}`
}

const rounded = (value: number): string => String(Number(value.toPrecision(6)))
