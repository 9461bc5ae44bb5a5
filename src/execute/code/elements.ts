import { type NativeDType, nativeOf } from '../../dtype.ts'
import type { Local } from '../../kernels/assembler.ts'
import { emitLoad } from '../../kernels/conversions.ts'
import { emitExp, emitLog } from '../../kernels/exponential.ts'
import { emitHalves, emitHash, emitThreshold, emitUniform, STRIDE } from '../../kernels/random.ts'
import { emitAbs, emitEach, emitOnes, emitSign, type Layout } from '../../kernels/vectors.ts'
import { type ElementOp, isScalar, type Operand, type Program, scalarIndex } from '../../plan/program.ts'
import { EACH, GROUP, type ParameterLayout } from './parameters.ts'
import { flag, notice, type Writer } from './writer.ts'

/** `mask`: all bits of a lane, or none. `bits`: 16 random ones. They become numbers where one asks for numbers. */
type Kind = 'number' | 'mask' | 'bits'
export type Value = { readonly local: Local; readonly kind: Kind }

export interface ElementSpec {
  readonly program: Program
  /** A stage's ops, and those of them that are needed. */
  readonly all: readonly ElementOp[]
  readonly ops: readonly number[]
  /** Sources whose finiteness an earlier pass or stage has looked at. */
  readonly checked: readonly number[]
  readonly order: Layout
  readonly layout: Omit<ParameterLayout, 'size'>
}

/** Writes the element ops of a stage. */
export interface Elements {
  /** The results of vector `v` of a group, by op. */
  write(v: number): ReadonlyMap<number, Value>
  asNumber(value: Value): Local
  /** To the next group. */
  advance(): void
  /** After the loop: tells what was not finite, per source. */
  close(): void
}

const strides = (pairs: number): number => Math.imul(pairs, STRIDE) >>> 0

export function createElements(w: Writer, { program, all, ops, checked, order, layout }: ElementSpec): Elements {
  const { code, constants, ahead, splat, address } = w
  const sources = new Map<number, { readonly at: Local; readonly dtype: NativeDType; readonly most: Local }>()
  for (const i of ops) {
    const op = all[i]!
    if (op.kind !== 'load' || sources.has(op.source)) continue
    sources.set(op.source, { at: address(layout.sources + 4 * op.source), dtype: nativeOf(program.sources[op.source]!), most: code.local('v128') })
  }
  const buffers = new Map<number, Local>()
  for (const i of ops) {
    const op = all[i]!
    if (op.kind === 'buffer' && !buffers.has(op.buffer)) buffers.set(op.buffer, address(layout.buffers + 4 * op.buffer))
  }
  const scalars = new Map<number, Local>()
  const thresholds = new Map<number, Local>()
  const streams = new Map<number, { readonly states: Local; readonly key1: Local; readonly words: Local }>()
  let stream = 0
  for (const [i, op] of all.entries()) {
    if (op.kind !== 'random') continue
    const at = layout.streams + 8 * stream++
    if (!ops.includes(i)) continue
    const first = splat(at)
    const states = ahead(() => {
      code.get(first, constants.lanes([0, STRIDE, strides(2), strides(3)]))
      code.emit('i32x4.add')
    })
    streams.set(i, { states, key1: splat(at + 4), words: code.local('v128') })
  }
  return { write, asNumber, advance, close }

  function advance(): void {
    for (const { at, dtype } of sources.values()) code.step(at, dtype === 'F32' ? 64 : 32)
    for (const at of buffers.values()) code.step(at, 64)
    for (const { states } of streams.values()) {
      code.get(states, constants.word(strides(GROUP / 2)))
      code.emit('i32x4.add')
      code.set(states)
    }
  }

  function close(): void {
    for (const [source, { most, dtype }] of sources) flag(w, most, layout.flags + 4 * source, dtype === 'F32' ? 'i32x4' : 'i16x8', RAW_LIMITS[dtype])
  }

  function write(v: number): ReadonlyMap<number, Value> {
    const values = new Map<number, Value>()
    const seen = new Set(checked)
    for (const i of ops) {
      const op = all[i]!
      const local = code.local('v128')
      let kind: Kind = 'number'
      if (op.kind === 'load') {
        const { at, dtype, most } = sources.get(op.source)!
        if (dtype === 'F32') {
          emitLoad(code, constants, dtype, order, at, v)
          code.set(local)
          if (!seen.has(op.source)) notice(w, () => emitAbs(code, constants, local), most, 'i32x4')
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
    const push = (): void => {
      code.get(at)
      code.memory('v128.load', 8 * v)
      code.get(constants.word(0x7fff7fff))
      code.emit('v128.and')
    }
    notice(w, push, most, 'i16x8')
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
      case 'keep':
      case 'drop': {
        const [test, x] = [mask(a), value(b)]
        const isMask = x.kind === 'mask'
        code.get(isMask ? x.local : asNumber(x), test)
        code.emit(op === 'keep' ? 'v128.and' : 'v128.andnot')
        return isMask ? 'mask' : 'number'
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
}

/** Stored bits of |x| from which on a value is infinite or NaN, in each lane of 16 or 32 bits. */
const RAW_LIMITS: Readonly<Record<NativeDType, number>> = { F32: 0x7f800000, BF16: 0x7f807f80, F16: 0x7c007c00 }
