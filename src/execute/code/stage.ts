import type { FloatDType, NativeDType } from '../../dtype.ts'
import type { Code, Local } from '../../kernels/assembler.ts'
import { emitStore } from '../../kernels/conversions.ts'
import { emitAbs } from '../../kernels/vectors.ts'
import { isSelect, type LoopFold } from '../../plan/program.ts'
import { createElements, type ElementSpec } from './elements.ts'
import { writeSelect, writeSum } from './folds.ts'
import { FOLD_BYTES, GROUP } from './parameters.ts'
import { COUNT, createWriter, flag, notice } from './writer.ts'

export interface StageSpec extends ElementSpec {
  readonly folds: readonly LoopFold[]
  /** The results that are stored, in dtype `output`. */
  readonly targets: readonly number[]
  readonly output: NativeDType
  /** Whether they are the tensor's, whose overflow is to be noticed. */
  readonly isOutput: boolean
  /** Offsets of the masks of a short group, null in the loop over whole ones, and of the table of shuffles, which selects need. */
  readonly masks: number | null
  readonly table: number
  place(words: readonly [number, number, number, number]): number
}

/** A loop over groups of 16 elements: load, compute, store and fold, a vector of four after the other. */
export function writeStage(code: Code, spec: StageSpec): void {
  const { program, folds, order, layout, output } = spec
  const w = createWriter(code, spec.place)
  const { constants } = w
  const masks = spec.masks === null ? null : [0, 1, 2, 3].map(v => w.loaded(spec.masks! + 16 * v))
  const elements = createElements(w, spec)
  const targets = spec.targets.map((of, i) => ({ of, at: w.address(layout.outputs + 4 * i) }))
  const most = spec.isOutput ? code.local('v128') : null
  const folders = folds.map((fold, i) => {
    const at = layout.folds + FOLD_BYTES * i
    return { of: fold.of, ...(isSelect(fold) ? writeSelect(w, at, masks, spec.table) : writeSum(w, at, masks)) }
  })

  code.loop(() => {
    let pair: Local[][] = []
    for (let v = 0; v < 4; v++) {
      const values = elements.write(v)
      for (const folder of folders) folder.add(elements.asNumber(values.get(folder.of)!), v)
      const stored = targets.map(({ of }) => elements.asNumber(values.get(of)!))
      if (most !== null) for (const x of stored) notice(w, () => emitAbs(code, constants, x), most, 'i32x4')
      if (v % 2 === 0) pair = stored.map(x => [x])
      else for (const [t, { at }] of targets.entries()) emitStore(code, constants, output, order, at, v - 1, [pair[t]![0]!, stored[t]!])
    }
    for (const folder of folders) folder.end()
    elements.advance()
    for (const { at } of targets) code.step(at, output === 'F32' ? 64 : 32)
    code.get(COUNT)
    code.i32(GROUP)
    code.emit('i32.sub')
    code.tee(COUNT)
    code.i32(0)
    code.emit('i32.gt_s')
  })
  for (const folder of folders) folder.close()
  elements.close()
  if (most !== null) flag(w, most, layout.flags + 4 * program.sources.length, 'i32x4', OVERFLOWING[program.output as FloatDType]) // only floats are computed
}

/** Bits of |x| in f32 from which on a value, rounded to the format, is infinite or NaN. */
export const OVERFLOWING: Readonly<Record<FloatDType, number>> = {
  F64: 0x7f800000,
  F32: 0x7f800000,
  BF16: 0x7f7f8000, // half a unit beyond the largest value: a tie, which goes to the even neighbour, infinity
  F16: 0x477ff000, // 65520, likewise
  F8_E4M3: 0x43e80001, // just above 464: the tie goes to 448
  F8_E5M2: 0x47700000, // 61440: the tie goes to infinity
}
