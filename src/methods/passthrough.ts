import { defineMethod, scalar } from './method.ts'

/** The one model's tensors, times `scale` if given. */
export default defineMethod({
  summary: 'Copy one model, optionally scaled.',
  paper: null,
  about: 'For stacking layers of several models, and for rules that take some tensors from one model unchanged. Without `scale` the bytes are copied as they are.',
  base: 'unused',
  models: { min: 1, max: 1 },
  params: { scale: scalar('Multiplier of the tensor.', { default: null }) },
  laws: { copies: 'takes one model', single: true },
  merge({ models: [only] }, { scale }) {
    return scale === null ? only!.tensor : only!.tensor.mul(scale)
  },
})
