import { folderSink } from '../bytes/folder.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { execute, INLINE_BYTES } from '../execute/execute.ts'
import { warmThreads } from '../execute/pool.ts'
import type { Command } from './_command.ts'
import { progressBar } from './_progress.ts'
import { prepare, RECIPE_FLAGS, shownNotes } from './_recipe.ts'
import { bytes, dim, duration, green, harmless, plural } from './_text.ts'

export default {
  summary: 'Merge models by a recipe (a YAML file, mergekit’s or Merganser’s own form) or by an expression.',
  positionals: 'RECIPE OUT',
  count: [2, 2],
  flags: {
    ...RECIPE_FLAGS,
    force: { doc: 'Replace the model that OUT holds.' },
    resume: { doc: 'Go on where a broken run stopped.' },
    'allow-nonfinite': { doc: 'Merge and write NaN and infinities instead of stopping at them.' },
    json: { doc: 'Print one JSON event a line.' },
  },
  examples: ['merganser merge recipe.yml out/', "merganser merge 'base + 0.6*(code - base)' out/ --model base=models/base --model code=models/code"],
  outlivesReader: true,
  async run(args) {
    const [recipe, out] = args.positionals as [string, string]
    const { values } = args
    const prepared = await prepare(recipe, args, { opened: warm })
    const json = values['json'] === true
    const say = (event: object): void => void (json && process.stdout.write(`${JSON.stringify(event)}\n`))
    for (const text of prepared.plan.notes) say({ kind: 'note', text })
    if (!json) for (const text of shownNotes(prepared.plan.notes)) process.stderr.write(`${dim('note:')} ${text}\n`)
    const stop = new AbortController()
    const interrupt = (): void => stop.abort()
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
    const bar = progressBar(process.stderr)
    try {
      const sink = folderSink(out, { force: values['force'] === true, resume: values['resume'] === true })
      for await (const event of execute(prepared.plan, sink, { allowNonfinite: values['allow-nonfinite'] === true, signal: stop.signal })) {
        say(event)
        bar.see(event)
        if (json) continue
        if (event.kind === 'start' && event.resumed > 0)
          process.stderr.write(`${dim('note:')} ${plural(event.resumed, 'tensor')} finished before; ${plural(event.tensors, 'tensor')} to go\n`)
        if (event.kind === 'nonfinite')
          process.stderr.write(`${dim('note:')} ${harmless(`${event.model ?? 'the output'} has ${event.value} at ${event.tensor}[${event.index.join(', ')}]`)}\n`)
        if (event.kind !== 'done') continue
        bar.end()
        const rate = event.seconds > 0 ? `, ${bytes((event.read + event.written) / event.seconds)}/s` : ''
        process.stdout.write(
          `${green('✓')} ${harmless(out)}: ${plural(prepared.plan.tasks.length, 'tensor')}, ${bytes(prepared.plan.totals.written)} in ${duration(event.seconds)}${rate}\n`,
        )
      }
    } catch (error) {
      bar.end()
      throw error
    } finally {
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
    }
  },
} satisfies Command

/** The threads of a large merge start while its plan is made. */
function warm(checkpoints: Iterable<Checkpoint>, threads: number): void {
  const bytes = [...checkpoints].flatMap(c => c.files).reduce((sum, file) => sum + file.size, 0)
  if (bytes >= INLINE_BYTES) warmThreads(threads)
}
