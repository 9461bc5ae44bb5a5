import { Tensor, where } from '../algebra/tensor.ts'

const SMALL = 1 / 16 // below it the series is off by less than float32 shows; above it 1 − 2/(e²ˣ + 1) loses no more than four bits

/** The hyperbolic tangent. Also of numbers as small as products of task vectors it is right to a few roundings. */
export function tanh(x: Tensor): Tensor {
  const size = x.abs()
  const square = x.mul(x)
  const series = square
    .mul(2 / 15)
    .sub(1 / 3)
    .mul(square)
    .add(1)
    .mul(size)
  const quotient = Tensor.constant(1).sub(Tensor.constant(2).div(size.mul(2).exp().add(1)))
  return where(size.lt(SMALL), series, quotient).mul(x.sign())
}
