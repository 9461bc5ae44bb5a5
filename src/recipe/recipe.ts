import type { FloatDType } from '../dtype.ts'

/** A span of the recipe's text. Lines and columns count from 1; `end` is one past the last column. */
export interface At {
  readonly line: number
  readonly column: number
  readonly end: number
}

/** The text an IR came from: kept so that any later stage can show the line at fault. */
export interface SourceText {
  readonly name: string
  readonly text: string
}

/** A number, or a gradient: values spread evenly over the layers, linear between neighbours. */
export type Scalar = number | readonly number[]

/** What a recipe may write for a parameter. Filters are substrings of tensor names; the first that matches wins. */
export interface Setting {
  readonly value: Scalar | boolean | string | readonly FilteredValue[]
  readonly filtered: boolean
  readonly at: At
}
export interface FilteredValue {
  /** Null matches every tensor (no filter, or `*`). */
  readonly filter: string | null
  readonly value: Scalar | boolean | string
  readonly at: At
}
export type Settings = Readonly<Record<string, Setting>>

/** One model or task vector handed to a method, with the parameters that are its own. */
export interface Argument {
  readonly expression: Expression
  readonly parameters: Settings
}

/** A formula over models, as written. */
export type Expression =
  | { readonly kind: 'model'; readonly model: string; readonly at: At }
  | { readonly kind: 'number'; readonly value: Scalar; readonly at: At }
  | { readonly kind: 'binary'; readonly op: '+' | '-' | '*' | '/'; readonly left: Expression; readonly right: Expression; readonly at: At }
  | { readonly kind: 'negate'; readonly of: Expression; readonly at: At }
  | {
      readonly kind: 'call'
      readonly method: string
      readonly arguments: readonly Argument[]
      /** θ₀, for methods that want one. Null when the arguments are task vectors. */
      readonly base: Expression | null
      /** Parameters of the whole merge, and defaults for per-model ones. */
      readonly parameters: Settings
      readonly at: At
    }
  /** Layers [start, end) of a model, counted from 0; what stands outside of the layers is kept. */
  | { readonly kind: 'layers'; readonly of: Expression; readonly start: number; readonly end: number; readonly at: At }
  /**
   * The layers of the slices one after another. What comes before the layers is the first slice's; what comes after them
   * is the last one's, unless `after` says otherwise.
   */
  | { readonly kind: 'stack'; readonly slices: readonly Expression[]; readonly after: Expression | null; readonly at: At }
  /** A formula for each part of a model that is made of several, such as encoder and decoder. */
  | { readonly kind: 'modules'; readonly modules: readonly Module[]; readonly at: At }
  /** `mean(a, b, …)`, the number `norm(a)`, `orthogonal(a, to=b)`: a without its part along b, `random(a)`: noise as long as a, `scale_to(a, like=b)`: a as long as b. Of one tensor at a time. */
  | { readonly kind: 'function'; readonly name: FunctionName; readonly arguments: readonly Expression[]; readonly at: At }
  /** The result of another document of the recipe, which is computed on the way and never written. */
  | { readonly kind: 'stage'; readonly name: string; readonly of: Expression; readonly at: At }

export type FunctionName = 'mean' | 'norm' | 'orthogonal' | 'random' | 'scale_to'

export interface Module {
  readonly name: string
  readonly expression: Expression
  readonly at: At
}

/** Where a model is: `path[@revision][+lora[@revision]]`. A file or folder called like the whole text goes before this reading of it. */
export interface ModelRef {
  /** The whole reference as text. Null when its parts were written apart, so that there is only one reading. */
  readonly text: string | null
  /** A folder or a file, or a repository of a hub. */
  readonly path: string
  readonly revision: string | null
  /** An adapter to add. */
  readonly lora: { readonly path: string; readonly revision: string | null } | null
  /** Set where it leads to an adapter alone, which is a task vector. Only its folder tells, so whoever has looked says it to `parse`. */
  readonly isAdapter?: true
  /** What the recipe calls its tensors, where not by their own names. */
  readonly rename?: Rename
  /** Null when it was named on the command line or in code, not in the text. */
  readonly at: At | null
}

/**
 * How a model's tensors get other names, in four steps: `strip` takes a beginning away, and where it is given only the tensors that have it are
 * renamed at all; each `regex` in turn; `layers` counts the layers anew; `add` puts a beginning in front. Plain data.
 */
export interface Rename {
  readonly strip: string | null
  readonly regex: readonly { readonly from: string; readonly to: string }[]
  readonly layers: LayerRename | null
  readonly add: string | null
  /** Null when it was given on the command line or in code. */
  readonly at: At | null
}

/** New indices for the layers of one stack. With `map` there is neither `skip` nor `gaps`. */
export interface LayerRename {
  /** What the names of the layers begin with, after `strip` and `regex`; null where there is one stack. */
  readonly of: string | null
  /** Layers of this model that are left out of the count, by their own indices. */
  readonly skip: readonly number[]
  /** New indices that no layer gets. */
  readonly gaps: readonly number[]
  /** Own index and new one; layers that it does not name are left out of the count. */
  readonly map: readonly (readonly [number, number])[] | null
}

/** What to do with some tensors instead of the recipe's main formula. The first rule that matches a tensor wins. */
export interface Rule {
  /** Glob over tensor names; null matches all. */
  readonly tensors: string | null
  /** Layers [start, end); null matches all. */
  readonly layers: readonly [number, number] | null
  readonly action: { readonly kind: 'merge'; readonly expression: Expression } | { readonly kind: 'from'; readonly model: string } | { readonly kind: 'drop' }
  readonly at: At
}

/** A merge, whatever form it was written in. Plain data: it crosses threads and machines as JSON. */
export interface Recipe {
  readonly form: 'merganser' | 'mergekit' | 'expression'
  readonly source: SourceText
  /** By name, in the order written. In mergekit's form the name is the reference as text. */
  readonly models: Readonly<Record<string, ModelRef>>
  readonly merge: Expression
  readonly rules: readonly Rule[]
  /** Names of the other documents of the recipe. */
  readonly stages: readonly string[]
  readonly output: {
    /** Null keeps each tensor's own dtype. */
    readonly dtype: FloatDType | null
    /** Bytes of tensors after which a new shard begins. */
    readonly shardSize: number
    /** Names of models; null leaves the choice to the plan (the base, else the first model). */
    readonly configFrom: string | null
    readonly tokenizerFrom: string | null
    /** False where no README.md is wanted. */
    readonly card?: boolean
  }
  /** Null keeps each row of an embedding where it is. */
  readonly tokenizer: TokenizerRequest | null
  /** What was asked of vocabularies in Merganser's own form; but for `skip`, `tokenizer` says the rest of it. */
  readonly vocabulary: VocabularyRequest | null
  /** Null keeps the template that comes with the tokenizer. */
  readonly chatTemplate: ChatTemplateRequest | null
  /** Set where the recipe gives a task vector instead of a model. */
  readonly result?: 'vector'
  readonly seed: number
  /** Harmless oddities met while reading (a filter that can never match, a parameter without effect). */
  readonly notes: readonly Note[]
}

export interface Note {
  readonly text: string
  readonly at: At | null
}

/**
 * What becomes of embeddings and heads whose models have different vocabularies. The base here is the model that the merge builds on.
 * - `skip`: they are not merged; those of the base stay.
 * - `common`: the base's vocabulary. Rows of tokens that all models share are merged, all others stay as they are in the base.
 * - `union`: the base's vocabulary and, appended, what only other models have. A token of one model keeps that model's row.
 */
export interface VocabularyRequest {
  readonly policy: VocabularyPolicy
  /** By model: what the base calls some of its tokens. */
  readonly tokens: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly at: At
}
export const VOCABULARY_POLICIES = ['skip', 'common', 'union'] as const
export type VocabularyPolicy = (typeof VOCABULARY_POLICIES)[number]

/** What a recipe asks of the output's vocabulary. Plain data. */
export interface TokenizerRequest {
  /** `union` adds to the base's tokenizer what the other models have; `model` need not be one that is merged. */
  readonly source: { readonly kind: 'union' | 'base'; readonly at: At } | { readonly kind: 'model'; readonly model: string; readonly reference: ModelRef; readonly at: At }
  /** In the order written; each token once. */
  readonly tokens: readonly TokenRule[]
  readonly padToMultipleOf: number | null
  readonly at: At
}

/** Where the row of one token comes from, in models that lack it. The token joins the vocabulary if it is not there. */
export interface TokenRule {
  readonly token: string
  readonly source: RowSource
  /** Also in models that have the token. */
  readonly force: boolean
  readonly at: At
}

export type RowSource =
  | { readonly kind: 'zero'; readonly at: At }
  /** The same token's row in another model. */
  | { readonly kind: 'model'; readonly model: string; readonly at: At }
  /** Some token's row, by its text or its id in that model's own vocabulary. */
  | { readonly kind: 'model_token'; readonly model: string; readonly token: string | number; readonly at: At }

/** `auto` takes the template most models have. A name is null for a literal template. */
export type ChatTemplateRequest = { readonly kind: 'auto'; readonly at: At } | { readonly kind: 'text'; readonly name: string | null; readonly text: string; readonly at: At }
