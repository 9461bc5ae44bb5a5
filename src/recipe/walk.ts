import type { At, Expression, Recipe, Rule } from './recipe.ts'

/** The expressions directly inside `e`, in the order written. */
export function childrenOf(e: Expression): readonly Expression[] {
  switch (e.kind) {
    case 'model':
    case 'number':
      return []
    case 'negate':
      return [e.of]
    case 'binary':
      return [e.left, e.right]
    case 'call':
      return [...e.arguments.map(a => a.expression), ...(e.base ? [e.base] : [])]
    case 'function':
      return e.arguments
    case 'layers':
    case 'stage':
      return [e.of]
    case 'stack':
      return e.after ? [...e.slices, e.after] : e.slices
    case 'modules':
      return e.modules.map(m => m.expression)
    default:
      throw e satisfies never
  }
}

/** `expression` and everything inside it, outermost first; a stage that is used several times once. */
export function partsOf(expression: Expression): readonly Expression[] {
  const parts = new Set([expression])
  for (const part of parts) for (const child of childrenOf(part)) parts.add(child) // the loop reaches what it adds
  return [...parts]
}

/** The names of models that are no adapters alone. */
export const wholeModels = (models: Recipe['models']): readonly string[] => Object.keys(models).filter(name => !models[name]!.isAdapter)

/** The names of the models in `expression`. */
export const modelsIn = (expression: Expression): ReadonlySet<string> => new Set(partsOf(expression).flatMap(e => (e.kind === 'model' ? [e.model] : [])))

/** The names of the models that rules merge or take tensors from. */
export const modelsInRules = (rules: readonly Rule[]): readonly string[] =>
  rules.flatMap(({ action }) => (action.kind === 'merge' ? [...modelsIn(action.expression)] : action.kind === 'from' ? [action.model] : []))

/** Where an argument's model is written: of a range of layers, the model and not the range. */
export const modelAt = (expression: Expression): At => (expression.kind === 'layers' ? expression.of.at : expression.at)
