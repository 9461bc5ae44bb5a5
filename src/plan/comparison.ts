import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { findTensor, tokenAxis } from '../checkpoint/find.ts'
import { type Renaming, renameTensors } from '../checkpoint/renamed.ts'
import { MergeError } from '../errors.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { spellRename } from '../recipe/rename.ts'
import { partsOf } from '../recipe/walk.ts'
import { align } from './align.ts'
import { chooseDonor } from './donor.ts'
import { groupNames } from './grouping.ts'
import { createLowering, type Lowering } from './lower.ts'
import type { OpenedModels } from './open_models.ts'

/** Tensors that stand alike in the models, and what becomes of them. */
export interface ComparisonLine {
  /** A pattern, as rules have it. */
  readonly tensors: string
  readonly count: number
  /** Models that have them, and those that do not. */
  readonly in: readonly string[]
  readonly notIn: readonly string[]
  /** Models that use their embedding for them. */
  readonly tied: readonly string[]
  /** By model, where they differ. */
  readonly shapes: Readonly<Record<string, readonly number[]>> | null
  /** `unsettled`: no merge can be planned before the recipe says what becomes of them. */
  readonly outcome: 'merged' | 'merged by token' | 'copied' | 'dropped' | 'unsettled'
  /** The model that they are copied from. */
  readonly from: string | null
}

/** What to write in the recipe. */
export interface Proposal {
  readonly why: string
  /** Lines of YAML; of one that begins with `--`, a flag. */
  readonly lines: readonly string[]
}

/** How the tensors of the models of a merge match, grouped by layers. Plain data. */
export interface Comparison {
  readonly models: readonly string[]
  readonly lines: readonly ComparisonLine[]
  readonly proposals: readonly Proposal[]
}

/**
 * Which tensors the models of a recipe share, by name and shape, what becomes of each, and what to write where that is not settled. Null for
 * one model, for recipes that put layers together themselves, and where something else than tensors keeps the merge from being planned.
 *
 * @example
 * const recipe = parse('0.5*rm + 0.5*code', { models: { rm: 'zoo/text/rm', code: 'zoo/text/code' } })
 * console.log(compareModels(recipe, await openModels(recipe)).lines.filter(line => line.outcome === 'unsettled'))
 */
export function compareModels(recipe: Recipe, models: OpenedModels): Comparison | null {
  if (models.size < 2 || [recipe.merge].flatMap(partsOf).some(({ kind }) => kind === 'layers' || kind === 'stack' || kind === 'modules')) return null
  const donor = chooseDonor(recipe)
  const lines = linesOf(recipe, models, donor)
  if (!lines) return null
  return { models: [...models.keys()], lines, proposals: lines.some(isUnsettled) ? propose(recipe, models, donor) : [] }
}

export const isUnsettled = ({ outcome }: ComparisonLine): boolean => outcome === 'unsettled'

function linesOf(recipe: Recipe, models: OpenedModels, donor: string): readonly ComparisonLine[] | null {
  const lowering = tryLowering(recipe, models, donor)
  if (!lowering) return null
  const kinds = new Map(lowering.names.map(name => [name, JSON.stringify(stateOf(models, lowering, name))]))
  const layerOf = (name: string) => [models.get(donor)!, ...models.values()].map(({ layers }) => layers.of(name)).find(layer => layer !== null) ?? null
  return groupNames(kinds, layerOf).map(({ pattern, kind, names: members }) => ({ tensors: pattern, count: members.length, ...(JSON.parse(kind) as ReturnType<typeof stateOf>) })) // what stateOf gave
}

/** Null where the recipe cannot be lowered at all. */
function tryLowering(recipe: Recipe, models: OpenedModels, donor: string): Lowering | null {
  try {
    return createLowering(recipe, models, donor)
  } catch (error) {
    if (error instanceof MergeError) return null // `plan` tells it
    throw error
  }
}

function stateOf(models: OpenedModels, lowering: Lowering, name: string): Omit<ComparisonLine, 'tensors' | 'count'> {
  const found = [...models].map(([model, checkpoint]) => ({ model, found: findTensor(checkpoint, name) }))
  const holders = found.flatMap(({ model, found: own }) => (own ? [{ model, shape: own.tensor.shape, isTied: own.as === 'embedding' }] : []))
  const differ = holders.some(({ shape }) => `${shape}` !== `${holders[0]!.shape}`)
  return {
    in: holders.map(h => h.model),
    notIn: found.filter(f => f.found === null).map(f => f.model),
    tied: holders.filter(h => h.isTied).map(h => h.model),
    shapes: differ ? Object.fromEntries(holders.map(({ model, shape }) => [model, shape])) : null,
    ...outcomeOf(lowering, name),
  }
}

function outcomeOf(lowering: Lowering, name: string): Pick<ComparisonLine, 'outcome' | 'from'> {
  try {
    const lowered = lowering.lower(name)
    if (!lowered) return { outcome: 'dropped', from: null }
    if (lowered.copyOf) return { outcome: 'copied', from: lowered.copyOf.model }
    return { outcome: lowered.matched ? 'merged by token' : 'merged', from: null }
  } catch (error) {
    if (error instanceof MergeError) return { outcome: 'unsettled', from: null }
    throw error
  }
}

/** Names first; then, as if they were taken up, what to do with the tensors that are left. */
function propose(recipe: Recipe, models: OpenedModels, donor: string): readonly Proposal[] {
  const lead = models.get(donor)!
  const proposals: Proposal[] = []
  let renamed: ReadonlyMap<string, Checkpoint> = models
  let left = leftIn(renamed)
  for (const [model, checkpoint] of models) {
    const reference = recipe.models[model]!
    if (model === donor || reference.rename || reference.isAdapter) continue
    const alignment = align(lead, checkpoint)
    if (!alignment) continue
    const { renamings, matched, before } = alignment
    const then = new Map(renamed).set(model, renameTensors(checkpoint, renamings[0]!))
    const fewer = leftIn(then)
    if (countOf(fewer) >= countOf(left)) continue // they meet by another spelling of their family already
    const why = `${matched} tensors of ${model} meet those of ${donor}, not ${before}, when it is renamed`
    proposals.push({
      why: `${why}${whereToWrite(recipe, true)}${renamings.length > 1 ? '; which of these is meant only you can tell' : ''}`,
      lines: renamings.map(renaming => spell(recipe, model, checkpoint, renaming)),
    })
    renamed = then
    left = fewer
  }
  return [...proposals, ...proposeVocabulary(recipe, lead, left), ...proposeRules(recipe, donor, lead, left)]

  function leftIn(checkpoints: ReadonlyMap<string, Checkpoint>): readonly ComparisonLine[] {
    const opened: OpenedModels = Object.assign(new Map(checkpoints), { tokenizers: models.tokenizers ?? new Map(), generationText: models.generationText ?? null })
    return (linesOf(recipe, opened, donor) ?? []).filter(isUnsettled)
  }
}

const countOf = (lines: readonly ComparisonLine[]): number => lines.reduce((sum, { count }) => sum + count, 0)

/** Neither mergekit's form nor the command line has all that may be proposed. */
function whereToWrite({ form }: Recipe, hasFlag: boolean): string {
  if (form === 'mergekit') return ', in a recipe of Merganser’s own form'
  return form === 'expression' && !hasFlag ? ', in a recipe' : ''
}

function spell(recipe: Recipe, model: string, { ref }: Checkpoint, renaming: Renaming): string {
  const rename = spellRename(renaming)
  return recipe.form === 'expression' ? `--rename '${model}=${rename}'` : `${model}: { ${/[+@]/.test(ref) ? 'model' : 'path'}: ${JSON.stringify(ref)}, rename: ${rename} }` // a path is one whatever it holds
}

/** Whether a line is of embeddings whose heights differ, and nothing else. */
const isVocabulary = (lead: Checkpoint, { tensors, shapes, notIn }: ComparisonLine): boolean =>
  shapes !== null && notIn.length === 0 && tokenAxis(lead, tensors) !== null && new Set(Object.values(shapes).map(shape => `${shape.slice(1)}`)).size === 1

function proposeVocabulary({ form, vocabulary, tokenizer }: Recipe, lead: Checkpoint, lines: readonly ComparisonLine[]): readonly Proposal[] {
  if (vocabulary || tokenizer || !lines.some(line => isVocabulary(lead, line))) return []
  const why = 'the vocabularies differ: merge the rows of tokens that all models share'
  return [{ why, lines: [form === 'mergekit' ? 'tokenizer_source: base' : form === 'expression' ? '--vocab common' : 'vocab: common'] }]
}

/** What config.json is for stays; what it is not for goes. */
function proposeRules(recipe: Recipe, donor: string, lead: Checkpoint, lines: readonly ComparisonLine[]): readonly Proposal[] {
  const open = lines.filter(line => recipe.vocabulary !== null || recipe.tokenizer !== null || !isVocabulary(lead, line))
  if (open.length === 0) return []
  const rules = open.map(line => {
    const isKept = line.in.includes(donor)
    const action = isKept ? `from: ${donor} }` : `drop: true }`
    const why = line.shapes ? 'shapes differ' : isKept ? `not in ${line.notIn.join(', ')}` : `${donor} has none; or \`from: ${line.in[0]}\``
    return `  - { tensors: '${line.tensors.replaceAll("'", "''")}', ${action} # ${why}`
  })
  return [{ why: `say what becomes of the tensors that not all models have alike${whereToWrite(recipe, false)}`, lines: ['rules:', ...rules] }]
}
