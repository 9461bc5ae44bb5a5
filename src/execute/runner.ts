import { bytesOf, type FloatDType } from '../dtype.ts'
import { assert } from '../errors.ts'
import { COUNTERS_BYTES, createEngine, type Engine, NONFINITE, OP_BYTES, OVERFLOWING } from '../kernels/kernels.ts'
import { bytesFor } from '../plan/budget.ts'
import { isScalar, isSelect, type Operand, type Program, scalarIndex } from '../plan/program.ts'
import { streamKey } from '../plan/random.ts'
import { BLOCK, type Tiling } from '../plan/tiling.ts'
import type { Partials } from './folds.ts'

/** Where a tensor's bytes come from and go to while a program runs. Positions are elements of the tensor. */
export interface Ports {
  /** Fills `target` with the elements of source `slot` from element `at`. */
  read(slot: number, target: Uint8Array, at: number): void | Promise<void>
  write(bytes: Uint8Array, at: number): void | Promise<void>
}

/** One pass of a program over elements [start, end) of a tensor; `start` begins a block. */
export interface Job {
  readonly program: Program
  readonly pass: number
  readonly start: number
  readonly end: number
  /** One per scalar of the program; those of earlier passes are set. */
  readonly scalars: Float64Array
  readonly key: readonly [number, number]
  /** The whole range is one chunk, which stays in memory between passes: only pass 0 reads it. */
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
  /** Runs one job; tells the first finding of each port in each chunk. Gives what the pass gathered. */
  run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials>
}

const SLACK = 64 // bytes: kernels round lengths up to 16 elements

/** A runner with `bytes` of WebAssembly memory, as plan/budget.ts counted them. */
export function createRunner(bytes: number, tiling: Tiling, kernelModule?: WebAssembly.Module): Runner {
  const { strip, chunk } = tiling
  assert(BLOCK % chunk === 0 && chunk % strip === 0 && strip % 16 === 0, `blocks are cut into chunks, chunks into strips (${chunk}, ${strip})`)
  const engine = createEngine(bytes, kernelModule)
  const { kernels, memory } = engine
  return { engine, run }

  async function run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    const { program, start, end } = job
    const pass = program.passes[job.pass]!
    const at = layOut(job)
    const ops = encode(job, at)
    const partials: Partials = pass.folds.map(fold => (isSelect(fold) ? { kind: 'counts', counts: new Uint32Array(0) } : { kind: 'sum', blocks: [] }))
    const reads = job.resident ? (job.pass > 0 ? [] : program.sources.map((_, slot) => slot)) : program.copy ? [0] : [...new Set(ops.loads.map(l => l.source))]

    for (let from = start; from < end; from += chunk) {
      const n = Math.min(chunk, end - from)
      for (const slot of reads) {
        const waiting = ports.read(slot, new Uint8Array(memory.buffer, at.raw[slot]!, n * bytesOf(program.sources[slot]!)), from)
        if (waiting) await waiting
      }
      for (const load of ops.loads) load.rewind(at.raw[load.source]!)
      ops.store?.rewind(at.out)
      kernels.run(at.ops, ops.count, n, strip)

      for (const load of ops.loads) {
        if (load.largest() < NONFINITE) continue
        const dtype = program.sources[load.source] as FloatDType // only floats are loaded
        const finding = scan(at.scratch, n, from, NONFINITE, (s, m) => engine.load[dtype](at.scratch, at.raw[load.source]! + s * bytesOf(dtype), m))
        if (finding) found({ source: load.source, ...finding })
      }
      if (ops.store) {
        const dtype = program.output as FloatDType // only a copy has another
        if (ops.store.largest() >= OVERFLOWING[dtype]) findOutput(job, at, ops, n, from, found)
      }
      if ((from + n) % BLOCK === 0 || from + n === end) {
        for (const [i, partial] of partials.entries()) if (partial.kind === 'sum') partial.blocks.push(kernels.sum_take(at.folds[i]!))
      }
      if (pass.output !== null || program.copy) {
        const bytes = n * bytesOf(program.output)
        const waiting = ports.write(new Uint8Array(memory.buffer, program.copy ? at.raw[0]! : at.out, bytes), from)
        if (waiting) await waiting
      }
    }
    for (const [i, partial] of partials.entries()) if (partial.kind === 'counts') partial.counts = countersAt(at.folds[i]!)
    return partials
  }

  /** Addresses for one job. Inputs lie before the folds, which differ from pass to pass, so that a resident chunk can stay. */
  function layOut(job: Job) {
    const { program } = job
    let free = engine.heap
    const take = (size: number): number => {
      const at = free
      free += Math.ceil(size / 64) * 64
      return at
    }
    const ops = take(program.passes.reduce((most, p) => Math.max(most, p.strips.length + p.folds.length + 1), 0) * OP_BYTES)
    const registers = Array.from({ length: program.registers }, () => take(strip * 4))
    const raw = program.sources.map(dtype => take(chunk * bytesOf(dtype) + SLACK))
    const out = take(chunk * bytesOf(program.output) + SLACK)
    const firstFold = free
    const folds = program.passes[job.pass]!.folds.map(fold => take(isSelect(fold) ? COUNTERS_BYTES : 64))
    assert(free <= memory.buffer.byteLength, `a program fits the memory planned for it (${free} of ${memory.buffer.byteLength} bytes, ${bytesFor(program, tiling)} counted)`)
    new Uint8Array(memory.buffer, firstFold, free - firstFold).fill(0)
    return { ops, register: (index: number): number => registers[index]!, scratch: registers[0]!, raw, out, folds }
  }

  /** Writes the pass's ops into memory as assembly/machine.ts reads them. */
  function encode({ program, pass: p, start, scalars, key }: Job, at: ReturnType<typeof layOut>) {
    const pass = program.passes[p]!
    const words = new Uint32Array(memory.buffer, at.ops, ((pass.strips.length + pass.folds.length + 1) * OP_BYTES) / 4)
    const floats = new Float32Array(words.buffer, words.byteOffset, words.length)
    words.fill(0)
    let count = 0
    /** Begins an op; gives the place of its first word. */
    const op = (name: string, to: number): number => {
      const code = engine.opcodes[name]
      assert(code !== undefined, `there is a kernel ${name}`)
      const w = (count++ * OP_BYTES) / 4
      words[w] = code
      words[w + 1] = to
      return w
    }
    const operand = (w: number, value: Operand): void => {
      if (isScalar(value)) floats[w] = scalars[scalarIndex(value)]!
      else words[w] = at.register(value)
    }
    const moving = (w: number, pointer: number) => ({
      rewind(address: number): void {
        words[pointer] = address
        words[w + 5] = 0
      },
      largest: (): number => words[w + 5]!,
    })
    const loads: { source: number; rewind(address: number): void; largest(): number }[] = []
    for (const step of pass.strips) {
      const to = at.register(step.to)
      if (step.kind === 'load') {
        const dtype = program.sources[step.source]!
        const w = op(`load_${dtype.toLowerCase()}`, to)
        words[w + 3] = bytesOf(dtype)
        loads.push({ source: step.source, ...moving(w, w + 2) })
      } else if (step.kind === 'random') {
        const w = op('random', to)
        const [key0, key1] = streamKey(key, step.label, start)
        words.set([start, key0, key1], w + 2)
      } else if (step.kernel === 'pick') {
        const [test, yes, no] = step.operands as readonly [Operand, Operand, Operand]
        const chosen = scalars[scalarIndex(test)] !== 0 ? yes : no
        operand(op(isScalar(chosen) ? 'fill' : 'copy', to) + 2, chosen)
      } else {
        const w = op(step.kernel, to)
        for (const [i, value] of step.operands.entries()) operand(w + 2 + i, value)
      }
    }
    for (const [i, fold] of pass.folds.entries()) {
      const w = op(fold.kind, at.folds[i]!)
      for (const [j, register] of fold.registers.entries()) words[w + 2 + j] = at.register(register)
      if (fold.kind === 'count_low') words[w + 3] = scalars[fold.to]! // between its two steps a select keeps its prefix where its result will stand
    }
    if (pass.output === null) return { count, loads, store: null }
    const w = op(`store_${program.output.toLowerCase()}`, at.out)
    words[w + 2] = at.register(pass.output)
    words[w + 3] = bytesOf(program.output)
    return { count, loads, store: moving(w, w + 1) }
  }

  /** Runs the last pass's chunk again strip by strip, to see what went over the top. It has no folds that would count twice. */
  function findOutput(job: Job, at: ReturnType<typeof layOut>, ops: ReturnType<typeof encode>, n: number, from: number, found: (f: Finding) => void): void {
    const { program } = job
    const pass = program.passes[job.pass]!
    const dtype = program.output as FloatDType // only a copy has another
    const again = encode({ ...job, start: from }, at) // random numbers begin at this chunk again
    for (const load of again.loads) load.rewind(at.raw[load.source]!)
    again.store!.rewind(at.out)
    const finding = scan(at.scratch, n, from, OVERFLOWING[dtype], (_s, m) => {
      kernels.run(at.ops, ops.count, m, strip)
      new Uint8Array(memory.buffer).copyWithin(at.scratch, at.register(pass.output!), at.register(pass.output!) + m * 4)
      return again.store!.largest()
    })
    encode({ ...job, start: from + n }, at) // and go on at the next
    if (finding) found({ source: null, ...finding })
  }

  /** The first value whose magnitude, as bits, reaches `limit`. `step` puts elements [s, s + m) of the chunk into `scratch` and gives the largest. */
  function scan(scratch: number, n: number, from: number, limit: number, step: (s: number, m: number) => number): { index: number; value: number } | null {
    for (let s = 0; s < n; s += strip) {
      const m = Math.min(strip, n - s)
      if (step(s, m) >>> 0 < limit) continue
      const bits = new Uint32Array(memory.buffer, scratch, m)
      const index = bits.findIndex(b => (b & 0x7fffffff) >= limit)
      if (index >= 0) return { index: from + s + index, value: new Float32Array(memory.buffer, scratch, m)[index]! }
    }
    return null
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
