import type { Diagnosis } from '../diagnose/diagnose.ts'
import { dim, harmless, table } from './_text.ts'

/** A measure as a column of blocks: the highest of all tasks or pairs; the tallest block is `top`, or where that is null the highest value there is. */
interface Column {
  readonly title: string
  readonly measure: string
  readonly top: number | null
}

const COLUMNS: readonly Column[] = [
  { title: 'moved', measure: 'relative_norm', top: null },
  { title: 'damage R', measure: 'directional_damage', top: null },
  { title: 'signs differ', measure: 'weighted_sign_conflict', top: 1 },
  { title: 'rewritten by both', measure: 'rewritten_rows', top: 1 },
]
const BLOCKS = '▁▂▃▄▅▆▇█'
const MOST_LAYERS = 64 // blocks in a cell: of more layers, neighbours share one

/** Matrices by the pattern of their names, a block for each layer: taller is more. Vectors are left to the JSON. */
export function heatMap({ tensors, measures }: Diagnosis): readonly string[] {
  const matrices = tensors.filter(t => t.shape.length > 1)
  if (matrices.length === 0) return []
  const rows = new Map<string, string[]>()
  for (const { pattern, name } of matrices) rows.set(pattern, [...(rows.get(pattern) ?? []), name])
  const columns = COLUMNS.flatMap(column => {
    const own = measures.filter(m => m.measure === column.measure)
    const highestOf = (name: string): number | null => own.reduce<number | null>((most, { tensors: values }) => larger(most, values[name] ?? null), null)
    const highest = matrices.reduce<number | null>((most, { name }) => larger(most, highestOf(name)), null)
    return highest === null ? [] : [{ ...column, highestOf, scale: column.top ?? highest }]
  })
  const body = [...rows].map(([pattern, names]) => [harmless(pattern), ...columns.map(c => cell(names.map(c.highestOf), c.scale))])
  return [
    table([['matrices', ...columns.map(c => c.title)], ...body]),
    dim(`one block a layer, the highest of all tasks; █ is ${columns.map(c => `${c.title} ${c.scale.toPrecision(2)}`).join(', ')}`),
  ]
}

const larger = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b))

function cell(values: readonly (number | null)[], scale: number): string {
  const step = Math.ceil(values.length / MOST_LAYERS)
  const shared = Array.from({ length: Math.ceil(values.length / step) }, (_, i) => values.slice(i * step, (i + 1) * step).reduce(larger, null))
  const blocks = shared
    .map(value => (value === null ? '·' : BLOCKS[Math.min(BLOCKS.length - 1, scale > 0 ? Math.max(0, Math.floor((value / scale) * BLOCKS.length)) : 0)]!))
    .join('')
  const highest = values.reduce(larger, null)
  return highest === null ? blocks : `${blocks} ${highest.toFixed(2)}`
}
