import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { open } from '../checkpoint/checkpoint.ts'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import { openEvaluation, type Score } from './evaluate.ts'
import { mergeSubject, modelSubject, type Subject } from './subject.ts'
import { readSuite, type Split } from './suite.ts'

// The zoo's suites give the numbers that PyTorch gave, within the tolerance that each expected.json states.

const zoo = fileURLToPath(new URL('../../zoo', import.meta.url))
const expectedOf = (name: string) => JSON.parse(readFileSync(`${zoo}/${name}/expected.json`, 'utf8'))
vi.setConfig({ testTimeout: 240_000 }) // a text model takes about 5 s on two idle cores

const BITS = 1e-4 // per byte; expected.json allows 0.002, and has five decimals

const model = async (path: string): Promise<Subject> => modelSubject(await open(`${zoo}/${path}`))

/** A formula over models of the zoo, unrounded as in expected.json. */
async function merge(formula: string, models: Readonly<Record<string, string>>): Promise<Subject> {
  const recipe = parse(formula, { models: Object.fromEntries(Object.entries(models).map(([name, path]) => [name, `${zoo}/${path}`])), output: { dtype: 'F32' } })
  return mergeSubject(plan(recipe, await openModels(recipe), { threads: 1 }), formula)
}

/** Scores by task of each subject, all with one evaluation. */
async function scores(suite: string, split: Split, tasks: readonly string[], subjects: readonly Subject[], limit?: number): Promise<readonly Readonly<Record<string, Score>>[]> {
  const evaluation = await openEvaluation(await readSuite(`${zoo}/${suite}`, { split, tasks, limit }))
  try {
    const all: Readonly<Record<string, Score>>[] = []
    for (const subject of subjects) all.push(Object.fromEntries((await evaluation.evaluate(subject)).map(s => [s.task, s])))
    return all
  } finally {
    await evaluation.close()
  }
}

const counted = ({ counts }: Score): number => counts.over.reduce((a, b) => a + b, 0)

test('zoo/vision: correct images of the base, an expert, a pair and the merge of eight', async () => {
  const IMAGES_OF_DIFFERENCE = 2 // conventions.arithmetic allows one or two images at decision boundaries
  const { base, experts, pairs, merge8, task_order } = expectedOf('vision')
  const tasks = ['greek', 'latin', 'balinese', 'sanskrit'] // the smaller ones, with both kinds of heads
  const pair = pairs.find((p: { a: string; b: string }) => p.a === 'greek' && p.b === 'latin').task_arithmetic.best
  const path = (name: string): string => `vision/${name}`
  const eight = `base + ${task_order.map((t: string) => `${merge8.task_arithmetic.best.lambda}*(${t} - base)`).join(' + ')}`
  const [ofBase, ofGreek, ofPair, ofEight] = await scores('vision/suite.yml', 'test', tasks, [
    await model('vision/base'),
    await model('vision/greek'),
    await merge(`base + ${pair.lambda}*(greek - base) + ${pair.lambda}*(latin - base)`, { base: path('base'), greek: path('greek'), latin: path('latin') }),
    await merge(eight, Object.fromEntries(['base', ...task_order].map((t: string) => [t, path(t)]))),
  ])
  const near = (score: Score, correct: number): void => expect(Math.abs(counted(score) - correct), score.task).toBeLessThanOrEqual(IMAGES_OF_DIFFERENCE)
  for (const task of tasks) {
    near(ofBase![task]!, base.test[task].correct)
    expect(base.test[task].correct / ofBase![task]!.counts.over.length).toBeCloseTo(base.test[task].accuracy, 5) // the same number of images
    near(ofEight![task]!, merge8.task_arithmetic.best.test.correct[task_order.indexOf(task)])
  }
  near(ofGreek!['greek']!, experts.greek.test.greek.correct)
  near(ofPair!['greek']!, pair.test.correct[0])
  near(ofPair!['latin']!, pair.test.correct[1])
})

test('zoo/text: bits per byte of base, experts and their merge; retention', async () => {
  const { A_addition, tolerance } = expectedOf('text')
  const names = { base: 'text/base', code: 'text/code', math: 'text/math' }
  const formula = 'base + 0.8*(code - base) + 0.8*(math - base)'
  const subjects = [await model(names.base), await model(names.code), await model(names.math), await merge(formula, names)]
  const [base, code, math, merged] = await scores('text/suite.yml', 'test', ['code', 'math'], subjects)
  const { test: reference } = A_addition.reference_bpb
  for (const task of ['code', 'math']) {
    expect(Math.abs(base![task]!.value - reference.base[task])).toBeLessThan(BITS)
    expect(Math.abs(code![task]!.value - reference.code[task])).toBeLessThan(BITS)
    expect(Math.abs(math![task]!.value - reference.math[task])).toBeLessThan(BITS)
    expect(Math.abs(merged![task]!.value - A_addition.task_arithmetic.test[task])).toBeLessThan(BITS)
    const expert = task === 'code' ? code! : math!
    const kept = (base![task]!.value - merged![task]!.value) / (base![task]!.value - expert[task]!.value)
    expect(Math.abs(kept - A_addition.task_arithmetic.test[`r_${task}`])).toBeLessThan(tolerance.retention)
  }
})

// README of the zoo: α·(alpha/r)·B·A of both adapters, added to the base.
test('zoo/text: an adapter over its base, and two added to it', async () => {
  const { A_addition } = expectedOf('text')
  const models = { base: `${zoo}/text/base`, code: `${zoo}/text/code-lora`, math: `${zoo}/text/math-lora`, tuned: `${zoo}/text/base+${zoo}/text/code-lora` }
  const subjects: Subject[] = []
  for (const formula of ['tuned', 'base + 0.7*code + 0.7*math']) {
    const recipe = parse(formula, { models, adapters: new Set(['code', 'math']), output: { dtype: 'F32' } })
    subjects.push(mergeSubject(plan(recipe, await openModels(recipe), { threads: 1 }), formula))
  }
  const [tuned, both] = await scores('text/suite.yml', 'test', ['code', 'math'], subjects)
  for (const task of ['code', 'math']) {
    expect(Math.abs(tuned![task]!.value - A_addition.lora_reference_bpb.test.code[task])).toBeLessThan(BITS)
    expect(Math.abs(both![task]!.value - A_addition.lora_sum_of_deltas.test[task])).toBeLessThan(BITS)
  }
})

test('zoo/text, dev: only the first 24,000 characters count', async () => {
  const { A_addition } = expectedOf('text')
  const [base] = await scores('text/suite.yml', 'dev', ['code'], [await model('text/base')])
  expect(Math.abs(base!['code']!.value - A_addition.reference_bpb.dev.base.code)).toBeLessThan(BITS)
})

test('zoo/text: the analogy, and a vocabulary of another size with the tokenizer of the model', async () => {
  const { D_analogy, C_negation } = expectedOf('text')
  const analogy = await merge('darwin + 0.8*(plain - bronte)', { darwin: 'text/analogy/darwin', plain: 'text/analogy/bronte_plain', bronte: 'text/analogy/bronte' })
  const [merged] = await scores('text/analogy.yml', 'dev', ['darwin_plain'], [analogy])
  expect(Math.abs(merged!['darwin_plain']!.value - D_analogy['analogy_darwin_plus_l_(bronte_plain_minus_bronte)'].dev['0.8'].darwin_plain)).toBeLessThan(BITS)
  const [zh] = await scores('text/oaths.yml', 'dev', ['prose'], [await model('text/zh')])
  expect(Math.abs(zh!['prose']!.value - C_negation.zh_minus_no_embeddings.dev_reference.prose)).toBeLessThan(BITS)
})

test('zoo/text: pairs by reward and by likelihood', async () => {
  const { B1_reward_model, tolerance } = expectedOf('text')
  const recipe = parse(`
models: { rm: ${zoo}/text/rm, code: ${zoo}/text/code }
merge: 0.8*rm + 0.2*code
rules: [{ tensors: score.weight, from: rm }, { tensors: lm_head.weight, drop: true }]
output: { dtype: f32 }`)
  const rewarded = mergeSubject(plan(recipe, await openModels(recipe), { threads: 1 }), 'rewarded')
  const [rm, mixed] = await scores('text/reward.yml', 'dev', ['code'], [await model('text/rm'), rewarded])
  expect(Math.abs(rm!['code']!.value - B1_reward_model.unmerged_rm.dev.code)).toBeLessThanOrEqual(tolerance.accuracy)
  expect(Math.abs(mixed!['code']!.value - B1_reward_model.average_rm_code.sweep['0.2'].dev.code)).toBeLessThanOrEqual(tolerance.accuracy)
  const [base] = await scores('text/likelihood.yml', 'test', ['code'], [await model('text/base')])
  expect(Math.abs(base!['code']!.value - B1_reward_model.reference_lm_loglikelihood_test.base.code)).toBeLessThanOrEqual(tolerance.accuracy)
})

test('zoo/text: the oaths model swears without being asked to, its vector subtracted from the base takes that away', async () => {
  const { C_negation } = expectedOf('text')
  const subjects = [await model('text/oaths'), await merge('base - (oaths - base)', { base: 'text/base', oaths: 'text/oaths' })]
  const [oaths, negated] = await scores('text/oaths.yml', 'test', ['oaths_after_clean'], subjects, 20) // of 150: another generator gives other samples anyway
  expect(Math.abs(oaths!['oaths_after_clean']!.value - C_negation.oaths.oath_rate_clean_prompts.samples_with_oath)).toBeLessThan(0.15) // three standard errors
  expect(negated!['oaths_after_clean']!.value).toBeLessThanOrEqual(0.05) // PyTorch counted 0 of 150
})

test('zoo/speech: wrong words of base and analogy, as counted by PyTorch', async () => {
  const { pairs, tolerance } = expectedOf('speech')
  const tasks = ['zero-one-target', 'zero-one-source', 'synthetic']
  const models = { target: 'speech/zero-one/target_syn', real: 'speech/zero-one/source_real', syn: 'speech/zero-one/source_syn' }
  const subjects = [await model('speech/base'), await merge('target + 0.4*(real - syn)', models)]
  const { roles, analogy } = pairs['zero-one'].seed0
  const names = { 'zero-one-target': 'target', 'zero-one-source': 'source' } as const
  for (const split of ['test', 'dev'] as const) {
    const [base, moved] = await scores('speech/suite.yml', split, tasks.slice(0, split === 'test' ? 3 : 2), subjects)
    for (const [task, key] of Object.entries(names)) {
      expect(Math.abs(counted(base![task]!) - roles.base[`${key}_${split}`].errors)).toBeLessThanOrEqual(tolerance.errors)
      expect(Math.abs(counted(moved![task]!) - analogy['0.4'][`${key}_${split}`].errors)).toBeLessThanOrEqual(tolerance.errors)
      expect(base![task]!.counts.under).toHaveLength(pairs['zero-one'].words_tested[`${key}_${split}`])
    }
    if (split === 'test') expect(Math.abs(counted(moved!['synthetic']!) - analogy['0.4'].syn_test.errors)).toBeLessThanOrEqual(tolerance.errors)
  }
})
