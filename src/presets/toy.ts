import { readText } from '../bytes/file.ts'
import { open } from '../checkpoint/checkpoint.ts'
import { loadWeights, runInMemory } from '../evaluate/load.ts'
import type { Weights } from '../evaluate/weights.ts'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Preset, PresetTable } from './preset.ts'

/** One input of a network, and the output of each model, of one that has both skills, and of the merge. */
interface Case {
  readonly input: readonly number[]
  readonly base: number
  readonly a: number
  readonly b: number
  readonly wanted: number
  readonly merged: number
}

interface Network {
  readonly title: string
  readonly remark: string
}

const NETWORKS: Readonly<Record<string, Network>> = {
  separate: {
    title: 'Two neurons, and each task has moved one of its own',
    remark: 'The merge has both skills and has lost nothing: the two task vectors share no neuron.',
  },
  'shared-neuron': {
    title: 'One neuron, and each task has moved another weight of it',
    remark: 'No parameter is shared and no sign differs, yet for (1, 1, 1) the merge fails what both experts could do: they share a neuron.',
  },
  'shared-parameter': {
    title: 'One weight, which both tasks have moved, in opposite directions',
    remark: 'No coefficient mends this: the two inputs that fail give the same output for every λ, and should give 3 and 0.',
  },
}
const MODELS = ['base', 'a', 'b'] as const
const FORMULA = 'base + (a - base) + (b - base)'

/** The smallest networks that show when addition of task vectors works and when it fails, exact in float32: zoo/toy. */
export default {
  summary: 'Three networks of one or two neurons that show when adding task vectors works, and the two ways in which it fails.',
  recipe: FORMULA,
  needs: ['toy'],
  async *run({ zoo }) {
    const expected = JSON.parse(await readText(`${zoo}/toy/expected.json`)) as { readonly networks: Readonly<Record<string, readonly Case[]>> }
    const surprises: string[] = []
    for (const [name, { title, remark }] of Object.entries(NETWORKS)) {
      const models = Object.fromEntries(MODELS.map(model => [model, `${zoo}/toy/${name}/${model}`]))
      const merged = await merge(models)
      const own = await Promise.all(MODELS.map(async model => loadWeights(await open(models[model]!))))
      yield neurons(title, [...own, merged])
      const measured = expected.networks[name]!.map(({ input, wanted }): Case => {
        const [base, a, b, both] = [...own, merged].map(weights => forward(weights, input)) as [number, number, number, number]
        return { input, base, a, b, wanted, merged: both }
      })
      for (const [i, tabled] of expected.networks[name]!.entries()) {
        if (JSON.stringify(tabled) !== JSON.stringify(measured[i])) surprises.push(`${name} at (${tabled.input.join(', ')})`)
      }
      yield { title: '', columns: ['input', 'base', 'a', 'b', 'wanted', 'merged', ''], rows: measured.map(rowOf), remarks: [remark] }
    }
    return surprises.length === 0
      ? { isAsExpected: true, conclusion: 'every output is as tabulated in zoo/toy/expected.json' }
      : { isAsExpected: false, conclusion: `outputs differ from zoo/toy/expected.json: ${surprises.join(', ')}` }
  },
} satisfies Preset

async function merge(models: Readonly<Record<string, string>>): Promise<Weights> {
  const recipe = parse(FORMULA, { models, output: { dtype: 'F32' } })
  return runInMemory(plan(recipe, await openModels(recipe), { threads: 1 }))
}

/** y = Σ ReLU(w·x), rounded to float32 at every step. */
function forward(weights: Weights, input: readonly number[]): number {
  const { shape, data } = weights.get('neurons.weight')!
  const width = shape[1]!
  let y = 0
  for (let row = 0; row < data.length; row += width) {
    let sum = 0
    for (const [i, x] of input.entries()) sum = Math.fround(sum + Math.fround(data[row + i]! * x))
    y = Math.fround(y + Math.max(0, sum))
  }
  return y
}

/** The weights of every model, a neuron a row; * marks what an expert has moved. */
function neurons(title: string, models: readonly Weights[]): PresetTable {
  const [base] = models
  const { shape, data } = base!.get('neurons.weight')!
  const [rows, width] = shape as [number, number]
  const spell = (weights: Weights, row: number): string => {
    const own = weights.get('neurons.weight')!.data
    return Array.from({ length: width }, (_, i) => {
      const at = row * width + i
      return `${own[at]!}${own[at] === data[at] ? '' : '*'}`
    }).join('  ')
  }
  return {
    title,
    columns: ['neuron', ...MODELS, 'merged'],
    rows: Array.from({ length: rows }, (_, row) => [String(row + 1), ...models.map(weights => spell(weights, row))]),
    remarks: [],
  }
}

const rowOf = ({ input, base, a, b, wanted, merged }: Case): readonly string[] => [
  `(${input.join(', ')})`,
  ...[base, a, b, wanted, merged].map(String),
  wanted === merged ? '✓' : '✗',
]
