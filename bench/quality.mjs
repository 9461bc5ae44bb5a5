// `npm run bench -- quality [flags]`: which method pays on the experts of zoo/vision. Every method of the registry that can merge them, at the step
// length that is best on the dev images, scored on the test images.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { METHODS, mergeSubject, openEvaluation, openModels, parse, plan, readSuite } from '../dist/index.js'
import { createTable } from './table.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Multipliers of the merged task vector. Sums want less than 1, averages of eight several times as much. */
const STEPS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8]
const FIRST = [0.3, 0.7, 1.5, 3] // looked at first; then the neighbours of the best so far, until none is better

/** What to try besides the defaults, or instead of defaults that do nothing: parameters by method. All others are tried as they are. */
const SETTINGS = {
  ties: [{ density: 0.2 }, { density: 0.2, trim: 'global' }],
  dare_linear: [{ density: 0.2 }],
  dare_ties: [{ density: 0.2 }],
  breadcrumbs: [{ density: 0.9 }],
  breadcrumbs_ties: [{ density: 0.9 }],
  della: [{ density: 0.5 }],
  della_linear: [{ density: 0.5 }],
  localize_stitch: [{}, { trim: 'global' }],
  pcb: [{}, { trim: 'global' }],
  lines: [{ alpha: 0.5, beta: 1 }],
}
/** Methods of one model that modify what another has merged. */
const AROUND = { lines: 'task_arithmetic' }

const FLAGS = {
  zoo: { type: 'string', default: 'zoo/vision', value: 'DIR', doc: 'The experts and their images: zoo/vision or zoo/vision-hard.' },
  only: { type: 'string', value: 'A,B', doc: 'Only these methods.' },
  tasks: { type: 'boolean', default: false, doc: 'Show the accuracy on each task.' },
  markdown: { type: 'boolean', default: false, doc: 'Print tables for a document.' },
  help: { type: 'boolean', default: false, doc: 'Print this.' },
}

export async function benchQuality(args) {
  const { values: flags } = parseArgs({ args, options: FLAGS })
  if (flags.help) return void process.stdout.write(usage())
  const names = Object.keys(METHODS)
  const only = flags.only?.split(',') ?? names
  for (const name of only) if (!names.includes(name)) throw new Error(`--only ${name}: there are ${names.join(', ')}`)
  const zoo = await openZoo(join(ROOT, flags.zoo))
  const results = []
  const apart = []
  for (const name of names.filter(n => only.includes(n))) {
    const reason = reasonAgainst(name, zoo.tasks.length)
    if (reason) apart.push([name, reason])
    else for (const setting of SETTINGS[name] ?? [{}]) await measure(zoo, name, setting, results, apart)
  }
  await zoo.close()
  show(zoo, results, flags)
  if (apart.length > 0) console.log(`\nNot for ${zoo.tasks.length} fine-tunes of one base:\n${apart.map(([name, why]) => `  ${name.padEnd(16)}  ${why}`).join('\n')}`)
}

/** Base and experts, and what they score alone. */
async function openZoo(folder) {
  const [dev, test] = await Promise.all(['dev', 'test'].map(async split => openEvaluation(await readSuite(join(folder, 'suite.yml'), { split }))))
  const tasks = test.suite.tasks.map(task => task.name)
  const models = Object.fromEntries(['base', ...tasks].map(model => [model, join(folder, model)]))
  const alone = {}
  for (const task of tasks) {
    const expert = await merged(models, task)
    const [[onDev], [onTest]] = [await dev.evaluate(expert, { tasks: [task] }), await test.evaluate(expert, { tasks: [task] })]
    alone[task] = { dev: onDev.value, test: onTest.value }
  }
  const base = await accuracies(test, await merged(models, 'base'))
  return { tasks, models, dev, test, alone, base, close: () => Promise.all([dev.close(), test.close()]) }
}

const accuracies = async (evaluation, subject) => (await evaluation.evaluate(subject)).map(score => score.value) // in the order of the suite's tasks

/** Why a method cannot merge the experts; null where it can. Whatever else a method refuses, it says itself. */
function reasonAgainst(name, experts) {
  const { models, params } = METHODS[name]
  if (models?.max !== undefined && models.max < experts && !AROUND[name]) return `merges ${models.max === 1 ? 'one model' : `at most ${models.max} models`}`
  const given = SETTINGS[name]?.[0] ?? {}
  const wanted = Object.entries(params).filter(([param, spec]) => 'default' in spec === false && spec.inExpression === undefined && !(param in given))
  return wanted.length > 0 ? `needs ${wanted.map(([param]) => param).join(', ')}` : null
}

/** The expression of a merge whose step is `step` long, and how its step is written. */
function expressionOf(name, tasks, setting, step) {
  const { base, params, laws } = METHODS[name]
  const inside = params.lambda !== undefined
  const written = Object.entries({ ...setting, ...(inside ? { lambda: step } : {}) }).map(([param, value]) => `${param}=${value}`)
  if (AROUND[name]) return `base + ${name}(${expressionOf(AROUND[name], tasks, {}, step).replace(/^base \+ /, '')}, ${written.join(', ')})`
  const isOfDeltas = (base === 'required' || base === 'optional') && !laws.deltas
  const call = `${name}(${[...tasks.map(task => (isOfDeltas ? `${task} - base` : task)), ...written, ...(laws.deltas ? ['base=base'] : [])].join(', ')})`
  const vector = isOfDeltas ? call : `(${call} - base)`
  return `base + ${inside ? '' : `${step}*`}${vector}`
}

async function measure({ tasks, models, dev, test, alone }, name, setting, results, apart) {
  const title = [name, ...Object.entries(setting).map(([param, value]) => `${param} ${value}`), ...(AROUND[name] ? [`of ${AROUND[name]}`] : [])].join(', ')
  const kept = new Map()
  const score = async step => {
    if (!kept.has(step)) {
      process.stderr.write(`\r\x1b[2K${title}: step ${step} …`)
      const found = await accuracies(dev, await merged(models, expressionOf(name, tasks, setting, step)))
      kept.set(step, mean(tasks.map((task, i) => found[i] / alone[task].dev)))
    }
    return kept.get(step)
  }
  try {
    const step = await bestStep(score)
    const found = await accuracies(test, await merged(models, expressionOf(name, tasks, setting, step)))
    const retained = mean(tasks.map((task, i) => found[i] / alone[task].test))
    results.push({ title, step, isParameter: METHODS[name].params.lambda !== undefined || AROUND[name] !== undefined, dev: kept.get(step), tasks: found, retained })
  } catch (error) {
    if (error.what === undefined) throw error // not one of Merganser's
    apart.push([name, error.what])
  } finally {
    process.stderr.write('\r\x1b[2K')
  }
}

/** Climbs from the best of a few steps; of equals the smaller is better. */
async function bestStep(score) {
  const better = async (a, b) => ((await score(b)) > (await score(a)) || ((await score(b)) === (await score(a)) && b < a) ? b : a)
  let best = FIRST[0]
  for (const step of FIRST) best = await better(best, step)
  for (;;) {
    const i = STEPS.indexOf(best)
    let next = best
    for (const neighbour of [STEPS[i - 1], STEPS[i + 1]]) if (neighbour !== undefined) next = await better(next, neighbour)
    if (next === best) return best
    best = next
  }
}

async function merged(models, expression) {
  const recipe = parse(expression, { models, output: { dtype: 'F32', shardSize: Number.MAX_SAFE_INTEGER } })
  return mergeSubject(plan(recipe, await openModels(recipe), { threads: 1 }), expression)
}

function show({ tasks: names, alone, base }, results, { tasks: isByTask, markdown }) {
  const experts = names.map(task => alone[task].test)
  console.log(`${names.length} experts merged into one model; accuracy on test images, at the step that is best on dev images (mean of accuracy ÷ that of the expert):`)
  const row = createTable(
    [['method', 46], ['step', 6], ['dev', 7], ['test', 7], ['of experts', 10], ...(isByTask ? names.map(task => [task, Math.max(7, task.length)]) : [])],
    markdown,
  )
  const line = (title, step, dev, accuracies, retained) => row([title, step, dev, percent(mean(accuracies)), percent(retained), ...(isByTask ? accuracies.map(percent) : [])])
  for (const { title, step, isParameter, dev, tasks, retained } of results.toSorted((a, b) => mean(b.tasks) - mean(a.tasks)))
    line(title, `${step}${isParameter ? ' ' : '*'}`, percent(dev), tasks, retained)
  line('(the base)', '', '', base, mean(base.map((a, i) => a / experts[i])))
  line('(each expert on its own task)', '', '', experts, 1)
  console.log('\nstep: `lambda`; with * there is none, and it multiplies the merged task vector: `base + step*(…)`.')
}

function usage() {
  const lines = Object.entries(FLAGS).map(([name, { value, doc }]) => `  ${`--${name}${value ? ` ${value}` : ''}`.padEnd(24)}  ${doc}`)
  return `npm run bench -- quality [flags]\n\n${lines.join('\n')}\n`
}

const mean = values => values.reduce((a, b) => a + b, 0) / values.length
const percent = share => (share * 100).toFixed(1)
