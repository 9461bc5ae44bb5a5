import { assert } from './errors.ts'
import { parseJson } from './json.ts'

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/**
 * JSON text with some values replaced or added, and every other character as it was: the order of keys, white space, integers beyond 2^53,
 * Python's `Infinity`. A change is named by the keys that lead to it with dots between, `text_config.vocab_size`; a key that has a dot itself
 * cannot be named. A key that is missing comes last in its object; a list that takes the place of one is laid out like it, on one line or over several. The text
 * must be one that `parseJson` accepts, the object must be there, and numbers must be finite.
 *
 * @example
 * patchJson('{"vocab_size": 8, "rope": Infinity}', { vocab_size: 9, torch_dtype: 'float16' }) // '{"vocab_size": 9, "rope": Infinity, "torch_dtype": "float16"}'
 */
export function patchJson(text: string, changes: Readonly<Record<string, JsonValue>>): string {
  const objects = objectsIn(text)
  const edits = Object.entries(changes).map(([path, value]): Edit => {
    const keys = path.split('.')
    const last = keys.pop()!
    const object = objects.get(idOf(keys))
    assert(object, `config text has the object that ${path} lies in`)
    const known = object.members.get(last)
    return known ? { ...known, text: spellLike(text.slice(known.start, known.end), value) } : addition(text, object, last, value)
  })
  let patched = ''
  let done = 0
  for (const edit of edits.sort((a, b) => a.start - b.start)) {
    patched += text.slice(done, edit.start) + edit.text
    done = edit.end
  }
  return patched + text.slice(done)
}

/** What stands for the characters [start, end). */
interface Edit extends Span {
  readonly text: string
}
interface Span {
  readonly start: number
  readonly end: number
}
interface Place {
  /** Just after its "{". */
  readonly open: number
  /** The values by key, in the order written. */
  readonly members: Map<string, Span & { readonly key: number }>
  added: number
}

/** The objects that lie in nothing but objects, by the keys that lead to them. */
function objectsIn(text: string): ReadonlyMap<string, Place> {
  const objects = new Map<string, Place>()
  const placeOf = (keys: readonly string[]): Place => {
    const id = idOf(keys)
    const place = objects.get(id) ?? { open: 0, members: new Map(), added: 0 }
    objects.set(id, place)
    return place
  }
  const isObject = (start: number): boolean => text[start] === '{'
  const root = text.search(/\S/)
  if (isObject(root)) objects.set(idOf([]), { ...placeOf([]), open: root + 1 })
  parseJson(text, reason => assert(false, `the text is JSON, but ${reason}`) as never, {
    pythonNumbers: true,
    onMember(keys, key, start, end) {
      placeOf(keys.slice(0, -1)).members.set(keys.at(-1)!, { key, start, end })
      if (isObject(start)) objects.set(idOf(keys), { ...placeOf(keys), open: start + 1 }) // told after its own members
    },
  })
  return objects
}

/** A new member after the last, written as that one is. */
function addition(text: string, object: Place, key: string, value: JsonValue): Edit {
  const last = [...object.members.values()].at(-1)
  const isFirst = !last && object.added++ === 0
  const at = last?.end ?? object.open
  const colon = last ? /\s*:\s*$/.exec(text.slice(last.key, last.start))![0] : ': '
  const before = last ? /\s*$/.exec(text.slice(0, last.key))![0] || /\s*$/.exec(colon)![0] : ' '
  return { start: at, end: at, text: `${isFirst ? '' : `,${before}`}${JSON.stringify(key)}${colon}${spell(value)}` }
}

const idOf = (keys: readonly string[]): string => JSON.stringify(keys)

/** A list with the white space of the list `before`. */
function spellLike(before: string, value: JsonValue): string {
  const [, open = ''] = /^\[(\s*)/.exec(before) ?? []
  const [, close = ''] = /[^[\s](\s*)\]$/.exec(before) ?? []
  return Array.isArray(value) && value.length > 0 && open.includes('\n') ? `[${open}${value.map(spell).join(`,${open}`)}${close}]` : spell(value)
}

/** On one line, as Python writes it. */
function spell(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(spell).join(', ')}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, member]) => `${JSON.stringify(key)}: ${spell(member as JsonValue)}`)
      .join(', ')}}`
  assert(typeof value !== 'number' || Number.isFinite(value), 'numbers written into JSON are finite')
  return JSON.stringify(value)
}
