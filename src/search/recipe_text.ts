import { torchName } from '../dtype.ts'
import { DEFAULT_SHARD_BYTES } from '../recipe/fields.ts'
import type { ParseOptions } from '../recipe/parse.ts'
import type { SearchResult } from './search.ts'
import { describePoint, type Values } from './space.ts'
import { fillTemplate, type Template } from './template.ts'

export interface RecipeTextOptions {
  /** As for `parse`: the models of an expression, which stand beside it. */
  readonly parse?: ParseOptions
  /** Lines of comment above the recipe. */
  readonly comments?: readonly string[]
}

/**
 * The text of an ordinary recipe: the template with values for its variables. An expression becomes a recipe in Merganser's own form.
 *
 * @example
 * const template = readTemplate('base + $lambda*(greek - base)', { isExpression: true, variables: { lambda: '0..1:0.5' } })
 * const text = recipeWith(template, { lambda: 0.5 }, { parse: { models: { base: 'zoo/vision/base', greek: 'zoo/vision/greek' } } })
 * console.log(parse(text).merge.kind) // binary
 */
export function recipeWith(template: Template, values: Values, { parse = {}, comments = [] }: RecipeTextOptions = {}): string {
  const filled = fillTemplate(template, values)
  const head = comments.map(line => `# ${line}`.trimEnd())
  return `${[...head, parse.models ? asRecipe(filled, parse) : filled.trimEnd()].join('\n')}\n`
}

/** JSON is YAML: quoted like this, paths and expressions mean themselves. */
function asRecipe(expression: string, { models = {}, rename = {}, output = {}, seed, vocab }: ParseOptions): string {
  const quoted = (text: string): string => JSON.stringify(text)
  const paths = Object.entries(models).flatMap(([name, path]) => {
    const renamed = Object.hasOwn(rename, name) ? rename[name]! : null
    if (renamed === null) return [`  ${quoted(name)}: ${quoted(path)}`]
    return [`  ${quoted(name)}:`, `    path: ${quoted(path)}`, `    rename: ${typeof renamed === 'string' ? renamed : JSON.stringify(renamed)}`]
  })
  const outputs = [
    ...(output.dtype ? [`  dtype: ${torchName(output.dtype)}`] : []),
    ...(output.shardSize !== undefined && output.shardSize !== DEFAULT_SHARD_BYTES ? [`  shard_size: ${output.shardSize}`] : []),
  ]
  return [
    'models:',
    ...paths,
    `merge: ${quoted(expression.trim())}`,
    ...(outputs.length > 0 ? ['output:', ...outputs] : []),
    ...(vocab ? [`vocab: ${vocab}`] : []),
    ...(seed === undefined ? [] : [`seed: ${seed}`]),
  ].join('\n')
}

/** How a search came to its best point, for the head of the recipe. */
export function provenanceOf({ strategy, seed, space, best, base, judge, trials, dev, test, noise, warnings }: SearchResult, suite: string, version: string): readonly string[] {
  const whole = trials.filter(t => t.share === 1).length
  const { aim, keep } = judge.goal
  const kept = Object.entries(keep).map(([task, share]) => `${task} may lose ${Number((100 * share).toFixed(2))} %`)
  const gained = judge.scale === 'strength' ? [] : [`Gain over ${base}: ${judge.showRange(dev.gain, dev.interval)} on dev, ${judge.showRange(test.gain, test.interval)} on test.`]
  const losses = Object.entries(test.losses).map(
    ([task, { loss }]) => `Loss of ${task}: ${(100 * dev.losses[task]!.loss).toFixed(1)} % on dev, ${(100 * loss).toFixed(1)} % on test.`,
  )
  return [
    `Found by merganser search ${version}: ${describePoint(space, best.point)}`,
    `Strategy ${strategy}, seed ${seed}; ${whole} points tried on dev of the suite ${suite}.`,
    `Objective: ${[aim, ...kept].join('; ')}.`,
    ...gained,
    ...losses,
    ...(noise ? [`White's reality check: p = ${noise.p.toFixed(3)}; ${noise.level.length} of ${noise.tried} points cannot be told from the best.`] : []),
    ...warnings.map(w => `Warning: ${w}`),
    '',
  ]
}
