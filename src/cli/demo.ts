import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { statPath } from '../bytes/file.ts'
import { folderSink } from '../bytes/folder.ts'
import { open } from '../checkpoint/checkpoint.ts'
import { type Evaluation, openEvaluation } from '../evaluate/evaluate.ts'
import { modelSubject } from '../evaluate/subject.ts'
import { readSuite } from '../evaluate/suite.ts'
import { execute } from '../execute/execute.ts'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Command } from './_command.ts'
import { bold, bytes, dim, duration, green, table } from './_text.ts'

const ZOO = fileURLToPath(new URL('../../zoo', import.meta.url))
const PAIR = ['mnist', 'greek'] as const
const EIGHT = ['mnist', 'digits', 'greek', 'korean', 'latin', 'balinese', 'katakana', 'sanskrit'] as const // in the order of expected.json
const SKILLS = ['code', 'math'] as const

export default {
  summary: 'Merge the small real checkpoints that come along, run the merged models, and show what they can do.',
  positionals: '',
  count: [0, 0],
  flags: {},
  examples: ['merganser demo'],
  async run() {
    const folder = await mkdtemp(join(tmpdir(), 'merganser-demo-'))
    try {
      await demo(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
} satisfies Command

async function demo(folder: string): Promise<void> {
  const begun = performance.now()
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  const has = async (path: string): Promise<boolean> => (await statPath(join(ZOO, path))) !== null
  const everything = (await has('vision/sanskrit')) && (await has('text/base'))

  say(`${bold('1. Two skills in one model.')} A small vision transformer was fine-tuned on digits (mnist) and on Greek letters.`)
  await vision(folder, 'pair', [...PAIR], 1, say)
  if (everything) {
    say(`\n${bold('2. Eight skills in one model,')} from eight fine-tunes of the same base.`)
    await vision(folder, 'eight', [...EIGHT], 0.7, say)
    say(`\n${bold('3. Two skills in one language model:')} Python code and school mathematics, in a small Llama.`)
    await text(folder, say)
  }
  say(`\n${green('✓')} ${duration((performance.now() - begun) / 1000)}. "expected" is what PyTorch measured for the same merge (expected.json beside the models).`)
  say(whatNext(everything))
}

/** Merges experts of zoo/vision by task arithmetic, writes the model, and scores what was written. */
async function vision(folder: string, name: string, tasks: readonly string[], lambda: number, say: (text: string) => void): Promise<void> {
  const zoo = join(ZOO, 'vision')
  const formula = `base + ${tasks.map(t => `${lambda === 1 ? '' : `${lambda}*`}(${t} - base)`).join(' + ')}`
  const models = Object.fromEntries(['base', ...tasks].map(t => [t, join(zoo, t)]))
  const merged = await merge(formula, models, join(folder, name), say)
  const evaluation = await openEvaluation(await readSuite(join(zoo, 'suite.yml'), { tasks }))
  const base = await scored(evaluation, models['base']!, tasks)
  const experts: Record<string, Counted> = {}
  for (const t of tasks) experts[t] = (await scored(evaluation, models[t]!, [t]))[t]!
  const ours = await scored(evaluation, merged, tasks)
  await evaluation.close()

  const expected = await expectedVision(tasks)
  const share = ({ value }: Counted): number => value
  const percent = (x: number): string => (100 * x).toFixed(1)
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  const rows = tasks.map((t, i) => [t, percent(share(base[t]!)), percent(share(experts[t]!)), percent(share(ours[t]!)), percent(expected[i]! / ours[t]!.examples)])
  const means = [tasks.map(t => share(base[t]!)), tasks.map(t => share(experts[t]!)), tasks.map(t => share(ours[t]!)), tasks.map((t, i) => expected[i]! / ours[t]!.examples)]
  say(table([['accuracy, %', 'base', 'its own expert', 'merged', 'expected'], ...rows, ['mean', ...means.map(m => percent(mean(m)))]], [1, 2, 3, 4]))
  const kept = mean(tasks.map(t => share(ours[t]!) / share(experts[t]!)))
  say(`One model of one model's size keeps ${bold(`${percent(kept)} %`)} of the experts' accuracy on ${tasks.length === 2 ? 'both tasks' : `all ${tasks.length} tasks`}.`)
}

interface Counted {
  readonly value: number
  readonly examples: number
}

/** The scores of a model on disk, by task. */
async function scored(evaluation: Evaluation, path: string, tasks: readonly string[]): Promise<Readonly<Record<string, Counted>>> {
  const scores = await evaluation.evaluate(modelSubject(await open(path)), { tasks })
  return Object.fromEntries(scores.map(({ task, value, counts }) => [task, { value, examples: counts.over.length }]))
}

interface VisionExpected {
  readonly task_order: readonly string[]
  readonly pairs: readonly { readonly a: string; readonly b: string; readonly task_arithmetic: { readonly best: { readonly test: { readonly correct: readonly number[] } } } }[]
  readonly merge8: { readonly task_arithmetic: { readonly best: { readonly test: { readonly correct: readonly number[] } } } }
}

/** Correct answers per task of the same merge in PyTorch. */
async function expectedVision(tasks: readonly string[]): Promise<readonly number[]> {
  const expected = JSON.parse(await readFile(join(ZOO, 'vision/expected.json'), 'utf8')) as VisionExpected // ours, shipped with the models
  if (tasks.length === EIGHT.length) return expected.merge8.task_arithmetic.best.test.correct
  return expected.pairs.find(p => p.a === tasks[0] && p.b === tasks[1])!.task_arithmetic.best.test.correct
}

type Bits = Readonly<Record<(typeof SKILLS)[number], number>>
interface TextExpected {
  readonly A_addition: { readonly task_arithmetic: { readonly test: Bits } }
}

async function text(folder: string, say: (text: string) => void): Promise<void> {
  const zoo = join(ZOO, 'text')
  const models = Object.fromEntries(['base', ...SKILLS].map(m => [m, join(zoo, m)]))
  const merged = await merge('base + 0.8*(code - base) + 0.8*(math - base)', models, join(folder, 'text'), say)
  const evaluation = await openEvaluation(await readSuite(join(zoo, 'suite.yml'), { tasks: SKILLS }))
  const scores: Record<string, Bits> = {}
  for (const [name, path] of Object.entries({ ...models, merged })) {
    const { code, math } = await scored(evaluation, path, SKILLS)
    scores[name] = { code: code!.value, math: math!.value }
  }
  await evaluation.close()
  const { A_addition: expected } = JSON.parse(await readFile(join(zoo, 'expected.json'), 'utf8')) as TextExpected // ours, shipped with the models
  const cells = (bits: Bits): string[] => SKILLS.map(s => bits[s].toFixed(3))
  say(
    table(
      [['bits per byte (less is better)', ...SKILLS], ...['base', ...SKILLS, 'merged'].map(m => [m, ...cells(scores[m]!)]), ['expected', ...cells(expected.task_arithmetic.test)]],
      [1, 2],
    ),
  )
  const kept = (s: (typeof SKILLS)[number]): string => `${Math.round((100 * (scores['base']![s] - scores['merged']![s])) / (scores['base']![s] - scores[s]![s]))} %`
  say(`The merged model keeps ${bold(kept('code'))} of what the code model gained on code, and ${bold(kept('math'))} of what the math model gained on math.`)
}

/** Through the front door: parse, open, plan, execute. Float32 output, as the expected numbers were computed. */
async function merge(formula: string, models: Record<string, string>, out: string, say: (text: string) => void): Promise<string> {
  say(`   ${dim(formula)}`)
  const recipe = parse(formula, { models, output: { dtype: 'F32' } })
  const merged = plan(recipe, await openModels(recipe), { threads: availableParallelism() })
  for await (const event of execute(merged, folderSink(out))) {
    if (event.kind === 'done') say(`   ${dim(`${merged.tasks.length} tensors, ${bytes(merged.totals.written)} written in ${duration(event.seconds)}`)}\n`)
  }
  return out
}

function whatNext(everything: boolean): string {
  const zoo = relative(process.cwd(), ZOO) || '.'
  const models = ['base', ...PAIR].map(name => `--model ${name}=${join(zoo, 'vision', name)}`).join(' ')
  const lines = [
    `npx merganser merge 'base + 0.5*(mnist - base) + 0.5*(greek - base)' out/ ${models}`,
    `npx merganser plan 'base + ties(mnist - base, greek - base, density=0.2)' --formula ${models}`,
    'npx merganser methods                       lists the merge methods',
    'npx merganser merge recipe.yml out/         runs a mergekit recipe of your own',
  ]
  const more = everything ? [] : ['(the package carries two of the eight experts; the repository has all of them, and the language models)']
  return ['', bold('Next'), ...[...lines, ...more].map(l => `  ${l}`)].join('\n')
}
