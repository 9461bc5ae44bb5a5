import { middleOf } from '../space.ts'
import { searchLine } from './_line.ts'
import type { Strategy } from './strategy.ts'

export default {
  summary: 'One variable after the other, each by a line search (a choice by trying all), round by round until a round changes nothing.',
  refuses: () => null,
  async run(space, ask) {
    let point = middleOf(space)
    let score = Number.NEGATIVE_INFINITY
    for (;;) {
      const before = score
      for (let i = 0; i < space.length; i++) {
        const found = await searchLine(space, point, i, ask)
        if (!found) return
        point = found.point
        score = found.score
      }
      if (score <= before) return
    }
  },
} satisfies Strategy
