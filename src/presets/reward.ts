import type { Subject } from '../evaluate/subject.ts'
import type { Split } from '../evaluate/suite.ts'
import { percent } from './_checks.ts'
import { FLAGS, readNumber, readSplit } from './_flags.ts'
import { best, keyOf, type Part, type Readings, runParts } from './_lab.ts'
import type { Preset } from './preset.ts'

const SUITE = 'text/reward.yml'
const TASKS = ['code', 'english'] as const
const POINTS = 21
const LOSS = 0.02 // of English pairs on dev, that the card's rule allows
const OTHER_NOISE = 0.03 // of pairs: other noise moves other pairs; a standard error is 0.02
const NOISE_AT = 0.3

type Numbers = Readonly<Record<(typeof TASKS)[number], number>>
type Both = Readonly<Record<Split, Numbers>>
interface Series {
  readonly sweep: Readonly<Record<string, Both>>
  readonly chosen: number
}
interface Result {
  readonly unmerged_rm: Both
  readonly average_rm_code: Series
  readonly control_average_rm_base: Series
  readonly 'random_vector_same_norm_l_0.3': Numbers
}
interface Card {
  readonly B1_reward_model: Result
  readonly B1_reward_model_with_replay: Result
  readonly tolerance: { readonly accuracy: number }
}

/** A reward model of text that borrows from a language model of code (DogeRM: Lin et al., 2024, https://arxiv.org/abs/2407.01470). */
export default {
  summary: 'A reward model of text averaged with a language model of code, to judge code: every coefficient, and the base in place of code as control.',
  recipe: '(1 - λ)*rm + λ*code, the score head from rm, without lm_head, embeddings by token',
  needs: ['text'],
  flags: { points: FLAGS.points, replay: FLAGS.replay, split: FLAGS.split },
  run: context => runParts(context, { sweep }, 'zoo/text/expected.json'),
} satisfies Preset

const sweep: Part = async function* ({ lab, checks, flags }) {
  const split = readSplit(flags)
  const points = readNumber(flags, 'points', [2, 101], { isWhole: true }) ?? POINTS
  const isReplay = flags['replay'] === true
  const { tolerance, ...cards } = await lab.expected<Card>('text')
  const card = isReplay ? cards.B1_reward_model_with_replay : cards.B1_reward_model
  const rm = `text/${isReplay ? 'rm-replay' : 'rm'}`

  /** The reward head stays bit for bit; what only the language model has is left out. */
  const recipe = (merge: string, models: Readonly<Record<string, string>>): string =>
    [`models: ${JSON.stringify(models)}`, `merge: ${merge}`, 'vocab: common', "rules: [{ tensors: 'score.*', from: rm }, { tensors: 'lm_head.*', drop: true }]"].join('\n')
  const average = (other: 'code' | 'base', lambda: number): Promise<Subject> =>
    lambda === 0 ? lab.model(rm) : lab.recipe(recipe(`${1 - lambda}*rm + ${lambda}*${other}`, { rm, [other]: `text/${other}` }), `rm with ${lambda} of ${other}`)
  const expectedOf = (other: 'code' | 'base', lambda: number, on: Split): Numbers | undefined =>
    lambda === 0 ? card.unmerged_rm[on] : card[other === 'code' ? 'average_rm_code' : 'control_average_rm_base'].sweep[keyOf(lambda)]?.[on]
  const cells = (what: string, own: Readings, expected: Numbers | undefined, slack: number = tolerance.accuracy): string[] =>
    TASKS.map(task => checks.cell(`${what}: ${task} pairs`, own[task]!.value, expected?.[task], slack, percent))

  const lambdas = Array.from({ length: points }, (_, i) => Number((i / (points - 1)).toFixed(4)))
  const curves = { code: [] as { lambda: number; own: Readings }[], base: [] as { lambda: number; own: Readings }[] }
  const rows: string[][] = []
  for (const lambda of lambdas) {
    const row = [String(lambda)]
    for (const other of ['code', 'base'] as const) {
      const own = await lab.measure(await average(other, lambda), { suite: SUITE, split: 'dev' }, TASKS)
      curves[other].push({ lambda, own })
      row.push(...cells(`rm with ${lambda} of ${other}, dev`, own, expectedOf(other, lambda, 'dev')))
    }
    rows.push(row)
  }
  yield {
    title: `Pairs judged rightly, %, by the share λ of the other model (zoo/text, dev${isReplay ? ', rm-replay' : ''})`,
    columns: ['λ', 'rm + code: code pairs', 'English pairs', 'rm + base: code pairs', 'English pairs'],
    rows,
    remarks: ['In brackets: the card. rm + base is the control: it moves the reward model as far, and knows no more of code than it started from.'],
  }

  /** Best for code among those that lose at most two points of English on dev; of equals the smallest. */
  const choose = (other: 'code' | 'base'): number => {
    const before = curves[other][0]!.own['english']!.value
    return best(
      curves[other].filter(({ own }) => own['english']!.value >= before - LOSS - 1e-9),
      ({ own }) => own['code']!.value,
    ).lambda
  }
  const noise = `rm + ${NOISE_AT}*random(code - rm)`
  const models: readonly (readonly [string, Promise<Subject>, Numbers | undefined, number?])[] = [
    ['rm', lab.model(rm), card.unmerged_rm[split]],
    ...(['code', 'base'] as const).map(other => {
      const lambda = choose(other)
      return [`rm with ${lambda} of ${other}`, average(other, lambda), expectedOf(other, lambda, split)] as const
    }),
    [noise, lab.recipe(recipe(noise, { rm, code: 'text/code' }), noise), split === 'test' ? card['random_vector_same_norm_l_0.3'] : undefined, OTHER_NOISE],
  ]
  const table: string[][] = []
  const found: number[] = []
  for (const [name, model, expected, slack] of models) {
    const own = await lab.measure(await model, { suite: SUITE, split }, TASKS)
    found.push(own.code.value)
    table.push([name, ...cells(`${name}, ${split}`, own, expected, slack)])
  }
  const [before, withCode, withBase] = found as [number, number, number]
  const points100 = (difference: number): string => `${difference < 0 ? '' : '+'}${(100 * difference).toFixed(1)}`

  const head = (await (await average('code', 0.5)).weights()).get('score.weight')!.data
  const own = (await (await lab.model(rm)).weights()).get('score.weight')!.data
  const merged = await (await average('code', 0.5)).weights()
  checks.claim(head.length === own.length && head.every((x, i) => Object.is(x, own[i])), 'the score head is not that of rm bit for bit')
  checks.claim(!merged.has('lm_head.weight'), 'lm_head is still there')
  yield {
    title: `The best of dev (zoo/text, ${split}${isReplay ? ', rm-replay' : ''})`,
    columns: ['model', 'code pairs, %', 'English pairs, %'],
    rows: table,
    remarks: [
      'Chosen on dev: best for code, at most two points of English lost. The score head is that of rm, bit for bit; lm_head is gone.',
      `Code pairs: ${points100(withCode - before)} points with code, ${points100(withBase - before)} with the base, which knows no more of code; the standard error is about 2 points. The card says so, too:`,
      isReplay
        ? 'the gain comes from moving back towards the base, not from code knowledge. The machinery works; at this size the effect is not there.'
        : 'the effect is within noise, and the control gains as much. The machinery works; at this size the effect is not there.',
    ],
  }
}
