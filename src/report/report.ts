import type { Event } from '../execute/execute.ts'
import type { Plan } from '../plan/plan.ts'
import { recipeText } from '../plan/provenance.ts'

/** What was merged and what it took, as plain data. */
export interface Report {
  /** A recipe that gives the same model again. */
  readonly recipe: string
  readonly models: readonly { readonly name: string; readonly files: Readonly<Record<string, string>> }[]
  readonly output: string
  readonly files: readonly string[]
  readonly tensors: number
  readonly bytes: { readonly read: number; readonly written: number }
  readonly seconds: number
  readonly notes: readonly string[]
  /** Tensors in which a NaN or an infinity was met and allowed. */
  readonly nonfinite: readonly string[]
}

/**
 * Sums up a merge that has ended. Throws if its events do not end in `done`.
 *
 * @example
 * const recipe = parse('0.5*a + 0.5*b', { models: { a: 'zoo/text/code', b: 'zoo/text/math' } })
 * const merge = plan(recipe, await openModels(recipe))
 * const events = []
 * for await (const event of execute(merge, memorySink())) events.push(event)
 * console.log(report(merge, events).bytes.written)
 */
export function report(plan: Plan, events: readonly Event[]): Report {
  const done = events.find(e => e.kind === 'done')
  if (!done) throw new RangeError('the events hold no `done`: the merge did not end')
  const models = Object.keys(plan.recipe.models).map(name => ({
    name,
    files: Object.fromEntries(plan.inputs.filter(i => i.model === name).map(i => [i.name, `sha256:${i.headerHash}`])),
  }))
  return {
    recipe: recipeText(plan.recipe),
    models,
    output: done.output,
    files: done.files,
    tensors: done.tensors,
    bytes: { read: done.read, written: done.written },
    seconds: done.seconds,
    notes: plan.notes,
    nonfinite: [...new Set(events.flatMap(e => (e.kind === 'nonfinite' ? [e.tensor] : [])))],
  }
}
