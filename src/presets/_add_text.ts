import { bits, percent, signed } from './_checks.ts'
import { LAMBDA_RANGE, readNumber, readSplit } from './_flags.ts'
import { best, keyOf, type Part, type Readings } from './_lab.ts'

const MODELS = { base: 'text/base', code: 'text/code', math: 'text/math' }
const SKILLS = ['code', 'math'] as const
const TASKS = [...SKILLS, 'prose'] as const
const GRID = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
const BOTH = '(code - base) + (math - base)'

type Task = (typeof TASKS)[number]
type Numbers = Readonly<Record<Task, number>>
type Merged = Numbers & { readonly r_code: number; readonly r_math: number; readonly prose_change: number }

interface Card {
  readonly A_addition: {
    readonly reference_bpb: Readonly<Record<'dev' | 'test', Readonly<Record<keyof typeof MODELS, Numbers>>>>
    readonly as_is_theta_A_plus_theta_B_minus_theta: { readonly test: Merged }
    readonly task_arithmetic: { readonly dev: Readonly<Record<string, Merged>>; readonly chosen: number; readonly test: Merged }
  }
  readonly tolerance: { readonly bpb: number; readonly retention: number }
}

/** Code and mathematics in one language model, with English prose for what neither learned. */
export const addText: Part = async function* ({ lab, checks, flags }) {
  const split = readSplit(flags)
  const { A_addition: card, tolerance } = await lab.expected<Card>('text')
  const [base, code, math] = await Promise.all(Object.values(MODELS).map(lab.model))
  const at = (lambda: number) => lab.merge(`base + ${lambda}*(${BOTH})`, MODELS)
  const keptOn = async (on: 'dev' | 'test', of: Readings<'code' | 'math'>): Promise<Readonly<Record<'code' | 'math', number>>> => {
    const bits = async (model: typeof base, task: 'code' | 'math') => (await lab.measure(model!, { suite: 'text/suite.yml', split: on }, [task]))[task].value
    const kept = async (task: 'code' | 'math', expert: typeof base) => ((await bits(base, task)) - of[task].value) / ((await bits(base, task)) - (await bits(expert, task)))
    return { code: await kept('code', code), math: await kept('math', math) }
  }

  const chosen = readNumber(flags, 'lambda', LAMBDA_RANGE) ?? (await choose())
  async function choose(): Promise<number> {
    const curve: { lambda: number; least: number }[] = []
    for (const lambda of GRID) {
      const { code, math } = await keptOn('dev', await lab.measure(await at(lambda), { suite: 'text/suite.yml', split: 'dev' }, SKILLS))
      curve.push({ lambda, least: Math.min(code, math) })
    }
    const { lambda } = best(curve, ({ least }) => least)
    checks.claim(lambda === card.task_arithmetic.chosen, `zoo/text: λ = ${lambda} is best on dev, not ${card.task_arithmetic.chosen}`)
    return lambda
  }

  const { dev, test } = card.task_arithmetic
  const reference = card.reference_bpb[split]
  const asIs = split === 'dev' ? dev['1.0'] : card.as_is_theta_A_plus_theta_B_minus_theta.test
  const models: readonly (readonly [string, NonNullable<typeof base>, (Numbers & Partial<Merged>) | undefined])[] = [
    ['base', base!, reference.base],
    ['code alone', code!, reference.code],
    ['math alone', math!, reference.math],
    ['code + (math - base)', await at(1), asIs],
    [`base + ${chosen}*(both)`, await at(chosen), split === 'dev' ? dev[keyOf(chosen)] : chosen === card.task_arithmetic.chosen ? test : chosen === 1 ? asIs : undefined],
    [`base + ${chosen}*random(both)`, await lab.merge(`base + ${chosen}*random(${BOTH})`, MODELS), undefined],
  ]
  const prose = (await lab.measure(base!, { suite: 'text/suite.yml', split }, ['prose'])).prose.value
  const rows: string[][] = []
  for (const [name, model, expected] of models) {
    const own = await lab.measure(model, { suite: 'text/suite.yml', split }, TASKS)
    const kept = await keptOn(split, own)
    const what = `zoo/text, ${name}`
    rows.push([
      name,
      ...TASKS.map(task => checks.cell(`${what}, bits per byte of ${task}`, own[task].value, expected?.[task], tolerance.bpb, bits)),
      ...SKILLS.map(task => checks.cell(`${what}, kept of ${task}`, kept[task], expected?.[`r_${task}`], tolerance.retention, percent)),
      checks.cell(`${what}, change of prose`, own.prose.value / prose - 1, expected?.prose_change, tolerance.retention, signed),
    ])
  }
  yield {
    title: `Code and mathematics in one language model (zoo/text, ${split})`,
    columns: ['model', ...TASKS.map(task => `${task}, bits/byte`), 'code kept, %', 'math kept, %', 'prose'],
    rows,
    remarks: [
      'In brackets: the card. Kept: the share of what the expert gains over the base. random: noise as long as both vectors together, tensor by tensor.',
      'The two vectors share a direction (cosine 0.35): math alone already keeps a fifth of code, and code alone a quarter of math.',
    ],
  }
}
