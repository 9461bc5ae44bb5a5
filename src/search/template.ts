import { isMap, isScalar, type Pair, parseAllDocuments, Scalar, type Scalar as ScalarNode, visit } from 'yaml'
import { MergeError } from '../errors.ts'
import { readDocuments } from '../recipe/document.ts'
import { faultAt, locator, suggest } from '../recipe/locate.ts'
import type { SourceText } from '../recipe/recipe.ts'
import type { Space, Values } from './space.ts'
import { readVariable, readVariables, type Variable } from './variables.ts'

/** The text of a recipe in which `$name` stands for numbers and choices. Plain data. */
export interface Template {
  readonly source: SourceText
  readonly space: Space
  /** Where variables stand in the text, in order. */
  readonly uses: readonly { readonly name: string; readonly start: number; readonly end: number }[]
  /** The lines [start, end) of `variables:`, counted from 0; null where variables were given beside the text. */
  readonly declaration: readonly [number, number] | null
}

export interface TemplateOptions {
  /** What messages call the text: the file's name. */
  readonly name?: string
  /** The text is an expression alone. */
  readonly isExpression?: boolean
  /** Variables as on the command line: `lambda` → `0..1:0.05`, `method` → `ties|task_arithmetic`. They go before those of the text. */
  readonly variables?: Readonly<Record<string, string>>
}

/**
 * Reads a recipe, in mergekit's form or Merganser's own, with a block `variables:` and `$name` where their values shall stand.
 * The rest of it is read anew for every set of values, by `parse`. Throws a MergeError at the line and column at fault.
 *
 * @example
 * const template = readTemplate('base + $lambda*(math - base)', { isExpression: true, variables: { lambda: '0..1:0.05' } })
 * console.log(fillTemplate(template, { lambda: 0.35 })) // base + 0.35*(math - base)
 */
export function readTemplate(text: string, { name = 'recipe', isExpression = false, variables = {} }: TemplateOptions = {}): Template {
  const source = { name, text: text.replace(/^\ufeff/, '') }
  const found = isExpression ? { declared: [], spans: [[0, source.text.length] as const], declaration: null } : readYaml(source)
  const given = Object.entries(variables).map(([variable, value]) => readVariable(variable, value))
  const all = [...found.declared.filter(v => !Object.hasOwn(variables, v.name)), ...given]
  const uses = found.spans.flatMap(([start, end]) => usesIn(source.text, start, end)).sort((a, b) => a.start - b.start)
  checkUses(source, all, uses, isExpression)
  return { source, space: all.flatMap(v => v.coordinates), uses, declaration: found.declaration }
}

/**
 * The recipe with values for its variables: an ordinary one, on the same lines, so that an error in it points at the line that was written.
 *
 * @example
 * const template = readTemplate('base + $lambda*(math - base)', { isExpression: true, variables: { lambda: '0..1:0.05' } })
 * console.log(fillTemplate(template, { lambda: 0.35 })) // base + 0.35*(math - base)
 */
export function fillTemplate({ source, uses, declaration }: Template, values: Values): string {
  const show = (value: Values[string]): string => (Array.isArray(value) ? `[${value.join(', ')}]` : String(value))
  let filled = ''
  let at = 0
  for (const { name, start, end } of uses) {
    filled += source.text.slice(at, start) + show(values[name]!)
    at = end
  }
  filled += source.text.slice(at)
  if (!declaration) return filled
  const lines = filled.split('\n') // values have no line ends
  return lines.map((line, i) => (i >= declaration[0] && i < declaration[1] ? `# ${line}` : line)).join('\n')
}

const USE = /\$([A-Za-z_][A-Za-z0-9_]*)/g

const usesIn = (text: string, start: number, end: number): Template['uses'] =>
  [...text.slice(start, end).matchAll(USE)].map(m => ({ name: m[1]!, start: start + m.index, end: start + m.index + m[0].length }))

interface Found {
  readonly declared: readonly Variable[]
  /** Stretches of the text [start, end) in which variables are looked for: values, not comments, keys or the declaration. */
  readonly spans: readonly (readonly [number, number])[]
  readonly declaration: readonly [number, number] | null
}

function readYaml(source: SourceText): Found {
  const values = readDocuments(source) // its errors are the ones to show
  const documents = parseAllDocuments(source.text, { keepSourceTokens: true, uniqueKeys: false })
  const roots = ('empty' in documents ? [] : documents).flatMap(({ contents }) => (isMap<ScalarNode, unknown>(contents) ? [contents] : []))
  const pairs = roots.flatMap(root => root.items.flatMap(pair => (isScalar(pair.key) && pair.key.value === 'variables' ? [{ root, pair }] : [])))
  const entries = values.flatMap(value => (value.kind === 'map' ? (value.entries.get('variables') ?? []) : []))
  const [entry, second] = entries
  if (second) throw faultAt(source, second.keyAt, '`variables:` is written in two documents', 'write all variables in one of them')
  if (entry && pairs[0]?.root.flow) throw faultAt(source, entry.keyAt, '`variables:` stands inside { }', 'write the recipe as lines, with `variables:` on a line of its own')
  const span = pairs[0] ? spanOf(pairs[0].pair) : null
  const at = locator(source.text)
  return {
    declared: entry ? readVariables(source, entry) : [],
    spans: roots.flatMap(root => scalarsIn(root)).flatMap(node => stretchOf(source.text, node, span)),
    declaration: span && [at(span[0], span[0] + 1).line - 1, at(lastVisible(source.text, span), span[1]).line],
  }
}

function spanOf({ key, value }: Pair<ScalarNode, unknown>): readonly [number, number] {
  const [start, keyEnd] = key.range!
  const end = value && typeof value === 'object' && 'range' in value ? (value.range as [number, number, number] | null)?.[1] : null // a parsed node has a range
  return [start, end ?? keyEnd]
}

const lastVisible = (text: string, [start, end]: readonly [number, number]): number => start + Math.max(0, text.slice(start, end).trimEnd().length - 1)

function scalarsIn(root: Parameters<typeof visit>[0]): readonly ScalarNode[] {
  const found: ScalarNode[] = []
  visit(root, {
    Scalar(key, node) {
      if (key !== 'key') found.push(node)
    },
  })
  return found
}

function stretchOf(text: string, { range, type }: ScalarNode, declaration: readonly [number, number] | null): Found['spans'] {
  const [start, end] = range!
  if (declaration && start >= declaration[0] && start < declaration[1]) return []
  const isBlock = type === Scalar.BLOCK_LITERAL || type === Scalar.BLOCK_FOLDED
  return [[isBlock ? Math.max(start, text.indexOf('\n', start)) : start, end]] // the header of a block may end in a comment
}

function checkUses(source: SourceText, variables: readonly Variable[], uses: Template['uses'], isExpression: boolean): void {
  const at = locator(source.text)
  const names = variables.map(v => v.name)
  const how = isExpression ? (name: string) => `--variable '${name}=0..1:0.05'` : (name: string) => `\`variables: { ${name}: { range: [0, 1], step: 0.05 } }\``
  for (const { name, start, end } of uses) {
    if (names.includes(name)) continue
    const near = names.length > 0 ? suggest(name, names, 'variables') : `declare it: ${how(name)}`
    throw faultAt(source, at(start, end), `unknown variable "$${name}"`, near)
  }
  if (variables.length === 0)
    throw new MergeError('the recipe has no variables', { where: source.name, fix: `write for example \`base + $lambda*(math - base)\`, and declare it: ${how('lambda')}` })
  for (const { name, at: place } of variables) {
    if (uses.some(use => use.name === name)) continue
    const what = `the variable "${name}" is never used`
    const fix = `write $${name} where its values shall stand, or remove it`
    if (place) throw faultAt(source, place, what, fix)
    throw new MergeError(what, { where: '--variable', fix: isExpression ? `${fix}; a shell keeps $${name} only between single quotes` : fix })
  }
}
