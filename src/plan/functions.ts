import { Tensor, where } from '../algebra/tensor.ts'
import type { FunctionName } from '../recipe/recipe.ts'

/** The formula of a function of tensors: each looks at one tensor of a model at a time. `noise` is uniform from 0 to 1. */
export function applyFunction(name: FunctionName, operands: readonly Tensor[], noise: () => Tensor): Tensor {
  const [a, b] = operands as [Tensor, Tensor] // the parser has counted them
  switch (name) {
    case 'mean':
      return operands
        .slice(1)
        .reduce((sum, x) => sum.add(x), a)
        .div(operands.length)
    case 'norm':
      return lengthOf(a)
    case 'orthogonal':
      return a.sub(b.mul(ratio(a.mul(b).sum(), b.mul(b).sum())))
    case 'random':
      return scaleTo(noise().sub(0.5), a) // of many entries, uniform ones have no direction of their own either
    case 'scale_to':
      return scaleTo(a, b)
    default:
      name satisfies never
      throw new Error('no such function')
  }
}

const scaleTo = (x: Tensor, like: Tensor): Tensor => x.mul(ratio(lengthOf(like), lengthOf(x)))

/** The Frobenius norm. */
const lengthOf = (x: Tensor): Tensor => x.mul(x).sum().sqrt()

/** a/b for numbers, and 0 where b is 0: a task vector that is zero, as those of frozen tensors are, has no direction. */
export function ratio(a: Tensor, b: Tensor): Tensor {
  const isNone = b.eq(0)
  return where(isNone, Tensor.constant(0), a.div(where(isNone, Tensor.constant(1), b)))
}
