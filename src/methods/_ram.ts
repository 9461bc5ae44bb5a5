import { sum, type Tensor, where } from '../algebra/tensor.ts'
import type { AnyModel } from './method.ts'
import { scalar } from './method.ts'

export const epsilon = scalar('A change of at most this counts as none.', { default: 1e-5, min: 0 })

/** Task vectors told apart by how many models changed a coordinate. Yuan et al. 2026, https://arxiv.org/abs/2601.13572 */
export interface Changes {
  /** Per model, 1 where it changed the coordinate by more than epsilon, else 0. */
  readonly active: readonly Tensor[]
  /** Per model, its changes; 0 where it has none. */
  readonly kept: readonly Tensor[]
  /** How many models changed the coordinate. */
  readonly count: Tensor
  /** The mean over the models that changed it: of one model, that model's change. */
  readonly mean: Tensor
}

export function changesOf(models: readonly Pick<AnyModel, 'delta'>[], epsilon: number): Changes {
  const active = models.map(m => m.delta.abs().gt(epsilon))
  const kept = models.map((m, i) => where(active[i]!, m.delta, 0))
  const count = sum(active)
  return { active, kept, count, mean: sum(kept).div(count.max(1)) }
}
