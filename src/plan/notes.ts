import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import type { Expression, Recipe, Settings } from '../recipe/recipe.ts'
import type { Lowering } from './lower.ts'

/** Harmless oddities that only the checkpoints show. */
export function notesOf(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, donor: string, lowering: Lowering, names: readonly string[]): string[] {
  const notes: string[] = []
  for (const filter of filtersOf(recipe)) {
    if (!names.some(name => name.includes(filter))) notes.push(`the filter "${filter}" matches no tensor (filters are plain parts of tensor names, not patterns)`)
  }
  recipe.rules.forEach((rule, i) => {
    if (!lowering.matched.has(i))
      notes.push(`rule ${i + 1} (line ${rule.at.line}) applies to no tensor${rule.tensors ? `: none is called ${rule.tensors}, or an earlier rule takes it` : ''}`)
  })
  notes.push(...passedNotes(checkpoints, lowering))
  const architectures = new Set([...checkpoints.values()].map(c => c.architecture).filter(a => a !== null))
  if (architectures.size > 1) notes.push(`the models have different architectures: ${[...architectures].join(', ')}; config.json is that of ${donor}`)
  return notes
}

/** Whole numbers are taken from one model, even where the models do not agree on them: that deserves a word. */
function passedNotes(checkpoints: ReadonlyMap<string, Checkpoint>, { passed }: Lowering): string[] {
  const [first] = passed
  if (!first) return []
  const [one] = first
  const sources = new Set([...passed.values()].map(p => p.from))
  const notes = [
    `${passed.size} tensor${passed.size === 1 ? '' : 's'} of whole numbers pass${passed.size === 1 ? 'es' : ''} through unchanged from ${[...sources].join(', ')}, e.g. ${one}`,
  ]
  const differing = [...passed].flatMap(([name, { from, models }]) => {
    const kinds = models.map(m => kindIn(checkpoints.get(m)!, name))
    const other = kinds.findIndex(kind => kind !== kindIn(checkpoints.get(from)!, name))
    return other < 0 ? [] : [`${name} (${kindIn(checkpoints.get(from)!, name)} in ${from}, ${kinds[other]} in ${models[other]})`]
  })
  if (differing.length > 0) notes.push(`${differing.length} of them ${differing.length === 1 ? 'differs' : 'differ'} between the models, e.g. ${differing[0]}`)
  return notes
}

function kindIn({ tensors }: Checkpoint, name: string): string {
  const tensor = tensors.get(name)
  return tensor ? `${tensor.dtype} [${tensor.shape}]` : 'missing'
}

function filtersOf(recipe: Recipe): Set<string> {
  const filters = new Set<string>()
  const collect = (settings: Settings): void => {
    for (const setting of Object.values(settings)) {
      if (!setting.filtered) continue
      for (const entry of setting.value as readonly { filter: string | null }[]) if (entry.filter !== null) filters.add(entry.filter)
    }
  }
  const walk = (e: Expression): void => {
    if (e.kind === 'negate') walk(e.of)
    if (e.kind === 'binary') [e.left, e.right].forEach(walk)
    if (e.kind !== 'call') return
    collect(e.parameters)
    if (e.base) walk(e.base)
    for (const argument of e.arguments) {
      collect(argument.parameters)
      walk(argument.expression)
    }
  }
  walk(recipe.merge)
  for (const rule of recipe.rules) if (rule.action.kind === 'merge') walk(rule.action.expression)
  return filters
}
