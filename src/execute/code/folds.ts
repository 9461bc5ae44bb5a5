import type { Local } from '../../kernels/assembler.ts'
import { SELECT } from './parameters.ts'
import { PARAMETERS, type Writer } from './writer.ts'

/** What gathers a result while the loop runs, in a state at byte `at` of the parameters. */
export interface Fold {
  /** Vector `v` of a group, 0 to 3. */
  add(x: Local, v: number): void
  /** After the fourth vector. */
  end(): void
  /** After the loop. */
  close(): void
}

/** For each vector of a short group the mask of the elements that count; null where all do. */
export type Masks = readonly Local[] | null

/** The four vectors of a group are added in float32, and the sums in float64, two lanes for each half: see ARCHITECTURE.md. */
export function writeSum({ code, loaded }: Writer, at: number, masks: Masks): Fold {
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

/** Counts what lies below the bracket, and collects what lies in it, with the table of shuffles at `table`. A NaN counts as above. */
export function writeSelect({ code, loaded, address, splat }: Writer, at: number, masks: Masks, table: number): Fold {
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
