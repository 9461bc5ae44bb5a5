import { type Measure, ratio, total } from './measure.ts'

/** cos(τ_a, τ_b). By itself it predicts next to nothing about a merge (arXiv 2603.09463): it is shown because people look for it. */
export default {
  of: 'pair',
  summary: 'Cosine between the two task vectors.',
  source: 'https://arxiv.org/abs/2212.04089',
  folds: (a, b) => ({ dot: a.delta.dot(b.delta), a: a.delta.dot(a.delta), b: b.delta.dot(b.delta) }),
  value: parts => ratio(total(parts, 'dot'), Math.sqrt(total(parts, 'a') * total(parts, 'b'))),
} satisfies Measure
