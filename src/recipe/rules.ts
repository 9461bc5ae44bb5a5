import { MergeError } from '../errors.ts'
import type { Scope } from './cursor.ts'
import type { Entry, MapValue, Value } from './document.ts'
import { parseExpression } from './expression.ts'
import { checkKeys, entryOf, mapOf, textOf } from './fields.ts'
import { compileGlob } from './glob.ts'
import { faultAt } from './locate.ts'
import { modelNamed } from './names.ts'
import type { ModelRef, Note, Rule } from './recipe.ts'

const ACTIONS = ['merge', 'from', 'drop'] as const
const KEYS = ['tensors', 'layers', ...ACTIONS] as const
const EXAMPLE = "- {tensors: 'lm_head.*', from: base}"
const MAX_GLOB = 1000 // no tensor's name is longer

/** Reads `rules:`; a rule that no tensor can reach becomes a note. */
export function readRules(scope: Scope, models: Readonly<Record<string, ModelRef>>, entry: Entry, notes: Note[]): readonly Rule[] {
  const { value } = entry
  if (value.kind !== 'list') throw faultAt(scope.source, entry.keyAt, 'rules must be a list', `write entries such as \`${EXAMPLE}\``)
  const rules = value.items.map(item => readRule(scope, models, mapOf(scope.source, item, 'a rule', EXAMPLE)))
  const all = rules.findIndex(r => r.tensors === null && r.layers === null)
  if (all >= 0 && all < rules.length - 1) notes.push({ text: 'this rule matches every tensor, so the rules after it have no effect', at: rules[all]!.at })
  return rules
}

function readRule(scope: Scope, models: Readonly<Record<string, ModelRef>>, map: MapValue): Rule {
  checkKeys(scope.source, map, KEYS)
  const at = [...map.entries.values()][0]?.at ?? map.at
  const actions = ACTIONS.flatMap(key => entryOf(map, key) ?? [])
  const [action, other] = actions
  if (!action) throw faultAt(scope.source, at, 'the rule does nothing', 'give it one of `merge: EXPRESSION`, `from: MODEL`, `drop: true`')
  if (other) throw faultAt(scope.source, other.keyAt, `the rule has both ${action.key} and ${other.key}`, 'keep one of merge, from, drop')
  return { tensors: readGlob(scope, map), layers: readLayers(scope, map), action: readAction(scope, models, action), at }
}

function readAction(scope: Scope, models: Readonly<Record<string, ModelRef>>, { key, value }: Entry): Rule['action'] {
  if (key === 'merge') return { kind: 'merge', expression: expressionOf(scope, value, 'merge') }
  if (key === 'from') return { kind: 'from', model: modelNamed(scope.source, value.at, textOf(scope.source, value, 'from', 'from: base'), models) }
  if (value.kind === 'scalar' && value.value === true) return { kind: 'drop' }
  throw faultAt(scope.source, value.at, 'drop can only be true', 'remove the rule to keep these tensors')
}

function readGlob(scope: Scope, map: MapValue): string | null {
  const entry = entryOf(map, 'tensors')
  if (!entry) return null
  const glob = textOf(scope.source, entry.value, 'tensors', "tensors: '*.mlp.*'")
  if (glob.length > MAX_GLOB) throw faultAt(scope.source, entry.value.at, `a pattern of ${glob.length} characters; at most ${MAX_GLOB} are possible`)
  try {
    compileGlob(glob)
  } catch (error) {
    throw error instanceof MergeError ? faultAt(scope.source, entry.value.at, error.what, error.details.fix) : error
  }
  return glob
}

function readLayers(scope: Scope, map: MapValue): readonly [number, number] | null {
  const entry = entryOf(map, 'layers')
  if (!entry) return null
  const { value } = entry
  const bounds = value.kind === 'list' ? value.items.map(item => (item.kind === 'scalar' ? item.value : null)) : []
  const [start, end] = bounds
  const isIndex = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0
  if (bounds.length !== 2 || !isIndex(start) || !isIndex(end)) {
    throw faultAt(scope.source, value.at, 'layers must be two whole numbers, [start, end)', 'write for example `layers: [0, 8]` for layers 0 to 7')
  }
  if (start < end) return [start, end]
  const fix = start === end ? `write \`layers: [${start}, ${start + 1}]\` for layer ${start} alone` : `did you mean [${end}, ${start}]?`
  throw faultAt(scope.source, value.at, `layers [${start}, ${end}) is empty`, fix)
}

/** Reads an expression where YAML has text, a number or a list of numbers. */
export function expressionOf(scope: Scope, value: Value, what: string): ReturnType<typeof parseExpression> {
  if (value.kind === 'map') throw faultAt(scope.source, value.at, `${what} must be an expression`, `put it in quotes: \`${what}: 'base + 0.5*(math - base)'\``)
  if (value.kind === 'scalar' && value.value === null) throw faultAt(scope.source, value.at, `${what} has no expression`, `write for example \`${what}: base + 0.5*(math - base)\``)
  return parseExpression(value.placed, scope)
}
