import { parseArgs } from 'node:util'
import { MergeError } from '../errors.ts'
import { nearest } from '../recipe/locate.ts'
import { bold } from './_text.ts'

/** A flag of a command: with `value` it takes one (its placeholder in the help), else it is on or off. */
export interface Flag {
  readonly doc: string
  readonly value?: string
  /** One letter: `-o` for `--out`. */
  readonly short?: string
  readonly multiple?: boolean
}

export interface Arguments {
  readonly positionals: readonly string[]
  readonly values: Readonly<Record<string, string | boolean | readonly string[] | undefined>>
}

export interface Command {
  readonly summary: string
  /** After the command's name: `RECIPE OUT`. */
  readonly positionals: string
  /** How many positionals: [least, most]. */
  readonly count: readonly [number, number]
  readonly flags: Readonly<Record<string, Flag>>
  readonly examples: readonly string[]
  /** What it does matters more than what it prints: it goes on when nobody reads that any more. */
  readonly outlivesReader?: true
  /** With --json it prints what is wrong itself, in its one object. */
  readonly printsErrors?: true
  run(args: Arguments): Promise<void>
}

/** The command line itself is wrong. */
export class UsageError extends MergeError {
  constructor(what: string, fix: string) {
    super(what, { fix })
  }
}

/** Reads the command line strictly: an unknown flag is an error with the nearest one. */
export function readArguments(name: string, command: Command, args: readonly string[]): Arguments {
  const options = Object.fromEntries(
    Object.entries(command.flags).map(
      ([flag, { value, multiple, short }]) => [flag, { type: value ? 'string' : 'boolean', multiple: multiple ?? false, ...(short ? { short } : {}) }] as const,
    ),
  ) as Record<string, { type: 'string' | 'boolean'; multiple: boolean; short?: string }>
  const shortNames = new Map(Object.entries(options).flatMap(([flag, { short }]) => (short ? [[`-${short}`, flag]] : [])))
  const takesValue = (arg: string | undefined): boolean => arg !== undefined && options[shortNames.get(arg) ?? arg.replace(/^--/, '')]?.type === 'string'
  const plain = args.map((arg, i) => (isNegative(arg) && !takesValue(args[i - 1]) ? ` ${arg}` : arg)) // a space makes it a positional, and means nothing in an expression
  const { tokens, positionals, values } = parseArgs({ args: plain, options, allowPositionals: true, strict: false, tokens: true }) // not strict: `--seed -1` is a value with a message of its own
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const flag = Object.hasOwn(command.flags, token.name) ? command.flags[token.name] : undefined
    if (!flag) {
      const near = nearest(token.name, Object.keys(command.flags))
      throw new UsageError(`unknown flag ${token.rawName}`, near ? `did you mean --${near}?` : `all flags: \`merganser help ${name}\``)
    }
    const isForgotten = token.value === undefined || (!token.inlineValue && token.value.startsWith('--')) // `--memory --json`
    if (flag.value && isForgotten) throw new UsageError(`${token.rawName} needs a value`, `write ${token.rawName} ${flag.value}`)
    if (!flag.value && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`, `write ${token.rawName} alone`)
  }
  const [least, most] = command.count
  if (positionals.length < least || positionals.length > most) {
    const given = positionals.length === 0 ? 'nothing' : positionals.map(p => `"${p}"`).join(' ')
    throw new UsageError(`merganser ${name} takes ${command.positionals || 'no arguments'}; given: ${given}`, `see \`merganser help ${name}\``)
  }
  return { positionals: positionals.map(p => (p.startsWith(' -') ? p.slice(1) : p)), values: values as Arguments['values'] }
}

/** An expression that begins with a minus, such as `-1*a + 2*b`, and no flag: those have letters and digits only, up to a "=". */
const isNegative = (arg: string): boolean => /^-[^-]/.test(arg) && !/^-\w+(=|$)/.test(arg)

export function usage(name: string, { summary, positionals, flags, examples }: Command): string {
  const rows = Object.entries(flags).map(([flag, { value, short, doc }]) => [`${short ? `-${short}, ` : ''}--${flag}${value ? ` ${value}` : ''}`, doc] as const)
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  const options = rows.length > 0 ? `\n${rows.map(([left, doc]) => `  ${left.padEnd(width)}  ${doc}`).join('\n')}\n` : ''
  return `${bold(`merganser ${name}`)} ${positionals}\n${summary}\n${options}\n${examples.map(e => `  ${e}`).join('\n')}\n`
}

/** "512MB", "1.5GiB", "4e9" as bytes. */
export function readBytes(flag: string, text: string): number {
  const match = /^([\d.]+(?:e\d+)?)\s*(?:([kmgt]?)(i?)b?)$/i.exec(text.trim())
  const value = match ? Number(match[1]) * (match[3] ? 1024 : 1000) ** ' kmgt'.indexOf((match[2] || ' ').toLowerCase()) : Number.NaN
  if (!Number.isFinite(value) || value < 1) throw new UsageError(`--${flag} "${text}" is not a size`, `write e.g. --${flag} 512MB or --${flag} 4GiB`)
  return Math.floor(value)
}

export function readSeed(flag: string, text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new UsageError(`--${flag} "${text}" is not a whole number from 0 to 2^53 - 1`, `write e.g. --${flag} 42`)
  return value
}

export function readCount(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${flag} "${text}" is not a positive whole number`, `write e.g. --${flag} 4`)
  return value
}
