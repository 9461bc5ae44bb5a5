import { fileURLToPath } from 'node:url'
import { statPath } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import { PRESETS } from '../presets/_all.ts'
import type { PresetTable } from '../presets/preset.ts'
import { nearest } from '../recipe/locate.ts'
import { type Command, UsageError } from './_command.ts'
import { bold, dim, green, red, table } from './_text.ts'

const ZOO = fileURLToPath(new URL('../../zoo', import.meta.url))

export default {
  summary: 'Run a system of task arithmetic end to end on the checkpoints that come along, with its controls beside it.',
  positionals: '[NAME]',
  count: [0, 1],
  flags: { json: { doc: 'Print one JSON object a line: every table, then the result.' } },
  examples: ['merganser preset', 'merganser preset toy'],
  async run({ positionals: [name], values }) {
    const json = values['json'] === true
    if (name === undefined) {
      const rows = Object.entries(PRESETS).map(([n, { summary, recipe }]) => [n, summary, recipe])
      process.stdout.write(
        json ? `${JSON.stringify(rows.map(([n, summary, recipe]) => ({ name: n, summary, recipe })))}\n` : `${table([['preset', 'what it shows', 'recipe'], ...rows])}\n`,
      )
      return
    }
    const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined
    if (!preset) {
      const near = nearest(name, Object.keys(PRESETS))
      throw new UsageError(`unknown preset "${name}"`, `${near ? `did you mean "${near}"? ` : ''}All presets: \`merganser preset\``)
    }
    const missing = await firstMissing(preset.needs)
    if (missing) throw new MergeError(`preset ${name} needs zoo/${missing}, which the npm package leaves out`, { fix: 'run it in a clone of the repository' })
    if (!json) process.stdout.write(`${bold(name)}: ${preset.summary}\n${dim(preset.recipe)}\n`)
    const steps = preset.run({ zoo: ZOO })
    let step = await steps.next()
    for (; !step.done; step = await steps.next()) process.stdout.write(json ? `${JSON.stringify(step.value)}\n` : `\n${shown(step.value)}\n`)
    const { isAsExpected, conclusion } = step.value
    process.stdout.write(json ? `${JSON.stringify(step.value)}\n` : `\n${isAsExpected ? green('✓') : red('✗')} ${conclusion}\n`)
    if (!isAsExpected) process.exitCode = 1
  },
} satisfies Command

async function firstMissing(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) if ((await statPath(`${ZOO}/${path}`)) === null) return path
  return null
}

function shown({ title, columns, rows, remarks }: PresetTable): string {
  return [...(title ? [bold(title)] : []), table([columns, ...rows]), ...remarks].join('\n')
}
