import { sizeOf } from '../dtype.ts'
import type { Measured } from './diagnose.ts'
import type { Subjects } from './subjects.ts'

/** Something that a gate has found. */
export interface Finding {
  readonly gate: 'non-finite' | 'lineage' | 'duplicate' | 'norm' | 'shared neurons' | 'damage'
  /** `stop`: a merge of these models cannot be expected to work. `warn`: merges have failed of it. */
  readonly severity: 'stop' | 'warn'
  readonly models: readonly string[]
  readonly what: string
  readonly remedy: string
}

// Where the limits are from is told in docs/diagnose.md. None is fitted to the models they are tested on.

/** Halfway between 0, of networks trained from different starts, and 1, of a fine-tune and its base. */
const RELATED_COSINE = 0.5
/** Fine-tunes of one base are closer than this. */
const SIBLING_COSINE = 0.99
/** ‖τ‖ ÷ ‖θ₀‖ beyond which a fine-tune has left the neighbourhood of its base. */
const FAR = 0.2
/** Longest ÷ shortest task vector from which the longer is heard over the shorter. */
const UNEVEN = 3
/** Entries from which a matrix tells lineage: the cosine of n random entries is about 1/√n, so that RELATED_COSINE is five times what chance gives. */
export const TELLING_ENTRIES = 100
/** R of a recipe that leaves the task out. */
const WORSE_THAN_NOTHING = 1
/** Of a task's change in neurons that another task rewrites too. */
const MOSTLY_REWRITTEN = 0.5

/** What the gates say, the worst first. */
export function findingsOf(subjects: Subjects, measures: readonly Measured[]): readonly Finding[] {
  const of = (measure: string): readonly Measured[] => measures.filter(m => m.measure === measure)
  const all = [
    ...of('nonfinite').flatMap(nonfinite),
    ...of('lineage').flatMap(m => lineage(m, subjects)),
    ...duplicates(subjects, of('equal_entries'), of('changed_entries')),
    ...norms(of('relative_norm'), of('norm')),
    ...of('rewritten_rows').flatMap(rewritten),
    ...of('directional_damage').flatMap(damage),
  ]
  const unrelated = new Set(all.filter(f => f.gate === 'lineage' && f.severity === 'stop').flatMap(f => f.models))
  const told = all.filter(f => !(unrelated.size > 0 && f.gate === 'damage') && !(FOLLOWS.has(f.gate) && f.models.some(model => unrelated.has(model)))) // follows from it
  return [...told.filter(f => f.severity === 'stop'), ...told.filter(f => f.severity === 'warn')]
}

/** What is no news of models that are not related. */
const FOLLOWS: ReadonlySet<Finding['gate']> = new Set(['norm', 'shared neurons', 'damage'])

function nonfinite({ of, value, tensors }: Measured): Finding[] {
  if (value === 0) return []
  const where = Object.keys(tensors).filter(name => tensors[name] !== 0)
  return [
    {
      gate: 'non-finite',
      severity: 'stop',
      models: of,
      what: `${of[0]} has ${value === 1 ? 'a value' : `${value} values`} that ${value === 1 ? 'is' : 'are'} not finite, ${few(where)}`,
      remedy: 'use an undamaged copy of the model',
    },
  ]
}

/** Whether chance could not make the cosine of such a matrix with another look like kinship. */
export const isTelling = ({ shape }: { readonly shape: readonly number[] }): boolean => shape.length > 1 && sizeOf(shape) >= TELLING_ENTRIES

/** Matrices only count here: vectors of norms and biases look alike in networks that share nothing. */
function lineage({ of, value, tensors }: Measured, { base, tensors: subjects }: Subjects): Finding[] {
  const matrices = subjects.filter(isTelling).flatMap(({ name }) => (typeof tensors[name] === 'number' ? [{ name, cosine: tensors[name] }] : []))
  if (matrices.length === 0) return []
  const strange = matrices.filter(m => m.cosine < RELATED_COSINE)
  const model = of[0]!
  if (strange.length > 0) {
    const same = matrices.filter(m => m.cosine > SIBLING_COSINE)
    const isMost = strange.length > matrices.length / 2
    const numbers = `${strange.length} of ${matrices.length} matrices have a cosine to the base’s below ${RELATED_COSINE}`
    const shuffled = `${few(same.map(m => m.name))} ${same.length === 1 ? 'is' : 'are'} the base’s, so it may be a fine-tune whose neurons stand in another order`
    const why = same.length > 0 ? shuffled : `no matrix is near the base’s, as in a network trained from another start`
    return [
      {
        gate: 'lineage',
        severity: isMost ? 'stop' : 'warn',
        models: [model],
        what: `${model} does not match ${base}: ${numbers}, ${isMost ? why : few(strange.map(m => m.name))}`,
        remedy: isMost
          ? `use a model that was fine-tuned from ${base}, or give the base that this one has`
          : 'take these tensors unchanged from one model, if they were made anew (a head, say)',
      },
    ]
  }
  if (value === null || value >= SIBLING_COSINE) return []
  return [
    {
      gate: 'lineage',
      severity: 'warn',
      models: [model],
      what: `${model} is further from ${base} than fine-tunes are: cosine ${value.toFixed(3)} between their weights, where siblings have more than ${SIBLING_COSINE}`,
      remedy: 'check that the base is right, and that training did not go wrong (a learning rate too high)',
    },
  ]
}

function duplicates({ base }: Subjects, equal: readonly Measured[], changed: readonly Measured[]): Finding[] {
  const twice = equal
    .filter(m => m.value === 1)
    .map(({ of }): Finding => {
      return { gate: 'duplicate', severity: 'warn', models: of, what: `${of.join(' and ')} are the same model`, remedy: 'name each model once: twice counts it double' }
    })
  const idle = changed
    .filter(m => m.value === 0)
    .map(({ of }): Finding => {
      return {
        gate: 'duplicate',
        severity: 'warn',
        models: of,
        what: `${of[0]} is ${base} itself: its task vector is zero`,
        remedy: 'leave it out, or give the model that was meant',
      }
    })
  return [...twice, ...idle]
}

function norms(relative: readonly Measured[], lengths: readonly Measured[]): Finding[] {
  const far = relative
    .filter(m => m.value !== null && m.value > FAR)
    .map(({ of, value }): Finding => {
      const what = `${of[0]} has moved ${value!.toFixed(2)} of the base’s length away from it, more than ${FAR}`
      return { gate: 'norm', severity: 'warn', models: of, what, remedy: `give ${of[0]} a lower weight, or train it with a lower learning rate` }
    })
  const sorted = lengths.filter(m => m.value !== null && m.value > 0).toSorted((a, b) => a.value! - b.value!)
  const [least, most] = [sorted[0], sorted.at(-1)]
  if (!least || !most || most.value! <= UNEVEN * least.value!) return far
  const [short, long] = [least.of[0]!, most.of[0]!]
  const what = `the task vector of ${long} is ${(most.value! / least.value!).toFixed(1)} times as long as that of ${short}, more than ${UNEVEN}`
  return [...far, { gate: 'norm', severity: 'warn', models: [long, short], what, remedy: `scale them to one length: scale_to(${long} - base, like=${short} - base)` }]
}

function rewritten({ of: [task, other], value }: Measured): Finding[] {
  if (value === null || value <= MOSTLY_REWRITTEN) return []
  const what = `${percent(value)} of what ${task} changes lies in neurons that ${other} rewrites too, each by half their length or more`
  return [
    {
      gate: 'shared neurons',
      severity: 'stop',
      models: [task!, other!],
      what,
      remedy: 'no coefficient gives each task neurons of its own: train one on top of the other, or together',
    },
  ]
}

function damage({ of, value, error }: Measured): Finding[] {
  if (value === null || value - 2 * (error ?? 0) <= WORSE_THAN_NOTHING) return [] // beyond the error of the estimate
  const what = `directional damage on ${of[0]} is ${value.toFixed(2)}${error ? ` ± ${error.toFixed(2)}` : ''}: for its inputs the recipe does more harm than leaving it out`
  return [{ gate: 'damage', severity: 'warn', models: of, what, remedy: 'lower the weights of the other models, or raise that of this one' }]
}

export const percent = (share: number): string => `${share > 0 && share < 0.01 ? '<1' : Math.round(100 * share)} %`

/** Some names. */
const few = (names: readonly string[]): string => (names.length <= 2 ? `${names.join(' and ')}` : `${names[0]} and ${names.length - 1} others`)
