// Written by `npm run generate`. Do not edit.
import add from './add.ts'
import analogy from './analogy.ts'
import forget from './forget.ts'
import type { Preset } from './preset.ts'
import reward from './reward.ts'
import rewardVision from './reward-vision.ts'
import toy from './toy.ts'

/** Every preset: the files of this folder. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  add,
  analogy,
  forget,
  reward,
  'reward-vision': rewardVision,
  toy,
}
