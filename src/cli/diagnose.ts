import { fileNameOf } from '../bytes/file.ts'
import { type Diagnosis, diagnose } from '../diagnose/diagnose.ts'
import { MEASURES } from '../diagnose/measures/_all.ts'
import { findAdapters } from '../plan/open_reference.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { referenceOf } from '../recipe/references.ts'
import { type Arguments, type Command, UsageError } from './_command.ts'
import { compared } from './_comparison.ts'
import { heatMap } from './_heat_map.ts'
import { prepare, RECIPE_FLAGS } from './_recipe.ts'
import { bold, bytes, dim, duration, green, harmless, red, table } from './_text.ts'

const MAX_MODELS = 100
const { model, rename, vocab, threads, memory } = RECIPE_FLAGS

export default {
  summary: 'Say from the weights alone what may keep a merge from working, before it is done.',
  positionals: 'RECIPE | MODEL…',
  count: [1, MAX_MODELS],
  flags: {
    base: { doc: 'The base: of models given by path, its path; of a recipe that does not tell, the name of one of its models.', value: 'BASE' },
    quick: { doc: 'Leave out directional damage, which takes most of the time.' },
    json: { doc: 'Print every number as JSON.' },
    ...{ model: model!, rename: rename!, vocab: vocab!, threads: threads!, memory: memory! },
  },
  examples: [
    'merganser diagnose recipe.yml',
    'merganser diagnose zoo/vision/mnist zoo/vision/latin-hot --base zoo/vision/base',
    "merganser diagnose 'base + 0.5*(a - base) + 0.5*(b - base)' --model base=PATH --model a=PATH --model b=PATH --json",
  ],
  async run(args) {
    const { values } = args
    const begun = performance.now()
    const { text, values: own, base, note } = await requestOf(args)
    const isJson = values['json'] === true
    const { recipe, checkpoints, plan } = await prepare(
      text,
      { positionals: [text], values: own },
      { refused: found => void (isJson || process.stdout.write(`${compared(found).join('\n')}\n`)) },
    )
    const { budget, threads: wanted } = plan.memory
    const progress = process.stderr.isTTY && !isJson ? (share: number) => void process.stderr.write(`\r\x1b[2K${dim(`reading weights ${Math.round(100 * share)} %`)}`) : undefined
    const found = await diagnose(recipe, checkpoints, { base: base ?? baseNamed(recipe, values), memory: budget, threads: wanted, quick: values['quick'] === true, progress })
    if (progress) process.stderr.write('\r\x1b[2K')
    const notLookedAt = [...found.notLookedAt, ...note]
    if (isJson) process.stdout.write(`${JSON.stringify({ ...found, notLookedAt })}\n`)
    else process.stdout.write(describe({ ...found, notLookedAt }, (performance.now() - begun) / 1000))
  },
} satisfies Command

/** Models by path become the plainest recipe of task arithmetic. */
async function requestOf({ positionals, values }: Arguments) {
  const isModel = (text: string): boolean => !/\.(ya?ml|json)$/i.test(text) && !/[\s*()]/.test(text)
  if (values['base'] === undefined || !positionals.every(isModel)) {
    if (positionals.length === 1) return { text: positionals[0]!, values, base: undefined, note: [] }
    throw new UsageError(
      values['base'] === undefined ? 'several models are diagnosed against their base' : 'one recipe is diagnosed at a time',
      values['base'] === undefined ? 'add --base PATH' : 'give one recipe, or models by their paths',
    )
  }
  if (values['model'] !== undefined) throw new UsageError('--model goes with an expression', 'give the models by their paths, and the base with --base')
  const names = namesOf(positionals)
  const vectors = await findAdapters(Object.fromEntries(names.map((name, i) => [name, referenceOf(positionals[i]!, null)]))) // which are task vectors themselves
  return {
    text: ['base', ...names.map(name => (vectors.has(name) ? name : `(${name} - base)`))].join(' + '),
    values: { ...values, model: [`base=${values['base'] as string}`, ...positionals.map((path, i) => `${names[i]}=${path}`)] },
    base: 'base',
    note: [`your recipe: none was given, so damage is that of adding all task vectors with weight 1`],
  }
}

/** The last part of each path, as a name that an expression may use, and no two alike. */
function namesOf(paths: readonly string[]): readonly string[] {
  const taken = new Set(['base'])
  return paths.map(path => {
    const plain = fileNameOf(path.replace(/[\\/]+$/, '').replace(/\.safetensors$/, '')).replace(/[^A-Za-z0-9_]/g, '_')
    const start = /^[A-Za-z]/.test(plain) ? plain : `m_${plain}`
    let name = start
    for (let n = 2; taken.has(name); n++) name = `${start}_${n}`
    taken.add(name)
    return name
  })
}

function baseNamed({ models }: Recipe, values: Arguments['values']): string | undefined {
  const base = values['base'] as string | undefined
  if (base !== undefined && !Object.hasOwn(models, base)) throw new UsageError(`--base ${base} is none of the recipe’s models`, `name one of ${Object.keys(models).join(', ')}`)
  return base
}

const COLOURS = { safe: green, open: (text: string) => text, doubtful: red, unsafe: red } as const

function describe(d: Diagnosis, seconds: number): string {
  const { outlook, summary, reasons } = d.verdict
  const advice = [...new Set(d.findings.map(f => f.remedy))]
  const lines = [
    `${bold(COLOURS[outlook](outlook.toUpperCase()))}  ${summary}`,
    ...reasons.map(reason => `  - ${harmless(reason)}`),
    ...(outlook === 'safe' || advice.length === 0 ? [] : ['', bold('what to do'), ...advice.map(text => `  - ${harmless(text)}`)]),
    '',
    measureTable(d),
    '',
    ...heatMap(d),
    '',
    bold('not looked at'),
    ...d.notLookedAt.map(text => `  - ${harmless(text)}`),
    '',
    dim(`${bytes(d.read)} read in ${duration(seconds)}; every number by tensor and layer: --json`),
  ]
  return `${lines.join('\n')}\n`
}

const SHOWN = 10 // pairs of many tasks: the others are in the JSON

/** Numbers of the whole model; of many pairs the highest. */
function measureTable({ measures }: Diagnosis): string {
  const rows = Object.keys(MEASURES).flatMap(name => {
    const own = measures.filter(m => m.measure === name && m.value !== null)
    const shown = own.toSorted((a, b) => b.value! - a.value!).slice(0, SHOWN)
    const kept = own.filter(m => shown.includes(m))
    return kept.map(({ of, value, error }, i) => [
      i === 0 ? name : '',
      harmless(of.join(MEASURES[name]!.of === 'other' ? ' by ' : ', ')),
      shownNumber(value!),
      error ? `± ${shownNumber(error)}` : '',
    ])
  })
  const hasErrors = rows.some(row => row[3] !== '')
  return table(
    [['measure', 'of', 'value', ''], ...rows].map(row => (hasErrors ? row : row.slice(0, 3))),
    [2],
  )
}

const shownNumber = (value: number): string =>
  Number.isInteger(value) ? String(value) : Math.abs(value) < 0.001 || Math.abs(value) >= 1e5 ? value.toExponential(1) : value.toFixed(3)
