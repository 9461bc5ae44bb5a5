import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, parseAllDocuments, Scalar, type YAMLError } from 'yaml'
import { MergeError } from '../errors.ts'
import { faultAt, locator } from './locate.ts'
import { placedIn } from './placed.ts'
import type { At, SourceText } from './recipe.ts'
import type { Placed } from './tokens.ts'

/** A YAML value with its place: anchors, aliases and merge keys already worked in. */
export type Value = TextValue | ListValue | MapValue
export interface TextValue {
  readonly kind: 'scalar'
  readonly value: string | number | boolean | null
  readonly at: At
  /** The value as text to be read as an expression. */
  readonly placed: Placed
}
export interface ListValue {
  readonly kind: 'list'
  readonly items: readonly Value[]
  readonly at: At
  readonly placed: Placed
}
export interface MapValue {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, Entry>
  readonly at: At
}
export interface Entry {
  readonly key: string
  readonly keyAt: At
  readonly value: Value
  /** Key and value, when they stand on one line. */
  readonly at: At
}

const MAX_CHARACTERS = 1_000_000 // the YAML reader takes seconds for this much; no recipe comes near
const MAX_NESTING = 200 // the YAML reader recurses; V8 aborts far above this
const MAX_INDENT = 400 // each column may be one level

/** Reads the YAML documents of a text, empty ones left out. Syntax errors, duplicate keys and unknown tags are MergeErrors at their place. */
export function readDocuments(source: SourceText): readonly Value[] {
  refuseOversize(source)
  const parsed = parseAllDocuments(source.text, { prettyErrors: false, uniqueKeys: false, keepSourceTokens: true })
  const documents: readonly Document[] = 'empty' in parsed ? [] : parsed
  const at = locator(source.text)
  const values = documents.flatMap(({ errors, warnings, contents }) => {
    const error = errors[0] ?? warnings[0]
    if (error) throw syntaxError(source, error, at)
    if (!contents || (isScalar(contents) && contents.value === null && !contents.source)) return []
    const reader: Reader = { source, at, anchors: new Map(), known: new Map(), open: new Set() } // anchors end with their document
    return [convert(reader, contents)]
  })
  if (values.length === 0) throw new MergeError('the recipe is empty', { where: source.name, fix: 'write at least `models:` and `merge:`, or a mergekit recipe' })
  return values
}

function refuseOversize(source: SourceText): void {
  const { text, name } = source
  if (text.length > MAX_CHARACTERS)
    throw new MergeError(`the recipe is ${text.length} characters long; at most ${MAX_CHARACTERS} are read`, { where: name, fix: 'is this the right file?' })
  let depth = 0
  let deepest = 0
  for (const character of text) {
    if (character === '[' || character === '{') deepest = Math.max(deepest, ++depth)
    else if (character === ']' || character === '}') depth = Math.max(0, depth - 1)
  }
  if (deepest > MAX_NESTING || new RegExp(`^[ \\t?:-]{${MAX_INDENT}}`, 'm').test(text)) {
    throw new MergeError(`the recipe is nested more than ${MAX_NESTING} levels deep`, { where: name, fix: 'is this the right file?' })
  }
}

function syntaxError(source: SourceText, error: YAMLError, at: Reader['at']): MergeError {
  const place = at(error.pos[0], error.pos[1])
  if (error.code === 'TAB_AS_INDENT') return faultAt(source, place, 'a tab indents this line, and YAML allows only spaces', 'replace the tab with spaces')
  if (error.code === 'TAG_RESOLVE_FAILED') return faultAt(source, place, `the tag ${source.text.slice(...error.pos)} has no meaning in a recipe`, 'remove it')
  if (error.code === 'MISSING_CHAR' && /quote/.test(error.message)) return faultAt(source, place, 'a quoted text is not closed', 'add the missing quote')
  const line = source.text.split('\n')[place.line - 1] ?? ''
  const fix = /^\s*(- *)?merge:/.test(line) ? "put the expression in quotes: `merge: '…'`" : 'check the indentation, colons, brackets and quotes of this line'
  return faultAt(source, place, `not valid YAML: ${error.message.charAt(0).toLowerCase()}${error.message.slice(1)}`, fix)
}

interface Reader {
  readonly source: SourceText
  readonly at: (start: number, end: number) => At
  readonly anchors: Map<string, Node>
  /** Each node is converted once, so that aliases cost nothing however often they are used. */
  readonly known: Map<Node, Value>
  /** Nodes being converted: an alias to one of them is a cycle. */
  readonly open: Set<Node>
}

function convert(r: Reader, node: Node): Value {
  if (isAlias(node)) {
    const at = placeOf(r, node)
    const target = r.anchors.get(node.source)
    if (!target) throw faultAt(r.source, at, `unknown alias "*${node.source}"`, `define it above with \`&${node.source}\`; a text that begins with * needs quotes`)
    if (r.open.has(target)) throw faultAt(r.source, at, `"*${node.source}" refers to itself`, 'write the value out')
    return r.known.get(target)!
  }
  if ('anchor' in node && node.anchor) r.anchors.set(node.anchor, node)
  r.open.add(node)
  const value = convertContents(r, node)
  r.open.delete(node)
  r.known.set(node, value)
  return value
}

function convertContents(r: Reader, node: Node): Value {
  const at = placeOf(r, node)
  if (isMap(node)) return { kind: 'map', entries: entriesOf(r, node.items as Pair<Node, Node | null>[], at), at }
  const placed = placedIn(r.source, r.at, node)
  if (isSeq(node)) return { kind: 'list', items: node.items.map(item => convert(r, item as Node)), at, placed } // parseDocument makes nodes of all items
  const value: unknown = isScalar(node) ? node.value : null
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return { kind: 'scalar', value, at, placed }
  throw faultAt(r.source, at, 'a value of this kind has no place in a recipe', 'write text, numbers, true or false')
}

function entriesOf(r: Reader, pairs: readonly Pair<Node, Node | null>[], mapAt: At): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  const merged: Entry[] = []
  for (const { key, value } of pairs) {
    const keyAt = key ? placeOf(r, key) : mapAt
    const keyValue = key ? convert(r, key) : null
    if (keyValue?.kind !== 'scalar') throw faultAt(r.source, keyAt, 'a key must be a word', 'write `key: value`')
    const name = keyValue.value === null ? keyValue.placed.text : String(keyValue.value)
    const content = value ? convert(r, value) : { ...keyValue, value: null }
    if (isScalar(key) && key.type === Scalar.PLAIN && name === '<<') {
      merged.push(...mergedEntries(r, content))
      continue
    }
    const before = entries.get(name)
    if (before) throw faultAt(r.source, keyAt, `"${name}" is written twice`, `it is already on line ${before.keyAt.line}; keep one of the two`)
    const valueAt = value && !isAlias(value) ? placeOf(r, value) : keyAt
    entries.set(name, { key: name, keyAt, value: content, at: valueAt.line === keyAt.line && valueAt.end > keyAt.end ? { ...keyAt, end: valueAt.end } : keyAt })
  }
  for (const entry of merged) if (!entries.has(entry.key)) entries.set(entry.key, entry)
  return entries
}

/** What `<<:` brings in: a mapping, or several of which the first to name a key wins. */
function mergedEntries(r: Reader, value: Value): readonly Entry[] {
  if (value.kind === 'map') return [...value.entries.values()]
  if (value.kind === 'list') return value.items.flatMap(item => mergedEntries(r, item))
  throw faultAt(r.source, value.at, '"<<" takes a mapping', 'write `<<: *name`, where `&name` marks a mapping')
}

function placeOf(r: Reader, node: Node): At {
  const [start, end] = node.range ?? [0, 1]
  return r.at(start, end)
}
