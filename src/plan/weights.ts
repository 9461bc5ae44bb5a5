import { numberAt } from '../recipe/mass.ts'
import type { Expression } from '../recipe/recipe.ts'

/** The weight of each model in an expression that is nothing but a weighted sum, the same at every layer; null for any other. */
export function weightsIn(e: Expression): ReadonlyMap<string, number> | null {
  switch (e.kind) {
    case 'model':
      return new Map([[e.model, 1]])
    case 'negate':
      return scaled(weightsIn(e.of), -1)
    case 'binary': {
      if (e.op === '+' || e.op === '-') return added(weightsIn(e.left), scaled(weightsIn(e.right), e.op === '-' ? -1 : 1))
      const [number, of] = constantOf(e.right) === null ? [constantOf(e.left), e.right] : [constantOf(e.right), e.left]
      return number === null ? null : scaled(weightsIn(of), e.op === '/' ? 1 / number : number)
    }
    case 'function':
      return e.name === 'mean' ? e.arguments.map(a => scaled(weightsIn(a), 1 / e.arguments.length)).reduce(added) : null
    case 'stage':
      return weightsIn(e.of)
    case 'number':
    case 'call':
    case 'layers':
    case 'stack':
    case 'modules':
      return null
    default:
      throw e satisfies never
  }
}

type Weights = ReadonlyMap<string, number> | null

const scaled = (weights: Weights, by: number): Weights => weights && new Map([...weights].map(([model, weight]) => [model, by * weight]))

function added(a: Weights, b: Weights): Weights {
  if (!a || !b) return null
  return new Map([...new Set([...a.keys(), ...b.keys()])].map(model => [model, (a.get(model) ?? 0) + (b.get(model) ?? 0)]))
}

/** A number that no layer changes. */
function constantOf(e: Expression): number | null {
  const [first, ...others] = [0, 0.25, 0.5, 0.75, 1].map(position => numberAt(e, position))
  return others.every(other => other === first) ? first! : null
}
