#!/usr/bin/env node
import { MergeError } from '../errors.ts'
import { nearest } from '../recipe/locate.ts'
import { type Command, readArguments, UsageError, usage } from './_command.ts'
import { bold, red } from './_text.ts'
import { VERSION } from './_version.ts'
import demo from './demo.ts'
import inspect from './inspect.ts'
import merge from './merge.ts'
import methods from './methods.ts'
import plan from './plan.ts'

const COMMANDS: Readonly<Record<string, Command>> = { merge, plan, inspect, methods, demo }

process.exitCode = await main(process.argv.slice(2))

/** 0 done; 1 the merge cannot be; 2 the command line is wrong; 70 a fault of ours. */
async function main([name, ...rest]: string[]): Promise<number> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1)) // `| head` closes the pipe
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const about = rest[0] !== undefined && Object.hasOwn(COMMANDS, rest[0]) ? usage(rest[0], COMMANDS[rest[0]]!) : overview()
    process.stdout.write(about)
    return 0
  }
  if (name === '--version' || name === '-v' || name === 'version') {
    process.stdout.write(`${VERSION}\n`)
    return 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  try {
    if (!command) {
      const near = nearest(name, Object.keys(COMMANDS))
      throw new UsageError(`unknown command "${name}"`, near ? `did you mean \`merganser ${near}\`?` : 'all commands: `merganser help`')
    }
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(usage(name, command))
      return 0
    }
    await command.run(readArguments(name, command, rest))
    return 0
  } catch (error) {
    return explain(error)
  }
}

function explain(error: unknown): number {
  if (error instanceof MergeError) {
    process.stderr.write(`${red('error:')} ${error.message}\n`)
    return error instanceof UsageError ? 2 : 1
  }
  process.stderr.write(
    `${red('internal error:')} ${error instanceof Error ? error.stack : String(error)}\nThis is a fault of Merganser: please report it with the recipe and this text.\n`,
  )
  return 70
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map(n => n.length))
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return `${bold('merganser')} ${VERSION}: merge model checkpoints with task arithmetic

${lines.join('\n')}

  merganser help COMMAND tells more about one.
  merganser merge 'base + 0.6*(code - base) + 0.4*(math - base)' out/ --model base=PATH --model code=PATH --model math=PATH
`
}
