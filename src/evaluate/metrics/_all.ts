// Written by `npm run generate`. Do not edit.
import accuracy from './accuracy.ts'
import best_of_n from './best_of_n.ts'
import bits_per_byte from './bits_per_byte.ts'
import exact_match from './exact_match.ts'
import type { AnyMetric } from './metric.ts'
import multiple_choice from './multiple_choice.ts'
import pair_accuracy from './pair_accuracy.ts'
import perplexity from './perplexity.ts'
import reported from './reported.ts'
import word_error_rate from './word_error_rate.ts'
import word_list_rate from './word_list_rate.ts'

/** Every metric by the name that suites use: the files of this folder. */
export const METRICS: Readonly<Record<string, AnyMetric>> = {
  accuracy,
  best_of_n,
  bits_per_byte,
  exact_match,
  multiple_choice,
  pair_accuracy,
  perplexity,
  reported,
  word_error_rate,
  word_list_rate,
}
