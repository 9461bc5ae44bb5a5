// `npm run bench -- matrix [flags]`: what methods on whole matrices cost, for models of one matrix each, whole processes.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { openModels, parse, plan } from '../dist/index.js'
import { runMerge } from './measure.mjs'
import { choosePlace, describeMachine, preparePlace } from './place.mjs'
import { createTable, median, megabytes, seconds } from './table.mjs'
import { BLOCK, createBlocks } from './values.mjs'

const METHODS = ['tsv_m', 'iso_c', 'iso_cts', 'swudi', 'star']
const TENSOR = 'model.layers.0.mlp.down_proj.weight'

const FLAGS = {
  sizes: { type: 'string', default: '1024x1024,2048x2048,4096x4096', value: 'MxN,…', doc: 'Rows and columns of the matrices.' },
  only: { type: 'string', default: METHODS.join(','), value: 'A,B', doc: `Only these of ${METHODS.join(', ')}.` },
  models: { type: 'string', default: '4', value: '4', doc: 'How many models, the base not counted.' },
  memory: { type: 'string', default: '4GB', value: '4GB', doc: 'Budget of the merge. What it plans for is shown.' },
  runs: { type: 'string', default: '1', value: '1', doc: 'Runs of each: they are long beside the noise.' },
  dir: { type: 'string', value: 'DIR', doc: 'Where models are made and merged, and removed afterwards. Default: in a memory file system with room for them.' },
  markdown: { type: 'boolean', default: false, doc: 'Print the table for a document.' },
  help: { type: 'boolean', default: false, doc: 'Print this.' },
}

export async function benchSpectral(args) {
  const flags = parseArgs({ args, options: FLAGS }).values
  if (flags.help) return void process.stdout.write(usage())
  const sizes = flags.sizes.split(',').map(readSize)
  const methods = flags.only.split(',')
  for (const name of methods) if (!METHODS.includes(name)) throw new Error(`--only ${name}: there are ${METHODS.join(', ')}`)
  const models = Number(flags.models)
  if (!Number.isInteger(models) || models < 1) throw new Error(`--models ${flags.models}: write a whole number from 1`)
  const bytes = Math.max(...sizes.map(([rows, cols]) => 2 * rows * cols)) * (models + 2)
  const dir = resolve(flags.dir ?? choosePlace(() => bytes))
  preparePlace(dir, bytes)
  const work = join(dir, `spectral-${process.pid}`)
  console.log(describeMachine({ dir, out: dir, threads: 1 }))
  console.log(`\n${models} models and a base of one bf16 matrix each:`)
  const row = createTable([['method', 8], ['size', 13], ['time', 10], ['GFLOP', 9], ['GFLOP/s', 8], ['planned', 9], ['peak memory', 11]], flags.markdown) // biome-ignore format: a table
  try {
    for (const size of sizes) {
      const folders = Array.from({ length: models + 1 }, (_, i) => makeModel(join(work, `${i}`), size, i))
      for (const method of methods) row(await measure(method, folders, size, { ...flags, work }))
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function measure(method, [base, ...models], [rows, cols], { work, runs, memory }) {
  const label = `${rows} × ${cols}`
  const recipe = join(work, `${method}.yml`)
  writeFileSync(recipe, `merge_method: ${method}\nbase_model: ${base}\nmodels:\n${models.map(m => `  - model: ${m}\n`).join('')}dtype: bfloat16\n`)
  const parsed = parse(readFileSync(recipe, 'utf8'))
  const checkpoints = await openModels(parsed)
  let planned
  try {
    planned = plan(parsed, checkpoints, { threads: 1, memory: bytesOf(memory) })
  } catch (error) {
    return [method, label, error.message.split('\n')[0], '', '', '', '']
  }
  const measured = []
  for (let r = 0; r < Number(runs); r++) measured.push(await runMerge({ recipe, out: join(work, 'out'), threads: 1, memory }))
  const time = median(measured.map(m => m.seconds))
  const operations = planned.totals.operations / 1e9
  return [method, label, seconds(time), operations.toFixed(0), (operations / time).toFixed(1), megabytes(planned.memory.total), megabytes(Math.max(...measured.map(m => m.peak)))]
}

/** A model of one matrix of trained weights, or a fine-tune of it, as make.mjs has them. */
function makeModel(folder, [rows, cols], index) {
  mkdirSync(folder, { recursive: true })
  const { pick } = createBlocks(index)
  const values = new Uint16Array(rows * cols)
  for (let at = 0; at < values.length; at += BLOCK) values.set(pick(0, at / BLOCK).subarray(0, Math.min(BLOCK, values.length - at)), at)
  const json = Buffer.from(JSON.stringify({ [TENSOR]: { dtype: 'BF16', shape: [rows, cols], data_offsets: [0, values.byteLength] } }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([length, json, Buffer.from(values.buffer)]))
  return folder
}

function readSize(text) {
  const [, rows, cols] = /^(\d+)x(\d+)$/.exec(text) ?? []
  if (!(Number(rows) > 0 && Number(cols) > 0)) throw new Error(`--sizes ${text}: write rows and columns, e.g. 4096x14336`)
  return [Number(rows), Number(cols)]
}

function bytesOf(text) {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([MG]B)$/.exec(text) ?? []
  if (number === undefined) throw new Error(`--memory ${text}: write e.g. 4GB or 500MB`)
  return Number(number) * { MB: 1e6, GB: 1e9 }[unit]
}

function usage() {
  const lines = Object.entries(FLAGS).map(([name, { value, doc }]) => `  ${`--${name}${value ? ` ${value}` : ''}`.padEnd(24)}  ${doc}`)
  return `npm run bench -- matrix [flags]\n\n${lines.join('\n')}\n`
}
