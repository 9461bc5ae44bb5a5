import { secondOf } from './functions.ts'
import type { Argument, Expression, Scalar, Setting, SourceText } from './recipe.ts'

const SUM = 1
const PRODUCT = 2
const SIGN = 3
const ATOM = 4

/** An expression as text that parses to the same expression, if one could be written as such: modules and stages are mergekit's alone. With `source`, what was written as one name (of a `let`) stays that name. */
export function show(expression: Expression, source?: SourceText): string {
  return write(expression, SUM, source)
}

/** How a message names an expression: a model by its plain name or path, a stage by its name. */
export function label(expression: Expression, source: SourceText): string {
  if (expression.kind === 'layers') return label(expression.of, source)
  return expression.kind === 'model' ? expression.model : expression.kind === 'stage' ? expression.name : show(expression, source)
}

/** As `show`, with parentheses where a factor of a product needs them. */
export const showFactor = (expression: Expression, source?: SourceText): string => write(expression, SIGN, source)

/** As `show`, with parentheses where a term of a sum needs them. */
export const showTerm = (expression: Expression, source?: SourceText): string => write(expression, PRODUCT, source)

const NAME = /^[\p{L}_][\p{L}\p{N}_]*$/u

/** A model's name as an expression spells it: in backticks unless it is a plain identifier. */
export const showName = (name: string): string => (NAME.test(name) ? name : `\`${name}\``)

function write(e: Expression, level: number, source: SourceText | undefined): string {
  const written = source && nameAt(e, source)
  if (written) return written
  const [text, own] = writeBare(e, source)
  return own < level ? `(${text})` : text
}

function writeBare(e: Expression, source: SourceText | undefined): [string, number] {
  switch (e.kind) {
    case 'model':
      return [showName(e.model), ATOM]
    case 'number':
      return [showScalar(e.value), typeof e.value === 'number' && e.value < 0 ? SIGN : ATOM]
    case 'negate':
      return [`-${write(e.of, SIGN, source)}`, SIGN]
    case 'binary': {
      const own = e.op === '+' || e.op === '-' ? SUM : PRODUCT
      const glue = own === SUM ? ` ${e.op} ` : e.op
      return [write(e.left, own, source) + glue + write(e.right, own + 1, source), own]
    }
    case 'call':
      return [`${e.method}(${[...e.arguments.map(a => write(a.expression, SUM, source)), ...showParameters(e, source)].join(', ')})`, ATOM]
    case 'function': {
      const [first, ...rest] = e.arguments.map(a => write(a, SUM, source))
      const second = secondOf(e.name)
      return [`${e.name}(${[first, ...rest.map(text => (second ? `${second}=${text}` : text))].join(', ')})`, ATOM]
    }
    case 'layers':
      return [`layers(${write(e.of, SUM, source)}, ${e.start}, ${e.end})`, ATOM]
    case 'stack':
      return [`stack(${[...e.slices.map(s => write(s, SUM, source)), ...(e.after ? [`after=${write(e.after, SUM, source)}`] : [])].join(', ')})`, ATOM]
    case 'modules':
      return [`modules(${e.modules.map(m => `${m.name}=${write(m.expression, SUM, source)}`).join(', ')})`, ATOM]
    case 'stage':
      return [showName(e.name), ATOM]
    default:
      throw e satisfies never
  }
}

function showParameters(call: Extract<Expression, { kind: 'call' }>, source: SourceText | undefined): string[] {
  const names = [...new Set(call.arguments.flatMap(a => Object.keys(a.parameters)))]
  const perModel = names.map(name => `${name}=(${call.arguments.map(a => showOf(a, name)).join(', ')})`)
  const shared = Object.entries(call.parameters).map(([name, setting]) => `${name}=${showSetting(setting)}`)
  return [...perModel, ...shared, ...(call.base ? [`base=${write(call.base, SUM, source)}`] : [])]
}

const showOf = (argument: Argument, name: string): string => (Object.hasOwn(argument.parameters, name) ? showSetting(argument.parameters[name]!) : '…')

function showSetting({ value, filtered }: Setting): string {
  if (filtered) return '…' // only YAML has filters; expressions cannot spell them
  if (typeof value === 'string') return NAME.test(value) && value !== 'true' && value !== 'false' ? value : `\`${value}\``
  return typeof value === 'boolean' ? String(value) : showScalar(value as Scalar) // not filtered, so no list of filters
}

const showScalar = (value: Scalar): string => (typeof value === 'number' ? String(value) : `[${value.join(', ')}]`)

/** The name standing at the expression's place in the text, if it is the name of a `let` and not the expression itself. */
function nameAt(e: Expression, source: SourceText): string | null {
  if (e.kind === 'binary' && e.left.at.line === e.at.line && e.left.at.column === e.at.column) return null // written out here
  const text = source.text.split('\n')[e.at.line - 1]?.slice(e.at.column - 1, e.at.end - 1) ?? ''
  if ((e.kind === 'call' && text === e.method) || (e.kind === 'function' && text === e.name)) return null
  if (e.kind === 'model' && text.replace(/^[`"]|[`"]$/g, '') === e.model) return null
  return NAME.test(text) || /^(`[^`]*`|"[^"]*")$/.test(text) ? text : null
}
