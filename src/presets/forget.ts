import { FLAGS } from './_flags.ts'
import { forgetIn } from './_forget.ts'
import { runParts } from './_lab.ts'
import type { Preset } from './preset.ts'

/** A habit taken away by subtracting its task vector (Ilharco et al., 2023), also from a model whose vocabulary has grown. */
export default {
  summary: 'A habit unlearnt by subtracting its task vector, also from a model whose vocabulary has grown since.',
  recipe: 'target - λ*(habit - base), with `vocab: skip` or `vocab: common` where the target has more tokens',
  needs: ['text'],
  flags: { budget: FLAGS.budget, lambda: FLAGS.lambda, only: FLAGS.only, samples: FLAGS.samples, split: FLAGS.split },
  run: context => runParts(context, { base: forgetIn('base'), zh: forgetIn('zh') }, 'zoo/text/expected.json'),
} satisfies Preset
