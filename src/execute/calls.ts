import { bytesOf } from '../dtype.ts'
import { assert } from '../errors.ts'
import type { Engine } from '../kernels/kernels.ts'
import { STRIDE } from '../kernels/random.ts'
import type { MemoryMap } from '../plan/budget.ts'
import type { Program } from '../plan/program.ts'
import { streamKey } from '../plan/random.ts'
import { type Assembled, assembleStage } from './code/assemble.ts'
import { EACH, GROUP, masksFor, type Variant } from './code/parameters.ts'
import type { Job } from './runner.ts'

/** The functions of a stage over an engine's memory. */
export interface Loaded extends Omit<Assembled, 'bytes'> {
  run(parameters: number, n: number): void
  tail?(parameters: number, n: number): void
}

/** Runs the code of a stage on a chunk of `n` elements that begins with element `from` of the tensor. */
export type Call = (addresses: readonly number[], outputs: readonly number[], n: number, from: number) => void

/** Generated code over one engine's memory: compiled when first asked for, and called with its parameters. */
export interface Calls {
  load(program: Program, pass: number, stage: number, variant: Variant): Loaded
  /** Writes the parameters that stay the same for a job. */
  prepare(job: Job, code: Loaded, map: MemoryMap): Call
  /** Where the code's parameters lie. */
  parametersOf(code: Loaded, map: MemoryMap): number
}

export function createCalls({ kernels, memory, heap }: Engine): Calls {
  const loaded = new Map<Program, Map<string, Loaded>>()
  const words = new Uint32Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  return { load, prepare, parametersOf }

  /** Compiled once; V8 shares the machine code of equal modules between threads. */
  function load(program: Program, pass: number, stage: number, variant: Variant): Loaded {
    const own = loaded.get(program) ?? new Map<string, Loaded>()
    loaded.set(program, own)
    const key = `${pass} ${stage} ${variant}`
    const before = own.get(key)
    if (before) return before
    const { bytes: code, ...rest } = assembleStage(program, pass, stage, variant)
    const imports = { env: { memory }, kernels: Object.fromEntries(EACH.map(name => [name, kernels[name]])) }
    const functions = new WebAssembly.Instance(new WebAssembly.Module(code), imports).exports as unknown as Pick<Loaded, 'run' | 'tail'> // assemble.ts names them
    const fresh = { ...rest, ...functions }
    own.set(key, fresh)
    return fresh
  }

  function prepare({ program, pass, known: { scalars }, key }: Job, code: Loaded, map: MemoryMap): Call {
    const { layout, stage } = code
    const base = parametersOf(code, map)
    const endOf = code.constants.reduce((most, c) => Math.max(most, c.at + c.words.length * 4), layout.size)
    assert(endOf <= map.parameterBytes, `the parameters of a stage fit their place (${endOf} of ${map.parameterBytes} bytes)`)
    const labels = program.passes[pass]!.stages[stage]!.ops.flatMap(op => (op.kind === 'random' ? [op.label] : []))
    const [sourcesAt, outputsAt, buffersAt, streamsAt, flagsAt] = [layout.sources, layout.outputs, layout.buffers, layout.streams, layout.flags].map(at => (base + at) / 4) as [
      number,
      number,
      number,
      number,
      number,
    ]
    const converted = program.sources.map((_, slot) => map.converted[slot] ?? -1)
    const widths = program.sources.map((dtype, slot) => (converted[slot]! < 0 ? bytesOf(dtype) : 4))
    const keys = new Uint32Array(2 * labels.length)
    let keyed = -1 // the keys are those of the 2^32 elements from here on
    new Uint8Array(memory.buffer, base, layout.size).fill(0)
    floats.set(scalars, (base + layout.scalars) / 4)
    for (const { at, words: own } of code.constants) words.set(own, (base + at) / 4)
    for (const [i, at] of map.buffers.entries()) words[buffersAt + i] = heap + at
    return call

    function call(addresses: readonly number[], outputs: readonly number[], n: number, from: number): void {
      const whole = code.tail ? n - (n % GROUP) : n
      if (whole > 0) {
        set(addresses, outputs, from, 0)
        code.run(base, whole)
      }
      if (whole < n) callTail(addresses, outputs, n, from, whole)
    }

    /** Elements [whole, n), which are less than a group. */
    function callTail(addresses: readonly number[], outputs: readonly number[], n: number, from: number, whole: number): void {
      const flags = words.slice(flagsAt, flagsAt + program.sources.length)
      set(addresses, outputs, from, whole)
      for (const [i, at] of map.buffers.entries()) words[buffersAt + i] = heap + at + whole * 4
      words.set(masksFor(code.order, n - whole), (base + code.masks!) / 4)
      code.tail!(base, n - whole)
      for (const [i, at] of map.buffers.entries()) words[buffersAt + i] = heap + at
      if (whole > 0) for (const [i, flag] of flags.entries()) words[flagsAt + i]! |= flag
    }

    function set(addresses: readonly number[], outputs: readonly number[], from: number, shift: number): void {
      for (let slot = 0; slot < widths.length; slot++) {
        const at = converted[slot]! < 0 ? addresses[slot]! : heap + converted[slot]!
        words[sourcesAt + slot] = at + shift * widths[slot]!
      }
      for (let i = 0; i < code.stored; i++) words[outputsAt + i] = outputs[i]! + shift * 4 // shifted only where there are folds, and no output
      if (labels.length > 0) setStreams(from, shift)
    }

    function setStreams(from: number, shift: number): void {
      const start = Math.floor(from / 2 ** 32) * 2 ** 32
      if (start !== keyed) {
        keyed = start
        for (const [i, label] of labels.entries()) keys.set(streamKey(key, label, start), 2 * i)
      }
      const passed = Math.imul((from + shift - start) / 2, STRIDE)
      for (let i = 0; i < keys.length; i += 2) {
        words[streamsAt + i] = keys[i]! + passed
        words[streamsAt + i + 1] = keys[i + 1]!
      }
    }
  }

  /** Each stage has a place of its own, and so have variants that run beside `main`. */
  function parametersOf({ stage, variant }: Loaded, map: MemoryMap): number {
    return heap + (variant === 'wide' ? map.parameters.at(-1)! : map.parameters[stage]!)
  }
}
