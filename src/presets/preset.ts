import type { Store } from '../bytes/store.ts'

/** What a preset is told. */
export interface PresetContext {
  /** The folder of small checkpoints that come along. */
  readonly zoo: string
  /** What was written for the flags it declares. */
  readonly flags: FlagValues
  /** Where finished measurements are kept, and found again; null: nowhere. */
  readonly cache: Store | null
  /** Hears what is being measured. */
  tell(what: string): void
}

/** A flag of a preset: one with `value` takes one (the placeholder in the help), else it is on or off. */
export interface PresetFlag {
  readonly doc: string
  readonly value?: string
}
export type FlagValues = Readonly<Record<string, string | boolean | undefined>>

/** A table of a preset's result, with what to make of it. */
export interface PresetTable {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Sentences beneath it. */
  readonly remarks: readonly string[]
}

/** What a preset found. */
export interface PresetResult {
  /** Whether it came out as the card of its models says. */
  readonly isAsExpected: boolean
  readonly conclusion: string
}

/**
 * A system of task arithmetic, run end to end on checkpoints of the zoo: its recipes, its controls, and what was expected.
 * Yields tables as they come about; returns the result. The file's name is the preset's.
 */
export interface Preset {
  readonly summary: string
  /** The recipe, as one would write it for models of one's own. */
  readonly recipe: string
  /** The folders of the zoo that it reads. */
  readonly needs: readonly string[]
  /** The flags it takes. Presets that share one share its declaration, in _flags.ts. */
  readonly flags?: Readonly<Record<string, PresetFlag>>
  run(context: PresetContext): AsyncGenerator<PresetTable, PresetResult, void>
}
