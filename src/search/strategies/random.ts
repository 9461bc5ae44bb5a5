import { randomPoints } from './_points.ts'
import type { Strategy } from './strategy.ts'

export default {
  summary: 'Points at random, each at most once (Bergstra and Bengio, 2012).',
  refuses: () => null,
  async run(space, ask, { evaluations, random }) {
    await ask(randomPoints(space, evaluations, random))
  },
} satisfies Strategy
