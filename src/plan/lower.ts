import picomatch from 'picomatch'
import { Tensor } from '../algebra/tensor.ts'
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts'
import { isFloat } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { METHODS } from '../methods/_all.ts'
import type { AnyModel } from '../methods/method.ts'
import { faultAt } from '../recipe/locate.ts'
import { positionOf, resolveParameters, scalarAt } from '../recipe/parameters.ts'
import type { Expression, Recipe, Rule } from '../recipe/recipe.ts'
import { commonShape } from './shapes.ts'

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
}

/** Writes down the formula of every tensor of a merge. */
export interface Lowering {
  /** Null where a rule drops the tensor. */
  lower(name: string): Lowered | null
  /** Indices of rules that have matched a tensor so far. */
  readonly matched: ReadonlySet<number>
}

/** `donor` names the model whose tensors pass through where arithmetic has no meaning (integers). */
export function createLowering(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, donor: string): Lowering {
  const globs = recipe.rules.map(rule => (rule.tensors === null ? () => true : picomatch(rule.tensors, { dot: true, bash: true })))
  const matched = new Set<number>()
  const mentioned = new Map<Expression, readonly string[]>()
  return { lower, matched }

  function lower(name: string): Lowered | null {
    const index = recipe.rules.findIndex((rule, i) => globs[i]!(name) && inLayers(rule, name))
    if (index >= 0) matched.add(index)
    const rule = recipe.rules[index]
    if (rule?.action.kind === 'drop') return null
    if (rule?.action.kind === 'from') return copy(name, rule.action.model, rule)
    return merge(name, rule?.action.kind === 'merge' ? rule.action.expression : recipe.merge)
  }

  function inLayers(rule: Rule, name: string): boolean {
    if (!rule.layers) return true
    const layer = layerOf(name)
    return layer !== null && layer.index >= rule.layers[0] && layer.index < rule.layers[1]
  }

  function layerOf(name: string) {
    const known = checkpoints.get(donor)!.layers.of(name)
    if (known) return known
    for (const checkpoint of checkpoints.values()) {
      const layer = checkpoint.tensors.has(name) ? checkpoint.layers.of(name) : null
      if (layer) return layer
    }
    return null
  }

  function copy(name: string, model: string, rule: Rule | null): Lowered {
    const tensor = checkpoints.get(model)!.tensors.get(name)
    if (!tensor) {
      const what = `${name}: there is no such tensor in ${model}`
      throw rule ? faultAt(recipe.source, rule.at, what, `take it \`from:\` a model that has it (${holders(name).join(', ')}), or \`drop: true\` it`) : new MergeError(what)
    }
    const input = { model, tensor: name }
    return { root: Tensor.source(0, algebraic(tensor.shape)), inputs: [input], shape: tensor.shape, copyOf: input }
  }

  function merge(name: string, expression: Expression): Lowered {
    let models = mentioned.get(expression)
    if (!models) {
      models = modelsOf(expression)
      mentioned.set(expression, models)
    }
    const tensors = new Map<string, CheckpointTensor>()
    for (const model of models) {
      const tensor = checkpoints.get(model)!.tensors.get(name)
      if (tensor) tensors.set(model, tensor)
    }
    const integers = [...tensors.values()].some(t => !isFloat(t.dtype))
    if (integers) return copy(name, tensors.has(donor) ? donor : [...tensors.keys()][0]!, null)
    if (tensors.size < models.length) throw missing(name, models, tensors)
    const shape = commonShape(recipe, name, models, tensors)
    const seen: Input[] = []
    const slot = (model: string): number => {
      const index = seen.findIndex(input => input.model === model)
      return index < 0 ? seen.push({ model, tensor: name }) - 1 : index
    }
    const root = evaluate(expression, { name, shape: algebraic(shape), position: positionOf(layerOf(name)), slot })
    const only = root.op === 'source' ? seen[root.arg as number]! : null
    return { root, inputs: seen, shape, copyOf: only }
  }

  function evaluate(e: Expression, context: Context): Tensor {
    switch (e.kind) {
      case 'model':
        return Tensor.source(context.slot(e.model), context.shape)
      case 'number':
        return Tensor.constant(scalarAt(e.value, context.position))
      case 'negate':
        return evaluate(e.of, context).mul(-1)
      case 'binary': {
        const [left, right] = [evaluate(e.left, context), evaluate(e.right, context)]
        if (left.op === 'constant' && right.op === 'constant') return Tensor.constant(fold(e.op, left.arg as number, right.arg as number))
        return e.op === '+' ? left.add(right) : e.op === '-' ? left.sub(right) : e.op === '*' ? left.mul(right) : left.div(right)
      }
      case 'call':
        return call(e, context)
      default:
        e satisfies never
        throw new Error('no such expression')
    }
  }

  function call(e: Expression & { kind: 'call' }, context: Context): Tensor {
    const method = METHODS[e.method]!
    const { models: own, merge: values } = resolveParameters(recipe, e, method, context.name, context.position)
    const base = e.base ? evaluate(e.base, context) : Tensor.constant(0)
    const models = e.arguments.map((argument, index): AnyModel => {
      const tensor = evaluate(argument.expression, context)
      return { ...own[index], index, tensor, delta: tensor.sub(base) } as AnyModel // the parameters were checked against the method's list
    })
    try {
      return method.merge({ name: context.name, shape: context.shape, base, models, random: label => Tensor.random(String(label), context.shape) }, values)
    } catch (error) {
      if (error instanceof MergeError && !error.details.excerpt) throw faultAt(recipe.source, e.at, `${context.name}: ${error.what}`, error.details.fix)
      throw error
    }
  }

  function missing(name: string, models: readonly string[], has: ReadonlyMap<string, CheckpointTensor>): MergeError {
    const without = models.filter(m => !has.has(m))
    const architectures = new Set(models.map(m => checkpoints.get(m)!.architecture))
    const reason = architectures.size > 1 ? ` (architectures: ${models.map(m => `${m} ${checkpoints.get(m)!.architecture ?? 'unknown'}`).join(', ')})` : ''
    const fix =
      recipe.form === 'mergekit'
        ? 'merge models of one architecture, or write the recipe in Merganser’s own form, whose `rules:` say what becomes of such a tensor'
        : `say what becomes of it in \`rules:\`, e.g. \`- { tensors: '${name}', from: ${holders(name)[0]} }\` or \`drop: true\``
    return new MergeError(`${name}: in ${holders(name).join(', ')}, but not in ${without.join(', ')}${reason}`, { where: recipe.source.name, fix })
  }

  function holders(name: string): string[] {
    return [...checkpoints].filter(([, c]) => c.tensors.has(name)).map(([model]) => model)
  }
}

interface Context {
  readonly name: string
  readonly shape: readonly number[]
  /** 0 at the first layer, 1 at the last. */
  readonly position: number
  slot(model: string): number
}

/** The models an expression reads, in order of first mention. */
export function modelsOf(expression: Expression): readonly string[] {
  const found = new Set<string>()
  const walk = (e: Expression): void => {
    if (e.kind === 'model') found.add(e.model)
    else if (e.kind === 'negate') walk(e.of)
    else if (e.kind === 'binary') [e.left, e.right].forEach(walk)
    else if (e.kind === 'call') {
      if (e.base) walk(e.base)
      for (const a of e.arguments) walk(a.expression)
    }
  }
  walk(expression)
  return [...found]
}

/** In the algebra [] means a number; a 0-d tensor is one element. */
const algebraic = (shape: readonly number[]): readonly number[] => (shape.length === 0 ? [1] : shape)

function fold(op: '+' | '-' | '*' | '/', a: number, b: number): number {
  return op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : a / b
}
