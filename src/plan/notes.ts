import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { findTensor } from '../checkpoint/find.ts'
import type { Recipe, Settings } from '../recipe/recipe.ts'
import { modelsIn, partsOf } from '../recipe/walk.ts'
import { layerIn } from './layers.ts'
import type { Lowering, Wanted } from './lower.ts'

/** Harmless oddities that only the checkpoints show. */
export function notesOf(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, donor: string, lowering: Lowering, names: readonly string[]): string[] {
  const notes: string[] = []
  const inputs = [...checkpoints.values()].flatMap(c => [...c.tensors.keys()]) // what filters of one model see; their layers may move
  for (const filter of filtersOf(recipe)) {
    if (!names.some(name => name.includes(filter)) && !inputs.some(name => name.includes(filter)))
      notes.push(`the filter "${filter}" matches no tensor (filters are plain parts of tensor names, not patterns)`)
  }
  recipe.rules.forEach((rule, i) => {
    if (!lowering.matched.has(i))
      notes.push(`rule ${i + 1} (line ${rule.at.line}) applies to no tensor${rule.tensors ? `: none is called ${rule.tensors}, or an earlier rule takes it` : ''}`)
  })
  notes.push(...passedNotes(checkpoints, lowering, recipe.result === 'vector'))
  notes.push(...(lowering.matching?.vocabulary.notes ?? []), ...(lowering.matching?.notes() ?? []))
  for (const model of lowering.tied) notes.push(`${model} has no output head of its own: its embedding takes part as the head, as its config.json ties the two`)
  notes.push(...assumptions(recipe, checkpoints, donor, lowering))
  const architectures = new Set([...checkpoints.values()].map(c => c.architecture).filter(a => a !== null))
  if (architectures.size > 1) notes.push(`the models have different architectures: ${[...architectures].join(', ')}; config.json is that of ${donor}`)
  return notes
}

/** Whole numbers are taken from one model, even where the models do not agree on them: that deserves a word. */
function passedNotes(checkpoints: ReadonlyMap<string, Checkpoint>, { passed }: Lowering, isVector: boolean): string[] {
  const [first] = passed
  if (!first) return []
  const [one] = first
  const sources = new Set([...passed.values()].map(p => p.from.model))
  if (isVector)
    return [`${passed.size} tensor${passed.size === 1 ? '' : 's'} of whole numbers ${passed.size === 1 ? 'is' : 'are'} left out: there is no difference to take, e.g. of ${one}`]
  const notes = [
    `${passed.size} tensor${passed.size === 1 ? '' : 's'} of whole numbers pass${passed.size === 1 ? 'es' : ''} through unchanged from ${[...sources].join(', ')}, e.g. ${one}`,
  ]
  const kindIn = ({ model, name }: Wanted): string => {
    const tensor = findTensor(checkpoints.get(model)!, name)?.tensor
    return tensor ? `${tensor.dtype} [${tensor.shape}]` : 'missing'
  }
  const differing = [...passed].flatMap(([name, { from, wanted }]) => {
    const own = kindIn({ model: from.model, name: from.tensor })
    const other = wanted.find(w => kindIn(w) !== own)
    return other ? [`${name} (${own} in ${from.model}, ${kindIn(other)} in ${other.model})`] : []
  })
  if (differing.length > 0) notes.push(`${differing.length} of them ${differing.length === 1 ? 'differs' : 'differ'} between the models, e.g. ${differing[0]}`)
  return notes
}

/** Tensors of layers that config.json does not count, which no slice can name. */
function leftOut(checkpoints: ReadonlyMap<string, Checkpoint>, recipe: Recipe): string[] {
  return [...modelsIn(recipe.merge)].flatMap(model => {
    const { layers, tensors } = checkpoints.get(model)!
    const beyond = [...tensors.keys()].filter(name => [...layers.stacks].some(([stack, count]) => (layerIn(stack, name)?.index ?? 0) >= count))
    return beyond.length === 0
      ? []
      : [
          `${model}: ${beyond.length} tensor${beyond.length === 1 ? '' : 's'} of layers that its config.json does not count ${beyond.length === 1 ? 'is' : 'are'} left out of the slices, e.g. ${beyond[0]}`,
        ]
  })
}

const MAX_SHOWN = 6 // names; more would hide the note

/** What slices take for granted of a model that no family describes. */
function assumptions(recipe: Recipe, checkpoints: ReadonlyMap<string, Checkpoint>, donor: string, { structure }: Lowering): string[] {
  const { family, layers, tensors, architecture } = checkpoints.get(donor)!
  if (!structure.isSliced(recipe.merge)) return []
  if (family) return leftOut(checkpoints, recipe)
  const outside = [...tensors.keys()].filter(name => !layers.of(name))
  const spell = (role: 'before' | 'after'): string => {
    const names = outside.filter(name => (layers.role(name) === 'after') === (role === 'after'))
    return names.length === 0 ? 'nothing' : `${names.slice(0, MAX_SHOWN).join(', ')}${names.length > MAX_SHOWN ? ` and ${names.length - MAX_SHOWN} more` : ''}`
  }
  const stacks = [...layers.stacks].map(([stack, count]) => `${count} in ${stack}`).join(', ')
  return [
    `${architecture ?? 'the architecture'} is not one that Merganser knows; by the names, its layers are ${stacks}; before them: ${spell('before')}; after them: ${spell('after')}`,
  ]
}

function filtersOf(recipe: Recipe): Set<string> {
  const filters = new Set<string>()
  const collect = (settings: Settings): void => {
    for (const setting of Object.values(settings)) {
      if (!setting.filtered) continue
      for (const entry of setting.value as readonly { filter: string | null }[]) if (entry.filter !== null) filters.add(entry.filter)
    }
  }
  for (const expression of [recipe.merge, ...recipe.rules.flatMap(r => (r.action.kind === 'merge' ? [r.action.expression] : []))]) {
    for (const part of partsOf(expression)) if (part.kind === 'call') for (const settings of [part.parameters, ...part.arguments.map(a => a.parameters)]) collect(settings)
  }
  return filters
}
