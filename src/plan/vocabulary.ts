import { type Fill, matchRows, type RowMap } from '../checkpoint/rows.ts'
import type { Tokenizer } from '../checkpoint/tokenizer.ts'
import { chooseVocabulary, type OutputVocabulary, type Vocabulary, vocabularyOf } from '../checkpoint/vocabulary.ts'
import { assert, type MergeError } from '../errors.ts'
import { show } from '../json.ts'
import { faultAt, nearest } from '../recipe/locate.ts'
import type { SourceText, TokenizerRequest, TokenRule } from '../recipe/recipe.ts'

/** A model of the merge whose embeddings are to be matched. */
export interface VocabularyModel {
  /** As in the recipe. */
  readonly name: string
  /** Null where its folder has none. */
  readonly tokenizer: Tokenizer | null
  /** Height of its input embedding. */
  readonly rows: number
}

export interface VocabularyPlan {
  readonly output: OutputVocabulary
  /** The tokenizer which the output's files begin with. */
  readonly source: Tokenizer
  /** What each model's rows mean, by name. */
  readonly models: ReadonlyMap<string, Vocabulary>
  /** The model whose row stands in for a missing one. */
  readonly base: string | null
  readonly notes: readonly string[]
}

/**
 * The vocabulary that a recipe asks for. `base` names one of `models`, or is null; `other` is the tokenizer of a source that is none of
 * them. Throws at the place in the recipe for whatever cannot be done.
 */
export function planVocabulary(text: SourceText, request: TokenizerRequest, models: readonly VocabularyModel[], base: string | null, other: Tokenizer | null): VocabularyPlan {
  const notes: string[] = []
  const first = models.find(m => m.name === base) ?? models[0]
  assert(first, 'a merge has models')
  if (!first.tokenizer) throw lacking(text, request, first.name)
  const known = new Map<string, Vocabulary>()
  for (const model of [first, ...models.filter(m => m !== first)]) known.set(model.name, vocabularyOf(tokenizerOf(text, request, model, first, notes), model.rows))
  const { source } = request
  const merged = source.kind === 'model' ? models.find(m => m.name === source.model) : first
  const tokenizer = merged ? tokenizerOf(text, request, merged, first, []) : other
  if (!tokenizer) throw lacking(text, source, source.kind === 'model' ? source.model : first.name)
  if (source.kind === 'base' && base === null) notes.push(`the recipe names no base_model: the tokenizer is that of ${first.name}, its first model`)
  const output = chooseVocabulary({
    source: vocabularyOf(tokenizer, merged?.rows ?? Number.POSITIVE_INFINITY),
    union: source.kind === 'union' ? [...known.values()] : [],
    wanted: request.tokens.map(rule => rule.token),
    models: [...known.values()],
    padToMultipleOf: request.padToMultipleOf,
  })
  const plan = { output, source: tokenizer, models: known, base }
  for (const rule of request.tokens) ruledRow(text, rule, known)
  notes.push(...notesOf(request, plan))
  return { ...plan, notes }
}

/** The tokenizer of a model; one of the base's height that has none is taken to have the base's, as fine-tunes are often saved so. */
function tokenizerOf(text: SourceText, request: TokenizerRequest, model: VocabularyModel, first: VocabularyModel, notes: string[]): Tokenizer {
  if (model.tokenizer) return model.tokenizer
  if (model.rows !== first.rows)
    throw lacking(text, request, model.name, `; its embedding has ${model.rows} rows and that of ${first.name} ${first.rows}, so they do not share one`)
  notes.push(`${model.name} has no tokenizer; its embedding is as high as that of ${first.name}, whose tokenizer is taken for it`)
  return first.tokenizer!
}

const lacking = (text: SourceText, { at }: Pick<TokenizerRequest, 'at'>, name: string, more = ''): MergeError =>
  faultAt(text, at, `${name} has no tokenizer${more}`, `copy tokenizer.json and tokenizer_config.json of the model it was trained from into its folder`)

/** The row that a rule names, in the embedding of the model which it names; null for zero. */
function ruledRow(text: SourceText, { token, source }: TokenRule, models: ReadonlyMap<string, Vocabulary>): { readonly model: string; readonly row: number } | null {
  if (source.kind === 'zero') return null
  const { model } = source
  const known = models.get(model)
  if (!known) throw faultAt(text, source.at, `${model} gives no embedding to the merge`, `take the row from one of: ${[...models.keys()].join(', ')}`)
  const { ids, rows } = known
  const wanted = source.kind === 'model' ? token : source.token
  const id = typeof wanted === 'number' ? wanted : ids.get(wanted)
  if (id === undefined) {
    const near = nearest(String(wanted), ids.keys())
    const fix = near === null ? 'name a token that the model has, or one by its row with `{kind: model_token, model: ..., token_id: ...}`' : `did you mean ${show(near)}?`
    throw faultAt(text, source.at, `${model} has no token ${show(wanted)}`, fix)
  }
  if (id < rows) return { model, row: id }
  const what = typeof wanted === 'number' ? `token_id is ${id}` : `token ${show(wanted)} of ${model} has the id ${id}`
  throw faultAt(text, source.at, `${what}, and the embedding of ${model} has ${rows} rows`, `name a token with an id from 0 to ${rows - 1}`)
}

/**
 * How one tensor of each model is gathered over the vocabulary of `plan`. `models` are those that the tensor is merged from, in the
 * order in which the row map lists them, each with the height of this tensor.
 */
export function mapRows(text: SourceText, request: TokenizerRequest, plan: VocabularyPlan, models: readonly { readonly name: string; readonly rows: number }[]): RowMap {
  const vocabularies = new Map(models.map(({ name, rows }) => [name, { ...plan.models.get(name)!, rows }]))
  const fills = new Map<string, Fill>()
  for (const rule of request.tokens) {
    const { source, force, token } = rule
    if (source.kind !== 'zero' && !vocabularies.has(source.model)) {
      throw faultAt(text, source.at, `${source.model} gives no rows to this tensor`, `take them from one of: ${models.map(m => m.name).join(', ')}`)
    }
    const row = ruledRow(text, rule, vocabularies)
    fills.set(token, { rows: row ? [{ model: models.findIndex(m => m.name === row.model), row: row.row }] : [], force })
  }
  const base = models.findIndex(m => m.name === plan.base)
  return matchRows(plan.output, [...vocabularies.values()], base < 0 ? null : base, fills)
}

function notesOf(request: TokenizerRequest, { output, models }: Pick<VocabularyPlan, 'output' | 'models'>): string[] {
  const notes: string[] = []
  const has = ({ ids, rows }: Vocabulary, token: string): boolean => (ids.get(token) ?? rows) < rows
  for (const [name, { ids, rows }] of models) {
    const beyond = [...ids].filter(([, id]) => id >= rows)
    if (beyond.length > 0)
      notes.push(`${count(beyond.length, 'token')} of ${name} have no row in its embedding of ${rows} rows and count as missing: ${listed(beyond.map(([token]) => token))}`)
  }
  for (const { token, force } of request.tokens) {
    if (!force && [...models.values()].every(model => has(model, token)))
      notes.push(`the rule for ${show(token)} has no effect: every model has the token; add \`force: true\` if it is to win`)
  }
  const ruled = new Set(request.tokens.map(rule => rule.token))
  const nowhere = output.tokens.flatMap(token => (token !== null && !ruled.has(token) && ![...models.values()].some(model => has(model, token)) ? [token] : []))
  if (nowhere.length > 0) notes.push(`${count(nowhere.length, 'token')} of the output in none of the models: their rows are zero: ${listed(nowhere)}`)
  return notes
}

const MAX_LISTED = 3 // tokens in one note
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
const listed = (tokens: readonly string[]): string => tokens.slice(0, MAX_LISTED).map(show).join(', ') + (tokens.length > MAX_LISTED ? ', …' : '')
