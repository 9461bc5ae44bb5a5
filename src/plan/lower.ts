import { Tensor } from '../algebra/tensor.ts'
import type { CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { findTensor, isFeatureMap, tokenAxis } from '../checkpoint/find.ts'
import { isFloat, sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { METHODS } from '../methods/_all.ts'
import { type AnyModel, everywhereIn } from '../methods/method.ts'
import { compileGlob } from '../recipe/glob.ts'
import { faultAt } from '../recipe/locate.ts'
import { resolveParameters, scalarAt } from '../recipe/parameters.ts'
import type { At, Expression, Recipe, Rule } from '../recipe/recipe.ts'
import { label, show } from '../recipe/show.ts'
import { applyFunction, ratio } from './functions.ts'
import { createMatching, type Matched, type Matching } from './matching.ts'
import { missingTensor } from './missing.ts'
import type { OpenedModels } from './open_models.ts'
import { commonShape } from './shapes.ts'
import { type Place, type Structure, structureOf } from './structure.ts'

/** A tensor of a model. Its name may differ from that of the output tensor it goes into. */
export interface Input {
  readonly model: string
  readonly tensor: string
}

/** One output tensor as a formula; `inputs[i]` is the tensor behind source i. */
export interface Lowered {
  readonly root: Tensor
  readonly inputs: readonly Input[]
  readonly shape: readonly number[]
  /** Set when the tensor is one of a model's own, byte for byte. */
  readonly copyOf: Input | null
  /** Where the inputs' rows are gathered by token; null where they are read as they lie. */
  readonly matched: Matched | null
}

/** Writes down the formula of every tensor of a merge. */
export interface Lowering {
  /** Every tensor of the output, and those that a rule drops. */
  readonly names: readonly string[]
  readonly structure: Structure
  /** Null where a rule drops the tensor. */
  lower(name: string): Lowered | null
  /** Indices of rules that have matched a tensor so far. */
  readonly matched: ReadonlySet<number>
  /** Tensors so far that arithmetic does not apply to: the one whose bytes are taken, and all that the formula names. */
  readonly passed: ReadonlyMap<string, { readonly from: Input; readonly wanted: readonly Wanted[] }>
  /** Models whose embedding has served as their output head so far. */
  readonly tied: ReadonlySet<string>
  /** Null where the recipe does not speak of the tokenizer. */
  readonly matching: Matching | null
  /** Where the call stands that has found something everywhere under `label`. */
  callOf(label: string): At
}

/** What a formula reads: a model's tensor, under the name it has there. */
export interface Leaf extends Input {
  readonly entry: CheckpointTensor
}

/** `donor` names the model whose tensors pass through where arithmetic has no meaning (integers). */
export function createLowering(recipe: Recipe, checkpoints: OpenedModels, donor: string): Lowering {
  const globs = recipe.rules.map(rule => (rule.tensors === null ? () => true : compileGlob(rule.tensors)))
  const matched = new Set<number>()
  const passed = new Map<string, { from: Input; wanted: readonly Wanted[] }>()
  const tied = new Set<string>()
  const numbers = new Map<Expression, number>()
  const calls = new Map<string, At>()
  const structure = structureOf(recipe, checkpoints, donor)
  const matching = recipe.tokenizer && createMatching(recipe, recipe.tokenizer, checkpoints)
  return { names: outputNames(), structure, lower, matched, passed, tied, matching, callOf }

  /** In the donor's order, then what only others have. */
  function outputNames(): readonly string[] {
    if (structure.isSliced(recipe.merge) || recipe.merge.kind === 'modules') return structure.namesOf(recipe.merge)
    const models = [donor, ...checkpoints.keys()].map((model): Expression => ({ kind: 'model', model, at: recipe.merge.at }))
    return [...new Set(models.flatMap(model => structure.namesOf(model)))]
  }

  function lower(name: string): Lowered | null {
    const index = recipe.rules.findIndex((rule, i) => globs[i]!(name) && inLayers(rule, name))
    if (index >= 0) matched.add(index)
    const rule = recipe.rules[index]
    if (rule?.action.kind === 'drop') return null
    if (rule?.action.kind === 'from') return copy(name, take(rule.action.model, name) ?? missing(name, rule.action.model, rule))
    if (!rule && recipe.vocabulary?.policy === 'skip' && tokenAxis(checkpoints.get(donor)!, name)) {
      const own = findTensor(checkpoints.get(donor)!, name)
      if (own?.as === 'embedding') return null // the donor has no head of its own, and goes on without one
      if (own) return copy(name, { model: donor, tensor: own.tensor.name, entry: own.tensor })
    }
    return merge(name, rule?.action.kind === 'merge' ? rule.action.expression : recipe.merge)
  }

  function copy(name: string, leaf: Leaf): Lowered {
    const rows = matching?.match(name, [leaf]) ?? null
    const shape = rows?.shape ?? leaf.entry.shape
    const input = { model: leaf.model, tensor: leaf.tensor }
    return { root: Tensor.source(0, algebraic(shape)), inputs: [input], shape, copyOf: input, matched: rows }
  }

  function inLayers(rule: Rule, name: string): boolean {
    if (!rule.layers) return true
    const layer = structure.layerNamed(name)
    return layer !== null && layer.index >= rule.layers[0] && layer.index < rule.layers[1]
  }

  function take(model: string, name: string): Leaf | null {
    const found = findTensor(checkpoints.get(model)!, name)
    if (found?.as === 'embedding') tied.add(model)
    return found && { model, tensor: found.tensor.name, entry: found.tensor }
  }

  function missing(name: string, model: string, rule: Rule): never {
    throw faultAt(
      recipe.source,
      rule.at,
      `${name}: there is no such tensor in ${model}`,
      `take it \`from:\` a model that has it (${holders(name).join(', ')}), or \`drop: true\` it`,
    )
  }

  function merge(name: string, expression: Expression): Lowered {
    const place = structure.placeOf(expression, name)
    const wanted = wantedBy(expression, place)
    const leaves = wanted.flatMap(({ model, name: own }) => take(model, own) ?? [])
    const [integer, float] = [leaves.find(({ entry }) => !isFloat(entry.dtype)), leaves.find(({ entry }) => isFloat(entry.dtype))]
    if (integer && float) throw mixedKinds(name, integer, float)
    if (integer) {
      const from = leaves.find(leaf => leaf.model === donor) ?? integer
      passed.set(name, { from, wanted })
      return copy(name, from)
    }
    if (leaves.length < wanted.length) throw missingTensor(recipe, checkpoints, name, wanted)
    const rows = matching?.match(name, leaves) ?? null
    const isByToken = leaves.some(leaf => tokenAxis(checkpoints.get(leaf.model)!, leaf.tensor) === 'rows')
    const shape = rows?.shape ?? commonShape(recipe, name, leaves, callAt(expression, place), isByToken)
    const seen: Input[] = []
    const read = (model: string, own: string, isArgument: boolean): Tensor => {
      const { tensor, entry } = leaves.find((leaf, i) => leaf.model === model && wanted[i]!.name === own)! // every leaf was found
      if (entry.isZero && !isArgument) return Tensor.constant(0) // so that what an adapter does not change is copied
      const index = seen.findIndex(input => input.model === model && input.tensor === tensor)
      return Tensor.source(index < 0 ? seen.push({ model, tensor }) - 1 : index, algebraic(shape))
    }
    const isMatrix = sizeOf(shape) > 0 && leaves.every(leaf => isFeatureMap(checkpoints.get(leaf.model)!, leaf.entry))
    const root = evaluate(expression, place, { shape: algebraic(shape), isMatrix, scope: '', isArgument: false, read })
    const only = root.op === 'source' ? seen[root.arg as number]! : null
    return { root, inputs: seen, shape, copyOf: only, matched: rows }
  }

  /** The tensors that `e` reads, each once, in the order of first mention. */
  function wantedBy(e: Expression, place: Place): Wanted[] {
    const wanted = new Map<string, Wanted>()
    const walk = (part: Expression, at: Place): void => {
      if (part.kind === 'model') wanted.set(`${part.model}\n${at.name}`, { model: part.model, name: at.name })
      for (const [child, childAt] of structure.childrenAt(part, at)) walk(child, childAt)
    }
    walk(e, place)
    return [...wanted.values()]
  }

  /** The call that gives a tensor, beneath slices and modules; null if another expression does. */
  function callAt(e: Expression, place: Place): Call | null {
    if (e.kind === 'call') return e
    const inner = e.kind === 'stack' || e.kind === 'modules' || e.kind === 'stage' ? structure.childrenAt(e, place)[0] : undefined
    return inner ? callAt(...inner) : null
  }

  function evaluate(e: Expression, place: Place, context: Context): Tensor {
    switch (e.kind) {
      case 'model':
        return context.read(e.model, place.name, context.isArgument)
      case 'number': {
        const value = scalarAt(e.value, place.position)
        if (Math.abs(value) > LARGEST) throw faultAt(recipe.source, e.at, `${value} is beyond float32, in which merges are computed`, 'write a smaller number')
        return Tensor.constant(value)
      }
      case 'negate': {
        const of = evaluate(e.of, place, context)
        return of.op === 'constant' ? Tensor.constant(-(of.arg as number)) : of.mul(-1)
      }
      case 'binary': {
        const [left, right] = [evaluate(e.left, place, context), evaluate(e.right, place, context)]
        if (left.op === 'constant' && right.op === 'constant') return Tensor.constant(fold(e.op, left.arg as number, right.arg as number))
        return e.op === '+' ? left.add(right) : e.op === '-' ? left.sub(right) : e.op === '*' ? left.mul(right) : divide(left, right)
      }
      case 'call':
        return call(e, place, { ...context, isArgument: true })
      case 'function':
        return applyFunction(
          e.name,
          e.arguments.map(argument => evaluate(argument, place, { ...context, isArgument: true })),
          () => Tensor.random(`${context.scope}${show(e)}`, context.shape), // what is written alike is the same noise
        )
      case 'layers':
      case 'stack':
      case 'modules':
      case 'stage': {
        const [child, at] = structure.childrenAt(e, place)[0]!
        if (e.kind === 'stage') return evaluate(child, at, { ...context, scope: `${context.scope}${e.name}/` })
        return evaluate(child, at, e.kind === 'stack' ? { ...context, stack: e } : context)
      }
      default:
        e satisfies never
        throw new Error('no such expression')
    }
  }

  function call(e: Call, place: Place, context: Context): Tensor {
    const method = METHODS[e.method]!
    const inputs = e.arguments.map(({ expression }) => (expression.kind === 'layers' ? structure.childrenAt(expression, place)[0]![1].name : place.name))
    const { models: own, merge: values } = resolveParameters(recipe, e, method, { output: place.output, inputs }, place.position)
    const base = e.base ? evaluate(e.base, place, context) : Tensor.constant(0)
    const models = e.arguments.map((argument, index): AnyModel => {
      const tensor = evaluate(argument.expression, place, context)
      return { ...own[index], index, tensor, delta: tensor.sub(base) } as AnyModel // the parameters were checked against the method's list
    })
    const random = (label: string | number): Tensor => Tensor.random(`${context.scope}${label}`, context.shape)
    try {
      return method.merge(
        { name: place.output, shape: context.shape, isMatrix: context.isMatrix, base, models, random, everywhere: everywhereIn(callName(e, context)), position: place.position },
        values,
      )
    } catch (error) {
      if (error instanceof MergeError && !error.details.excerpt) throw faultAt(recipe.source, e.at, `${place.output}: ${error.what}`, error.details.fix)
      throw error
    }
  }

  /** One name for the calls that make one model: a call by itself, or in slices all that merge the same models in the same order. */
  function callName(e: Call, { scope, stack }: Context): string {
    const number = (of: Expression): number => {
      if (!numbers.has(of)) numbers.set(of, numbers.size)
      return numbers.get(of)!
    }
    const models = (): string => e.arguments.map(a => label(a.expression, recipe.source)).join()
    const name = `${scope}${stack ? `${number(stack)} ${e.method}(${models()})` : number(e)}${END}`
    calls.set(name, e.at)
    return name
  }

  function callOf(label: string): At {
    return calls.get(label.slice(0, label.indexOf(END) + END.length))!
  }

  function mixedKinds(name: string, a: Leaf, b: Leaf): MergeError {
    const fix =
      recipe.form === 'mergekit'
        ? 'merge models of one kind: a quantised model cannot be merged with one that is not'
        : `merge models of one kind, or take the tensor from one of them: \`rules: [{ tensors: '${name}', from: ${b.model} }]\``
    return new MergeError(`${name}: ${a.entry.dtype} in ${a.model} and ${b.entry.dtype} in ${b.model}, and only floats can be merged`, { where: recipe.source.name, fix })
  }

  function holders(name: string): string[] {
    return [...checkpoints].filter(([, c]) => c.tensors.has(name)).map(([model]) => model)
  }
}

const LARGEST = 3.4028234663852886e38 // of float32
const END = '\n' // of a call's name: no name of a stage, a method or a model has it

type Call = Extract<Expression, { kind: 'call' }>

/** A model's tensor by the name that it has in the leading model. */
export interface Wanted {
  readonly model: string
  readonly name: string
}

interface Context {
  readonly shape: readonly number[]
  readonly isMatrix: boolean
  /** Keeps the random numbers of a stage apart from those of the merge around it. */
  readonly scope: string
  /** The slices around, the innermost. */
  readonly stack?: Expression
  /** Within a call: methods take tensors, also of zeros. */
  readonly isArgument: boolean
  read(model: string, name: string, isArgument: boolean): Tensor
}

/** In the algebra [] means a number; a 0-d tensor is one element. */
const algebraic = (shape: readonly number[]): readonly number[] => (shape.length === 0 ? [1] : shape)

/** By a number that is written down, or by one that depends on norms. */
function divide(left: Tensor, right: Tensor): Tensor {
  if (right.op === 'constant') return left.div(right)
  return left.space === 'number' ? ratio(left, right) : left.mul(ratio(Tensor.constant(1), right))
}

function fold(op: '+' | '-' | '*' | '/', a: number, b: number): number {
  return op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : a / b
}
