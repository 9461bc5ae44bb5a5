import type { MapOp } from './ops.ts'
import type { Tensor } from './tensor.ts'

/**
 * The operand that `op` would give back unchanged, or null.
 * Only identities which hold bit for bit in float32 for finite values are used, so a formula and its simplification give the same bytes
 * (but −0 + 0, which becomes −0 here).
 */
export function simplify(op: MapOp, inputs: readonly Tensor[]): Tensor | null {
  const [a, b] = inputs
  switch (op) {
    case 'mul':
      return isConstant(b, 1) ? a! : isConstant(a, 1) ? b! : null
    case 'div':
      return isConstant(b, 1) ? a! : null
    case 'add':
      return isConstant(b, 0) ? a! : isConstant(a, 0) ? b! : null
    case 'sub':
      return isConstant(b, 0) ? a! : null
    default:
      return null
  }
}

const isConstant = (t: Tensor | undefined, value: number): boolean => t?.op === 'constant' && t.arg === value
