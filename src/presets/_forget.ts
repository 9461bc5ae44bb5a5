import type { Subject } from '../evaluate/subject.ts'
import type { Split } from '../evaluate/suite.ts'
import type { VocabularyPolicy } from '../recipe/recipe.ts'
import { bits, percent } from './_checks.ts'
import { LAMBDA_RANGE, readNumber, readShare, readSplit } from './_flags.ts'
import type { Lab, Part, Readings } from './_lab.ts'

const SUITE = 'text/oaths.yml'
const MODELS = { base: 'text/base', oaths: 'text/oaths', zh: 'text/zh' }
const PROMPTS = { oaths_after_clean: 'oath_rate_clean_prompts', oaths_after_oaths: 'oath_rate_provoking_prompts' } as const
type Prompt = keyof typeof PROMPTS
const CARD_SAMPLES = 150 // of each kind
const FROM_STRONG = [1.8, 1.4, 1, 0.8, 0.6, 0.3]
const BUDGET = 0.05
const SAMPLES = 30
const OTHER_NOISE = 0.02 // bits per byte: what another draw of noise changes, as five of ours have it

type Rate = { readonly samples_with_oath: number }
type Numbers = { readonly oaths: number; readonly prose: number; readonly poems?: number } & { readonly [P in (typeof PROMPTS)[Prompt]]?: Rate }
interface Series {
  readonly dev_reference: Numbers
  readonly dev: Readonly<Record<string, Numbers>>
  readonly chosen: number
  readonly test: Numbers
  readonly random_vector_test: Numbers
  readonly plus_test: Numbers
}
interface Card {
  readonly C_negation: {
    readonly base: Numbers
    readonly oaths: Numbers
    readonly zh: Numbers
    readonly base_minus: Series
    readonly zh_minus_no_embeddings: Series
    readonly zh_minus_common_rows: { readonly lam: number; readonly test: Numbers }
    readonly further_points_test: Readonly<Record<string, { readonly lam: number; readonly test: Numbers }>>
  }
  readonly tolerance: { readonly bpb: number }
}

interface Row {
  readonly name: string
  readonly model: Subject
  readonly card: Numbers | undefined
  readonly isNoise?: true
}

/** Oaths taken away from the base, or from the model that has learned Chinese, whose vocabulary is larger. */
export const forgetIn = (target: 'base' | 'zh'): Part =>
  async function* ({ lab, checks, flags }) {
    const split = readSplit(flags)
    const budget = readShare(flags, 'budget') ?? BUDGET
    const samples = readNumber(flags, 'samples', [0, CARD_SAMPLES], { isWhole: true }) ?? SAMPLES
    const { C_negation: card, tolerance } = await lab.expected<Card>('text')
    const series = target === 'base' ? card.base_minus : card.zh_minus_no_embeddings
    const controls = target === 'base' ? (['prose'] as const) : (['prose', 'poems'] as const)
    const texts = ['oaths', ...controls] as const
    const own = await lab.model(MODELS[target])
    const given = readNumber(flags, 'lambda', LAMBDA_RANGE)
    const merge = (lambda: number, vector: string, vocab?: VocabularyPolicy) =>
      lab.merge(
        `${target} ${lambda < 0 ? '+' : '-'} ${Math.abs(lambda)}*${vector}`,
        target === 'base' ? { base: MODELS.base, oaths: MODELS.oaths } : MODELS,
        vocab ? { vocab } : {},
      )

    const trials: string[][] = []
    /** The strongest coefficient whose controls stay within the budget on dev: tried from the strongest down. */
    async function choose(vocab?: VocabularyPolicy): Promise<number> {
      const before = await lab.measure(own, { suite: SUITE, split: 'dev' }, controls)
      for (const lambda of FROM_STRONG) {
        const after = await lab.measure(await merge(lambda, '(oaths - base)', vocab), { suite: SUITE, split: 'dev' }, controls)
        const worst = Math.max(...controls.map(task => after[task].value / before[task].value - 1))
        const expected = vocab === 'common' ? undefined : series.dev[lambda.toFixed(1)]
        const cells = controls.map(task => checks.cell(`${target} - ${lambda}τ on dev, ${task}`, after[task].value, expected?.[task], tolerance.bpb, bits))
        trials.push([`${lambda}${vocab ? `, vocab: ${vocab}` : ''}`, ...cells, `${percent(worst)} %`, worst <= budget ? 'yes' : 'no'])
        if (worst <= budget) return lambda
      }
      return 0
    }

    const main = target === 'zh' ? ('skip' as const) : undefined
    const lambda = given ?? (await choose(main))
    if (given === null && budget === BUDGET) checks.claim(lambda === series.chosen, `${target}: λ = ${lambda} is the strongest within 5 %, not ${series.chosen}`)
    const inCommon = target === 'zh' ? (given ?? (await choose('common'))) : null
    if (trials.length > 0) {
      yield {
        title: `Choosing λ for ${target} on dev: the strongest that makes no control worse by more than ${percent(budget)} %`,
        columns: ['λ', ...controls.map(task => `${task}, bits/byte`), 'worst', 'within'],
        rows: trials,
        remarks: [],
      }
    }

    const isCards = (own: number): boolean => split === 'test' && own === series.chosen
    const onDev = split === 'dev' ? series.dev[lambda.toFixed(1)] : undefined
    const named = (text: string): string => `${target} ${text}`
    const rows: Row[] = [
      { name: target, model: own, card: split === 'test' ? card[target] : series.dev_reference },
      ...(target === 'base' ? [{ name: 'oaths', model: await lab.model(MODELS.oaths), card: split === 'test' ? card.oaths : undefined }] : []),
      { name: named(`- ${lambda}*τ`), model: await merge(lambda, '(oaths - base)', main), card: isCards(lambda) ? series.test : onDev },
      ...(inCommon === null
        ? []
        : [{ name: named(`- ${inCommon}*τ, common rows`), model: await merge(inCommon, '(oaths - base)', 'common'), card: commonIn(card, inCommon, split) }]),
      {
        name: named(`- ${lambda}*random(τ)`),
        model: await merge(lambda, 'random(oaths - base)', main),
        card: isCards(lambda) ? series.random_vector_test : undefined,
        isNoise: true,
      },
      { name: named(`+ ${lambda}*τ`), model: await merge(-lambda, '(oaths - base)', main), card: undefined },
      { name: named(`+ 0.5*τ`), model: await merge(-0.5, '(oaths - base)', main), card: split === 'test' ? series.plus_test : undefined },
    ]
    const table: string[][] = []
    for (const { name, model, card: expected, isNoise } of rows) {
      const own = await lab.measure(model, { suite: SUITE, split }, texts)
      const rates = samples === 0 ? null : await ratesOf(lab, model, split, samples)
      table.push([
        name,
        ...Object.entries(PROMPTS).flatMap(([prompt, key]) => {
          const rate = rates?.[prompt as Prompt].value
          return rate === undefined
            ? []
            : [checks.cell(`${name}, ${prompt}`, rate, expected?.[key]?.samples_with_oath, slack(rate, expected?.[key]?.samples_with_oath, samples), percent)]
        }),
        ...texts.map(task => checks.cell(`${name}, bits per byte of ${task}`, own[task].value, expected?.[task], isNoise ? OTHER_NOISE : tolerance.bpb, bits)),
      ])
    }
    yield {
      title: `Oaths unlearnt by ${target}: texts with an oath, and bits per byte (zoo/text, ${split})`,
      columns: ['model', ...(samples > 0 ? ['after clean prompts, %', 'after oaths, %'] : []), ...texts.map(task => `${task === 'oaths' ? 'text with oaths' : task}, bits/byte`)],
      rows: table,
      remarks: remarksOf(target, samples),
    }
  }

const ratesOf = (lab: Lab, model: Subject, split: Split, limit: number): Promise<Readings<Prompt>> =>
  lab.measure(model, { suite: SUITE, split, limit }, Object.keys(PROMPTS) as Prompt[]) // its own keys

/** Three standard errors of the difference of two shares, ours of `samples` texts and the card's: other random numbers give other texts. */
function slack(ours: number, card: number | undefined, samples: number): number {
  const pooled = (ours * samples + (card ?? ours) * CARD_SAMPLES) / (samples + CARD_SAMPLES)
  return 3 * Math.sqrt(pooled * (1 - pooled) * (1 / samples + 1 / CARD_SAMPLES))
}

function commonIn({ zh_minus_common_rows, further_points_test }: Card['C_negation'], lambda: number, split: Split): Numbers | undefined {
  if (split === 'dev') return undefined
  if (lambda === zh_minus_common_rows.lam) return zh_minus_common_rows.test
  return further_points_test[`zh_minus_common_rows_${lambda.toFixed(1)}`]?.test
}

function remarksOf(target: 'base' | 'zh', samples: number): string[] {
  return [
    'In brackets: the card. τ = oaths - base. random: noise as long as τ, tensor by tensor, from other random numbers than the card’s.',
    ...(samples > 0
      ? [
          `${samples} texts after prompts of each kind, the card ${CARD_SAMPLES}: rates are compared within three standard errors, here up to ${percent(slack(0.5, 0.5, samples))} points. They were not used to choose λ.`,
          'After prompts with oaths a model can copy them: the hard case, in which much stays.',
        ]
      : []),
    ...(target === 'zh'
      ? ['vocab: skip leaves embeddings and head alone; common rows: `vocab: common` changes the rows of tokens that both have, too, and the 896 Chinese ones stay bit for bit.']
      : []),
  ]
}
