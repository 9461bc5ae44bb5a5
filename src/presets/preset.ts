/** What a preset is told. */
export interface PresetContext {
  /** The folder of small checkpoints that come along. */
  readonly zoo: string
}

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
  run(context: PresetContext): AsyncGenerator<PresetTable, PresetResult, void>
}
