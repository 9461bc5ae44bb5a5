import { bytesOf, type FloatDType, isNative } from '../dtype.ts'
import { assert } from '../errors.ts'
import { COUNTERS_BYTES, createEngine, type Engine, NONFINITE } from '../kernels/kernels.ts'
import { type MemoryMap, mapMemory } from '../plan/budget.ts'
import { isSelect, lastStage, type Program, sourcesOf } from '../plan/program.ts'
import { BLOCK, blockOf, type Rows, type Tiling } from '../plan/tiling.ts'
import { type Call, createCalls, type Loaded } from './calls.ts'
import { FOLD_BYTES, GROUP, SELECT, type Variant } from './code/parameters.ts'
import { OVERFLOWING } from './code/stage.ts'
import type { Known, Partial, Partials, Step } from './folds.ts'
import { clearEnd, createRowOps } from './rows.ts'
import { isSingle, PIECE, piecesOf } from './select.ts'

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
  /** The inputs of the whole tensor lie in memory, as `hold` has put them there. */
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
  /** Reads a tensor's inputs, which then stay until the next call of `hold`. The plan has made room for them. */
  hold(program: Program, known: Pick<Known, 'size' | 'rows'>, ports: Ports): Promise<void>
  /** Runs one job; tells the first finding of each port in each chunk. Gives what the pass gathered. */
  run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials>
}

const NOTHING: Partial = { kind: 'bracket', belowHigh: 0, belowLow: 0, collected: null }

interface StageRun {
  readonly code: Loaded
  readonly call: Call
}

/** A runner with `bytes` of WebAssembly memory, as plan/budget.ts counted them. */
export function createRunner(bytes: number, tiling: Tiling, kernelModule?: WebAssembly.Module): Runner {
  const { chunk } = tiling
  assert(BLOCK % chunk === 0 && chunk % GROUP === 0, `blocks are cut into chunks of whole groups (${chunk})`)
  const engine = createEngine(bytes, kernelModule)
  const { kernels, memory, heap } = engine
  const { load, prepare, parametersOf, flagged } = createCalls(engine)
  const rows = createRowOps(engine)
  const maps = new Map<Program, Map<string, MemoryMap>>()
  let held: readonly number[] = []
  return { engine, hold, run }

  function mapOf(program: Program, rows: Rows): MemoryMap {
    const own = maps.get(program) ?? new Map<string, MemoryMap>()
    maps.set(program, own)
    const key = `${rows?.columns} ${blockOf(rows)}`
    const known = own.get(key) ?? mapMemory(program, tiling, rows)
    own.set(key, known)
    return known
  }

  async function hold(program: Program, { size, rows }: Pick<Known, 'size' | 'rows'>, ports: Ports): Promise<void> {
    let free = heap + mapOf(program, rows).size
    held = program.sources.map(dtype => {
      const at = free
      free += Math.ceil((size * bytesOf(dtype)) / 64) * 64 + 64
      return at
    })
    assert(free <= memory.buffer.byteLength, `the inputs fit the memory planned for them (${free} of ${memory.buffer.byteLength} bytes)`)
    for (const [slot, dtype] of program.sources.entries()) {
      const waiting = ports.read(slot, new Uint8Array(memory.buffer, held[slot]!, size * bytesOf(dtype)), 0)
      if (waiting) await waiting
    }
  }

  async function run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    return job.step.kind === 'pass' ? await runPass(job, ports, found) : job.step.kind === 'sample' ? await sample(job, ports, found) : await count(job, ports)
  }

  async function runPass(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    const { program, start, end } = job
    const pass = program.passes[job.pass]!
    const map = mapOf(program, job.known.rows)
    const { chunk } = map
    const block = blockOf(job.known.rows)
    const runs = lastStage(pass).ops.length > 0 ? stagesOf(job, map, 'main') : [] // a copy of integers looks at nothing
    const code = runs.at(-1)?.code
    const isOutput = pass.output !== null
    const results = isOutput ? [heap + (isNative(program.output) ? map.stored : map.wide)] : map.results.map(at => heap + at)
    const brackets = job.step.kind === 'pass' ? job.step.brackets : []
    const folds = pass.folds.map(fold => ({ fold, at: 0, to: 0, isFull: false, isSingle: false }))
    const partials: Partials = pass.folds.map(({ kind }) => (kind === 'select' ? NOTHING : { kind, blocks: [] }))
    if (code) {
      let select = 0
      let gathered = 0
      for (const f of folds) {
        if (f.fold.kind === 'columns') continue
        f.at = parametersOf(code, map) + code.layout.folds + FOLD_BYTES * gathered++
        new Uint8Array(memory.buffer, f.at, FOLD_BYTES).fill(0)
        if (!isSelect(f.fold)) continue
        f.to = heap + map.selects[select]!
        word(f.at + SELECT.to, f.to)
        f.isSingle = isSingle(brackets[select]!)
        number(f.at + SELECT.low, brackets[select]![0])
        number(f.at + SELECT.high, brackets[select]![1])
        select++
      }
    }
    const reads = program.copy ? [0] : sourcesOf(pass)
    for (let from = start; from < end; from += chunk) {
      const n = Math.min(chunk, end - from)
      const addresses = await place(job, map, reads, n, from, ports)
      if (code) compute(job, map, runs, addresses, results, n, from, found)
      if (isOutput) finishOutput(job, code!, map, addresses, n, from, found)
      let column = 0
      for (const [i, f] of folds.entries()) {
        const partial = partials[i]!
        const isBlockEnd = (from + n) % block === 0 || from + n === end
        if (partial.kind === 'sum' && isBlockEnd) partial.blocks.push(takeSum(f.at))
        else if (partial.kind === 'columns') partial.blocks.push(rows.sumColumns(job.known, map, results[column++]!, n))
        else if (partial.kind === 'bracket' && wordAt(f.at + SELECT.to) > f.to + (map.collected - chunk) * 4) {
          f.isFull = true
          word(f.at + SELECT.to, f.to)
        }
      }
      if (isOutput || program.copy) {
        const size = n * bytesOf(program.output)
        const waiting = ports.write(new Uint8Array(memory.buffer, program.copy ? addresses[0]! : heap + map.stored, size), from)
        if (waiting) await waiting
      }
    }
    for (const [i, f] of folds.entries()) if (isSelect(f.fold)) partials[i] = bracketed(f)
    return partials
  }

  /** Runs a pass's stages on a chunk; tells which sources held something that is not finite. */
  function compute(
    job: Job,
    map: MemoryMap,
    runs: readonly StageRun[],
    addresses: readonly number[],
    outputs: readonly number[],
    n: number,
    from: number,
    found: (finding: Finding) => void,
  ): void {
    const { program } = job
    const { stages } = program.passes[job.pass]!
    for (const source of convert(job, map, addresses, n)) report(job, map, source, addresses[source]!, n, from, found)
    for (const [stage, { code, call }] of runs.entries()) {
      const isLast = stage === stages.length - 1
      rows.spread(job.known, map, stages[stage]!, n)
      call(addresses, isLast ? outputs : map.results.map(at => heap + at), n, from)
      if (!isLast) rows.finish(job.known, map, stages[stage]!, n)
      for (const [source, dtype] of program.sources.entries()) if (isNative(dtype) && flagged(code, map, source)) report(job, map, source, addresses[source]!, n, from, found)
    }
  }

  /** The code of each stage of a pass, the last in a variant of its own. */
  function stagesOf(job: Job, map: MemoryMap, variant: Variant): readonly StageRun[] {
    const { program, pass } = job
    return program.passes[pass]!.stages.map((_, stage, all) => {
      const code = load(program, pass, stage, stage === all.length - 1 ? variant : 'main')
      return { code, call: prepare(job, code, map) }
    })
  }

  function bracketed({ at, to, isFull, isSingle }: { at: number; to: number; isFull: boolean; isSingle: boolean }): Partial {
    const count = (of: number): number => new Uint32Array(memory.buffer, at + of, 4).reduce((a, b) => a + b, 0)
    const collected = isFull || isSingle ? null : new Float32Array(memory.buffer, to, (wordAt(at + SELECT.to) - to) / 4).slice()
    return { kind: 'bracket', belowHigh: count(SELECT.belowHigh), belowLow: count(SELECT.belowLow), collected }
  }

  /** The operands of the selects, of all elements or of a sample of them. */
  async function sample(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    const { program, end } = job
    const pass = program.passes[job.pass]!
    const map = mapOf(program, job.known.rows)
    const { chunk } = map
    const call = tapping(job, map)
    const count = pass.folds.filter(isSelect).length
    const isAll = end <= BLOCK
    const tell = isAll && count === program.passes[job.pass]!.folds.length ? found : () => {} // else the pass that follows tells
    const pieces = isAll ? [] : piecesOf(end)
    const size = isAll ? end : pieces.length * PIECE
    const values = Array.from({ length: count }, () => new Float32Array(size))
    const reads = sourcesOf(pass)
    const perChunk = Math.max(1, Math.floor(chunk / PIECE))
    const step = isAll ? chunk : perChunk * PIECE
    for (let done = 0; done < size; done += step) {
      const n = Math.min(step, size - done)
      let addresses: readonly number[]
      if (isAll) addresses = await place(job, map, reads, n, done, ports)
      else {
        addresses = map.raw.map(at => heap + at)
        for (let p = 0; p < n; p += PIECE)
          for (const slot of reads) await readPiece(job, slot, addresses[slot]! + p * bytesOf(program.sources[slot]!), pieces[(done + p) / PIECE]!, ports)
      }
      for (const [i, at] of call(addresses, n, isAll ? done : 0, tell).entries()) values[i]!.set(new Float32Array(memory.buffer, at, n), done)
    }
    return values.map(v => ({ kind: 'values', values: v }))
  }

  async function readPiece(job: Job, slot: number, to: number, from: number, ports: Ports): Promise<void> {
    const width = bytesOf(job.program.sources[slot]!)
    if (job.resident) return void new Uint8Array(memory.buffer).copyWithin(to, held[slot]! + from * width, held[slot]! + (from + PIECE) * width)
    const waiting = ports.read(slot, new Uint8Array(memory.buffer, to, PIECE * width), from)
    if (waiting) await waiting
  }

  /** Counts the operands of the selects: each has its counters, but equal counts are made once. */
  async function count(job: Job, ports: Ports): Promise<Partials> {
    const { program, start, end, step } = job
    const pass = program.passes[job.pass]!
    const map = mapOf(program, job.known.rows)
    const call = tapping(job, map)
    const selects = pass.folds.filter(isSelect)
    const counters = selects.map((_, i) => heap + map.counters[i]!)
    const first = selects.map(s => selects.findIndex(o => o.of === s.of))
    for (const at of counters) new Uint8Array(memory.buffer, at, COUNTERS_BYTES).fill(0)
    for (let from = start; from < end; from += map.chunk) {
      const n = Math.min(map.chunk, end - from)
      const addresses = await place(job, map, sourcesOf(pass), n, from, ports)
      for (const [i, tap] of call(addresses, n, from, () => {}).entries()) {
        // the pass has told, or the sample
        if (step.kind === 'low') kernels.count_low(counters[i]!, step.prefixes[i]!, tap, n)
        else if (first[i] === i) kernels.count_high(counters[i]!, tap, n)
      }
    }
    const counts = counters.map(countersAt)
    return counts.map((own, i) => ({ kind: 'counts', counts: step.kind === 'low' || first[i] === i ? own : counts[first[i]!]!.slice() }))
  }

  /** Computes the operands of a pass's selects for a chunk; gives where they lie. */
  function tapping(job: Job, map: MemoryMap) {
    const runs = stagesOf(job, map, 'taps')
    const taps = map.selects.slice(0, job.program.passes[job.pass]!.folds.filter(isSelect).length).map(at => heap + at)
    return (addresses: readonly number[], n: number, from: number, found: (finding: Finding) => void): readonly number[] => {
      compute(job, map, runs, addresses, taps, n, from, found)
      return taps
    }
  }

  /** The addresses of a chunk of each source, which is read unless it is there. What lies beyond the last element is zeros. */
  async function place(job: Job, map: MemoryMap, reads: readonly number[], n: number, from: number, ports: Ports): Promise<readonly number[]> {
    const { program } = job
    const addresses = program.sources.map((dtype, slot) => (job.resident ? held[slot]! + from * bytesOf(dtype) : heap + map.raw[slot]!))
    for (const slot of reads) {
      const width = bytesOf(program.sources[slot]!)
      if (!job.resident) {
        const waiting = ports.read(slot, new Uint8Array(memory.buffer, addresses[slot]!, n * width), from)
        if (waiting) await waiting
      }
      clearEnd(memory, addresses[slot]!, n, width)
    }
    return addresses
  }

  /** Turns chunks of dtypes that the code does not read into float32; gives the sources that held something that is not finite. */
  function convert(job: Job, map: MemoryMap, addresses: readonly number[], n: number): readonly number[] {
    const damaged: number[] = []
    for (const slot of sourcesOf(job.program.passes[job.pass]!)) {
      const to = map.converted[slot]
      if (to === null || to === undefined) continue
      const largest = engine.load[job.program.sources[slot] as FloatDType](heap + to, addresses[slot]!, n) // only floats are converted
      clearEnd(memory, heap + to, n, 4)
      if (largest >>> 0 >= NONFINITE) damaged.push(slot)
    }
    return damaged
  }

  /** Brings the output into its dtype where the code has not; looks closer where something is not finite. */
  function finishOutput(job: Job, code: Loaded, map: MemoryMap, addresses: readonly number[], n: number, from: number, found: (finding: Finding) => void): void {
    const { program } = job
    const dtype = program.output as FloatDType // only a copy has another
    const isFlagged = flagged(code, map, program.sources.length)
    if (isNative(dtype) && !isFlagged) return
    if (isNative(dtype)) prepare(job, load(program, job.pass, code.stage, 'wide'), map)(addresses, [heap + map.wide], n, from)
    engine.store[dtype](heap + map.stored, heap + map.wide, n)
    if (!isFlagged) return
    const bits = new Uint32Array(memory.buffer, heap + map.wide, n)
    const index = bits.findIndex(b => (b & 0x7fffffff) >= OVERFLOWING[dtype])
    if (index >= 0) found({ source: null, index: from + index, value: new Float32Array(memory.buffer, heap + map.wide, n)[index]! })
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
    const lanes = new Float64Array(memory.buffer, at, 4)
    const total = lanes[0]! + lanes[2]! + (lanes[1]! + lanes[3]!)
    lanes.fill(0)
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

  function word(at: number, value: number): void {
    new Uint32Array(memory.buffer, at, 1)[0] = value
  }
  function wordAt(at: number): number {
    return new Uint32Array(memory.buffer, at, 1)[0]!
  }
  function number(at: number, value: number): void {
    new Float32Array(memory.buffer, at, 1)[0] = value
  }
}
