import { type NativeDType, nativeOf } from '../../dtype.ts'
import { assemble, type Code } from '../../kernels/assembler.ts'
import type { Layout } from '../../kernels/vectors.ts'
import { type ElementOp, isInLoop, isScalar, isSelect, type Pass, type Program } from '../../plan/program.ts'
import { EACH, FOLD_BYTES, type ParameterLayout, type Variant } from './parameters.ts'
import { writeStage } from './stage.ts'

export interface Assembled {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly layout: ParameterLayout
  /** The block's constant words, to be put at their offsets. */
  readonly constants: readonly { readonly at: number; readonly words: readonly number[] }[]
  /** Offset of the four masks that tell which elements of a last, short group count; null where it does not matter. */
  readonly masks: number | null
  readonly order: Layout
  /** Results that are stored. */
  readonly stored: number
  readonly stage: number
  readonly variant: Variant
}

const COMPRESS_BYTES = 256 // a table of 16 shuffles

/** The results of a stage that are stored, in the order of their addresses. */
export function storedBy({ folds, output, stages }: Pass, stage: number, variant: Variant): readonly number[] {
  if (variant === 'taps') return folds.filter(isSelect).map(f => f.of)
  const { rowOps } = stages[stage]!
  if (rowOps.length > 0) return rowOps.map(r => r.of)
  return output !== null ? [output] : folds.filter(f => f.kind === 'columns').map(f => f.of)
}

/**
 * Machine code for one stage of a pass: `run(parameters, n)` over whole groups, and where there is something to fold `tail(parameters, n)` over a last short one.
 * Everything between load and store stays in processor registers. Buffers have room up to a multiple of 16 elements.
 */
export function assembleStage(program: Program, index: number, stage: number, variant: Variant): Assembled {
  const pass = program.passes[index]!
  const isLast = stage === pass.stages.length - 1
  const all = pass.stages[stage]!.ops
  const folds = isLast && variant === 'main' ? pass.folds.filter(isInLoop) : []
  const targets = storedBy(pass, stage, variant)
  const isOutput = isLast && variant !== 'taps' && pass.output !== null
  const output: NativeDType = isOutput && variant === 'main' ? nativeOf(program.output) : 'F32'
  const ops = needed(all, [...targets, ...folds.map(f => f.of), ...(program.copy ? all.keys() : [])])
  const is16 = ops.every(i => isPairable(all[i]!, program)) && (targets.length === 0 || output !== 'F32')
  const order: Layout = is16 ? 'paired' : 'plain'
  const streams = all.filter(op => op.kind === 'random').length

  let size = 0
  const take = (bytes: number): number => (size += bytes) - bytes
  const layout = {
    sources: take(4 * program.sources.length),
    buffers: take(4 * program.buffers),
    outputs: take(4 * targets.length),
    flags: take(4 * (program.sources.length + 1)),
    scalars: take(4 * program.scalars),
    streams: take(8 * streams),
    folds: (size = Math.ceil(size / 16) * 16) && take(FOLD_BYTES * folds.length),
  }
  const masks = folds.length > 0 ? take(64) : null
  const hasSelects = folds.some(isSelect)
  const table = hasSelects ? take(COMPRESS_BYTES) : 0
  const constants: { at: number; words: readonly number[] }[] = []
  if (hasSelects) constants.push({ at: table, words: compressTable() })
  const pool = new Map<string, number>()
  const place = (words: readonly [number, number, number, number]): number => {
    const at = pool.get(`${words}`) ?? take(16)
    if (!pool.has(`${words}`)) constants.push({ at, words })
    pool.set(`${words}`, at)
    return at
  }

  const write = (code: Code, isTail: boolean): void =>
    writeStage(code, {
      program,
      all,
      checked: checkedBefore(program, index, stage),
      ops,
      folds,
      targets,
      output,
      isOutput,
      order,
      layout,
      masks: isTail ? masks : null,
      table,
      place,
    })
  const functions = [
    { name: 'run', params: 2, write: (code: Code) => write(code, false) },
    ...(masks === null ? [] : [{ name: 'tail', params: 2, write: (code: Code) => write(code, true) }]),
  ]
  const bytes = assemble(
    functions,
    EACH.map(name => ({ module: 'kernels', name })),
  )
  return { bytes, layout: { ...layout, size }, constants, masks, order, stored: targets.length, stage, variant }
}

/** Whether an op reads nothing, or two 16-bit numbers a word. */
const isPairable = (op: ElementOp, { sources }: Program): boolean => op.kind !== 'buffer' && (op.kind !== 'load' || nativeOf(sources[op.source]!) !== 'F32')

/** The sources that an earlier pass or stage has looked at already. */
function checkedBefore({ passes }: Program, index: number, stage: number): readonly number[] {
  const earlier = [...passes.slice(0, index).flatMap(p => p.stages), ...passes[index]!.stages.slice(0, stage)]
  return earlier.flatMap(s => s.ops.flatMap(op => (op.kind === 'load' ? [op.source] : [])))
}

/** The ops that `results` are computed from, in order. */
function needed(ops: readonly ElementOp[], results: readonly number[]): readonly number[] {
  const wanted = new Set(results)
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i]!
    if (wanted.has(i) && op.kind === 'map') for (const o of op.operands) if (!isScalar(o)) wanted.add(o)
  }
  return [...wanted].sort((a, b) => a - b)
}

/** For each set of lanes the shuffle that moves them to the front. */
function compressTable(): number[] {
  return Array.from({ length: 16 }, (_, set) => {
    const lanes = [0, 1, 2, 3].filter(lane => set & (1 << lane))
    return [0, 1, 2, 3].map(i => ((lanes[i] ?? 3) * 4 * 0x01010101 + 0x03020100) >>> 0)
  }).flat()
}
