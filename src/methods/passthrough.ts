import { defineMethod, perModel } from './method.ts'

/** The one model's tensors, times `scale` if given. */
export default defineMethod({
  summary: 'Copy one model, optionally scaled.',
  paper: null,
  about: 'For stacking layers of several models, and for rules that take some tensors from one model unchanged. Without `scale`, or with 1, the bytes are copied as they are.',
  base: 'unused',
  models: { min: 1, max: 1 },
  params: { scale: perModel('Multiplier of the tensor.', { default: 1 }) },
  mass: ([only]) => only!.scale,
  laws: { copies: 'takes one model', single: true },
  merge({ models: [only] }) {
    const { tensor, scale } = only!
    return scale === 1 ? tensor : tensor.mul(scale)
  },
})
