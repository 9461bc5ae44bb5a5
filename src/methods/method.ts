import type { Shape, Tensor } from '../algebra/tensor.ts'

interface Spec {
  /** One line for the docs. */
  readonly doc: string
}
interface Range {
  /** The value must lie in [min, max]; outside is an error. */
  readonly min?: number
  readonly max?: number
  /** Set when `min` itself is refused. */
  readonly exclusiveMin?: boolean
  /** Outside [low, high] the plan prints a note. */
  readonly usual?: readonly [number, number]
  /** Printed in the plan when nobody set the parameter, because the default does less than people expect. */
  readonly unsetNote?: string
}
export interface PerModel extends Spec, Range {
  readonly scope: 'model'
  readonly default?: number
  /** The value when an expression leaves the parameter out, where one writes the factor in front: `ties(0.5*(a - base), …)`. */
  readonly inExpression?: number
}
export interface Merge extends Spec, Range {
  readonly scope: 'merge'
  /** Null: not set, and the method does without. */
  readonly default?: number | null
}
export interface Flag extends Spec {
  readonly scope: 'flag'
  readonly default: boolean
}
export interface Choice extends Spec {
  readonly scope: 'choice'
  readonly values: readonly (string | boolean)[]
  readonly default: string | boolean
}
export type Param = PerModel | Merge | Flag | Choice
export type Params = Readonly<Record<string, Param>>

type ValueOf<P extends Param> = P extends Flag ? boolean : P extends Choice ? string | boolean : P extends { default: null } ? number | null : number
/** Merge-wide parameters as `merge` receives them: gradients and name filters already resolved for this tensor. */
export type Values<P extends Params> = { readonly [K in keyof P as P[K] extends PerModel ? never : K]: ValueOf<P[K]> }
/** The parameters of one model. */
export type Own<P extends Params> = { readonly [K in keyof P as P[K] extends PerModel ? K : never]: number }
/** One merged model: its tensor θᵢ, its task vector τᵢ = θᵢ − θ₀, and its own parameters. */
export type Model<P extends Params> = { readonly index: number; readonly tensor: Tensor; readonly delta: Tensor } & Own<P>

/** One number per merged model. Without a default the recipe must set it. */
export const perModel = <const R extends Omit<PerModel, 'doc' | 'scope'>>(doc: string, rest: R = {} as R): PerModel & R => ({ scope: 'model', doc, ...rest })
/** One number for the whole merge. */
export const scalar = <const R extends Omit<Merge, 'doc' | 'scope'>>(doc: string, rest: R = {} as R): Merge & R => ({ scope: 'merge', doc, ...rest })
export const flag = (doc: string, fallback: boolean): Flag => ({ scope: 'flag', doc, default: fallback })
export const choice = (doc: string, values: readonly (string | boolean)[], fallback: string | boolean): Choice => ({ scope: 'choice', doc, values, default: fallback })

/** What a method sees of one output tensor. Every tensor is float32, unread, and of shape `shape` (a base of task vectors is the scalar 0). */
export interface Inputs<P extends Params> {
  readonly name: string
  readonly shape: Shape
  /** Whether it maps features to features: a matrix with elements that is no embedding and no head. Rows are outputs. */
  readonly isMatrix: boolean
  /** θ₀; the scalar 0 where the method takes no base or merges task vectors. */
  readonly base: Tensor
  /** θ₁ … θₙ in recipe order, the base left out unless it takes part as a model. */
  readonly models: readonly Model<P>[]
  /** Uniform (0, 1), in steps of 2^-16: a pure function of recipe seed, tensor name, label and element index. */
  random(label: string | number): Tensor
  /** Folds over all tensors that this call merges. Slices of the same models, one after another, are one call. */
  readonly everywhere: Everywhere
  /** Where the tensor's layer stands: 0 for the first, 1 for the last, 0 outside of the layers. */
  readonly position: number
}

/**
 * One number for a whole model, from what each tensor's formula hands in under one label: a name that each fold of a method has for itself.
 * It is found before anything is written.
 */
export interface Everywhere {
  /** The sum of all elements. Costs a pass over all tensors. */
  sum(label: string, of: Tensor): Tensor
  /** Of all n elements the ⌊share·n⌋-th largest, at least the first; exact. Costs two passes over all tensors. */
  largest(label: string, of: Tensor, share: number): Tensor
}

/** Keeps the labels of one call apart from those of others. */
export const everywhereIn = (scope: string): Everywhere => ({
  sum: (label, of) => of.sumEverywhere(`${scope}${label}`),
  largest: (label, of, share) => of.largestEverywhere(`${scope}${label}`, share),
})

/**
 * What becomes of the recipe's base model.
 * `required`/`optional`: it is θ₀, and not one of the models. `first`: it is the first of the models.
 * `unused`: there is no θ₀; a base named in the recipe is a model like the others.
 */
export type BaseRole = 'required' | 'optional' | 'first' | 'unused'

export interface Method<P extends Params = Params> {
  /** One line for `merganser methods`, the docs and the studio. */
  readonly summary: string
  readonly paper: string | null
  /** Authors, year, and what the docs should say besides: when to use it, when not. */
  readonly about: string
  readonly base: BaseRole
  /** How many models, the base not counted (but counted where it is `first`). */
  readonly models?: { readonly min?: number; readonly max?: number }
  readonly params: P
  /** Parameters that other tools' recipes set and that change nothing here. */
  readonly ignored?: readonly string[]
  /** How many models the result amounts to when each argument is one: the sum of the weights, where nothing divides by it. Left out: one. */
  mass?(models: readonly Own<P>[], params: Values<P>): number
  /** Which laws of test/laws.test.ts hold; a law that cannot hold names the reason. */
  readonly laws: {
    /** Merging copies of the base gives the base. */
    readonly copies: true | string
    /** One expert at weight 1 gives that expert. */
    readonly single: true | string
    /** Merging task vectors gives what merging the models gives, less the base. Left out where it holds, or where there is no base. */
    readonly deltas?: string
  }
  /** Oddities of a combination of parameters that the plan should tell; gets those of each model that are plain numbers. */
  readonly remarks?: (models: readonly Readonly<Record<string, number>>[]) => readonly string[]
  /** Pure and cheap: writes down the expression for one output tensor, reads no bytes. */
  merge(inputs: Inputs<P>, params: Values<P>): Tensor
}

/** A method with its parameter names forgotten: what the registry and the planner hold. */
export interface AnyMethod extends Omit<Method, 'merge' | 'mass'> {
  mass?(models: readonly Readonly<Record<string, number>>[], params: AnyValues): number
  merge(inputs: AnyInputs, params: AnyValues): Tensor
}
type AnyValues = Readonly<Record<string, number | boolean | string | null>>
export type AnyModel = { readonly index: number; readonly tensor: Tensor; readonly delta: Tensor } & Readonly<Record<string, number | Tensor>>
export interface AnyInputs extends Omit<Inputs<Params>, 'models'> {
  readonly models: readonly AnyModel[]
}

/** Types `merge` from `params`, then forgets the names. The plan checks every value against `params` before it calls `merge`. */
export const defineMethod = <const P extends Params>(method: Method<P>): AnyMethod => method as unknown as AnyMethod // names and kinds are checked in recipe/check.ts
