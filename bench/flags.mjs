// The command line of the benchmark.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { readParameters } from './make.mjs'
import { METHODS } from './methods.mjs'

const NAMES = [...Object.keys(METHODS), 'many']

const FLAGS = {
  only: { type: 'string', default: NAMES.join(','), value: 'A,B', doc: `Only these of ${NAMES.join(', ')}.` },
  params: { type: 'string', default: '542M', value: '542M', doc: 'Parameters of a model.' },
  models: { type: 'string', default: '3', value: '3', doc: 'How many models, the base among them.' },
  threads: { type: 'string', default: String(Math.min(2, availableParallelism())), value: '2', doc: 'Threads of the merge and of the floor.' },
  runs: { type: 'string', default: '3', value: '3', doc: 'Runs of each, after one to warm up.' },
  dir: { type: 'string', value: 'DIR', doc: 'Where models are made. Default: in a memory file system with room for them, else in the folder for temporary files.' },
  out: { type: 'string', value: 'DIR', doc: 'Where outputs are written. Default: as --dir.' },
  mergekit: { type: 'string', value: 'PYTHON', doc: 'An interpreter that has mergekit: measures the same recipes with it.' },
  'mergekit-timeout': { type: 'string', default: '300', value: '300', doc: 'Seconds after which a run of mergekit is stopped.' },
  markdown: { type: 'boolean', default: false, doc: 'Print tables for a document.' },
  clean: { type: 'boolean', default: false, doc: 'Remove the models afterwards.' },
  help: { type: 'boolean', default: false, doc: 'Print this.' },
}

/** The flags as values; throws for what is unknown or makes no sense. */
export function readFlags(args) {
  const { values } = parseArgs({ args, options: FLAGS })
  const only = values.only.split(',')
  const models = count('models', values.models, 2)
  for (const name of only) if (!NAMES.includes(name)) throw new Error(`--only ${name}: there are ${NAMES.join(', ')}`)
  return {
    ...values,
    only: NAMES.filter(name => only.includes(name) && !(name === 'model_stock' && models < 3)), // it needs two fine-tunes
    params: readParameters(values.params),
    models,
    threads: count('threads', values.threads, 1),
    runs: count('runs', values.runs, 1),
    timeout: count('mergekit-timeout', values['mergekit-timeout'], 1),
  }
}

export function usage() {
  const lines = Object.entries(FLAGS).map(([name, { value, doc }]) => `  ${`--${name}${value ? ` ${value}` : ''}`.padEnd(24)}  ${doc}`)
  return `npm run bench -- [flags]\nnpm run bench -- quality [flags]  which method pays on the vision zoo; --help for its flags\nnpm run bench -- matrix [flags]   what methods on whole matrices cost; --help for its flags\n\n${lines.join('\n')}\n`
}

function count(name, text, least) {
  const number = Number(text)
  if (!Number.isInteger(number) || number < least) throw new Error(`--${name} ${text}: write a whole number from ${least}`)
  return number
}
