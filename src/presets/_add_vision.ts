import type { Subject } from '../evaluate/subject.ts'
import type { Split } from '../evaluate/suite.ts'
import { type Checks, mean, percent } from './_checks.ts'
import { LAMBDA_RANGE, readNumber, readSplit } from './_flags.ts'
import { best, type Lab, type Part, type Reading } from './_lab.ts'

const SUITE = 'vision/suite.yml'
const IMAGES = 2 // conventions.arithmetic of the card: other libraries differ by one or two images a task
const PAIR_GRID = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25]
const EIGHT_GRID = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5]
/** Of the 28 pairs the one that keeps least, the one that keeps most, and one between. */
const THREE = ['balinese + sanskrit', 'greek + katakana', 'greek + latin']

interface Counted {
  readonly correct: readonly number[]
}
interface Point {
  readonly lambda: number
  readonly dev: Counted
  readonly test?: Counted
}
interface Merged {
  readonly best_lambda_by_dev: number
  readonly curve: readonly Point[]
}
type Correct = Readonly<Record<string, { readonly correct: number }>>
interface Card {
  readonly task_order: readonly string[]
  readonly base: Readonly<Record<Split, Correct>>
  readonly experts: Readonly<Record<string, Readonly<Record<Split, Correct>>>>
  readonly pairs: readonly { readonly a: string; readonly b: string; readonly task_arithmetic: Merged; readonly average: Readonly<Record<Split, Counted>> }[]
  readonly merge8: { readonly task_arithmetic: Merged; readonly average: { readonly best: Readonly<Record<Split, Counted>> } }
}

/** Three pairs, or all 28 with `--all`. */
export const addPairs: Part = async function* ({ lab, checks, flags }) {
  const split = readSplit(flags)
  const card = await lab.expected<Card>('vision')
  const pairs = card.pairs.filter(({ a, b }) => flags['all'] === true || THREE.includes(`${a} + ${b}`))
  const rows: string[][] = []
  const kept: number[] = []
  for (const { a, b, task_arithmetic, average } of pairs) {
    const mix = mixOf(lab, [a, b])
    const lambda = readNumber(flags, 'lambda', LAMBDA_RANGE) ?? (await mix.choose(PAIR_GRID))
    if (flags['lambda'] === undefined) claimBest(checks, `${a} + ${b}`, lambda, task_arithmetic)
    const ofCard = (correct: Correct): readonly number[] => [a, b].map(task => correct[task]!.correct)
    const models = [
      await mix.measured('base', mix.base, split, ofCard(card.base[split])),
      await mix.measured(`${a} alone`, mix.expert(a), split, ofCard(card.experts[a]![split])),
      await mix.measured(`${b} alone`, mix.expert(b), split, ofCard(card.experts[b]![split])),
      await mix.measured('average', mix.at(0.5), split, average[split].correct),
      await mix.measured('random', mix.noise(lambda), split, null),
      await mix.measured('sum', mix.at(lambda), split, pointAt(task_arithmetic, lambda)?.[split]?.correct ?? null),
    ]
    const own = [a, b].map(task => card.experts[task]![split][task]!.correct)
    kept.push(models.at(-1)!.kept)
    rows.push([
      `${a} + ${b}`,
      String(lambda),
      ...models.map(model => {
        const isAsCard = countsAsCard(checks, `${a} + ${b}, ${model.name}`, [a, b], model)
        return beside(model.kept, model.card && mean(model.card.map((correct, t) => correct / own[t]!)), isAsCard)
      }),
      percent(await mix.gain(models.at(-1)!.readings, split)),
    ])
  }
  yield {
    title: `Two experts in one vision model: what is kept of each one's own accuracy, % (zoo/vision, ${split})`,
    columns: ['pair', 'λ', 'base', 'first alone', 'second alone', 'average', 'random', 'sum', 'gain kept'],
    rows,
    remarks: [
      `Mean of the sums: ${percent(mean(kept))} %; the card has 99.2 % for all 28 pairs on test. λ: the best of dev. random: noise as long as both vectors together, at the same λ.`,
      'In brackets: the card; the images counted in each task are compared with it. The base alone keeps 86 % of what the experts can: look at the gain, too.',
      'A task has 168 to 1,000 test images, which leaves a standard error of 1 to 4 points: smaller differences mean nothing.',
    ],
  }
}

/** All eight experts in one model. */
export const addEight: Part = async function* ({ lab, checks, flags }) {
  const split = readSplit(flags)
  const { task_order: tasks, base, experts, merge8 } = await lab.expected<Card>('vision')
  const mix = mixOf(lab, tasks)
  const lambda = readNumber(flags, 'lambda', LAMBDA_RANGE) ?? (await mix.choose(EIGHT_GRID))
  if (flags['lambda'] === undefined) claimBest(checks, 'all eight', lambda, merge8.task_arithmetic)
  const own: Reading[] = []
  for (const task of tasks) own.push(await mix.own(task, split))
  const columns: readonly Measured[] = [
    await mix.measured(
      'base',
      mix.base,
      split,
      ofOwn(tasks, () => base[split]),
    ),
    { name: 'expert', readings: own, kept: 1, card: ofOwn(tasks, task => experts[task]![split]) },
    await mix.measured('average', mix.at(1 / tasks.length), split, merge8.average.best[split].correct),
    await mix.measured('random', mix.noise(lambda), split, null),
    await mix.measured(`sum, λ = ${lambda}`, mix.at(lambda), split, pointAt(merge8.task_arithmetic, lambda)?.[split]?.correct ?? null),
  ]
  for (const column of columns) countsAsCard(checks, `all eight, ${column.name}`, tasks, column)
  const share = ({ counted, of }: Reading): number => counted / of
  yield {
    title: `All eight experts in one vision model: accuracy, % (zoo/vision, ${split})`,
    columns: ['task', ...columns.map(({ name }) => name)],
    rows: [
      ...tasks.map((task, t) => [
        task,
        ...columns.map(({ readings, card }) => {
          const { value, counted, of } = readings[t]!
          return beside(value, card && card[t]! / of, card === null || Math.abs(counted - card[t]!) <= IMAGES)
        }),
      ]),
      ['mean', ...columns.map(({ readings }) => percent(mean(readings.map(share))))],
      ['kept of the experts', ...columns.map(({ kept }) => percent(kept))],
    ],
    remarks: [
      'In brackets: the card, with which the counted images are compared. random: noise as long as the sum of the vectors, at the same λ. The mean has a standard error of about 1 point.',
    ],
  }
}

interface Measured {
  readonly name: string
  readonly readings: readonly Reading[]
  /** The mean over tasks of what is kept of the own expert's accuracy. */
  readonly kept: number
  /** Right answers in the card, task by task. */
  readonly card: readonly number[] | null
}

/** Merges of some experts, and what they keep of each. */
function mixOf(lab: Lab, tasks: readonly string[]) {
  const models = Object.fromEntries(['base', ...tasks].map(name => [name, `vision/${name}`]))
  const vectors = tasks.map(task => `(${task} - base)`).join(' + ')
  const expert = (task: string): Promise<Subject> => lab.model(`vision/${task}`)
  const base = lab.model('vision/base')
  const at = (lambda: number): Promise<Subject> => lab.merge(`base + ${lambda}*(${vectors})`, models)
  const noise = (lambda: number): Promise<Subject> => lab.merge(`base + ${lambda}*random(${vectors})`, models)
  const own = async (task: string, split: Split): Promise<Reading> => (await lab.measure(await expert(task), { suite: SUITE, split }, [task]))[task]!
  const measured = async (name: string, subject: Promise<Subject>, split: Split, card: readonly number[] | null): Promise<Measured> => {
    const all = await lab.measure(await subject, { suite: SUITE, split }, tasks)
    const readings = tasks.map(task => all[task]!)
    const shares: number[] = []
    for (const [t, task] of tasks.entries()) shares.push(readings[t]!.value / (await own(task, split)).value)
    return { name, readings, kept: mean(shares), card }
  }
  /** The share of the experts' gain over the base: without the head start that a good base gives. */
  const gain = async (readings: readonly Reading[], split: Split): Promise<number> => {
    const { readings: before } = await measured('base', base, split, null)
    const shares: number[] = []
    for (const [t, task] of tasks.entries()) shares.push((readings[t]!.value - before[t]!.value) / ((await own(task, split)).value - before[t]!.value))
    return mean(shares)
  }
  /** The coefficient that keeps most on dev; of equals the smallest. */
  const choose = async (grid: readonly number[]): Promise<number> => {
    const curve: { lambda: number; kept: number }[] = []
    for (const lambda of grid) curve.push({ lambda, kept: (await measured('', at(lambda), 'dev', null)).kept })
    return best(curve, ({ kept }) => kept).lambda
  }
  return { base, expert, at, noise, own, measured, gain, choose }
}

const pointAt = ({ curve }: Merged, lambda: number): Point | undefined => curve.find(point => point.lambda === lambda)

function claimBest(checks: Checks, what: string, lambda: number, { best_lambda_by_dev }: Merged): void {
  checks.claim(lambda === best_lambda_by_dev, `zoo/vision, ${what}: λ = ${lambda} is best on dev, not ${best_lambda_by_dev}`)
}

/** Whether in every task as many images are recognised as in the card. */
function countsAsCard(checks: Checks, what: string, tasks: readonly string[], { readings, card }: Measured): boolean {
  if (card === null) return true
  return tasks.map((task, t) => checks.isNear(`zoo/vision, ${what}, ${task}: right answers`, readings[t]!.counted, card[t]!, IMAGES)).every(Boolean)
}

/** Shares as per cent: ours, and the card's in brackets. */
const beside = (ours: number, card: number | null, isAsCard: boolean): string => `${percent(ours)}${card === null ? '' : ` (${percent(card)})`}${isAsCard ? '' : ' !'}`
const ofOwn = (tasks: readonly string[], correct: (task: string) => Correct): readonly number[] => tasks.map(task => correct(task)[task]!.correct)
