import type { MapValue, Value } from './document.ts'
import { readDocuments } from './document.ts'
import { faultAt, nearest } from './locate.ts'
import { MERGANSER_KEYS, readMerganser } from './merganser.ts'
import { looksLikeMergekit, MERGEKIT_KEYS, readMergekit } from './mergekit.ts'
import type { Expression, Recipe, SourceText } from './recipe.ts'
import { readStages } from './stages.ts'

/** Reads a recipe in YAML, in mergekit's form or Merganser's own; not yet checked. */
export function readYaml(source: SourceText): { recipe: Recipe; lets: readonly Expression[] } {
  const [root, ...others] = readDocuments(source)
  refuseVariables(source, [root!, ...others])
  if (others.length > 0) return { recipe: readStages(source, [root!, ...others]), lets: [] }
  if (root?.kind !== 'map') {
    throw faultAt(source, root!.at, 'a recipe must be a mapping', 'write `models:` and `merge:`, or a mergekit recipe; an expression alone needs its models named beside it')
  }
  if (root.entries.has('merge_method')) {
    const recipe = readMergekit(source, root)
    const name = root.entries.get('name')
    return { recipe: name ? { ...recipe, notes: [...recipe.notes, { text: 'name has no effect: it is for documents that others use', at: name.at }] } : recipe, lets: [] }
  }
  if (root.entries.has('merge')) return readMerganser(source, root)
  throw unknownForm(source, root)
}

/** What makes a recipe of it is `search`, which fills in values. */
function refuseVariables(source: SourceText, documents: readonly Value[]): void {
  for (const document of documents) {
    const entry = document.kind === 'map' ? document.entries.get('variables') : undefined
    if (entry)
      throw faultAt(source, entry.keyAt, 'this recipe has variables, whose values are to be found', 'find them with `merganser search`, whose -o writes a recipe with values')
  }
}

function unknownForm(source: SourceText, root: MapValue) {
  const entries = [...root.entries.values()]
  const known: readonly string[] = [...MERGANSER_KEYS, ...MERGEKIT_KEYS]
  const meant = entries.find(e => !known.includes(e.key) && ['merge_method', 'merge'].includes(nearest(e.key, known) ?? ''))
  if (meant) return faultAt(source, meant.keyAt, `unknown key "${meant.key}"`, `did you mean "${nearest(meant.key, known)}"?`)
  const models = root.entries.get('models')?.value
  if (looksLikeMergekit([...root.entries.keys()]) || models?.kind === 'list') {
    return faultAt(source, entries[0]?.keyAt ?? root.at, 'the recipe has no merge_method', 'add for example `merge_method: linear`; all methods: `merganser methods`')
  }
  return faultAt(source, entries[0]?.keyAt ?? root.at, 'the recipe has no merge', 'add for example `merge: base + 0.5*(math - base)`')
}
