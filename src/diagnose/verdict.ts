import type { Measured } from './diagnose.ts'
import { type Finding, percent } from './findings.ts'
import type { Subjects } from './subjects.ts'

/**
 * What weights alone can say. `safe`: only where it can be proved: all changes lie in one tensor, each task's in neurons of its own, which the recipe
 * leaves as the expert has them, so what that tensor gives is what the experts give, added up; lengths do not matter then. `unsafe`: a gate has stopped
 * it. `doubtful`: a gate has warned. `open`: nothing speaks against it, and nothing in weights can promise it.
 */
export interface Verdict {
  readonly outlook: 'safe' | 'open' | 'doubtful' | 'unsafe'
  readonly summary: string
  /** What moved it. */
  readonly reasons: readonly string[]
}

const SUMMARIES: Readonly<Record<Verdict['outlook'], string>> = {
  safe: 'the tasks do not touch each other’s neurons, and the recipe leaves them as the experts have them',
  open: 'nothing in the weights speaks against this merge, and weights alone cannot promise more: evaluate it',
  doubtful: 'something in the weights speaks against this merge: evaluate it before you rely on it',
  unsafe: 'do not expect this merge to keep the skills of its models',
}
const EXACT = 1e-6 // relative, squared: beyond the rounding of float32

export function judge({ tasks }: Subjects, findings: readonly Finding[], measures: readonly Measured[]): Verdict {
  const isUnrelated = findings.some(f => f.severity === 'stop' && f.gate === 'lineage')
  const own = isUnrelated ? [] : facts(tasks, measures) // of networks that share nothing there is nothing to say
  const found = findings.map(f => f.what)
  const outlook = findings.some(f => f.severity === 'stop') ? 'unsafe' : isProved(findings, measures) ? 'safe' : findings.length > 0 ? 'doubtful' : 'open'
  return { outlook, summary: SUMMARIES[outlook], reasons: outlook === 'safe' ? [...own, ...found.map(what => `it does not matter here that ${what}`)] : [...found, ...own] }
}

function isProved(findings: readonly Finding[], measures: readonly Measured[]): boolean {
  const of = (measure: string): readonly Measured[] => measures.filter(m => m.measure === measure)
  const changed = new Set(of('changed_entries').flatMap(({ tensors }) => Object.keys(tensors).filter(name => tensors[name] !== 0)))
  const isLeftAlone = of('own_rows_damage').every(m => m.value !== null && m.value <= EXACT)
  return findings.every(f => f.gate === 'norm' || f.gate === 'lineage') && changed.size === 1 && isLeftAlone && of('shared_rows').every(m => m.value === 0)
}

/** What people look for, with what it means. */
function facts(tasks: readonly string[], measures: readonly Measured[]): readonly string[] {
  const values = (measure: string): readonly number[] => measures.flatMap(m => (m.measure === measure && m.value !== null ? [m.value] : []))
  const most = (measure: string): number | null => values(measure).reduce<number | null>((max, value) => Math.max(max ?? value, value), null)
  const [rows, rewritten, conflicts, damage] = [most('shared_rows'), most('rewritten_rows'), most('sign_conflict'), most('directional_damage')]
  return [
    tasks.length > 1 && rows !== null
      ? [
          rows === 0
            ? 'no neuron is changed by two tasks'
            : `up to ${percent(rows)} of a task’s change lies in neurons that another changes too, ${percent(rewritten ?? 0)} in neurons that both rewrite`,
        ]
      : [],
    tasks.length > 1
      ? [
          conflicts === null
            ? 'no entry is changed by two tasks, so no sign can differ'
            : `signs differ in up to ${percent(conflicts)} of the entries that two tasks change (half by chance)`,
        ]
      : [],
    damage === null ? [] : [`directional damage of the recipe up to ${damage.toFixed(2)} (0 keeps a task, 1 is as bad as leaving it out)`],
  ].flat()
}
