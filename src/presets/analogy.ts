import { analogyOfSpeech } from './_analogy_speech.ts'
import { analogyOfText } from './_analogy_text.ts'
import { analogyOfHands } from './_analogy_vision.ts'
import { FLAGS } from './_flags.ts'
import { runParts } from './_lab.ts'
import type { Preset } from './preset.ts'

/** A is to B as C is to D (Ilharco et al., 2023, section 5; from synthetic to real speech: Su et al., 2024): no data of D is trained on. */
export default {
  summary: 'A is to B as C is to D: a model for D, without training on D. For an author’s style, for handwriting, for real speech.',
  recipe: 'c + λ*(b - a)',
  needs: ['text', 'vision', 'speech'],
  flags: { lambda: FLAGS.lambda, only: FLAGS.only, split: FLAGS.split },
  run: context => runParts(context, { text: analogyOfText, vision: analogyOfHands, speech: analogyOfSpeech }, 'expected.json of zoo/text, zoo/vision and zoo/speech'),
} satisfies Preset
