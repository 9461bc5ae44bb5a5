import type { Shape, Tensor } from '../../algebra/tensor.ts'

/** One tensor of one task, unread. All of one shape. */
export interface TaskView {
  readonly base: Tensor
  /** θ of the task's model. */
  readonly model: Tensor
  /** τ = θ − base. */
  readonly delta: Tensor
  /** Δ, what the recipe at hand adds to the base; null where it is not a formula that streams. */
  readonly change: Tensor | null
  readonly shape: Shape
  /** Uniform (0, 1) for each element: a pure function of the tensor's name and the label. */
  random(label: string): Tensor
}

/** What is known of one tensor: its sums, by the names that the measure gave them. */
export interface Part {
  readonly sums: Readonly<Record<string, number>>
  readonly shape: Shape
}

interface Common {
  readonly summary: string
  /** Where it is from; null for what is ours or common knowledge. */
  readonly source: string | null
  /** Of a layer, or of a whole model: from the sums of all its tensors. Null where it has no meaning, as a share of nothing. */
  value(parts: readonly Part[]): number | null
  /** Set where it looks in random directions, which takes longer than all the others together. */
  readonly isCostly?: true
  /** Standard error of the value, for measures that look in random directions. */
  error?(parts: readonly Part[]): number | null
}

/** The sums that a measure wants of a tensor; null for a tensor that it says nothing about. */
export type Sums = Readonly<Record<string, Tensor>> | null

/**
 * A number about task vectors, from sums over elements that the engine finds in bounded memory.
 * `model`: of each model, the base too. `task`: of each task. `pair`: of two tasks, whatever their order; `other`: of a task, as another affects it.
 */
export type Measure = Common &
  (
    | { readonly of: 'model'; folds(model: Tensor): Sums }
    | { readonly of: 'task'; folds(task: TaskView): Sums }
    | { readonly of: 'pair' | 'other'; folds(task: TaskView, other: TaskView): Sums }
  )

/** The sum called `name` over all parts. */
export const total = (parts: readonly Part[], name: string): number => parts.reduce((sum, part) => sum + part.sums[name]!, 0)

/** a ÷ b; null for 0 ÷ 0 and all that is not finite. */
export function ratio(a: number, b: number): number | null {
  const quotient = a / b
  return Number.isFinite(quotient) ? quotient : null
}

/** 1 for each element that is not 0, NaN among them. */
export const isNonzero = (t: Tensor): Tensor => t.eq(0).mul(-1).add(1)
