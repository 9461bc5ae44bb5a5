#!/usr/bin/env node
import { MergeError } from '../errors.ts'
import { nearest } from '../recipe/locate.ts'
import { type Command, readArguments, UsageError, usage } from './_command.ts'
import { bold, harmless, red } from './_text.ts'
import { VERSION } from './_version.ts'

/** Each command is loaded when it runs: a merge does not wait for the evaluator's modules. */
const COMMANDS: Readonly<Record<string, () => Promise<{ default: Command }>>> = {
  merge: () => import('./merge.ts'),
  plan: () => import('./plan.ts'),
  diagnose: () => import('./diagnose.ts'),
  vector: () => import('./vector.ts'),
  evaluate: () => import('./evaluate.ts'),
  search: () => import('./search.ts'),
  inspect: () => import('./inspect.ts'),
  methods: () => import('./methods.ts'),
  report: () => import('./report.ts'),
  preset: () => import('./preset.ts'),
  demo: () => import('./demo.ts'),
}
const load = async (name: string): Promise<Command> => (await COMMANDS[name]!()).default

process.exitCode = await main(process.argv.slice(2))

/** 0 done; 1 the merge cannot be; 2 the command line is wrong; 70 a fault of ours. */
async function main([name, ...rest]: string[]): Promise<number> {
  let outlivesReader = false
  let printsErrors = false
  process.stderr.on('error', () => {}) // there is nowhere left to tell
  process.stdout.on('error', () => {}) // each later write fails again
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    const isClosed = error.code === 'EPIPE' // by `| head`
    if (!isClosed) process.stderr.write(`${red('error:')} the output cannot be printed: ${error.message}\n`)
    if (!outlivesReader) process.exit(isClosed ? 0 : 1)
  })
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const about = rest[0] !== undefined && Object.hasOwn(COMMANDS, rest[0]) ? usage(rest[0], await load(rest[0])) : await overview()
    process.stdout.write(about)
    return 0
  }
  if (name === '--version' || name === '-v' || name === 'version') {
    process.stdout.write(`${VERSION}\n`)
    return 0
  }
  try {
    if (!Object.hasOwn(COMMANDS, name)) {
      const near = nearest(name, Object.keys(COMMANDS))
      throw new UsageError(`unknown command "${name}"`, near ? `did you mean \`merganser ${near}\`?` : 'all commands: `merganser help`')
    }
    const command = await load(name)
    outlivesReader = command.outlivesReader ?? false
    printsErrors = command.printsErrors ?? false
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(usage(name, command))
      return 0
    }
    await command.run(readArguments(name, command, rest))
    return 0
  } catch (error) {
    if (rest.includes('--json') && error instanceof MergeError && !printsErrors)
      process.stdout.write(`${JSON.stringify({ kind: 'error', what: error.what, ...error.details, cause: undefined })}\n`)
    return explain(error)
  }
}

function explain(error: unknown): number {
  if (error instanceof MergeError) {
    process.stderr.write(`${red('error:')} ${harmless(error.message, true)}\n`)
    return error instanceof UsageError ? 2 : 1
  }
  process.stderr.write(
    `${red('internal error:')} ${error instanceof Error ? error.stack : String(error)}\nThis is a fault of Merganser: please report it with the recipe and this text.\n`,
  )
  return 70
}

async function overview(): Promise<string> {
  const width = Math.max(...Object.keys(COMMANDS).map(n => n.length))
  const lines = await Promise.all(Object.keys(COMMANDS).map(async name => `  ${name.padEnd(width)}  ${(await load(name)).summary}`))
  return `${bold('merganser')} ${VERSION}: merge model checkpoints with task arithmetic

${lines.join('\n')}

  merganser help COMMAND tells more about one.
  merganser merge 'base + 0.6*(code - base) + 0.4*(math - base)' out/ --model base=PATH --model code=PATH --model math=PATH
`
}
