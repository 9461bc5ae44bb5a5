import { middleOf } from '../space.ts'
import { searchLine } from './_line.ts'
import { refuseChoices, type Strategy } from './strategy.ts'

export default {
  summary: 'One number: five values over its range, then both sides of the best one, ever closer. Finds the top of a curve with one hill.',
  refuses(space) {
    if (space.length > 1)
      return { what: `a line search takes one number, and there are ${space.length}: ${space.map(c => c.name).join(', ')}`, fix: 'use the strategy coordinate or cma_es' }
    return refuseChoices(space, 'a line search')
  },
  async run(space, ask) {
    await searchLine(space, middleOf(space), 0, ask)
  },
} satisfies Strategy
