import { sum, type Tensor } from '../algebra/tensor.ts'
import type { Inputs, Params } from './method.ts'

/** Said of every spectral method in its docs. */
export const SCOPE =
  'Works on the matrices of attention and MLPs, each as a whole, which takes memory for several of them at once and time: see `merganser plan`. All other tensors (vectors, embeddings, output heads, convolutions) get the mean of the task vectors.'

/** Whether spectral methods may work on a tensor: it has a direction for each model at least. */
const isSpectral = ({ isMatrix, shape, models }: Inputs<Params>): boolean => isMatrix && Math.min(...shape) >= models.length

/**
 * θ₀ + lambda·Δ, where Δ is what `of` makes of the task vectors of a matrix that maps features to features; for any other tensor, and for matrices
 * with fewer rows or columns than there are models, their mean.
 */
export function mergeSpectrally<P extends Params>(inputs: Inputs<P>, lambda: number, of: (deltas: readonly Tensor[]) => Tensor): Tensor {
  const deltas = inputs.models.map(m => m.delta)
  const merged = isSpectral(inputs as unknown as Inputs<Params>) ? of(deltas) : sum(deltas).div(deltas.length)
  return inputs.base.add(merged.mul(lambda))
}
