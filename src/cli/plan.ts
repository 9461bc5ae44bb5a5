import { MergeError } from '../errors.ts'
import { type Comparison, compareModels } from '../plan/comparison.ts'
import { formulaOf } from '../plan/formula.ts'
import type { VocabularyTable } from '../plan/matching.ts'
import type { Plan } from '../plan/plan.ts'
import { type Command, UsageError } from './_command.ts'
import { compared } from './_comparison.ts'
import { type Prepared, prepare, RECIPE_FLAGS, shownNotes } from './_recipe.ts'
import { bold, bytes, count, dim, harmless, operations, plural, table } from './_text.ts'

export default {
  summary: 'Say what a merge would read, compute and write, without doing it.',
  positionals: 'RECIPE',
  count: [1, 1],
  printsErrors: true,
  flags: {
    ...RECIPE_FLAGS,
    formula: { doc: 'Show the mathematics of one tensor (with --tensor), or of the first of each kind.' },
    tensor: { doc: 'The tensor to show.', value: 'NAME' },
    json: { doc: 'Print the plan as JSON.' },
  },
  examples: ['merganser plan recipe.yml', 'merganser plan recipe.yml --formula --tensor model.layers.0.mlp.up_proj.weight'],
  async run(args) {
    const isJson = args.values['json'] === true
    let comparison: Comparison | null = null
    const refused = (found: Comparison): void => {
      comparison = found
      if (!isJson) process.stdout.write(`${compared(found).join('\n')}\n`)
    }
    const prepared = await prepare(args.positionals[0]!, args, { refused }).catch(error => {
      if (isJson && error instanceof MergeError) process.stdout.write(`${JSON.stringify({ comparison, error: { what: error.what, ...error.details, cause: undefined } })}\n`)
      throw error
    })
    const tensor = args.values['tensor'] as string | undefined
    if (tensor !== undefined && args.values['formula'] !== true) throw new UsageError('--tensor goes with --formula', 'add --formula')
    if (args.values['formula'] === true) process.stdout.write(formulas(prepared, tensor))
    else if (isJson) process.stdout.write(`${json(prepared)}\n`)
    else process.stdout.write(describe(prepared))
  },
} satisfies Command

/** Row maps as lists of numbers. */
const json = ({ recipe, checkpoints, plan }: Prepared): string =>
  JSON.stringify({ ...plan, comparison: compareModels(recipe, checkpoints) }, (_, value: unknown) => (ArrayBuffer.isView(value) ? [...(value as Int32Array | Uint8Array)] : value)) // a plan has no other views

function formulas({ recipe, checkpoints, plan }: Prepared, tensor: string | undefined): string {
  if (tensor !== undefined) return `${formulaOf(recipe, checkpoints, tensor)}\n`
  const shown = new Set<number>()
  const blocks: string[] = []
  for (const task of plan.tasks) {
    if (shown.has(task.program)) continue
    shown.add(task.program)
    const same = plan.tasks.filter(t => t.program === task.program).length
    blocks.push(`${bold(harmless(task.name))}${same > 1 ? dim(`  and ${plural(same - 1, 'tensor')} of the same form`) : ''}\n${formulaOf(recipe, checkpoints, task.name)}\n`)
  }
  return blocks.join('\n')
}

function vocabularyLines({ tensors, lines }: VocabularyTable): string[] {
  const rows = lines.map(({ what, count: n, examples }) => [count(n), harmless(what), examples.map(e => harmless(JSON.stringify(e))).join(' ')])
  return ['', table([['rows', `of ${tensors.map(t => harmless(t)).join(', ')}`, 'for example'], ...rows], [0])]
}

/** What is worked on as a whole; nothing where all streams. */
function wholeLines({ wholes, totals }: Prepared['plan']): string[] {
  if (!wholes) return []
  const { tensors, largest } = wholes
  const most = `${bytes(largest.bytes)} for ${harmless(largest.tensor)} [${largest.shape}]`
  return [`${bold('whole')}    ${tensors === 1 ? '1 matrix' : `${count(tensors)} matrices, one at a time in a thread`}, at most ${most}; about ${operations(totals.operations)}`]
}

/** What is found over the whole merge before anything is written. */
function surveyLine({ survey, totals }: Plan): string[] {
  if (survey.rounds.length === 0) return []
  const tensors = new Set(survey.rounds.flatMap(r => r.tasks.map(t => t.name))).size
  return [`${bold('first')}    ${plural(totals.surveyPasses, 'pass', 'passes')} over ${plural(tensors, 'tensor')} for ${plural(survey.values.length, 'number')} of the whole merge`]
}

function describe({ recipe, checkpoints, plan }: Prepared): string {
  const { memory, totals, outputs, programs } = plan
  const comparison = compareModels(recipe, checkpoints)
  const models = [
    ['model', 'path', 'architecture', 'layers', 'tensors', 'bytes'],
    ...[...checkpoints].map(([name, c]) => [
      harmless(name === plan.donor ? `${name} *` : name),
      harmless(c.ref),
      c.architecture ?? '–',
      String(c.layers.count),
      count(c.tensors.size),
      bytes(c.files.reduce((sum, f) => sum + ('lowRank' in f.locator ? 0 : f.size), 0)),
    ]),
  ]
  const passes = new Map<number, number>()
  let copied = 0
  for (const task of plan.tasks) {
    const program = programs[task.program]!
    if (program.copy) copied++
    else passes.set(program.passes.length, (passes.get(program.passes.length) ?? 0) + 1)
  }
  const work = [...passes].map(([p, n]) => `${plural(n, 'tensor')} in ${plural(p, 'pass', 'passes')}`)
  if (copied > 0) work.push(`${plural(copied, 'tensor')} copied`)
  if (totals.dropped > 0) work.push(`${plural(totals.dropped, 'tensor')} dropped`)
  const dtypes = [...new Set(outputs.flatMap(f => f.tensors.map(t => t.dtype)))].join(', ')
  const lines = [
    table(models, [3, 4, 5]),
    dim('* gives config, tensor order and dtypes'),
    '',
    ...surveyLine(plan),
    `${bold('compute')}  ${work.join(', ')}`,
    ...wholeLines(plan),
    `${bold('read')}     ${bytes(totals.read)} at most`,
    `${bold('write')}    ${bytes(totals.written)} as ${dtypes} in ${plural(outputs.length, 'file')}, and ${plan.companions.map(c => c.name).join(', ') || 'nothing beside them'}`,
    `${bold('memory')}   ${bytes(memory.total)} of ${bytes(memory.budget)} for ${plural(memory.threads, 'thread')}`,
    `${bold('disk')}     ${bytes(totals.disk)}`,
    ...(comparison ? ['', ...compared(comparison)] : []),
    ...plan.vocabulary.flatMap(vocabularyLines),
    ...(plan.notes.length > 0 ? ['', ...shownNotes(plan.notes).map(n => `${dim('note:')} ${n}`)] : []),
  ]
  return `${lines.join('\n')}\n`
}
