/** Plain data that lets another thread or machine open the same bytes. */
export type Locator = { readonly file: string } | { readonly memory: Uint8Array }

/** Readable bytes of known length: a file, a range of an URL, an array. */
export interface Source {
  /** As error messages show it. */
  readonly name: string
  readonly size: number
  /** Changes when the bytes may have changed (modification time, ETag). */
  readonly version: string
  readonly locator: Locator
  /** Bytes [start, end). */
  read(start: number, end: number): Promise<Uint8Array>
}

/** Random access for the engine, straight into the memory where the bytes are needed. */
export interface Reader {
  /** Fills `target` with the bytes from `at`; throws when fewer are there. A promise only where reading cannot be synchronous. */
  read(target: Uint8Array, at: number): void | Promise<void>
  close(): void
}

/** A source over an array. */
export function memorySource(name: string, bytes: Uint8Array): Source {
  return {
    name,
    size: bytes.byteLength,
    version: String(bytes.byteLength),
    locator: { memory: bytes },
    read: async (start, end) => bytes.subarray(start, end),
  }
}
