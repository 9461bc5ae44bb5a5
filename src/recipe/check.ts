import { MergeError } from '../errors.ts'
import type { AnyMethod } from '../methods/method.ts'
import { requireModel, requireVector } from './advice.ts'
import { faultAt } from './locate.ts'
import { methodAt, own } from './lookup.ts'
import { isAll, massOf } from './mass.ts'
import { modelNamed } from './names.ts'
import { coerce, refuseZeroSum } from './parameters.ts'
import type { Argument, Expression, Note, Recipe } from './recipe.ts'
import { label, show } from './show.ts'
import { checkSettings } from './values.ts'
import { childrenOf, modelAt, modelsIn, wholeModels } from './walk.ts'

type Call = Extract<Expression, { kind: 'call' }>

/** Checks all that can be known of a recipe without its checkpoints. Throws at the first error; gives what is merely odd as notes. */
export function check(recipe: Recipe): readonly Note[] {
  const notes = [recipe.merge, ...recipe.rules.flatMap(r => (r.action.kind === 'merge' ? [r.action.expression] : []))].flatMap(expression => {
    const found = checkParts(recipe, expression)
    if (recipe.result === 'vector') requireVector(expression, recipe)
    else requireModel(expression, recipe)
    return found
  })
  for (const { action, at } of recipe.rules) if (action.kind === 'from') modelNamed(recipe.source, at, action.model, recipe.models)
  refuseAdapters(recipe)
  const seen = new Set<string>()
  return notes.filter(note => {
    const key = JSON.stringify(note)
    return !seen.has(key) && seen.add(key)
  })
}

/** An adapter alone is a difference: it has no tensors, config or tokenizer to give, and no rows for tokens that the model lacks. */
function refuseAdapters({ source, models, rules, output, tokenizer }: Recipe): void {
  const isAdapter = (name: string | null): name is string => name !== null && own(models, name)?.isAdapter === true
  for (const { action, at } of rules)
    if (action.kind === 'from' && isAdapter(action.model)) throw faultAt(source, at, `${action.model} is an adapter, and has no whole tensors`, 'take them from a model')
  for (const name of [output.configFrom, output.tokenizerFrom]) {
    if (isAdapter(name)) throw new MergeError(`${name} is an adapter, and has no config or tokenizer`, { where: source.name, fix: 'name a model' })
  }
  for (const [name, { rename }] of Object.entries(models)) {
    if (!rename || !isAdapter(name)) continue
    const [what, fix] = [`${name} is an adapter, and goes by the names of the model that the merge builds on`, 'rename that model']
    throw rename.at ? faultAt(source, rename.at, what, fix) : new MergeError(what, { where: source.name, fix })
  }
  const first = tokenizer && Object.keys(models).find(isAdapter)
  if (!first) return
  const fix = `name the model with it, \`tuned: path/to/model+path/to/${first}\`, and write \`tuned - base\` for what it adds`
  throw faultAt(source, tokenizer.at, `the rows of ${first} cannot be matched by token: it is an adapter alone`, fix)
}

/** Checks a named sub-expression where it stands: it may be a model, a task vector or a number. */
export function checkLet(recipe: Recipe, expression: Expression): void {
  checkParts(recipe, expression)
  massOf(expression, recipe)
}

function checkParts(recipe: Recipe, e: Expression): readonly Note[] {
  const notes = childrenOf(e).flatMap(child => checkParts(recipe, child))
  if (e.kind === 'model') modelNamed(recipe.source, e.at, e.model, recipe.models)
  return e.kind === 'call' ? [...notes, ...checkCall(recipe, e)] : notes
}

function checkCall(recipe: Recipe, call: Call): readonly Note[] {
  const method = methodAt(recipe.source, call.at, call.method)
  checkCount(recipe, call, method)
  const notes = [
    ...checkSettings(recipe, call.method, method, call.parameters, null),
    ...call.arguments.flatMap(a => checkSettings(recipe, call.method, method, a.parameters, label(a.expression, recipe.source))),
  ]
  requireParameters(recipe, call, method)
  requireBase(recipe, call, method)
  refuseConstantZeroSum(recipe, call, method)
  return [...notes, ...unsetNotes(call, method), ...remarks(call, method)]
}

function checkCount({ source, form, output }: Recipe, { method: name, arguments: given, base, at }: Call, { models }: AnyMethod): void {
  const { min = 1, max = Infinity } = models ?? {}
  const n = given.length
  if (n >= min && n <= max) return
  const wanted = min === max ? `takes ${plural(min)}` : n < min ? `needs at least ${plural(min)}` : `takes at most ${plural(max)}`
  const list = n === 0 ? '' : ` (${given.map(a => label(a.expression, source)).join(', ')})`
  const counted = form === 'mergekit' && output.configFrom !== null ? '; base_model counts as one' : ''
  const fix =
    n > max
      ? `keep ${max}, or use a method for any number of models, such as linear${counted}`
      : `add ${plural(min - n)}${base && n > 0 ? `; ${label(base, source)} is the base, and not one of the models` : ''}`
  throw faultAt(source, at, `${name} ${wanted}, not ${n}${list}`, fix)
}

function requireParameters(recipe: Recipe, call: Call, method: AnyMethod): void {
  for (const [name, param] of Object.entries(method.params)) {
    if (param.default !== undefined || own(call.parameters, name)) continue
    if (param.scope !== 'model') throw missing(recipe, call, null, name, param.scope === 'merge' && param.usual ? (param.usual[0] + param.usual[1]) / 2 : 1)
    if (recipe.form !== 'mergekit' && param.inExpression !== undefined) continue
    const lacking = call.arguments.find(a => !own(a.parameters, name))
    if (lacking) throw missing(recipe, call, lacking, name, param.usual?.[1] ?? 1)
  }
}

function missing({ form, source }: Recipe, call: Call, argument: Argument | null, name: string, example: number) {
  const at = argument ? modelAt(argument.expression) : call.at
  if (form !== 'mergekit') {
    const owner = argument ? ` for \`${label(argument.expression, source)}\`` : ''
    return faultAt(source, at, `${call.method} needs ${name}${owner}`, `add \`${name}=${example}\` to the call: \`${written(call, `${name}=${example}`, source)}\``)
  }
  if (!argument) return faultAt(source, at, `${call.method} needs ${name}`, `add the line \`parameters: {${name}: ${example}}\``)
  const inside = Object.keys(argument.parameters).length > 0
  const here = inside ? `add \`${name}: ${example}\` to its parameters` : `add \`parameters: {${name}: ${example}}\` to this entry`
  const above = inside ? 'or to the top-level parameters' : `or \`${name}: ${example}\` to the top-level parameters`
  return faultAt(source, at, `${call.method} needs a ${name} for ${label(argument.expression, source)}`, `${here}, ${above}`)
}

function requireBase(recipe: Recipe, call: Call, method: AnyMethod): void {
  const { source, models } = recipe
  if (call.base && method.base === 'unused') throw faultAt(source, call.base.at, `${call.method} takes no base`, 'leave out `base=`, or make it one of the models')
  if (call.base || method.base !== 'required') return
  if (!call.arguments.every(a => isAll(massOf(a.expression, recipe) ?? [], 1))) return
  const names = wholeModels(models)
  const used = call.arguments.flatMap(a => [...modelsIn(a.expression)])
  const name = names.includes('base') ? 'base' : (names.find(n => !used.includes(n)) ?? 'NAME')
  const base: Expression = { kind: 'model', model: name, at: call.at }
  const spelt = show(base)
  const others = call.arguments.filter(a => !(a.expression.kind === 'model' && a.expression.model === name))
  const kept = { ...call, arguments: others.length > 0 ? others : call.arguments }
  const deltas = kept.arguments.map((a): Argument => ({ ...a, expression: { kind: 'binary', op: '-', left: a.expression, right: base, at: call.at } }))
  const fix = `write \`${written(kept, `base=${spelt}`, source)}\`, or merge task vectors: \`${spelt} + ${show({ ...kept, arguments: deltas }, source)}\``
  throw faultAt(source, call.at, `${call.method} needs a base to merge models`, fix)
}

/** The call with one more parameter. */
const written = (call: Call, parameter: string, source: Recipe['source']): string => `${show(call, source).slice(0, -1)}${call.arguments.length > 0 ? ', ' : ''}${parameter})`

/** A parameter that is the same for every tensor; null for one that varies with tensor and layer. */
function readConstant(call: Call, method: AnyMethod, name: string, settings: Argument['parameters']): number | boolean | string | null {
  const param = own(method.params, name)
  const setting = own(settings, name) ?? own(call.parameters, name)
  if (!param) return null
  if (!setting) return (param.scope === 'model' ? (param.default ?? param.inExpression) : param.default) ?? null
  return setting.filtered || typeof setting.value === 'object' ? null : (coerce(param, setting.value) ?? null)
}

/** Where every weight is one number; weights that vary with tensor and layer are looked at for each tensor. */
function refuseConstantZeroSum(recipe: Recipe, call: Call, method: AnyMethod): void {
  const weights = call.arguments.map(a => readConstant(call, method, 'weight', a.parameters))
  if (!weights.every(w => typeof w === 'number')) return
  refuseZeroSum(recipe, call, method, { models: weights.map(weight => ({ weight })), merge: { normalize: readConstant(call, method, 'normalize', {}) } }, null)
}

function remarks(call: Call, method: AnyMethod): readonly Note[] {
  const names = Object.entries(method.params).flatMap(([name, param]) => (param.scope === 'model' ? [name] : []))
  const numbers = call.arguments.map(argument =>
    Object.fromEntries(
      names.flatMap((name): [string, number][] => {
        const value = readConstant(call, method, name, argument.parameters)
        return typeof value === 'number' ? [[name, value]] : []
      }),
    ),
  )
  return (method.remarks?.(numbers) ?? []).map(text => ({ text: `${call.method}: ${text}`, at: call.at }))
}

const unsetNotes = (call: Call, method: AnyMethod): readonly Note[] =>
  Object.entries(method.params).flatMap(([name, param]) => {
    if (param.scope === 'flag' || param.scope === 'choice' || !param.unsetNote) return []
    const isSet = own(call.parameters, name) !== undefined || call.arguments.some(a => own(a.parameters, name) !== undefined)
    return isSet ? [] : [{ text: `${call.method}: ${param.unsetNote}`, at: call.at }]
  })

const plural = (n: number): string => `${n} model${n === 1 ? '' : 's'}`
