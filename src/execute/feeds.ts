import { bytesOf } from '../dtype.ts'
import type { Engine } from '../kernels/kernels.ts'
import type { MemoryMap } from '../plan/budget.ts'
import { clearEnd } from './rows.ts'
import type { Job, Ports } from './runner.ts'
import { PIECE, pieceAt, piecesIn } from './select.ts'

// What runs for every chunk is kept short and plain: V8 spends longer on optimising a large function than a merge of a few seconds spends in it.

/** The sources of a job in an engine's memory. */
export interface Feeds {
  /** Where the elements lie that were brought last, by source. */
  readonly addresses: readonly number[]
  /** Brings elements [from, from + n) of the sources; what lies beyond the last is zeros. A promise only where reading is one. */
  fill(from: number, n: number): void | Promise<void>
  /** Brings pieces [first, end) of the sample, one after the other. */
  fillPieces(first: number, end: number): void | Promise<void>
}

/** Inputs of a whole tensor that stay in memory: where each source lies, and how many of its elements have been read. They are read when first wanted. */
export interface Held {
  readonly at: readonly number[]
  readonly done: number[]
}

/** Feeds of sources `slots`: each chunk replaces the one before, unless the whole tensor is `held`. */
export function openFeeds({ kernels, memory, heap }: Engine, { program, end: size }: Job, map: MemoryMap, slots: readonly number[], held: Held | null, ports: Ports): Feeds {
  const widths = program.sources.map(bytesOf)
  const raw = map.raw.map(at => heap + at)
  const addresses = [...raw]
  const views = raw.map((at, slot) => new Uint8Array(memory.buffer, at, map.chunk * widths[slot]!))
  return held
    ? { addresses, fill: (from, n) => point(held, from, n, 0), fillPieces: (first, end) => copyPieces(held, first, end) }
    : { addresses, fill: read, fillPieces: readPieces }

  function point(whole: Held, from: number, n: number, first: number): void | Promise<void> {
    for (let i = first; i < slots.length; i++) {
      const slot = slots[i]!
      const width = widths[slot]!
      const at = whole.at[slot]! + from * width
      addresses[slot] = at
      if (whole.done[slot]! >= from + n) continue
      clearEnd(memory, at, n, width)
      whole.done[slot] = from + n
      const waiting = ports.read(slot, new Uint8Array(memory.buffer, at, n * width), from)
      if (waiting) return waiting.then(() => point(whole, from, n, i + 1))
    }
  }

  function read(from: number, n: number, first = 0): void | Promise<void> {
    for (let i = first; i < slots.length; i++) {
      const slot = slots[i]!
      const width = widths[slot]!
      clearEnd(memory, raw[slot]!, n, width)
      const waiting = ports.read(slot, part(views[slot]!, 0, n * width), from)
      if (waiting) return waiting.then(() => read(from, n, i + 1))
    }
  }

  async function copyPieces(whole: Held, first: number, end: number): Promise<void> {
    await point(whole, 0, size, 0)
    for (const slot of slots) {
      addresses[slot] = raw[slot]!
      kernels.copy_pieces(raw[slot]!, whole.at[slot]!, widths[slot]!, size, piecesIn(size), first, end)
    }
  }

  async function readPieces(first: number, end: number): Promise<void> {
    for (const slot of slots) {
      const width = widths[slot]! * PIECE
      for (let piece = first; piece < end; piece++) {
        const at = (piece - first) * width
        const waiting = ports.read(slot, part(views[slot]!, at, at + width), pieceAt(piece, size))
        if (waiting) await waiting
      }
    }
  }
}

const part = (view: Uint8Array, start: number, end: number): Uint8Array => (start === 0 && end === view.byteLength ? view : view.subarray(start, end))
