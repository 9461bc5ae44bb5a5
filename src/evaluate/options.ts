/** What a suite may write for an option, by its kind. A `path` is looked up from the suite's folder, and is absolute once read. */
export interface Kinds {
  readonly text: string
  readonly texts: readonly string[]
  readonly path: string
  readonly count: number
  readonly number: number
  readonly numbers: readonly number[]
  /** A mapping of names to text. */
  readonly names: Readonly<Record<string, string>>
  /** A mapping of names to lists of whole numbers. */
  readonly sets: Readonly<Record<string, readonly number[]>>
}
export type Kind = keyof Kinds

/** An option of an engine or of a metric, as a suite writes it. */
export interface Option<K extends Kind = Kind> {
  readonly kind: K
  /** One line for the docs. */
  readonly doc: string
  /** Taken when the suite says nothing; null: there is none. */
  readonly default: Kinds[K] | null
  /** The suite must say it. */
  readonly required?: true
  /** The only texts that are allowed. */
  readonly choices?: readonly string[]
}
export type Options = Readonly<Record<string, Option>>
export type Setting = Kinds[Kind] | null

/** The options of a task as its engine and metric get them. */
export type Settings<O extends Options> = {
  readonly [N in keyof O]: Kinds[O[N]['kind']] | (O[N] extends { readonly required: true } ? never : O[N] extends { readonly default: null } ? null : never)
}

/** An option that may be left out, and then is null. */
export const optional = <const K extends Kind>(kind: K, doc: string) => ({ kind, doc, default: null }) as const
/** An option without which there is no task. */
export const required = <const K extends Kind>(kind: K, doc: string) => ({ kind, doc, default: null, required: true }) as const
/** An option with a value of its own when left out. */
export const preset = <const K extends Kind, V extends Kinds[K]>(kind: K, doc: string, value: V) => ({ kind, doc, default: value }) as const
/** One of a few words; the first when left out. */
export const oneOf = <const C extends readonly [string, ...string[]]>(doc: string, ...choices: C) => ({ kind: 'text', doc, default: choices[0] as string, choices }) as const
