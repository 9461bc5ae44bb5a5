import type { Entry, MapValue, Value } from './document.ts'
import { dtypeAt, entryOf, textOf } from './fields.ts'
import { faultAt } from './locate.ts'
import { readMergekit } from './mergekit.ts'
import type { At, Expression, ModelRef, Note, Recipe, SourceText } from './recipe.ts'
import { childrenOf } from './walk.ts'

const MAX_DOCUMENTS = 100 // reading them recurses; nobody has nearly as many
const MAX_PARTS = 20_000 // of the formula that they amount to: a stage counts as often as it is used

interface Stage {
  readonly name: string
  readonly at: At
  readonly root: MapValue
}

/**
 * Reads several documents as mergekit-multi does: those with a `name:` are stages, which others use by that name as a model;
 * the one without is the result. Stages are not merged one after another but worked into one formula, so nothing is rounded in between.
 */
export function readStages(source: SourceText, documents: readonly Value[]): Recipe {
  if (documents.length > MAX_DOCUMENTS) throw faultAt(source, documents[MAX_DOCUMENTS]!.at, `${documents.length} documents; at most ${MAX_DOCUMENTS} are read`)
  const roots = documents.map(document => asRecipe(source, document))
  const stages = roots.flatMap(root => stageOf(source, root) ?? [])
  stages.forEach((stage, i) => {
    const before = stages.slice(0, i).find(s => s.name === stage.name)
    if (before) throw faultAt(source, stage.at, `two documents are called ${stage.name}, on lines ${before.at.line} and ${stage.at.line}`, 'give each a name of its own')
  })
  const result = theResult(source, roots)
  const read = new Map<string, Recipe>()
  const open: string[] = []
  const lookup = (name: string, at: At): Expression | null => {
    const stage = stages.find(s => s.name === name)
    return stage ? readStage(stage, at).merge : null
  }
  const recipe = readMergekit(source, result, lookup)
  const used = new Set(read.keys())
  for (const stage of stages) readStage(stage, stage.at) // checks those that nothing uses, too
  refuseVast(source, recipe, read)
  const models: Record<string, ModelRef> = { ...recipe.models }
  for (const stage of used) for (const [name, reference] of Object.entries(read.get(stage)!.models)) models[name] ??= reference
  const notes = stages.flatMap(stage => [...read.get(stage.name)!.notes, ...stageNotes(source, stage, used)])
  return { ...recipe, models, stages: stages.map(s => s.name), notes: [...notes, ...recipe.notes] }

  function readStage(stage: Stage, at: At): Recipe {
    const known = read.get(stage.name)
    if (known) return known
    if (open.includes(stage.name)) {
      const circle = [...open.slice(open.indexOf(stage.name)), stage.name].join(' → ')
      throw faultAt(source, at, `${stage.name} is made from itself: ${circle}`, 'break the circle: a document can only use results of others')
    }
    open.push(stage.name)
    const fresh = readMergekit(source, stage.root, lookup)
    open.pop()
    read.set(stage.name, fresh)
    return fresh
  }
}

function asRecipe(source: SourceText, document: Value): MapValue {
  if (document.kind === 'map' && document.entries.has('merge_method')) return document
  const merge = document.kind === 'map' ? document.entries.get('merge') : undefined
  if (merge) throw faultAt(source, merge.keyAt, 'with several documents, each must be a mergekit recipe', 'name parts of an expression under `let:`, in one document')
  const first = document.kind === 'map' ? [...document.entries.values()][0] : undefined
  throw faultAt(source, first?.keyAt ?? document.at, 'this document has no merge_method', 'give each document a `merge_method:`, or remove the `---` before it')
}

const PARTS_OF_RESULT = ['tokenizer', 'tokenizer_source', 'chat_template'] as const

function stageOf(source: SourceText, root: MapValue): Stage | null {
  const entry = entryOf(root, 'name')
  if (!entry) return null
  const name = textOf(source, entry.value, 'name', 'name: math-merge')
  const [misplaced] = PARTS_OF_RESULT.flatMap(key => entryOf(root, key) ?? [])
  if (misplaced) throw faultAt(source, misplaced.keyAt, `${misplaced.key} in ${name}, a document that is only a stage`, 'move it to the document without a name, which is written')
  return { name, at: entry.at, root }
}

function theResult(source: SourceText, roots: readonly MapValue[]): MapValue {
  const unnamed = roots.filter(root => !entryOf(root, 'name'))
  const place = (root: MapValue): At => [...root.entries.values()][0]?.keyAt ?? root.at
  const [result, other] = unnamed
  if (!result) throw faultAt(source, entryOf(roots.at(-1)!, 'name')!.at, 'every document has a name, so that none is the result', 'remove `name:` from the one to write')
  if (!other) return result
  const lines = unnamed.map(root => place(root).line)
  throw faultAt(source, place(other), `${unnamed.length} documents have no name, on lines ${lines.join(', ')}`, 'give all but one a `name:`; the one without is the result')
}

function stageNotes(source: SourceText, { name, at, root }: Stage, used: ReadonlySet<string>): readonly Note[] {
  const given = (key: string): readonly Entry[] => [entryOf(root, key) ?? []].flat()
  const rounding = ['out_dtype', 'dtype'].filter(key => (dtypeAt(source, root, key) ?? 'F32') !== 'F32').flatMap(given) // float32 is what they are computed in
  const seeds = ['seed', 'random_seed'].flatMap(given)
  return [
    ...(used.has(name) ? [] : [{ text: `nothing uses ${name}`, at }]),
    ...rounding
      .slice(0, 1)
      .map(e => ({ text: `${name}: ${e.key} has no effect, as stages are never written: they are computed on the way, in float32, and not rounded`, at: e.at })),
    ...seeds.map(e => ({ text: `${name}: ${e.key} has no effect, as one seed serves the whole recipe: that of the document without a name`, at: e.at })),
  ]
}

/** Documents that use each other twice over and over would be a formula too large to write down. */
function refuseVast(source: SourceText, recipe: Recipe, stages: ReadonlyMap<string, Recipe>): void {
  const sizes = new Map<Expression, number>()
  const sizeOf = (e: Expression): number => {
    const size = sizes.get(e) ?? 1 + childrenOf(e).reduce((sum, child) => sum + sizeOf(child), 0)
    sizes.set(e, size)
    return size
  }
  const vast = [...stages.values(), recipe].find(r => sizeOf(r.merge) > MAX_PARTS)
  if (vast) throw faultAt(source, vast.merge.at, `this document uses others so often that it amounts to more than ${MAX_PARTS} models`, 'merge it in several runs')
}
