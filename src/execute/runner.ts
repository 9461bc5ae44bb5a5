import { bytesOf, type FloatDType, isFloat } from '../dtype.ts'
import { assert } from '../errors.ts'
import { createEngine, type Engine, NONFINITE_F32, NONFINITE_STORED, PHILOX_ROUNDS } from '../kernels/kernels.ts'
import { bytesFor, residentBytes } from '../plan/budget.ts'
import { isScalar, type Program, type StripOp, scalarIndex } from '../plan/program.ts'
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
  /** The range stays in memory between passes: only pass 0 reads it. */
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
  /** Whether the whole of a tensor of `size` elements fits beside the program's registers. */
  fits(program: Program, size: number): boolean
  /** Runs one job; tells each finding at most once per strip. Gives what the pass gathered. */
  run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials>
}

/** One step of a pass on one strip: elements [s, s + n) of the tensor, `offset` elements into the input buffers. */
type Step = (s: number, n: number, offset: number, found: (finding: Finding) => void) => void

const COUNTERS_BYTES = 65_536 * 4 // a radix select's u32 counters
const SLACK = 64 // kernels round lengths up to 16 elements

/** A runner with `bytes` of WebAssembly memory, as plan/budget.ts counted them. */
export function createRunner(bytes: number, tiling: Tiling): Runner {
  const { strip, chunk } = tiling
  const engine = createEngine(bytes)
  const { kernels, memory } = engine
  const room = memory.buffer.byteLength - engine.heap
  return { engine, fits: (program, size) => residentBytes(program, size, tiling) <= room, run }

  async function run(job: Job, ports: Ports, found: (finding: Finding) => void): Promise<Partials> {
    const { program, start, end } = job
    const pass = program.passes[job.pass]!
    const at = layOut(job)
    const steps = pass.strips.map(op => stepFor(op, job, at))
    const partials: Partials = pass.folds.map(fold => (fold.kind === 'sum' ? { kind: 'sum', blocks: [] } : { kind: 'counts', counts: new Uint32Array(0) }))
    const loads = program.copy ? [0] : [...new Set(pass.strips.flatMap(op => (op.kind === 'load' ? [op.source] : [])))]
    const reads = job.resident && job.pass > 0 ? [] : job.resident ? program.sources.map((_, slot) => slot) : loads

    for (let from = start; from < end; from += chunk) {
      const to = Math.min(end, from + chunk)
      const offset = job.resident ? from - start : 0
      for (const slot of reads) {
        const width = bytesOf(program.sources[slot]!)
        const waiting = ports.read(slot, new Uint8Array(memory.buffer, at.raw[slot]! + offset * width, (to - from) * width), from)
        if (waiting) await waiting
      }
      for (let s = from; s < to; s += strip) {
        const n = Math.min(strip, to - s)
        for (const step of steps) step(s, n, offset + s - from, found)
        gather(s, n, end)
        if (pass.output !== null) store(pass.output, s, n, s - from)
      }
      if (pass.output !== null || program.copy) {
        const width = bytesOf(program.output)
        const waiting = ports.write(new Uint8Array(memory.buffer, program.copy ? at.raw[0]! + offset * width : at.out, (to - from) * width), from)
        if (waiting) await waiting
      }
    }
    for (const [i, partial] of partials.entries()) {
      if (partial.kind === 'counts') partial.counts = new Uint32Array(memory.buffer.slice(at.folds[i]!, at.folds[i]! + COUNTERS_BYTES))
    }
    return partials

    function gather(s: number, n: number, last: number): void {
      for (const [i, fold] of pass.folds.entries()) {
        const x = at.register(fold.register)
        if (fold.kind === 'sum') kernels.sum_add(at.folds[i]!, x, n)
        else if (fold.kind === 'high') kernels.count_high(at.folds[i]!, x, n)
        else kernels.count_low(at.folds[i]!, job.scalars[fold.to]!, x, n) // between its two steps a select keeps its prefix where its result will stand
        const partial = partials[i]!
        if (partial.kind === 'sum' && ((s + n) % BLOCK === 0 || s + n === last)) partial.blocks.push(kernels.sum_take(at.folds[i]!))
      }
    }

    function store(register: number, s: number, n: number, offset: number): void {
      const dtype = program.output as FloatDType // only a copy has another
      const most = engine.store[dtype](at.out + offset * bytesOf(dtype), at.register(register), n)
      if (most >>> 0 >= NONFINITE_STORED[dtype]) found(locate(at.register(register), n, s, null, dtype))
    }
  }

  /** Addresses for one job. Inputs lie before the folds, which differ from pass to pass, so that they can stay. */
  function layOut(job: Job) {
    const { program, start, end } = job
    let free = engine.heap
    const take = (size: number): number => {
      const at = free
      free += Math.ceil(size / 64) * 64
      return at
    }
    const registers = Array.from({ length: program.registers }, () => take(strip * 4))
    const held = job.resident ? Math.max(chunk, end - start) : chunk
    const raw = program.sources.map(dtype => take(held * bytesOf(dtype) + SLACK))
    const out = take(chunk * bytesOf(program.output) + SLACK)
    const firstFold = free
    const folds = program.passes[job.pass]!.folds.map(fold => take(fold.kind === 'sum' ? 64 : COUNTERS_BYTES))
    assert(free <= memory.buffer.byteLength, `a program fits the memory planned for it (${free} of ${memory.buffer.byteLength} bytes, ${bytesFor(program, tiling)} counted)`)
    new Uint8Array(memory.buffer, firstFold, free - firstFold).fill(0)
    return { register: (index: number): number => registers[index]!, raw, out, folds }
  }

  function stepFor(op: StripOp, job: Job, at: ReturnType<typeof layOut>): Step {
    const { program, scalars } = job
    const to = at.register(op.to)
    if (op.kind === 'load') {
      const dtype = program.sources[op.source]!
      assert(isFloat(dtype), `only floats are loaded, not ${dtype}`)
      const load = engine.load[dtype]
      const width = bytesOf(dtype)
      const raw = at.raw[op.source]!
      return (s, n, offset, found) => {
        if (load(to, raw + offset * width, n) >>> 0 >= NONFINITE_F32) found(locate(to, n, s, op.source, 'F32'))
      }
    }
    if (op.kind === 'random') {
      const [key0, key1] = job.key
      return (s, n) => kernels.random(to, n, s / 16, op.label, key0, key1, PHILOX_ROUNDS)
    }
    const value = (operand: number): number => (isScalar(operand) ? Math.fround(scalars[scalarIndex(operand)]!) : at.register(operand))
    if (op.kernel === 'pick') {
      const chosen = scalars[scalarIndex(op.operands[0]!)] !== 0 ? op.operands[1]! : op.operands[2]!
      const from = value(chosen)
      if (isScalar(chosen)) return (_s, n) => void new Float32Array(memory.buffer, to, n).fill(from)
      return (_s, n) => void new Uint8Array(memory.buffer).copyWithin(to, from, from + n * 4)
    }
    const kernel = (kernels as unknown as Record<string, (...args: number[]) => void>)[op.kernel] // plan/passes.ts made the name from the operands
    assert(kernel, `there is a kernel ${op.kernel}`)
    const [a, b, c] = op.operands.map(value) as [number, number, number]
    if (op.operands.length === 1) return (_s, n) => kernel(to, a, n)
    if (op.operands.length === 2) return (_s, n) => kernel(to, a, b, n)
    return (_s, n) => kernel(to, a, b, c, n)
  }

  /** The first value of a strip that is not finite, or that overflows when stored as `dtype`. */
  function locate(register: number, n: number, s: number, source: number | null, dtype: FloatDType): Finding {
    const values = new Float32Array(memory.buffer, register, n)
    const index = Math.max(
      0,
      values.findIndex(v => !(Math.abs(v) < OVERFLOW[dtype])),
    )
    return { source, index: s + index, value: values[index]! }
  }
}

/** The least magnitude which, rounded to nearest even, no longer fits. */
const OVERFLOW: Readonly<Record<FloatDType, number>> = { F64: Infinity, F32: Infinity, BF16: 3.3961775292304e38, F16: 65520, F8_E4M3: 464.0001, F8_E5M2: 61440 }
