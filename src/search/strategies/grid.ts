import { allPoints, sizeOf } from '../space.ts'
import type { Strategy } from './strategy.ts'

export default {
  summary: 'All points.',
  refuses(space, { evaluations }) {
    const free = space.find(c => c.kind === 'number' && c.isContinuous)
    if (free) return { what: `a grid needs steps, and ${free.name} has none`, fix: `give ${free.variable} a step, or use the strategy line, coordinate or cma_es` }
    const size = sizeOf(space)
    if (size <= evaluations) return null
    const sizes = space.map(c => c.count).join(' × ')
    const count = `${size > Number.MAX_SAFE_INTEGER ? size.toExponential(1) : size} points${space.length > 1 ? ` (${sizes})` : ''}`
    return {
      what: `the grid has ${count}, and at most ${evaluations} are tried`,
      fix: 'write larger steps, use the strategy coordinate or cma_es, or allow more with --evaluations',
    }
  },
  async run(space, ask) {
    await ask(allPoints(space))
  },
} satisfies Strategy
