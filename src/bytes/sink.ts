/** Plain data that lets another thread write to the same place. */
export type SinkLocator = { readonly file: string } | { readonly memory: Uint8Array }

export interface SinkRequest {
  /** Bytes that will be written altogether. */
  readonly bytes: number
  /** Equal for runs that would write the same bytes: only then may one go on where the other stopped. */
  readonly fingerprint: string
  /** Paths that are read, and must not be written over. */
  readonly inputs: readonly string[]
  readonly files: readonly { readonly name: string; readonly size: number }[]
  /** Whether a file, by its path within the output, belongs to a model: only such files go when one is replaced. */
  isOfModel(file: string): boolean
}

/** What an earlier, broken run has left. */
export interface Begun {
  /** The tasks that it had completed. */
  readonly finished: ReadonlySet<number>
  /** The numbers that it had found over the whole merge; null where it had not come so far. */
  readonly found: readonly number[] | null
  /** How many tasks it had completed that are thrown away, as nobody asked to go on with them. */
  readonly discarded: number
}

/**
 * Where a model is written. Its files come to be under a name of their own, and appear under the final one all at once when `finish` is called.
 */
export interface Sink {
  readonly name: string
  /** Checks that the output may be written there and that it fits; reserves the files. Throws before anything is changed. */
  begin(request: SinkRequest): Promise<Begun & { readonly locators: readonly SinkLocator[] }>
  /** Bytes into a reserved file, or all of a new one. */
  write(file: string, at: number, bytes: Uint8Array): Promise<void>
  /** Gives whether the file is kept. */
  copy(file: string, from: string): Promise<boolean>
  /** Notes tasks as complete: they will not be done again. */
  record(tasks: readonly number[]): void
  /** Notes what was found over the whole merge: it need not be found again. */
  recordFound(values: readonly number[]): void
  /** Makes the output durable and gives it its final name. */
  finish(): Promise<void>
  /** Gives up. What is complete stays for a later run if `keep`, else nothing stays. */
  abandon(keep: boolean): Promise<void>
}

/** An output that stays in memory: for evaluating a merge without writing it, and for tests. */
export interface MemorySink extends Sink {
  /** By file name, once finished. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

/**
 * A sink whose files are arrays. The merge then runs in this thread.
 *
 * @example
 * const sink = memorySink()
 * const recipe = parse('1*base', { models: { base: 'zoo/text/base' } })
 * for await (const event of execute(plan(recipe, await openModels(recipe)), sink)) console.log(event.kind)
 * console.log(sink.files.get('model.safetensors').length)
 */
export function memorySink(name = 'memory'): MemorySink {
  const files = new Map<string, Uint8Array>()
  return {
    name,
    files,
    begin: async ({ files: wanted }) => {
      const locators = wanted.map(({ name: file, size }) => {
        const memory = new Uint8Array(size)
        files.set(file, memory)
        return { memory }
      })
      return { finished: new Set(), found: null, discarded: 0, locators }
    },
    write: async (file, at, bytes) => {
      const known = files.get(file)
      if (known) known.set(bytes, at)
      else files.set(file, bytes.slice())
    },
    copy: async () => false, // companions are for folders: a model in memory is its tensors
    record: () => {},
    recordFound: () => {},
    finish: async () => {},
    abandon: async () => files.clear(),
  }
}
