import { keepsRows } from '../checkpoint/common_rows.ts'
import { embeddingOf, tokenAxis } from '../checkpoint/find.ts'
import { isIdentity, type RowMap } from '../checkpoint/rows.ts'
import type { Tokenizer } from '../checkpoint/tokenizer.ts'
import { isFloat, sizeOf } from '../dtype.ts'
import { assert, MergeError } from '../errors.ts'
import { show } from '../json.ts'
import { faultAt } from '../recipe/locate.ts'
import { own } from '../recipe/lookup.ts'
import type { Recipe, TokenizerRequest } from '../recipe/recipe.ts'
import { modelsIn, modelsInRules } from '../recipe/walk.ts'
import { chooseDonor, leading } from './donor.ts'
import type { Input, Leaf } from './lower.ts'
import type { OpenedModels } from './open_models.ts'
import { renameTokens } from './renamed_tokens.ts'
import { commonShape } from './shapes.ts'
import { mapRows, planVocabulary, type VocabularyPlan } from './vocabulary.ts'
import { tabulateVocabulary, type VocabularyLine } from './vocabulary_table.ts'

/** A tensor whose rows are matched by token: each model's own becomes one over the output's vocabulary. */
export interface Matched {
  /** Index into `Matching.maps`. */
  readonly map: number
  /** The tensors of the map's models, in its order. */
  readonly of: readonly Input[]
  /** Of the output, and elements of a row. */
  readonly shape: readonly number[]
  readonly width: number
  /** The one of the map's models whose rows stay where not all models share the token; null where all rows are merged. */
  readonly keeps: number | null
}

/** Where the rows of some tensors come from, for people. */
export interface VocabularyTable {
  readonly tensors: readonly string[]
  readonly lines: readonly VocabularyLine[]
}

/** The output's vocabulary, and how rows of the models become rows over it. */
export interface Matching {
  readonly vocabulary: VocabularyPlan
  /** So far. */
  readonly maps: readonly RowMap[]
  /** How the rows of a tensor are matched; null where it has none for tokens, or they lie where they should. */
  match(name: string, leaves: readonly Leaf[]): Matched | null
  /** One for each way to gather so far. */
  tables(): readonly VocabularyTable[]
  /** What is odd about the rows so far. */
  notes(): readonly string[]
}

/** Chooses the vocabulary that a recipe asks for. Throws at the place in the recipe for whatever cannot be done. */
export function createMatching(recipe: Recipe, request: TokenizerRequest, models: OpenedModels): Matching {
  const vocabulary = vocabularyFor(recipe, request, models)
  const maps: RowMap[] = []
  const known = new Map<
    string,
    { readonly index: number; readonly models: readonly string[]; readonly tensors: string[]; readonly isIdentity: boolean; readonly keeps: number | null }
  >()
  return { vocabulary, maps, match, tables, notes }

  function match(name: string, leaves: readonly Leaf[]): Matched | null {
    const axis = leaves.map(({ model, tensor }) => tokenAxis(models.get(model)!, tensor)).find(a => a !== null)
    if (!axis) return null
    const integer = leaves.find(({ entry }) => !isFloat(entry.dtype))
    if (integer) {
      throw new MergeError(`${name}: ${integer.entry.dtype} in ${integer.model}, and rows are matched by token only where they are floats`, {
        where: recipe.source.name,
        fix: 'merge the models before they are quantised, or leave out the tokenizer',
      })
    }
    const [first] = leaves
    const widths = leaves.map(({ entry: { shape } }) => (axis === 'rows' ? sizeOf(shape.slice(1)) : 1))
    const width = widths[0]!
    if (widths.some(w => w !== width)) commonShape(recipe, name, leaves, null, false) // throws: they differ in more than their heights
    const {
      index,
      isIdentity: isPlain,
      keeps,
    } = mapFor(
      name,
      leaves.map(({ model, entry: { shape } }) => ({ name: model, rows: axis === 'rows' ? shape[0]! : sizeOf(shape) })),
    )
    if (isPlain && keeps === null) return null
    const { rows } = maps[index]!
    const { shape } = first!.entry
    return { map: index, of: leaves, shape: axis === 'rows' ? [rows, ...shape.slice(1)] : shape.map(n => (n === sizeOf(shape) ? rows : n)), width, keeps }
  }

  function mapFor(tensor: string, of: readonly { readonly name: string; readonly rows: number }[]) {
    assert(new Set(of.map(m => m.name)).size === of.length, `${tensor} is one tensor of each model`)
    const key = JSON.stringify(of)
    const before = known.get(key)
    before?.tensors.push(tensor)
    if (before) return before
    const map = mapRows(recipe.source, request, vocabulary, of)
    const base = recipe.vocabulary?.policy === 'common' ? of.findIndex(m => m.name === vocabulary.base) : -1
    const fresh = {
      index: maps.push(map) - 1,
      models: of.map(m => m.name),
      tensors: [tensor],
      isIdentity: of.every((m, i) => isIdentity(map, i, m.rows)),
      keeps: base >= 0 && keepsRows(map, base) ? base : null,
    }
    known.set(key, fresh)
    return fresh
  }

  function tables(): readonly VocabularyTable[] {
    const distinct = new Map<string, { tensors: string[]; lines: readonly VocabularyLine[] }>()
    for (const { index, models: names, tensors, keeps } of known.values()) {
      const lines = tabulateVocabulary(request, vocabulary, maps[index]!, names, keeps)
      const key = JSON.stringify(lines) // heights of tensors may differ where it changes nothing
      const same = distinct.get(key)
      if (same) same.tensors.push(...tensors)
      else distinct.set(key, { tensors: [...tensors], lines })
    }
    return [...distinct.values()]
  }

  function notes(): readonly string[] {
    const ruled = new Set(request.tokens.map(rule => rule.token))
    return [...known.values()].flatMap(({ index, models: givers, tensors }) => {
      const { own: rowsOf } = maps[index]!
      const lacking = vocabulary.output.tokens.filter((token, r): token is string => {
        if (token === null || ruled.has(token) || rowsOf.some(rows => rows[r]! >= 0)) return false
        return [...vocabulary.models.values()].some(({ ids, rows }) => (ids.get(token) ?? rows) < rows)
      })
      if (lacking.length === 0) return []
      const which = lacking.length === 1 ? 'a token that only other models have gets a row' : `${lacking.length} tokens that only other models have get rows`
      return [`${tensors[0]} comes from ${givers.join(', ')}: ${which} of zeros, e.g. ${show(lacking[0])}`]
    })
  }
}

function vocabularyFor(recipe: Recipe, request: TokenizerRequest, models: OpenedModels): VocabularyPlan {
  const { tokenizers } = models
  assert(tokenizers, 'the tokenizers were opened before planning, by openModels')
  const used = modelsOf(recipe)
  const base = baseOf(recipe)
  const merged = [...models].flatMap(([name, checkpoint]) => {
    const embedding = used.has(name) ? embeddingOf(checkpoint) : null
    return embedding ? [{ name, tokenizer: tokenizerOf(name), rows: embedding.shape[0]! }] : []
  })
  if (merged.length === 0) {
    const fix = 'embeddings are told by names such as `model.embed_tokens.weight`; leave out the tokenizer, and each row stays where it is'
    throw faultAt(recipe.source, request.at, 'no model has an embedding that is recognised, whose rows could be matched', fix)
  }
  const { source } = request
  const other = source.kind === 'model' && !merged.some(m => m.name === source.model) ? (tokenizers.get(source.model) ?? null) : null
  return planVocabulary(recipe.source, request, merged, base, other)

  /** With the names that the base has for some of its tokens. */
  function tokenizerOf(name: string): Tokenizer | null {
    const tokenizer = tokenizers!.get(name) ?? null // asserted above
    const names = recipe.vocabulary && own(recipe.vocabulary.tokens, name)
    if (!names) return tokenizer
    const fault = (what: string, fix?: string): MergeError => faultAt(recipe.source, recipe.vocabulary!.at, what, fix)
    if (name === base) throw fault(`the tokens of ${name} are what others are called by: the merge builds on it`, 'name the tokens of the other models')
    if (!tokenizer) throw fault(`${name} has no tokenizer whose tokens could be named`, 'copy its tokenizer.json into its folder')
    try {
      return renameTokens(tokenizer, names)
    } catch (error) {
      throw error instanceof MergeError ? fault(error.what, error.details.fix) : error
    }
  }
}

/** The models that take part in the vocabulary: mergekit's recipes name no others. */
function modelsOf({ form, models, merge, rules, output }: Recipe): ReadonlySet<string | null> {
  return new Set(form === 'mergekit' ? Object.keys(models) : [output.tokenizerFrom, ...modelsIn(merge), ...modelsInRules(rules)])
}

/** The model whose rows stand in for missing ones: the recipe's base, of a stage the model that it begins with; of an expression what it builds on. */
function baseOf(recipe: Recipe): string | null {
  const { form, output, merge } = recipe
  if (output.tokenizerFrom !== null) return output.tokenizerFrom
  return form !== 'mergekit' ? chooseDonor(recipe) : merge.kind === 'call' && merge.base ? leading(merge.base) : null
}
