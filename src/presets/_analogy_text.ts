import { bits } from './_checks.ts'
import { LAMBDA_RANGE, readNumber, readSplit } from './_flags.ts'
import { best, keyOf, type Part } from './_lab.ts'

const SUITE = 'text/analogy.yml'
const ANALOGY = { darwin: 'text/analogy/darwin', plain: 'text/analogy/bronte_plain', bronte: 'text/analogy/bronte' }
const BASE = 'text/base'
const GRID = [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]
const OTHER_NOISE = 0.01 // bits per byte: noise from other random numbers than the card's
const STYLE = 'plain - bronte'

type Numbers = { readonly darwin_plain: number; readonly darwin: number; readonly bronte_plain: number }
interface Card {
  readonly D_analogy: {
    readonly reference_test: Readonly<Record<'base' | 'bronte_plain' | 'darwin' | 'darwin_plain', Numbers>>
    readonly 'analogy_darwin_plus_l_(bronte_plain_minus_bronte)': {
      readonly dev: Readonly<Record<string, Numbers>>
      readonly chosen: number
      readonly test: Numbers
      readonly minus_0_5_test: Numbers
      readonly random_vector_test: Numbers
    }
  }
  readonly tolerance: { readonly bpb: number }
}

/** Darwin in the plain style that was learned from Brontë: lower case, letters only. */
export const analogyOfText: Part = async function* ({ lab, checks, flags }) {
  const split = readSplit(flags)
  const { D_analogy: card, tolerance } = await lab.expected<Card>('text')
  const series = card['analogy_darwin_plus_l_(bronte_plain_minus_bronte)']
  const merge = (text: string) => lab.merge(text, Object.fromEntries(Object.entries({ ...ANALOGY, base: BASE }).filter(([name]) => text.includes(name))))
  const at = (lambda: number) => merge(`darwin ${lambda < 0 ? '-' : '+'} ${Math.abs(lambda)}*(${STYLE})`)

  /** Lowest on dev; the first of equals. */
  async function choose(task: 'darwin_plain' | 'bronte_plain'): Promise<number> {
    const curve: { lambda: number; value: number }[] = []
    for (const lambda of GRID) {
      const { value } = (await lab.measure(await at(lambda), { suite: SUITE, split: 'dev' }, [task]))[task]
      const expected = series.dev[keyOf(lambda)]?.[task]
      if (expected !== undefined) checks.isNear(`Darwin, λ = ${lambda} on dev, ${task}`, value, expected, tolerance.bpb)
      curve.push({ lambda, value })
    }
    return best(curve, ({ value }) => -value).lambda
  }

  const given = readNumber(flags, 'lambda', LAMBDA_RANGE)
  const lambda = given ?? (await choose('darwin_plain'))
  if (given === null) checks.claim(lambda === series.chosen, `Darwin: λ = ${lambda} is best on dev, not ${series.chosen}`)
  const other = given === null ? await choose('bronte_plain') : null
  const of = (model: keyof Card['D_analogy']['reference_test']): Numbers | undefined => (split === 'test' ? card.reference_test[model] : undefined)
  const onTest = (numbers: Numbers): Numbers | undefined => (split === 'test' ? numbers : undefined)
  const onDev = (own: number): Numbers | undefined => (split === 'dev' ? series.dev[keyOf(own)] : undefined)
  const rows = [
    ['base', await lab.model(BASE), of('base')],
    ['darwin', await lab.model(ANALOGY.darwin), of('darwin') ?? onDev(0)],
    ['plain (Brontë’s)', await lab.model(ANALOGY.plain), of('bronte_plain')],
    [`darwin + ${lambda}*(plain - bronte)`, await at(lambda), lambda === series.chosen ? (onTest(series.test) ?? onDev(lambda)) : onDev(lambda)],
    ...(other === null || other === lambda ? [] : ([[`darwin + ${other}*(plain - bronte), off-target λ`, await at(other), onDev(other)]] as const)),
    [`darwin + ${lambda}*random(plain - bronte)`, await merge(`darwin + ${lambda}*random(${STYLE})`), lambda === series.chosen ? onTest(series.random_vector_test) : undefined],
    ['darwin - 0.5*(plain - bronte)', await at(-0.5), onTest(series.minus_0_5_test)],
    [`darwin + ${lambda}*(plain - base)`, await merge(`darwin + ${lambda}*(plain - base)`), undefined],
    [`darwin - ${lambda}*(bronte - base)`, await merge(`darwin - ${lambda}*(bronte - base)`), undefined],
    ['trained on the target', await lab.model('text/analogy/darwin_plain'), of('darwin_plain')],
  ] as const
  const table: string[][] = []
  for (const [name, model, expected] of rows) {
    const own = await lab.measure(model, { suite: SUITE, split }, ['darwin_plain', 'darwin'])
    const slack = name.includes('random') ? OTHER_NOISE : tolerance.bpb
    table.push([name, ...(['darwin_plain', 'darwin'] as const).map(task => checks.cell(`${name}, bits per byte of ${task}`, own[task].value, expected?.[task], slack, bits))])
  }
  yield {
    title: `Brontë is to plain Brontë as Darwin is to plain Darwin (zoo/text, ${split})`,
    columns: ['model', 'plain Darwin, bits/byte', 'Darwin, bits/byte'],
    rows: table,
    remarks: [
      'In brackets: the card. Plain: lower case, letters only. random: noise as long as the vector, tensor by tensor; the rows beneath it are the controls -λ and single vectors.',
      ...(other === null
        ? []
        : [
            `λ = ${lambda} is the best for dev text of plain Darwin, as in the card, so text of the target is looked at. Off-target, by plain Brontë on dev, λ = ${other} is best.`,
          ]),
    ],
  }
}
