import type { Comparison, ComparisonLine } from '../plan/comparison.ts'
import { bold, count, harmless, red, table } from './_text.ts'

/** How the models' tensors match, as a table, and below it what to write. */
export function compared({ models, lines, proposals }: Comparison): string[] {
  const rows = lines.map(line => [harmless(line.tensors), count(line.count), harmless(holdersOf(line, models)), becomes(line)])
  const proposed = proposals.flatMap(({ why, lines: written }) => ['', `${bold('proposal:')} ${harmless(why)}`, ...written.map(line => `  ${harmless(line)}`)])
  return [table([['tensors', 'count', 'models', 'becomes'], ...rows], [1]), ...proposed]
}

function holdersOf({ in: holders, notIn, tied, shapes }: ComparisonLine, models: readonly string[]): string {
  const own = holders.filter(model => !tied.includes(model))
  const where = shapes
    ? Object.entries(shapes)
        .map(([model, shape]) => `[${shape.join(', ')}] in ${model}`)
        .join(', ')
    : notIn.length === 0
      ? models.length === 2
        ? 'both'
        : `all ${models.length}`
      : `only in ${own.join(', ')}`
  return tied.length > 0 ? `${where}; ${tied.join(', ')} tied to the embedding` : where
}

const becomes = ({ outcome, from }: ComparisonLine): string => (outcome === 'copied' ? `from ${from}` : outcome === 'unsettled' ? red('not settled') : outcome)
