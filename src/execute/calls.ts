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
  /** Whether source `index` of the last call, or at last the output, held something that is not finite. */
  flagged(code: Loaded, map: MemoryMap, index: number): boolean
}

export function createCalls({ kernels, memory, heap }: Engine): Calls {
  const loaded = new Map<Program, Map<string, Loaded>>()
  return { load, prepare, parametersOf, flagged }

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
    const words = new Uint32Array(memory.buffer)
    new Uint8Array(memory.buffer, base, layout.size).fill(0)
    new Float32Array(memory.buffer, base + layout.scalars, scalars.length).set(scalars)
    for (const { at, words: own } of code.constants) words.set(own, (base + at) / 4)
    const set = (addresses: readonly number[], outputs: readonly number[], from: number, shift: number): void => {
      for (const [slot, dtype] of program.sources.entries()) {
        const to = map.converted[slot]
        const isConverted = to !== null && to !== undefined
        words[(base + layout.sources) / 4 + slot] = (isConverted ? heap + to : addresses[slot]!) + shift * (isConverted ? 4 : bytesOf(dtype))
      }
      for (let i = 0; i < code.stored; i++) words[(base + layout.outputs) / 4 + i] = outputs[i]! + shift * 4 // shifted only where there are folds, and no output
      for (const [i, at] of map.buffers.entries()) words[(base + layout.buffers) / 4 + i] = heap + at + shift * 4
      for (const [i, label] of labels.entries()) {
        const [key0, key1] = streamKey(key, label, from)
        words.set([key0 + Math.imul(((from + shift) % 2 ** 32) / 2, STRIDE), key1], (base + layout.streams) / 4 + 2 * i)
      }
    }
    return (addresses, outputs, n, from) => {
      const whole = code.tail ? n - (n % GROUP) : n
      if (whole > 0) {
        set(addresses, outputs, from, 0)
        code.run(base, whole)
      }
      if (whole === n) return
      const flags = words.slice((base + layout.flags) / 4, (base + layout.flags) / 4 + program.sources.length)
      set(addresses, outputs, from, whole)
      new Int32Array(memory.buffer, base + code.masks!, GROUP).set(masksFor(code.order, n - whole))
      code.tail!(base, n - whole)
      if (whole > 0) for (const [i, flag] of flags.entries()) words[(base + layout.flags) / 4 + i]! |= flag
    }
  }

  /** Each stage has a place of its own, and so have variants that run beside `main`. */
  function parametersOf({ stage, variant }: Loaded, map: MemoryMap): number {
    return heap + (variant === 'wide' ? map.parameters.at(-1)! : map.parameters[stage]!)
  }

  function flagged(code: Loaded, map: MemoryMap, index: number): boolean {
    return new Uint32Array(memory.buffer, parametersOf(code, map) + code.layout.flags + 4 * index, 1)[0] !== 0
  }
}
