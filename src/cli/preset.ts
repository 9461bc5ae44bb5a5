import { fileURLToPath } from 'node:url'
import { statPath } from '../bytes/file.ts'
import { cacheFolder, folderStore } from '../bytes/store.ts'
import { MergeError } from '../errors.ts'
import { PRESETS } from '../presets/_all.ts'
import type { FlagValues, Preset, PresetFlag, PresetTable } from '../presets/preset.ts'
import { nearest } from '../recipe/locate.ts'
import { type Arguments, type Command, UsageError } from './_command.ts'
import { bold, dim, green, harmless, red, table } from './_text.ts'
import { VERSION } from './_version.ts'

const ZOO = fileURLToPath(new URL('../../zoo', import.meta.url))

export default {
  summary: 'Run a system of task arithmetic end to end on the checkpoints that come along, with its controls beside it.',
  positionals: '[NAME]',
  count: [0, 1],
  flags: {
    json: { doc: 'Print one JSON object a line: every table, then the result.' },
    'no-cache': { doc: 'Measure everything anew, and keep nothing.' },
    ...declared(),
  },
  examples: ['merganser preset', 'merganser preset toy', 'merganser preset forget --budget 5%', 'merganser preset analogy --only speech'],
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
    const flags = ownFlags(name, preset, values)
    const missing = await firstMissing(preset.needs)
    if (missing) throw new MergeError(`preset ${name} needs zoo/${missing}, which the npm package leaves out`, { fix: 'run it in a clone of the repository' })
    if (!json) process.stdout.write(`${bold(name)}: ${preset.summary}\n${dim(preset.recipe)}\n`)
    const cache = values['no-cache'] === true ? null : folderStore(`${cacheFolder()}/${VERSION}`) // another version may count otherwise
    const steps = preset.run({ zoo: ZOO, flags, cache, tell })
    try {
      let step = await steps.next()
      for (; !step.done; step = await steps.next()) print(json, `\n${shown(step.value)}`, step.value)
      print(json, `\n${step.value.isAsExpected ? green('✓') : red('✗')} ${step.value.conclusion}`, step.value)
      if (!step.value.isAsExpected) process.exitCode = 1
    } finally {
      tell('')
    }
  },
} satisfies Command

/** The flags of all presets: the command line is read before anyone knows which one runs. */
function declared(): Readonly<Record<string, PresetFlag>> {
  return Object.fromEntries(
    Object.values(PRESETS)
      .flatMap(({ flags }) => Object.entries(flags ?? {}))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}

function ownFlags(name: string, { flags = {} }: Preset, values: Arguments['values']): FlagValues {
  const given = Object.entries(values).filter(([flag, value]) => value !== undefined && Object.hasOwn(declared(), flag))
  const stranger = given.find(([flag]) => !Object.hasOwn(flags, flag))?.[0]
  if (stranger === undefined) return Object.fromEntries(given) as FlagValues // none of them may be given twice
  const own = Object.keys(flags).map(flag => `--${flag}`)
  throw new UsageError(`preset ${name} takes no --${stranger}`, own.length > 0 ? `it takes ${own.join(', ')}` : 'leave it out')
}

function print(json: boolean, text: string, value: unknown): void {
  tell('')
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`)
}

/** A line on a terminal that says what is measured; the next one takes its place. */
function tell(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${dim(harmless(what))}`)
}

async function firstMissing(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) if ((await statPath(`${ZOO}/${path}`)) === null) return path
  return null
}

function shown({ title, columns, rows, remarks }: PresetTable): string {
  return [...(title ? [bold(title)] : []), table([columns, ...rows]), ...remarks].join('\n')
}
