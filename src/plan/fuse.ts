import type { Tensor } from '../algebra/tensor.ts'

/** Folds and what is computed from them alone: one number for the whole tensor. */
export const isNumber = (t: Tensor): boolean => t.shape.length === 0

/** Several ops in one kernel call: `inner` nodes get no register of their own. */
export interface Fused {
  readonly kernel: string
  readonly inputs: readonly Tensor[]
  readonly inner: readonly Tensor[]
}

/**
 * The fused kernel for `t`, if there is one. `isInner` tells nodes that only one op reads, and that nobody else needs.
 * A fused kernel rounds where its parts would, so it changes no byte. These are the ones that measurement asked for.
 */
export function fuse(t: Tensor, isInner: (t: Tensor) => boolean): Fused | null {
  const [a, b, c] = t.inputs
  switch (t.op) {
    case 'add': {
      const product = [b!, a!].find(i => i.op === 'mul' && isInner(i) && i.inputs.filter(isNumber).length === 1)
      const other = product === a ? b! : a!
      if (!product || isNumber(other) || other === product) return null
      const factor = product.inputs.find(isNumber)!
      return { kernel: 'addmul_vvs', inputs: [other, product.inputs.find(i => i !== factor)!, factor], inner: [product] }
    }
    case 'abs':
      return a!.op === 'sub' && isInner(a!) && !a!.inputs.some(isNumber) ? { kernel: 'absdiff_vv', inputs: a!.inputs, inner: [a!] } : null
    case 'eq':
      return a!.op === 'sign' && isInner(a!) && !isNumber(b!) ? { kernel: 'signeq_vv', inputs: [a!.inputs[0]!, b!], inner: [a!] } : null
    case 'where': {
      if (c!.op !== 'constant' || c!.arg !== 0 || Object.is(c!.arg, -0) || isNumber(b!) || !isInner(a!)) return null
      const [x, y] = a!.inputs
      if (a!.op === 'ge' && x!.op === 'abs' && isInner(x!) && x!.inputs[0] === b && isNumber(y!)) return { kernel: 'keeplarge_vs', inputs: [b!, y!], inner: [a!, x!] }
      if (a!.op === 'gt' && isNumber(x!) && !isNumber(y!)) return { kernel: 'keepbelow_svv', inputs: [x!, y!, b!], inner: [a!] }
      return null
    }
    default:
      return null
  }
}

/** How to sum `x`: with its magnitude or product taken on the way, if nobody else reads those. */
export function fuseSum(x: Tensor, readers: ReadonlyMap<Tensor, number>): { readonly kind: 'sum_add' | 'sum_abs' | 'sum_dot'; readonly inputs: readonly Tensor[] } {
  if (readers.get(x) !== 1) return { kind: 'sum_add', inputs: [x] }
  if (x.op === 'abs') return { kind: 'sum_abs', inputs: x.inputs }
  if (x.op === 'mul' && !x.inputs.some(isNumber)) return { kind: 'sum_dot', inputs: x.inputs }
  return { kind: 'sum_add', inputs: [x] }
}
