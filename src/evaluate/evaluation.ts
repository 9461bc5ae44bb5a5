import type { Weights } from './weights.ts'

/** Graph and data of an evaluation, opened once and used for many models. */
export interface Evaluation<Task extends string, Score> {
  /** The score of one model on `tasks`, or on all tasks this evaluation was opened with. */
  score<T extends Task = Task>(weights: Weights, tasks?: readonly T[]): Promise<Record<T, Score>>
  close(): Promise<void>
}
