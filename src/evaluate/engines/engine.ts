import type { DataTensor } from '../data.ts'
import type { Options } from '../options.ts'
import type { Subject } from '../subject.ts'
import type { Task } from '../suite.ts'
import type { Tokens } from '../tokens.ts'

/** Rows of float32 numbers, row-major. */
export interface Rows {
  readonly width: number
  readonly data: Float32Array
}

/** A stretch of text for a language model: after `inputs[0..i]` comes `targets[i]`; a negative target is not asked about. */
export interface Window {
  readonly inputs: readonly number[]
  readonly targets: readonly number[]
}

export interface Sampling {
  /** New tokens. */
  readonly length: number
  /** 0 takes the likeliest token. */
  readonly temperature: number
  readonly seed: number
  /** Tokens that are never taken. */
  readonly banned: readonly number[]
  /** A token that ends its text; negative: none. */
  readonly stop: number
  /** Most tokens that the model sees: the last ones. */
  readonly context: number
}

/**
 * One model at work on one task. Each ability is there if the engine has it; a metric says which one it uses, and a suite that puts
 * the wrong two together is refused when it is read.
 */
export interface Runner {
  /** Scores of classes for rows of data tensors. */
  classify(inputs: ReadonlyMap<string, DataTensor>): Promise<Rows>
  /** ln p of every target, one list for each window. */
  likelihoods(windows: readonly Window[]): Promise<readonly Float64Array[]>
  /** One number for each sequence of tokens, as a reward model gives. */
  rewards(sequences: readonly (readonly number[])[]): Promise<readonly number[]>
  /** What the model writes after each prompt, without the prompt. */
  generate(prompts: readonly (readonly number[])[], sampling: Sampling): Promise<readonly (readonly number[])[]>
  tokens(): Promise<Tokens>
  /** Numbers that the engine has computed itself. */
  report(): Promise<unknown>
}
export type Ability = keyof Runner

/** An engine at work: holds what its tasks share. */
export interface Host {
  /** Name and version of what computes, for the cache: another version may give other numbers. */
  identity(): Promise<string>
  /** Files whose contents the results depend on, absolute. */
  files(task: Task): Promise<readonly string[]>
  run(task: Task, subject: Subject): Promise<Pick<Runner, 'tokens'> & Partial<Runner>>
  /** What a reader of the results should know, such as how weights were matched. */
  notes(): readonly string[]
  close(): Promise<void>
}

export interface Engine {
  readonly summary: string
  readonly abilities: readonly Ability[]
  readonly options: Options
  /** `threads` are those of what computes, where it can be told; null leaves it the choice. */
  start(threads: number | null): Host
}
