// Written by `npm run generate`. Do not edit.
import cma_es from './cma_es.ts'
import cocktail from './cocktail.ts'
import coordinate from './coordinate.ts'
import greedy from './greedy.ts'
import grid from './grid.ts'
import halving from './halving.ts'
import line from './line.ts'
import random from './random.ts'
import type { Strategy } from './strategy.ts'

/** Every strategy by the name that the command line uses: the files of this folder. */
export const STRATEGIES: Readonly<Record<string, Strategy>> = {
  cma_es,
  cocktail,
  coordinate,
  greedy,
  grid,
  halving,
  line,
  random,
}
