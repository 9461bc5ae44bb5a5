import type { OutputVocabulary, Vocabulary } from './vocabulary.ts'

/** A row of a model's own embedding, by the model's place in the list. */
export interface Row {
  readonly model: number
  readonly row: number
}

/**
 * How the embeddings of several models become embeddings over one vocabulary, each with `rows` rows. Row r of model m is
 * 1. row `own[m][r]` of its own embedding, byte for byte, where that is not −1; else
 * 2. where `isPadding[r]` is 0, the fill of r, which is the same for every model that lacks the row: the mean of the rows
 *    (`fillModel[i]`, `fillRow[i]`) for i in [`fillStart[r]`, `fillStart[r + 1]`), summed in this order in float32 and divided once.
 *    One such row is a copy, none is zero. The rows are those of the models' own embeddings, and become elements of model m's dtype: byte
 *    for byte where it is one row of that dtype, else from float32 to the nearest, ties to even;
 * 3. where `isPadding[r]` is 1, the mean of model m's rows with `isPadding` 0 and a token (`hasToken[r]` is 1), after the fill:
 *    summed in float64 in order of rows, divided, rounded to float32 and then to model m's dtype. Without such rows it is zero.
 * The merge method then sees these embeddings in place of the models' own.
 */
export interface RowMap {
  readonly rows: number
  readonly own: readonly Int32Array<ArrayBuffer>[]
  /** Of length rows + 1. */
  readonly fillStart: Int32Array<ArrayBuffer>
  readonly fillModel: Int32Array<ArrayBuffer>
  readonly fillRow: Int32Array<ArrayBuffer>
  readonly isPadding: Uint8Array<ArrayBuffer>
  readonly hasToken: Uint8Array<ArrayBuffer>
}

/** What the row of a token is in models that lack it; with `force` in all. No rows: zero. */
export interface Fill {
  readonly rows: readonly Row[]
  readonly force: boolean
}

/**
 * Matches the rows of `models` to the output's by token. A token that a model lacks: the row of `fills`; else of the one model that
 * has it; else of the base, `models[base]`, if it has it; else the mean of all models that have it. A row without a token is the same
 * row of a model that has it and no token there; where no model has one, it is padding.
 */
export function matchRows({ tokens, padding }: OutputVocabulary, models: readonly Vocabulary[], base: number | null, fills: ReadonlyMap<string, Fill>): RowMap {
  const own = models.map(model => ownRows(tokens, padding, model))
  const fillStart = new Int32Array(tokens.length + 1)
  const fill: Row[] = []
  const isPadding = new Uint8Array(tokens.length)
  tokens.forEach((token, r) => {
    const ruled = token === null ? undefined : fills.get(token)
    if (ruled?.force) for (const rows of own) rows[r] = -1
    const holders = own.flatMap((rows, model): Row[] => (rows[r]! >= 0 ? [{ model, row: rows[r]! }] : []))
    if (token === null && holders.length === 0) isPadding[r] = 1
    else if (ruled || holders.length < models.length) fill.push(...(ruled?.rows ?? defaultRows(holders, base)))
    fillStart[r + 1] = fill.length
  })
  return {
    rows: tokens.length,
    own,
    fillStart,
    fillModel: Int32Array.from(fill, f => f.model),
    fillRow: Int32Array.from(fill, f => f.row),
    isPadding,
    hasToken: Uint8Array.from(tokens, token => (token === null ? 0 : 1)),
  }
}

const defaultRows = (holders: readonly Row[], base: number | null): readonly Row[] => {
  const ofBase = holders.find(({ model }) => model === base)
  return ofBase ? [ofBase] : holders
}

function ownRows(tokens: OutputVocabulary['tokens'], padding: number, { ids, rows }: Vocabulary): Int32Array<ArrayBuffer> {
  const own = new Int32Array(tokens.length).fill(-1)
  const taken = new Uint8Array(Math.min(rows, tokens.length))
  for (const id of ids.values()) if (id < taken.length) taken[id] = 1
  tokens.forEach((token, r) => {
    if (token === null) {
      if (r < padding && r < taken.length && taken[r] === 0) own[r] = r
      return
    }
    const id = ids.get(token)
    if (id !== undefined && id < rows) own[r] = id
  })
  return own
}

/** Rows that lie beside each other here and there: output rows [to, to + count) are rows [from, from + count) of a model. */
export interface Run {
  readonly to: number
  readonly from: number
  readonly count: number
}

/** The rows of one model as few long copies, in order of output rows; rows of −1 are in none. */
export function runsOf(own: Int32Array): readonly Run[] {
  const runs: Run[] = []
  for (let to = 0; to < own.length; ) {
    const from = own[to]!
    let count = 1
    if (from >= 0) while (own[to + count] === from + count) count++
    if (from >= 0) runs.push({ to, from, count })
    to += count
  }
  return runs
}

/** Whether a model's embedding is already what the map asks for. */
export const isIdentity = (map: RowMap, model: number, height: number): boolean => height === map.rows && map.own[model]!.every((row, r) => row === r)
