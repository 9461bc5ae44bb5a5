import type { DType, FloatDType } from '../dtype.ts'
import { assert } from '../errors.ts'
import { assemble, type Code, type Local } from '../kernels/assembler.ts'
import {
  type Constants,
  elementAt,
  emitAbs,
  emitEach,
  emitExp,
  emitHalves,
  emitHash,
  emitLoad,
  emitLog,
  emitOnes,
  emitSign,
  emitStore,
  emitThreshold,
  emitUniform,
  type Layout,
  STRIDE,
} from '../kernels/vectors.ts'
import { type ElementOp, isScalar, isSelect, type Operand, type Pass, type Program, scalarIndex } from '../plan/program.ts'

/**
 * What becomes of a stage's results. `main`: output in its dtype, sums, and selects by bracket; the operands of row ops and of sums of columns in
 * float32. `wide`: the output in float32. `taps`: the operands of selects, in float32.
 */
export type Variant = 'main' | 'wide' | 'taps'

/** The dtypes that generated code reads and writes; others are converted to float32 before and after. */
export type NativeDType = 'F32' | 'F16' | 'BF16'
export const nativeOf = (dtype: DType): NativeDType => (dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32')

/** Elements that the code handles at a time. */
export const GROUP = 16

/** Byte offsets into the block of parameters that the functions of a pass read. Addresses and numbers are 32-bit words. */
export interface ParameterLayout {
  /** Addresses, per source, per buffer, and per result that is stored. */
  readonly sources: number
  readonly buffers: number
  readonly outputs: number
  /** Written: not 0 when a source, or at last the output, held something that is not finite or overflows. */
  readonly flags: number
  /** float32, one for each scalar of the program. */
  readonly scalars: number
  /** Per random stream: the state of the first pair of elements, and the second word of its key. */
  readonly streams: number
  /** Per sum four float64 lanes, per select: four counts of what lies below the bracket's end, four of what lies below its beginning, where to collect, and both ends. */
  readonly folds: number
  readonly size: number
}

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

export const FOLD_BYTES = 48
/** Within a select's state. */
export const SELECT = { belowHigh: 0, belowLow: 16, to: 32, low: 36, high: 40 } as const
const COMPRESS_BYTES = 256 // a table of 16 shuffles

/** The results of a stage that are stored, in the order of their addresses. */
export function storedBy({ folds, output, stages }: Pass, stage: number, variant: Variant): readonly number[] {
  if (variant === 'taps') return folds.filter(isSelect).map(f => f.of)
  if (stage < stages.length - 1) return stages[stage]!.rowOps.map(r => r.of)
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
  const folds = isLast && variant === 'main' ? pass.folds.filter(f => f.kind !== 'columns') : []
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
  const table = folds.some(isSelect) ? take(COMPRESS_BYTES) : null
  const constants: { at: number; words: readonly number[] }[] = []
  if (table !== null) constants.push({ at: table, words: compressTable() })
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

/** Functions of single numbers that the code calls. */
export const EACH = ['sin', 'acos'] as const

/** Whether an op reads nothing, or two 16-bit numbers a word. */
const isPairable = (op: ElementOp, { sources }: Program): boolean => op.kind !== 'buffer' && (op.kind !== 'load' || nativeOf(sources[op.source]!) !== 'F32')

/** The sources that an earlier pass or stage has looked at already. */
function checkedBefore({ passes }: Program, index: number, stage: number): readonly number[] {
  const earlier = [...passes.slice(0, index).flatMap(p => p.stages), ...passes[index]!.stages.slice(0, stage)]
  return earlier.flatMap(s => s.ops.flatMap(op => (op.kind === 'load' ? [op.source] : [])))
}

/** The four vectors of the masks of a short group. */
export function masksFor(order: Layout, n: number): Int32Array {
  return Int32Array.from({ length: GROUP }, (_, i) => (elementAt(order, i >> 2, i & 3) < n ? -1 : 0))
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

interface Writing {
  readonly program: Program
  /** The stage's ops, and those of them that are needed. */
  readonly all: readonly ElementOp[]
  readonly ops: readonly number[]
  readonly checked: readonly number[]
  readonly folds: Pass['folds']
  readonly targets: readonly number[]
  /** Of what is stored. */
  readonly output: NativeDType
  readonly isOutput: boolean
  readonly order: Layout
  readonly layout: Omit<ParameterLayout, 'size'>
  readonly masks: number | null
  readonly table: number | null
  place(words: readonly [number, number, number, number]): number
}

const strides = (pairs: number): number => Math.imul(pairs, STRIDE) >>> 0

const PARAMETERS: Local = 0
const COUNT: Local = 1

function writeStage(code: Code, w: Writing): void {
  const { program, all, layout, order } = w
  const known = new Map<number, Local>()
  const ahead = (write: () => void, type: 'v128' | 'i32' = 'v128'): Local => {
    const local = code.local(type)
    code.ahead(() => {
      write()
      code.set(local)
    })
    return local
  }
  const loaded = (at: number): Local =>
    ahead(() => {
      code.get(PARAMETERS)
      code.memory('v128.load', at)
    })
  const splat = (at: number): Local =>
    ahead(() => {
      code.get(PARAMETERS)
      code.memory('v128.load32_splat', at)
    })
  const address = (at: number): Local =>
    ahead(() => {
      code.get(PARAMETERS)
      code.memory('i32.load', at)
    }, 'i32')
  const lanes: Constants['lanes'] = words => {
    const at = w.place(words)
    const local = known.get(at) ?? loaded(at)
    known.set(at, local)
    return local
  }
  const constants: Constants = { lanes, word: bits => lanes([bits >>> 0, bits >>> 0, bits >>> 0, bits >>> 0]) }
  const masks = w.masks === null ? null : [0, 1, 2, 3].map(v => loaded(w.masks! + 16 * v))

  const sources = new Map<number, { readonly at: Local; readonly dtype: NativeDType; readonly most: Local }>()
  for (const i of w.ops) {
    const op = all[i]!
    if (op.kind !== 'load' || sources.has(op.source)) continue
    sources.set(op.source, { at: address(layout.sources + 4 * op.source), dtype: nativeOf(program.sources[op.source]!), most: code.local('v128') })
  }
  const buffers = new Map<number, Local>()
  for (const i of w.ops) {
    const op = all[i]!
    if (op.kind === 'buffer' && !buffers.has(op.buffer)) buffers.set(op.buffer, address(layout.buffers + 4 * op.buffer))
  }
  const targets = w.targets.map((_, i) => address(layout.outputs + 4 * i))
  const outputMost = w.isOutput ? code.local('v128') : null
  const scalars = new Map<number, Local>()
  const thresholds = new Map<number, Local>()
  const streams = new Map<number, { readonly states: Local; readonly key1: Local; readonly words: Local }>()
  let stream = 0
  for (const [i, op] of all.entries()) {
    if (op.kind !== 'random') continue
    const at = layout.streams + 8 * stream++
    if (!w.ops.includes(i)) continue
    const first = splat(at)
    const states = ahead(() => {
      code.get(first, lanes([0, STRIDE, strides(2), strides(3)]))
      code.emit('i32x4.add')
    })
    streams.set(i, { states, key1: splat(at + 4), words: code.local('v128') })
  }
  const folders = w.folds.map((fold, i) => (isSelect(fold) ? writeSelect(layout.folds + FOLD_BYTES * i) : writeSum(layout.folds + FOLD_BYTES * i)))

  code.loop(() => {
    const kept = new Map<number, Local[]>() // results of all four vectors, of what is stored
    for (const target of w.targets) kept.set(target, [])
    for (let v = 0; v < 4; v++) {
      const values = writeOps(v)
      for (const [i, fold] of w.folds.entries()) folders[i]!.add(asNumber(values.get(fold.of)!), v)
      for (const target of new Set(w.targets)) {
        const local = code.local('v128')
        code.get(asNumber(values.get(target)!))
        code.set(local)
        kept.get(target)!.push(local)
      }
      if (v % 2 === 1) {
        for (const [t, target] of w.targets.entries()) {
          const pair = kept.get(target)!.slice(v - 1, v + 1) as [Local, Local]
          if (outputMost !== null) for (const x of pair) notice(x, outputMost)
          emitStore(code, constants, w.output, order, targets[t]!, v - 1, pair)
        }
      }
    }
    for (const folder of folders) folder.end()
    for (const { at, dtype } of sources.values()) advance(at, dtype === 'F32' ? 64 : 32)
    for (const at of buffers.values()) advance(at, 64)
    for (const at of targets) advance(at, w.output === 'F32' ? 64 : 32)
    for (const { states } of streams.values()) {
      code.get(states, constants.word(strides(GROUP / 2)))
      code.emit('i32x4.add')
      code.set(states)
    }
    code.get(COUNT)
    code.i32(GROUP)
    code.emit('i32.sub')
    code.tee(COUNT)
    code.i32(0)
    code.emit('i32.gt_s')
  })
  for (const folder of folders) folder.close()
  for (const [source, { most, dtype }] of sources) flag(most, layout.flags + 4 * source, dtype === 'F32' ? 'i32x4.ge_u' : 'i16x8.ge_u', RAW_LIMITS[dtype])
  if (outputMost !== null) flag(outputMost, layout.flags + 4 * program.sources.length, 'i32x4.ge_u', OVERFLOWING[program.output as FloatDType])

  function advance(at: Local, bytes: number): void {
    code.get(at)
    code.i32(bytes)
    code.emit('i32.add')
    code.set(at)
  }

  function notice(x: Local, most: Local): void {
    code.get(most)
    emitAbs(code, constants, x)
    code.emit('i32x4.max_u')
    code.set(most)
  }

  function flag(most: Local, at: number, compare: 'i32x4.ge_u' | 'i16x8.ge_u', limit: number): void {
    code.get(PARAMETERS, most, constants.word(limit))
    code.emit(compare, 'v128.any_true')
    code.memory('i32.store', at)
  }

  /** `mask`: all bits of a lane, or none. `bits`: 16 random ones. They become numbers where one asks for numbers. */
  type Kind = 'number' | 'mask' | 'bits'
  type Value = { readonly local: Local; readonly kind: Kind }

  function writeOps(v: number): Map<number, Value> {
    const values = new Map<number, Value>()
    const seen = new Set(w.checked)
    for (const i of w.ops) {
      const op = all[i]!
      const local = code.local('v128')
      let kind: Kind = 'number'
      if (op.kind === 'load') {
        const { at, dtype, most } = sources.get(op.source)!
        if (dtype === 'F32') {
          emitLoad(code, constants, dtype, order, at, v)
          code.set(local)
          if (!seen.has(op.source)) notice(local, most)
        } else {
          if (v % 2 === 0 && !seen.has(op.source)) noticeRaw(at, v, most)
          emitLoad(code, constants, dtype, order, at, v)
          code.set(local)
        }
        seen.add(op.source)
      } else if (op.kind === 'buffer') {
        emitLoad(code, constants, 'F32', order, buffers.get(op.buffer)!, v)
        code.set(local)
      } else if (op.kind === 'random') {
        const { states, key1, words } = streams.get(i)!
        if (v % 2 === 0) {
          const here = code.local('v128')
          code.get(states, constants.word(strides(2 * v)))
          code.emit('i32x4.add')
          code.set(here)
          emitHash(code, constants, here, key1)
          code.set(words)
        }
        emitHalves(code, constants, order, words, v)
        code.set(local)
        kind = 'bits'
      } else {
        kind = writeMap(op, values)
        code.set(local)
      }
      values.set(i, { local, kind })
    }
    return values
  }

  /** Two vectors of 16-bit numbers at once. */
  function noticeRaw(at: Local, v: number, most: Local): void {
    code.get(most, at)
    code.memory('v128.load', 8 * v)
    code.get(constants.word(0x7fff7fff))
    code.emit('v128.and', 'i16x8.max_u')
    code.set(most)
  }

  function asNumber({ local, kind }: Value): Local {
    if (kind === 'number') return local
    const number = code.local('v128')
    if (kind === 'mask') emitOnes(code, constants, local)
    else emitUniform(code, constants, local)
    code.set(number)
    return number
  }

  function writeMap({ op, operands }: Extract<ElementOp, { kind: 'map' }>, values: ReadonlyMap<number, Value>): Kind {
    const value = (o: Operand): Value => (isScalar(o) ? { local: scalarOf(scalarIndex(o)), kind: 'number' } : values.get(o)!)
    const number = (o: Operand): Local => asNumber(value(o))
    const mask = (o: Operand): Local => {
      const v = value(o)
      if (v.kind === 'mask') return v.local
      const test = code.local('v128')
      code.get(asNumber(v), constants.word(0))
      code.emit('f32x4.ne')
      code.set(test)
      return test
    }
    const [a, b, c] = operands as [Operand, Operand, Operand]
    switch (op) {
      case 'add':
      case 'sub':
      case 'mul':
      case 'div':
      case 'max':
      case 'min':
        code.get(number(a), number(b))
        code.emit(`f32x4.${op}`)
        return 'number'
      case 'ge':
      case 'gt':
      case 'eq':
        if (op === 'gt' && isScalar(a) && value(b).kind === 'bits') {
          code.get(thresholdOf(scalarIndex(a)), value(b).local)
          code.emit('i32x4.gt_s')
          return 'mask'
        }
        code.get(number(a), number(b))
        code.emit(`f32x4.${op}`)
        return 'mask'
      case 'where': {
        const [test, yes, no] = [mask(a), value(b), value(c)]
        const kind = yes.kind === 'mask' && no.kind === 'mask' ? 'mask' : 'number'
        const [x, y] = kind === 'mask' ? [yes.local, no.local] : [asNumber(yes), asNumber(no)]
        code.get(x, y, test)
        code.emit('v128.bitselect')
        return kind
      }
      case 'keep': {
        const [test, x] = [mask(a), value(b)]
        code.get(x.kind === 'mask' ? x.local : asNumber(x), test)
        code.emit('v128.and')
        return x.kind === 'mask' ? 'mask' : 'number'
      }
      case 'drop': {
        const [test, x] = [mask(a), value(b)]
        code.get(x.kind === 'mask' ? x.local : asNumber(x), test)
        code.emit('v128.andnot')
        return x.kind === 'mask' ? 'mask' : 'number'
      }
      case 'abs':
        emitAbs(code, constants, number(a))
        return 'number'
      case 'sign':
        emitSign(code, constants, number(a))
        return 'number'
      case 'sqrt':
        code.get(number(a))
        code.emit('f32x4.sqrt')
        return 'number'
      case 'exp':
        emitExp(code, constants, number(a))
        return 'number'
      case 'log':
        emitLog(code, constants, number(a))
        return 'number'
      case 'sin':
      case 'acos':
        emitEach(code, EACH.indexOf(op), number(a))
        return 'number'
      default:
        op satisfies never
        throw new Error(`no op ${op as string}`)
    }
  }

  function scalarOf(index: number): Local {
    const local = scalars.get(index) ?? splat(layout.scalars + 4 * index)
    scalars.set(index, local)
    return local
  }

  function thresholdOf(index: number): Local {
    const scalar = scalarOf(index)
    const local = thresholds.get(index) ?? ahead(() => emitThreshold(code, constants, scalar))
    thresholds.set(index, local)
    return local
  }

  /** The four vectors of a group are added in float32, and the sums in float64, two lanes for each half: see ARCHITECTURE.md. */
  function writeSum(at: number) {
    const [low, high] = [loaded(at), loaded(at + 16)]
    const total = code.local('v128')
    return {
      add(x: Local, v: number): void {
        if (v > 0) code.get(total)
        code.get(x)
        if (masks) {
          code.get(masks[v]!)
          code.emit('v128.and')
        }
        if (v > 0) code.emit('f32x4.add')
        code.set(total)
      },
      end(): void {
        code.get(low, total)
        code.emit('f64x2.promote_low_f32x4', 'f64x2.add')
        code.set(low)
        code.get(high, total, total)
        code.shuffle32([2, 3, 2, 3])
        code.emit('f64x2.promote_low_f32x4', 'f64x2.add')
        code.set(high)
      },
      close(): void {
        for (const [i, half] of [low, high].entries()) {
          code.get(PARAMETERS, half)
          code.memory('v128.store', at + 16 * i)
        }
      },
    }
  }

  /** Counts what lies below the bracket, and collects what lies in it. A NaN counts as above. */
  function writeSelect(at: number) {
    assert(w.table !== null, 'a select has its table')
    const table = w.table
    const [belowHigh, belowLow] = [loaded(at + SELECT.belowHigh), loaded(at + SELECT.belowLow)]
    const to = address(at + SELECT.to)
    const [low, high] = [splat(at + SELECT.low), splat(at + SELECT.high)]
    const kept: { readonly x: Local; readonly inside: Local }[] = []
    const any = code.local('v128')
    return {
      add(x: Local, v: number): void {
        const [inside, value] = [code.local('v128'), code.local('v128')]
        const count = (end: Local, into: Local): Local => {
          const isBelow = code.local('v128')
          code.get(value, end)
          code.emit('f32x4.lt')
          if (masks) {
            code.get(masks[v]!)
            code.emit('v128.and')
          }
          code.set(isBelow)
          code.get(into, isBelow)
          code.emit('i32x4.sub')
          code.set(into)
          return isBelow
        }
        code.get(x)
        code.set(value)
        const [isBelowHigh, isBelowLow] = [count(high, belowHigh), count(low, belowLow)]
        code.get(isBelowHigh, isBelowLow)
        code.emit('v128.andnot')
        code.set(inside)
        if (v > 0) code.get(any)
        code.get(inside)
        if (v > 0) code.emit('v128.or')
        code.set(any)
        kept[v] = { x: value, inside }
      },
      end(): void {
        code.get(any)
        code.emit('v128.any_true')
        const set = code.local('i32')
        code.when(() => {
          for (const { x, inside } of kept) {
            code.get(inside)
            code.emit('i32x4.bitmask')
            code.set(set)
            code.get(to, x, set)
            code.i32(4)
            code.emit('i32.shl')
            code.get(PARAMETERS)
            code.emit('i32.add')
            code.memory('v128.load', table)
            code.emit('i8x16.swizzle')
            code.memory('v128.store')
            code.get(to, set)
            code.emit('i32.popcnt')
            code.i32(2)
            code.emit('i32.shl', 'i32.add')
            code.set(to)
          }
        })
      },
      close(): void {
        code.get(PARAMETERS, belowHigh)
        code.memory('v128.store', at + SELECT.belowHigh)
        code.get(PARAMETERS, belowLow)
        code.memory('v128.store', at + SELECT.belowLow)
        code.get(PARAMETERS, to)
        code.memory('i32.store', at + SELECT.to)
      },
    }
  }
}

/** Stored bits of |x| from which on a value is infinite or NaN, in each lane of 16 or 32 bits. */
const RAW_LIMITS: Readonly<Record<NativeDType, number>> = { F32: 0x7f800000, BF16: 0x7f807f80, F16: 0x7c007c00 }

/** Bits of |x| in f32 from which on a value, rounded to the format, is infinite or NaN. */
export const OVERFLOWING: Readonly<Record<FloatDType, number>> = {
  F64: 0x7f800000,
  F32: 0x7f800000,
  BF16: 0x7f7f8000, // half a unit beyond the largest value: a tie, which goes to the even neighbour, infinity
  F16: 0x477ff000, // 65520, likewise
  F8_E4M3: 0x43e80001, // just above 464: the tie goes to 448
  F8_E5M2: 0x47700000, // 61440: the tie goes to infinity
}
