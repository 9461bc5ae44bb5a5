import { MergeError } from '../errors.ts'
import type { Split } from '../evaluate/suite.ts'
import { suggest } from '../recipe/locate.ts'
import type { FlagValues, PresetFlag } from './preset.ts'

/** The flags of presets. Help for all presets is one list, so a flag means the same in each. */
export const FLAGS = {
  all: { doc: 'add: all 28 pairs of zoo/vision, not three.' },
  budget: { doc: 'forget: how much worse a control may get. Default: 5%.', value: 'SHARE' },
  lambda: { doc: 'add, forget, analogy: take this coefficient instead of choosing one on development data.', value: 'L' },
  only: { doc: 'add, forget, analogy: one part alone.', value: 'PART' },
  points: { doc: 'reward: how many coefficients from 0 to 1 the sweep tries. Default: 21.', value: 'N' },
  replay: { doc: 'reward: the reward model that was trained with language modelling beside it.' },
  samples: { doc: 'forget: texts to generate after prompts of each kind, 0 to 150. Default: 30.', value: 'N' },
  split: { doc: 'add, forget, analogy, reward: the data to report; choices are always made on dev. Default: test.', value: 'dev|test' },
} as const satisfies Readonly<Record<string, PresetFlag>>

type Name = keyof typeof FLAGS

export const readSplit = (flags: FlagValues): Split => readChoice(flags, 'split', ['dev', 'test']) ?? 'test'

/** One of a few words; null where the flag was not given. */
export function readChoice<const C extends string>(flags: FlagValues, name: Name, choices: readonly C[]): C | null {
  const text = flags[name]
  if (text === undefined) return null
  const found = choices.find(choice => choice === text)
  if (found === undefined) throw new MergeError(`--${name} cannot be "${String(text)}"`, { fix: suggest(String(text), choices, 'it can be') })
  return found
}

/** A number in a range, ends included; null where the flag was not given. */
export function readNumber(flags: FlagValues, name: Name, [least, most]: readonly [number, number], { isWhole = false } = {}): number | null {
  const text = flags[name]
  if (text === undefined) return null
  const value = Number(text)
  if (String(text).trim() === '' || !(value >= least && value <= most) || (isWhole && !Number.isInteger(value)))
    throw new MergeError(`--${name} "${String(text)}" is not a ${isWhole ? 'whole ' : ''}number from ${least} to ${most}`, {
      fix: `write for example --${name} ${most < 1 ? least : Math.max(least, 1)}`,
    })
  return value
}

/** `5%` or `0.05`; null where the flag was not given. */
export function readShare(flags: FlagValues, name: Name): number | null {
  const text = flags[name]
  if (text === undefined) return null
  const [, digits, percent] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(String(text)) ?? []
  const value = digits === undefined ? Number.NaN : Number(digits) / (percent ? 100 : 1)
  if (!(value >= 0 && value <= 1)) throw new MergeError(`--${name} "${String(text)}" is not a share from 0% to 100%`, { fix: `write for example --${name} 5%` })
  return value
}

export const LAMBDA_RANGE = [0, 4] as const // beyond, nothing of a model is left; what lies below 0 is a control of its own
