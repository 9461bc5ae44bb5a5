import { addText } from './_add_text.ts'
import { addEight, addPairs } from './_add_vision.ts'
import { FLAGS } from './_flags.ts'
import { runParts } from './_lab.ts'
import type { Preset } from './preset.ts'

/** Skills added by their task vectors (Ilharco et al., 2023): two of a language model, pairs and all eight of a vision model. */
export default {
  summary: 'Skills added by their task vectors: two of a language model, pairs and all eight of a vision model.',
  recipe: 'base + λ*((a - base) + (b - base) + …)',
  needs: ['text', 'vision'],
  flags: { all: FLAGS.all, lambda: FLAGS.lambda, only: FLAGS.only, split: FLAGS.split },
  run: context => runParts(context, { text: addText, pairs: addPairs, eight: addEight }, 'expected.json of zoo/text and zoo/vision'),
} satisfies Preset
