// `npm run bench -- [flags]`: what merging costs, beside the cost of moving as many bytes. `npm run bench -- quality` and `npm run bench -- matrix` are other
// tables: quality.mjs, spectral.mjs.
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { readFlags, usage } from './flags.mjs'
import { bytesOfModel, foldersOf, isMade } from './make.mjs'
import { importMergekit, makeModels, runFloor, runMerge, runMergekit } from './measure.mjs'
import { METHODS, recipeOf } from './methods.mjs'
import { choosePlace, describeMachine, preparePlace } from './place.mjs'
import { createTable, median, megabytes, seconds, times } from './table.mjs'

const MANY = [1_000, 10_000, 40_000] // tensors of 256 elements
const MANY_TARGET = 10 // seconds, for the most of them
const PEAK_TARGET = 400e6 // bytes, at two threads and the default memory
const SLACK = 150e6 // bytes on disk: the models of many small tensors, headers, journals

try {
  const [first, ...rest] = process.argv.slice(2)
  if (first === 'quality') await (await import('./quality.mjs')).benchQuality(rest)
  else if (first === 'matrix') await (await import('./spectral.mjs')).benchSpectral(rest)
  else {
    const flags = readFlags(process.argv.slice(2))
    if (flags.help) process.stdout.write(usage())
    else await bench(flags)
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}

async function bench(flags) {
  const { params, models: count, threads, only, mergekit } = flags
  const methods = only.filter(name => name !== 'many')
  const request = { params, models: count }
  const size = methods.length > 0 ? bytesOfModel(request) : 0
  const dir = resolve(flags.dir ?? choosePlace(folder => bytesToMake(folder, request, methods) + size + SLACK))
  const out = resolve(flags.out ?? dir)
  const work = join(out, `run-${process.pid}`)
  preparePlace(dir, bytesToMake(dir, request, methods) + SLACK)
  preparePlace(out, SLACK)
  if (mergekit) await importMergekit(mergekit) // what is wrong with it is told before anything is measured
  console.log(describeMachine({ dir, out, threads }))
  try {
    mkdirSync(work, { recursive: true })
    if (methods.length > 0) {
      await makeModels(['--dir', dir, '--params', String(params), '--models', String(count)])
      preparePlace(out, size + SLACK)
      const folders = foldersOf(dir, request)
      await measureMethods(methods, folders, { ...flags, work })
      if (mergekit) await compareMergekit(methods, folders, { ...flags, work })
    }
    if (only.includes('many')) await measureMany(dir, { ...flags, work })
  } finally {
    rmSync(work, { recursive: true, force: true })
    if (flags.clean) for (const made of [request, ...MANY.map(tensors => ({ tensors, models: 1 }))]) rmSync(dirname(foldersOf(dir, made)[0]), { recursive: true, force: true })
  }
}

/** Bytes of models that are not in `dir` yet. */
function bytesToMake(dir, request, methods) {
  if (methods.length === 0) return 0
  return foldersOf(dir, request).filter((folder, i) => !isMade(folder, request, i)).length * bytesOfModel(request)
}

/** Each method beside its floor, turn by turn, so that whatever else the machine does hits both. */
async function measureMethods(methods, models, { work, threads, runs, markdown }) {
  console.log(
    `\n${models.length} models of ${(inputOf(models[0]).size / 2e6).toFixed(0)} M parameters in bf16; the median of ${runs} runs (the least in brackets), whole processes:`,
  )
  const row = createTable(
    [
      ['method', 15],
      ['merge', 16],
      ['floor', 16],
      ['ratio of least', 14],
      ['median ratio', 12],
      ['target', 7],
      ['met', 3],
      ['input', 9],
      ['peak memory', 11],
    ],
    markdown,
  )
  for (const method of methods) {
    const { recipe, inputs } = writeRecipe(method, models, work)
    const bytes = inputs.reduce((sum, input) => sum + input.size, 0)
    const merge = () => runMerge({ recipe, out: join(work, 'out'), threads })
    const floor = () => runFloor({ inputs: inputs.map(i => i.path), out: join(work, 'floor'), threads })
    await floor() // brings the inputs into the page cache
    await merge()
    const pairs = []
    for (let r = 0; r < runs; r++) pairs.push({ floor: await floor(), merge: await merge() })
    const merges = pairs.map(p => p.merge.seconds)
    const floors = pairs.map(p => p.floor.seconds)
    const ratio = Math.min(...merges) / Math.min(...floors)
    const { target } = METHODS[method]
    const peak = Math.max(...pairs.map(p => p.merge.peak))
    const rate = `${(bytes / median(merges) / 1e9).toFixed(1)} GB/s`
    row([
      method,
      both(merges),
      both(floors),
      times(ratio),
      times(median(pairs.map(p => p.merge.seconds / p.floor.seconds))),
      `≤ ${target}×`,
      ratio <= target ? 'yes' : 'no',
      rate,
      `${megabytes(peak)}${peak > PEAK_TARGET ? ' (!)' : ''}`,
    ])
  }
  console.log(`\nPeak memory: at most ${megabytes(PEAK_TARGET)} wanted, at two threads, whatever the size of the models.`)
}

/** Many small tensors: what a tensor costs besides its bytes. */
async function measureMany(dir, { work, threads, runs, markdown }) {
  console.log(`\nLinear merge of two models of many tensors of 256 elements, the median of ${runs} runs; the last in at most ${MANY_TARGET} s wanted:`)
  const row = createTable(
    [
      ['tensors', 8],
      ['merge', 16],
      ['per tensor', 10],
      ['peak memory', 11],
    ],
    markdown,
  )
  for (const tensors of MANY) {
    await makeModels(['--dir', dir, '--tensors', String(tensors), '--models', '2'])
    const { recipe } = writeRecipe('linear', foldersOf(dir, { tensors, models: 2 }), work)
    const merge = () => runMerge({ recipe, out: join(work, 'out'), threads })
    await merge()
    const measured = []
    for (let r = 0; r < runs; r++) measured.push(await merge())
    const all = measured.map(m => m.seconds)
    row([String(tensors), both(all), `${((median(all) / tensors) * 1e6).toFixed(0)} µs`, megabytes(Math.max(...measured.map(m => m.peak)))])
  }
}

/** The same recipes by mergekit, once each: its runs are long beside the noise. */
async function compareMergekit(methods, models, { work, threads, markdown, mergekit: python, timeout }) {
  const { seconds: start } = await importMergekit(python)
  console.log(`\nThe same recipes by mergekit (${python}), whole processes, one run each; ${seconds(start)} of its time are the start of Python and its imports:`)
  const row = createTable(
    [
      ['method', 15],
      ['merge', 9],
      ['mergekit', 9],
      ['faster', 7],
      ['peak memory', 11],
      ['of mergekit', 11],
    ],
    markdown,
  )
  for (const method of methods) {
    const { recipe } = writeRecipe(method, models, work)
    const ours = await runMerge({ recipe, out: join(work, 'out'), threads })
    const theirs = await runMergekit({ python, recipe, out: join(work, 'out'), timeoutMs: timeout * 1000 })
    row([
      method,
      seconds(ours.seconds),
      theirs ? seconds(theirs.seconds) : `> ${timeout} s`,
      `${theirs ? '' : '> '}${((theirs?.seconds ?? timeout) / ours.seconds).toFixed(0)}×`,
      megabytes(ours.peak),
      theirs ? megabytes(theirs.peak) : '',
    ])
  }
}

function writeRecipe(method, models, work) {
  const { folders, text } = recipeOf(method, models)
  const recipe = join(work, `${method}.yml`)
  writeFileSync(recipe, text)
  return { recipe, inputs: folders.map(inputOf) }
}

function inputOf(folder) {
  const path = join(folder, 'model.safetensors')
  return { path, size: statSync(path).size }
}

function both(values) {
  return `${seconds(median(values))} (${Math.min(...values).toFixed(2)})`
}
