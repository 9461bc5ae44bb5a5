import { isKept } from '../checkpoint/common_rows.ts'
import type { RowMap } from '../checkpoint/rows.ts'
import type { TokenizerRequest } from '../recipe/recipe.ts'
import type { VocabularyPlan } from './vocabulary.ts'

/** A line of the dry run: how many rows of the output come about in one way, or how many tokens are left behind. */
export interface VocabularyLine {
  readonly what: string
  readonly count: number
  /** The first few, to recognise them by. */
  readonly examples: readonly string[]
}

const MAX_EXAMPLES = 3

/** Where the rows of the output come from; every row is counted in one line, and after them the tokens left out. `names` are the models of `map`, in its order; `keeps` the one whose rows stay where others lack them. */
export function tabulateVocabulary(request: TokenizerRequest, plan: VocabularyPlan, map: RowMap, names: readonly string[], keeps: number | null = null): readonly VocabularyLine[] {
  const ruled = new Map(request.tokens.map(rule => [rule.token, rule]))
  const lines = new Map<string, { count: number; examples: string[] }>()
  const add = (what: string, token: string | null): void => {
    const line = lines.get(what) ?? lines.set(what, { count: 0, examples: [] }).get(what)!
    line.count++
    if (token !== null && line.examples.length < MAX_EXAMPLES) line.examples.push(token)
  }
  plan.output.tokens.forEach((token, r) => {
    const rule = token === null ? undefined : ruled.get(token)
    const holders = names.filter((_, m) => map.own[m]![r]! >= 0)
    add(wayOf(r, token, holders, rule !== undefined && holders.length < names.length), token)
  })
  const kept = new Set(plan.output.tokens)
  for (const [name, { ids, rows }] of plan.models)
    for (const [token, id] of ids) if (id < rows && !kept.has(token)) add(`left out: tokens of ${name} that the output does not have`, token)
  return [...lines].map(([what, line]) => ({ what, ...line }))

  function wayOf(r: number, token: string | null, holders: readonly string[], isRuled: boolean): string {
    if (keeps !== null && isKept(map, keeps, r)) return token === null ? `without a token: as in ${names[keeps]}` : `not in every model: as in ${names[keeps]}`
    if (token === null) return map.isPadding[r] === 1 ? 'padding: the mean of the rows above' : 'without a token: padding of the embeddings'
    if (isRuled) return 'by a rule of the recipe'
    if (holders.length === names.length) return names.length === 1 ? 'from the model' : 'in every model'
    if (holders.length === 0) return 'in no model: zero'
    if (holders.length === 1) return `only in ${holders[0]}: its row everywhere`
    return `in ${holders.join(' and ')}: ${map.fillStart[r + 1]! - map.fillStart[r]! === 1 ? `the row of ${names[map.fillModel[map.fillStart[r]!]!]}` : 'their mean'} in the others`
  }
}
