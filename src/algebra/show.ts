import type { Tensor } from './tensor.ts'

const SYMBOLS: Readonly<Record<string, string>> = { add: '+', sub: '-', mul: '*', div: '/', ge: '>=', gt: '>', eq: '==' }
const STRENGTH: Readonly<Record<string, number>> = { ge: 1, gt: 1, eq: 1, add: 2, sub: 2, mul: 3, div: 3 }
const ATOM = 9

/** A formula as lines of mathematics: shared subterms get a name and a line of their own, inputs are called by `names`. */
export function show(root: Tensor, names: (input: number) => string): string {
  const uses = new Map<Tensor, number>()
  const count = (t: Tensor): void => {
    uses.set(t, (uses.get(t) ?? 0) + 1)
    if (uses.get(t) === 1) t.inputs.forEach(count)
  }
  count(root)
  const named = new Map<Tensor, string>()
  const lines: string[] = []
  const write = (t: Tensor, above: number): string => {
    const known = named.get(t)
    if (known) return known
    const text = spell(t)
    const shared = t.inputs.length > 0 && uses.get(t)! > 1
    if (shared) {
      const name = `x${named.size + 1}`
      lines.push(`${name} = ${text}`)
      named.set(t, name)
      return name
    }
    return (STRENGTH[t.op] ?? ATOM) < above ? `(${text})` : text
  }
  const spell = (t: Tensor): string => {
    const symbol = SYMBOLS[t.op]
    if (symbol) {
      const strength = STRENGTH[t.op]!
      return `${write(t.inputs[0]!, strength)} ${symbol} ${write(t.inputs[1]!, strength + 1)}`
    }
    if (t.op === 'source') return names(t.arg as number)
    if (t.op === 'constant') return String(t.arg)
    if (t.op === 'random') return `random(${t.arg})`
    if (t.op === 'everywhere_sum') return `everywhere(sum(${write(t.inputs[0]!, 0)}))`
    if (t.op === 'everywhere_largest') return `everywhere(largest(${write(t.inputs[0]!, 0)}, ${write(t.inputs[1]!, 0)} of all))`
    return `${t.op}(${t.inputs.map(i => write(i, 0)).join(', ')})`
  }
  const last = write(root, 0)
  return [...lines, `out = ${last}`].join('\n')
}
