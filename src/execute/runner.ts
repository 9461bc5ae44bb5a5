import { bytesOf, type FloatDType, isNative } from '../dtype.ts'
import { assert } from '../errors.ts'
import { COUNTERS_BYTES, createEngine, type Engine, NONFINITE } from '../kernels/kernels.ts'
import { type MemoryMap, mapMemory } from '../plan/budget.ts'
import { isSelect, lastStage, type Program, sourcesOf } from '../plan/program.ts'
import { BLOCK, blockOf, type Rows, type Tiling } from '../plan/tiling.ts'
import { createCalls, type Loaded } from './calls.ts'
import { FOLD_BYTES, GROUP, SELECT, type Variant } from './code/parameters.ts'
import { OVERFLOWING } from './code/stage.ts'
import { type Feeds, type Held, openFeeds } from './feeds.ts'
import type { Known, Partial, Partials, Step } from './folds.ts'
import { clearEnd, createRowOps } from './rows.ts'
import { isSingle, PIECE, piecesIn } from './select.ts'

/** Where a tensor's bytes come from and go to while a program runs. Positions are elements of the tensor. */
export interface Ports {
  /** Fills `target` with the elements of source `slot` from element `at`. */
  read(slot: number, target: Uint8Array, at: number): void | Promise<void>
  write(bytes: Uint8Array, at: number): void | Promise<void>
}

/** One step of a pass over elements [start, end) of a tensor; `start` begins a block. */
export interface Job {
  readonly program: Program
  readonly pass: number
  readonly step: Step
  readonly start: number
  readonly end: number
  /** What earlier passes have found, and the pass's own numbers. */
  readonly known: Known
  readonly key: readonly [number, number]
  /** The inputs of the whole tensor stay in memory, as `hold` has arranged. */
  readonly resident: boolean
}

/** A value no merge should meet, noticed while it went by: infinite, NaN, or too large for the output's dtype. */
export interface Finding {
  /** The slot of the source, or null for the output. */
  readonly source: number | null
  readonly index: number
  readonly value: number
}

/** One thread's engine: a WebAssembly memory laid out for one program at a time. */
export interface Runner {
  readonly engine: Engine
  /** The inputs of the next tensor stay in memory once read, until the next call of `hold`. The plan has made room for them. */
  hold(program: Program, known: Pick<Known, 'size' | 'rows'>): void
  /** Runs one job; tells the first finding of each port in each chunk. Gives what the pass gathered. */
  run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials>
}

const NOTHING: Partial = { kind: 'bracket', belowHigh: 0, belowLow: 0, collected: null }

/** A pass's stages, ready for the chunks of a job. */
interface Work {
  /** Of the last stage. */
  readonly code: Loaded
  readonly addresses: readonly number[]
  /**
   * On the chunk of `n` elements that begins with element `from`; tells which sources held something that is not finite. Or on pieces of a sample, from
   * piece `piece` on.
   */
  compute(n: number, from: number, piece?: number): void
}

interface Conversion {
  readonly slot: number
  readonly to: number
  readonly load: (to: number, from: number, n: number) => number
}

/** A select while a pass runs: its state in the code's parameters, and where it collects. */
interface Gathering {
  readonly fold: number
  readonly at: number
  readonly to: number
  readonly isSingle: boolean
  isFull: boolean
}

/** A runner with `bytes` of WebAssembly memory, as plan/budget.ts counted them. */
export function createRunner(bytes: number, tiling: Tiling, kernelModule?: WebAssembly.Module): Runner {
  const { chunk } = tiling
  assert(BLOCK % chunk === 0 && chunk % GROUP === 0, `blocks are cut into chunks of whole groups (${chunk})`)
  const engine = createEngine(bytes, kernelModule)
  const { kernels, memory, heap } = engine
  const { load, prepare, parametersOf } = createCalls(engine)
  const words = new Uint32Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  const doubles = new Float64Array(memory.buffer)
  const rows = createRowOps(engine)
  const maps = new Map<Program, Map<string, MemoryMap>>()
  let held: Held = { at: [], done: [] }
  return { engine, hold, run }

  function mapOf(program: Program, rows: Rows): MemoryMap {
    const own = maps.get(program) ?? new Map<string, MemoryMap>()
    maps.set(program, own)
    const key = `${rows?.columns} ${blockOf(rows)}`
    const known = own.get(key) ?? mapMemory(program, tiling, rows)
    own.set(key, known)
    return known
  }

  function hold(program: Program, { size, rows }: Pick<Known, 'size' | 'rows'>): void {
    let free = heap + mapOf(program, rows).size
    const at = program.sources.map(dtype => {
      const here = free
      free += Math.ceil((size * bytesOf(dtype)) / 64) * 64 + 64
      return here
    })
    assert(free <= memory.buffer.byteLength, `the inputs fit the memory planned for them (${free} of ${memory.buffer.byteLength} bytes)`)
    held = { at, done: at.map(() => 0) }
  }

  async function run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    return job.step.kind === 'pass' ? await runPass(job, ports, found) : job.step.kind === 'sample' ? await sample(job, ports, found) : await count(job, ports)
  }

  async function runPass(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    const { program, start, end } = job
    const pass = program.passes[job.pass]!
    const map = mapOf(program, job.known.rows)
    const { chunk } = map
    const hasCode = lastStage(pass).ops.length > 0 // a copy of integers looks at nothing
    const isOutput = pass.output !== null
    const results = isOutput ? [heap + (isNative(program.output) ? map.stored : map.wide)] : map.results.map(at => heap + at)
    const feeds = openFeeds(engine, job, map, program.copy ? [0] : sourcesOf(pass), job.resident ? held : null, ports)
    const work = hasCode ? openWork(job, map, 'main', feeds, results, found) : null
    const folds = openFolds(job, map, work?.code ?? null, results)
    const written = isOutput || program.copy ? new Uint8Array(memory.buffer, heap + map.stored, chunk * bytesOf(program.output)) : null
    const width = bytesOf(program.output)
    const finish = isOutput ? finishing(job, map, work!, found) : null
    for (let from = start; from < end; from += chunk) {
      const n = Math.min(chunk, end - from)
      const reading = feeds.fill(from, n)
      if (reading) await reading
      work?.compute(n, from)
      finish?.(n, from)
      folds.take(n, from)
      if (written === null) continue
      const bytes = program.copy ? new Uint8Array(memory.buffer, feeds.addresses[0], n * width) : n === chunk ? written : written.subarray(0, n * width)
      const writing = ports.write(bytes, from)
      if (writing) await writing
    }
    return folds.close()
  }

  /** The stages of a pass over a job's chunks. The last writes `outputs`. */
  function openWork(job: Job, map: MemoryMap, variant: Variant, { addresses }: Feeds, outputs: readonly number[], found: (finding: Finding) => void): Work {
    const { program, known } = job
    const { stages } = program.passes[job.pass]!
    const last = stages.length - 1
    const results = map.results.map(at => heap + at)
    const runs = stages.map((_, stage) => {
      const code = load(program, job.pass, stage, stage === last ? variant : 'main')
      return { call: prepare(job, code, map), flags: (parametersOf(code, map) + code.layout.flags) / 4 }
    })
    const native = program.sources.flatMap((dtype, slot) => (isNative(dtype) ? [slot] : []))
    const foreign = conversionsOf(job, map)
    return { code: load(program, job.pass, last, variant), compute, addresses }

    function compute(n: number, from: number, piece = -1): void {
      if (foreign.length > 0) convert(n, from)
      for (let stage = 0; stage <= last; stage++) {
        if (map.buffers.length > 0) {
          if (piece < 0) rows.spread(known, map, stages[stage]!, n, from)
          else rows.spreadPieces(known, map, stages[stage]!, n, piece)
        }
        runs[stage]!.call(addresses, stage === last ? outputs : results, n, from)
        if (stages[stage]!.rowOps.length > 0) rows.finish(known, map, stages[stage]!, n)
        look(runs[stage]!.flags, n, from)
      }
    }

    function look(flags: number, n: number, from: number): void {
      for (let i = 0; i < native.length; i++) if (words[flags + native[i]!] !== 0) report(job, map, native[i]!, addresses[native[i]!]!, n, from, found)
    }

    /** Turns chunks of dtypes that the code does not read into float32. */
    function convert(n: number, from: number): void {
      for (const { slot, to, load: turn } of foreign) {
        const largest = turn(to, addresses[slot]!, n)
        clearEnd(memory, to, n, 4)
        if (largest >>> 0 >= NONFINITE) report(job, map, slot, addresses[slot]!, n, from, found)
      }
    }
  }

  function conversionsOf({ program, pass }: Job, map: MemoryMap): readonly Conversion[] {
    return sourcesOf(program.passes[pass]!).flatMap(slot => {
      const to = map.converted[slot]
      if (to === null || to === undefined) return []
      return [{ slot, to: heap + to, load: engine.load[program.sources[slot] as FloatDType] }] // only floats are converted
    })
  }

  /** What a pass gathers from chunk to chunk; sums are taken at the end of each block. */
  function openFolds(job: Job, map: MemoryMap, code: Loaded | null, results: readonly number[]): { take(n: number, from: number): void; close(): Partials } {
    const { program, end, known } = job
    const pass = program.passes[job.pass]!
    const block = blockOf(known.rows)
    const brackets = job.step.kind === 'pass' ? job.step.brackets : []
    const partials: Partials = pass.folds.map(({ kind }) => (kind === 'select' ? NOTHING : { kind, blocks: [] }))
    const sums: { readonly at: number; readonly blocks: number[] }[] = []
    const columns: { readonly of: number; readonly blocks: Float64Array[] }[] = []
    const kept: { readonly slot: number; readonly blocks: Float64Array[] }[] = []
    const selects: Gathering[] = []
    for (const [i, fold] of (code ? pass.folds : []).entries()) {
      const partial = partials[i]!
      if (partial.kind === 'columns') {
        columns.push({ of: results[columns.length]!, blocks: partial.blocks })
        continue
      }
      if (partial.kind === 'rows') {
        kept.push({ slot: fold.to, blocks: partial.blocks })
        continue
      }
      const at = parametersOf(code!, map) + code!.layout.folds + FOLD_BYTES * (sums.length + selects.length)
      new Uint8Array(memory.buffer, at, FOLD_BYTES).fill(0)
      if (partial.kind === 'sum') sums.push({ at, blocks: partial.blocks })
      if (!isSelect(fold)) continue
      const to = heap + map.selects[selects.length]!
      const bracket = brackets[selects.length]!
      words[(at + SELECT.to) / 4] = to
      floats[(at + SELECT.low) / 4] = bracket[0]
      floats[(at + SELECT.high) / 4] = bracket[1]
      selects.push({ fold: i, at, to, isSingle: isSingle(bracket), isFull: false })
    }
    const room = (map.collected - map.chunk) * 4
    return { take, close }

    function take(n: number, from: number): void {
      for (let i = 0; i < columns.length; i++) columns[i]!.blocks.push(rows.sumColumns(known, map, columns[i]!.of, n)) // a chunk is a block where rows matter
      for (let i = 0; i < kept.length; i++) kept[i]!.blocks.push(rows.numbersOf(known, map, kept[i]!.slot, n))
      for (let i = 0; i < selects.length; i++) limit(selects[i]!)
      if ((from + n) % block !== 0 && from + n !== end) return
      for (let i = 0; i < sums.length; i++) sums[i]!.blocks.push(takeSum(sums[i]!.at))
    }

    /** What is too much to collect is counted instead. */
    function limit(select: Gathering): void {
      if (words[(select.at + SELECT.to) / 4]! <= select.to + room) return
      select.isFull = true
      words[(select.at + SELECT.to) / 4] = select.to
    }

    function close(): Partials {
      for (const select of selects) partials[select.fold] = bracketed(select)
      return partials
    }
  }

  function bracketed({ at, to, isFull, isSingle }: Gathering): Partial {
    const count = (of: number): number => words.subarray((at + of) / 4, (at + of) / 4 + 4).reduce((a, b) => a + b, 0)
    const collected = isFull || isSingle ? null : new Float32Array(memory.buffer, to, (words[(at + SELECT.to) / 4]! - to) / 4).slice()
    return { kind: 'bracket', belowHigh: count(SELECT.belowHigh), belowLow: count(SELECT.belowLow), collected }
  }

  /** The operands of the selects, of all elements or of a sample of them. */
  async function sample(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    const { program, end } = job
    const pass = program.passes[job.pass]!
    const map = mapOf(program, job.known.rows)
    const count = pass.folds.filter(isSelect).length
    const isAll = end <= BLOCK
    const tell = isAll && count === pass.folds.length ? found : () => {} // else the pass that follows tells
    const feeds = openFeeds(engine, job, map, sourcesOf(pass), job.resident ? held : null, ports)
    const taps = tapsOf(map, count)
    const work = openWork(job, map, 'taps', feeds, taps, tell)
    const size = isAll ? end : piecesIn(end) * PIECE
    const values = Array.from({ length: count }, () => new Float32Array(size))
    const step = isAll ? map.chunk : Math.max(1, Math.floor(map.chunk / PIECE)) * PIECE
    for (let done = 0; done < size; done += step) {
      const n = Math.min(step, size - done)
      const reading = isAll ? feeds.fill(done, n) : feeds.fillPieces(done / PIECE, (done + n) / PIECE)
      if (reading) await reading
      if (isAll) work.compute(n, done)
      else work.compute(n, 0, done / PIECE)
      for (const [i, at] of taps.entries()) values[i]!.set(floats.subarray(at / 4, at / 4 + n), done)
    }
    return values.map(v => ({ kind: 'values', values: v }))
  }

  /** Counts the operands of the selects: each has its counters, but equal counts are made once. */
  async function count(job: Job, ports: Ports): Promise<Partials> {
    const { program, start, end, step } = job
    const pass = program.passes[job.pass]!
    const map = mapOf(program, job.known.rows)
    const selects = pass.folds.filter(isSelect)
    const feeds = openFeeds(engine, job, map, sourcesOf(pass), job.resident ? held : null, ports)
    const taps = tapsOf(map, selects.length)
    const work = openWork(job, map, 'taps', feeds, taps, () => {}) // the pass has told, or the sample
    const counters = selects.map((_, i) => heap + map.counters[i]!)
    const first = selects.map(s => selects.findIndex(o => o.of === s.of))
    for (const at of counters) new Uint8Array(memory.buffer, at, COUNTERS_BYTES).fill(0)
    for (let from = start; from < end; from += map.chunk) {
      const n = Math.min(map.chunk, end - from)
      const reading = feeds.fill(from, n)
      if (reading) await reading
      work.compute(n, from)
      for (const [i, tap] of taps.entries()) {
        if (step.kind === 'low') kernels.count_low(counters[i]!, step.prefixes[i]!, tap, n)
        else if (first[i] === i) kernels.count_high(counters[i]!, tap, n)
      }
    }
    const counts = counters.map(countersAt)
    return counts.map((own, i) => ({ kind: 'counts', counts: step.kind === 'low' || first[i] === i ? own : counts[first[i]!]!.slice() }))
  }

  /** Where the operands of a pass's selects are put. */
  function tapsOf(map: MemoryMap, count: number): readonly number[] {
    return map.selects.slice(0, count).map(at => heap + at)
  }

  /** Brings the output into its dtype where the code has not; looks closer where something is not finite. */
  function finishing(job: Job, map: MemoryMap, { code, addresses }: Work, found: (finding: Finding) => void): ((n: number, from: number) => void) | null {
    const { program } = job
    const dtype = program.output as FloatDType // only a copy has another
    const flag = (parametersOf(code, map) + code.layout.flags) / 4 + program.sources.length
    const store = (n: number): void => void engine.store[dtype](heap + map.stored, heap + map.wide, n)
    if (!isNative(dtype)) {
      return (n, from) => {
        store(n)
        if (words[flag] !== 0) look(n, from)
      }
    }
    return (n, from) => {
      if (words[flag] === 0) return
      prepare(job, load(program, job.pass, code.stage, 'wide'), map)(addresses, [heap + map.wide], n, from)
      store(n)
      look(n, from)
    }

    function look(n: number, from: number): void {
      const index = words.subarray((heap + map.wide) / 4, (heap + map.wide) / 4 + n).findIndex(b => (b & 0x7fffffff) >= OVERFLOWING[dtype])
      if (index >= 0) found({ source: null, index: from + index, value: floats[(heap + map.wide) / 4 + index]! })
    }
  }

  /** The first value of a source's chunk that is not finite. */
  function report({ program }: Job, map: MemoryMap, source: number, address: number, n: number, from: number, found: (finding: Finding) => void): void {
    const dtype = program.sources[source] as FloatDType // only floats are looked at
    const width = bytesOf(dtype)
    const room = new Uint32Array(memory.buffer, heap + (isNative(program.output) ? map.wide : map.stored), GROUP) // the other one holds the output
    for (let s = 0; s < n; s += GROUP) {
      const m = Math.min(GROUP, n - s)
      if (engine.load[dtype](room.byteOffset, address + s * width, m) >>> 0 < NONFINITE) continue
      const index = room.findIndex((b, i) => i < m && (b & 0x7fffffff) >= NONFINITE)
      found({ source, index: from + s + index, value: new Float32Array(memory.buffer, room.byteOffset, GROUP)[index]! })
      return
    }
  }

  /** A block's sum from its four lanes, which are cleared for the next block. */
  function takeSum(at: number): number {
    const lane = at / 8
    const total = doubles[lane]! + doubles[lane + 2]! + (doubles[lane + 1]! + doubles[lane + 3]!)
    doubles.fill(0, lane, lane + 4)
    return total
  }

  /** The two sets of counters, added up. */
  function countersAt(address: number): Uint32Array {
    const half = COUNTERS_BYTES / 8
    const total = new Uint32Array(memory.buffer, address, half).slice()
    const odd = new Uint32Array(memory.buffer, address + COUNTERS_BYTES / 2, half)
    for (let bin = 0; bin < half; bin++) total[bin] = total[bin]! + odd[bin]!
    return total
  }
}
