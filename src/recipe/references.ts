import type { Entry, MapValue, Value } from './document.ts'
import { checkKeys, entryOf, mapOf, textOf } from './fields.ts'
import { faultAt } from './locate.ts'
import type { ModelRef, SourceText } from './recipe.ts'

/** Reads `path[@revision][+lora[@revision]]`. Text with more signs than that is one path. */
export function referenceOf(text: string, at: ModelRef['at']): ModelRef {
  const halves = text.split('+').map(half => half.split('@'))
  const whole = plain(text, at)
  if (halves.length > 2 || halves.some(parts => parts.length > 2 || parts.some(part => part === ''))) return whole
  const [[path, revision = null], adapter] = halves as [[string, string?], [string, string?]?] // split gives at least one part
  return { ...whole, path, revision, lora: adapter ? { path: adapter[0], revision: adapter[1] ?? null } : null }
}

const plain = (path: string, at: ModelRef['at']): ModelRef => ({ text: path, path, revision: null, lora: null, at })

/** A reference as text, whatever form it was written in: what names the model in mergekit's form. */
export function referenceText({ text, path, revision, lora }: ModelRef): string {
  const versioned = (part: { readonly path: string; readonly revision: string | null }): string => (part.revision === null ? part.path : `${part.path}@${part.revision}`)
  return text ?? `${versioned({ path, revision })}${lora ? `+${versioned(lora)}` : ''}`
}

/** Reads a model given as text, as `{path, revision}`, or as `{model: {path, revision}, lora: {path, revision}}`. */
export function readReference(source: SourceText, value: Value, key: string, example = `${key}: path/to/model`): ModelRef {
  if (value.kind !== 'map') return referenceOf(textOf(source, value, key, example), value.at)
  const override = entryOf(value, 'override_architecture')
  if (override) throw faultAt(source, override.keyAt, 'override_architecture has no meaning here', 'remove it: models of one architecture merge whatever it is called')
  checkKeys(source, value, ['model', 'path', 'revision', 'lora'])
  const [inner, doubled] = ['model', 'path'].flatMap(name => entryOf(value, name) ?? [])
  if (!inner) throw faultAt(source, value.at, `${key} has no path`, `write \`${key}: path/to/model\``)
  if (doubled) throw faultAt(source, doubled.keyAt, `${key} has both model and path`, 'keep one of the two')
  const lora = readAdapter(source, entryOf(value, 'lora'))
  const revision = readRevision(source, value)
  const model = inner.key === 'path' ? plain(textOf(source, inner.value, 'path', 'path: path/to/model'), inner.value.at) : readReference(source, inner.value, 'model')
  if (revision === null && lora === null) return model
  if (revision !== null && model.revision !== null) throw faultAt(source, entryOf(value, 'revision')!.keyAt, `${key} has two revisions`, 'keep one of the two')
  if (lora !== null && model.lora !== null) throw faultAt(source, entryOf(value, 'lora')!.keyAt, `${key} has two adapters`, 'keep one of the two')
  return { ...model, text: null, revision: revision ?? model.revision, lora: lora ?? model.lora }
}

function readAdapter(source: SourceText, entry: Entry | null): ModelRef['lora'] {
  if (!entry) return null
  const example = 'lora: {path: path/to/adapter}'
  if (entry.value.kind === 'map') {
    const map = mapOf(source, entry.value, 'lora', example)
    checkKeys(source, map, ['path', 'revision'])
    const path = entryOf(map, 'path')
    if (!path) throw faultAt(source, map.at, 'lora has no path', `write \`${example}\``)
    return { path: textOf(source, path.value, 'path', 'path: path/to/adapter'), revision: readRevision(source, map) }
  }
  const [path, revision = null, ...more] = textOf(source, entry.value, 'lora', example).split('@')
  return more.length > 0 ? { path: [path, revision, ...more].join('@'), revision: null } : { path: path!, revision }
}

function readRevision(source: SourceText, map: MapValue): string | null {
  const entry = entryOf(map, 'revision')
  return entry && textOf(source, entry.value, 'revision', 'revision: main')
}
