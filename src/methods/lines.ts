import { defineMethod, scalar } from './method.ts'

/**
 * LiNeS: scales a task vector layer by layer, from alpha in the first to alpha + beta in the last. A modifier: its task vector is a model’s, or one
 * that another method has merged.
 * Wang et al. 2024, §4, https://arxiv.org/abs/2410.17146
 * What lies outside of the layers is scaled by alpha, as in the authors’ code; so is the one layer of a model that has no more by alpha + beta.
 */
export default defineMethod({
  summary: 'Scale a task vector by depth: shallow layers less, deep ones more.',
  paper: 'https://arxiv.org/abs/2410.17146',
  about:
    'Wang et al. 2024 (LiNeS). Shallow layers hold what all tasks share and deep ones what is particular to a task, so a vector that grows with depth keeps more of the base’s general skills and lets merged tasks disturb each other less. Put it around another method: `base + lines(ties(a - base, b - base), alpha=0.3, beta=0.7)`. In the paper, alpha of a sum of N task vectors is 1/N, and beta is chosen on held-out data.',
  base: 'required',
  models: { min: 1, max: 1 },
  params: {
    alpha: scalar('Multiplier of the first layer, and of what lies outside of the layers.'),
    beta: scalar('What the multiplier gains from the first layer to the last.'),
  },
  laws: { copies: true, single: 'scales the task vector' },
  merge({ base, models: [only], position }, { alpha, beta }) {
    return base.add(only!.delta.mul(alpha + beta * position))
  },
})
