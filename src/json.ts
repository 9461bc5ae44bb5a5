import { MergeError } from './errors.ts'

/** Called with the reason, its character position in the text, and the keys of the objects around it; throws. */
export type JsonFault = (reason: string, at: number, keys: readonly string[]) => never

export interface JsonRules {
  /** Containers within containers; deeper text is refused before it can exhaust the stack. */
  readonly maxDepth?: number
  /** Told of every member that lies in nothing but objects: the keys that lead to it, and where in the text its key begins and its value stands, [start, end). */
  readonly onMember?: (keys: readonly string[], key: number, start: number, end: number) => void
  /** Accept NaN and ±Infinity, which Python's json module writes: Mamba-2's config.json has `Infinity`. */
  readonly pythonNumbers?: boolean
}

const MAX_DEPTH = 100 // configurations nest less than ten deep; recursion stays far below the stack's end

/**
 * The value of JSON text, strictly read. Objects have no prototype, so any key is harmless. Unlike JSON.parse it refuses a key that appears
 * twice in one object (JSON.parse keeps the last without a word), bounds the nesting, and words its errors the same in every engine.
 */
export function parseJson(text: string, onFault: JsonFault, { maxDepth = MAX_DEPTH, pythonNumbers = false, onMember }: JsonRules = {}): unknown {
  const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
  const keys: string[] = []
  let at = 0
  const result = value(1)
  next()
  if (at < text.length) unexpected('the end')
  return result

  function fault(reason: string, position: number): never {
    return onFault(reason, position, keys)
  }

  /** Skips white space; the code of the next character, NaN at the end. */
  function next(): number {
    for (; ; at++) {
      const code = text.charCodeAt(at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code
    }
  }

  function unexpected(wanted: string): never {
    return fault(at < text.length ? `expected ${wanted}, found ${show(text[at])}` : `expected ${wanted}, but the text ends`, at)
  }

  function value(depth: number): unknown {
    const code = next()
    if (code === QUOTE) return string()
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (depth > maxDepth) fault(`nested deeper than ${maxDepth} levels`, at)
      return code === OPEN_BRACE ? object(depth) : array(depth)
    }
    number.lastIndex = at
    if (number.test(text)) {
      const start = at
      at = number.lastIndex
      return Number(text.slice(start, at))
    }
    for (const [word, meaning] of pythonNumbers ? PYTHON_WORDS : WORDS) {
      if (!text.startsWith(word, at)) continue
      at += word.length
      return meaning
    }
    return unexpected('a value')
  }

  function object(depth: number): Record<string, unknown> {
    const members: Record<string, unknown> = Object.create(null)
    at++
    if (next() === CLOSE_BRACE) {
      at++
      return members
    }
    for (;;) {
      if (next() !== QUOTE) unexpected('a quoted key')
      const start = at
      const key = string()
      if (key in members) fault(`the key ${show(key)} appears twice`, start)
      if (next() !== COLON) unexpected('":"')
      at++
      keys.push(key)
      next()
      const from = at
      members[key] = value(depth + 1)
      if (keys.length === depth) onMember?.(keys, start, from, at) // arrays count as depth, and have no keys
      keys.pop()
      const code = next()
      if (code !== COMMA && code !== CLOSE_BRACE) unexpected('"," or "}"')
      at++
      if (code === CLOSE_BRACE) return members
    }
  }

  function array(depth: number): unknown[] {
    const items: unknown[] = []
    at++
    if (next() === CLOSE_BRACKET) {
      at++
      return items
    }
    for (;;) {
      items.push(value(depth + 1))
      const code = next()
      if (code !== COMMA && code !== CLOSE_BRACKET) unexpected('"," or "]"')
      at++
      if (code === CLOSE_BRACKET) return items
    }
  }

  function string(): string {
    const start = at
    let escaped = false
    for (at++; ; at++) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) break
      if (code === BACKSLASH) {
        escaped = true
        at++
      } else if (!(code >= 0x20)) {
        fault(at < text.length ? 'a control character inside a string' : 'the text ends inside a string', Math.min(at, text.length))
      }
    }
    at++
    if (!escaped) return text.slice(start + 1, at - 1)
    try {
      return JSON.parse(text.slice(start, at))
    } catch {
      return fault('a faulty escape inside a string', start)
    }
  }
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const WORDS: readonly (readonly [string, unknown])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
]
const PYTHON_WORDS: readonly (readonly [string, unknown])[] = [...WORDS, ['NaN', Number.NaN], ['Infinity', Number.POSITIVE_INFINITY], ['-Infinity', Number.NEGATIVE_INFINITY]]

/** The object a JSON file holds; errors show the line, named `name`. */
export function parseJsonFile(name: string, text: string, fix: string): Readonly<Record<string, unknown>> {
  const value = parseJson(
    text,
    (reason, at) => {
      const before = text.slice(0, at).split('\n')
      const number = before.length
      const column = (before.at(-1) ?? '').length + 1
      // A control character in an excerpt could drive the terminal it is shown on.
      const line = (text.split('\n')[number - 1] ?? '').replace(/\p{Cc}/gu, ' ')
      throw new MergeError(`bad JSON: ${reason}`, { where: `${name}:${number}:${column}`, excerpt: { line, number, start: column, end: column + 1 }, fix })
    },
    { pythonNumbers: true },
  )
  if (isObject(value)) return value
  throw new MergeError(`expected a JSON object, found ${kindOf(value)}`, { where: name, fix })
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * JSON as Python writes and reads it, indented by two. NaN and infinities are bare words, and whole numbers have all their digits:
 * the 1000000000000000019884624838656 that stands for no limit in many a tokenizer_config.json would become 1e+30, which is no integer there.
 */
export function pythonJson(value: unknown): string {
  const mark = '\u0000number '
  const isUnusual = (v: unknown): v is number => typeof v === 'number' && (!Number.isFinite(v) || (Number.isInteger(v) && Math.abs(v) >= 1e21))
  const digits = (v: number): string => (Number.isFinite(v) ? String(BigInt(v)) : String(v))
  const text = JSON.stringify(value, (_, v: unknown) => (isUnusual(v) ? mark + digits(v) : v), 2)
  return text.replaceAll(/"\\u0000number (-?(?:Infinity|NaN|\d+))"/g, '$1')
}

/** What a JSON value is, for an error message: `an array`. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const MAX_SHOWN = 100 // characters of a hostile name or value that an error message repeats

/** A value from a file as an error message may repeat it: quoted, short, without characters that drive a terminal. */
export function show(value: unknown): string {
  const escaped = (JSON.stringify(value, (_, inner) => (Object.is(inner, -0) ? '-0' : inner)) ?? String(value)).replace(
    /[\p{Cc}\p{Cf}]/gu,
    c => `\\u{${c.codePointAt(0)?.toString(16)}}`,
  )
  return escaped.length <= MAX_SHOWN ? escaped : `${escaped.slice(0, MAX_SHOWN)}…`
}
