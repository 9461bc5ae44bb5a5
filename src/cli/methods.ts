import { METHODS } from '../methods/_all.ts'
import { describeMethod, rangeOf } from '../methods/_describe.ts'
import { nearest } from '../recipe/locate.ts'
import { type Command, UsageError } from './_command.ts'
import { bold, table } from './_text.ts'

export default {
  summary: 'List the merge methods, or show one with its parameters, defaults and paper.',
  positionals: '[NAME]',
  count: [0, 1],
  flags: { json: { doc: 'Print as JSON.' } },
  examples: ['merganser methods', 'merganser methods ties'],
  async run({ positionals: [name], values }) {
    if (name !== undefined && !Object.hasOwn(METHODS, name)) {
      const near = nearest(name, Object.keys(METHODS))
      throw new UsageError(`unknown method "${name}"`, `${near ? `did you mean "${near}"? ` : ''}All methods: \`merganser methods\``)
    }
    const chosen = name === undefined ? Object.keys(METHODS) : [name]
    if (values['json'] === true) {
      process.stdout.write(`${JSON.stringify(chosen.map(n => ({ name: n, ...METHODS[n] })))}\n`)
      return
    }
    if (name === undefined) {
      const rows = chosen.map(n => [
        n,
        METHODS[n]!.summary,
        Object.entries(METHODS[n]!.params)
          .map(([p, spec]) => `${p}${rangeOf(spec).short}`)
          .join(', '),
      ])
      process.stdout.write(`${table([['method', 'what it does', 'parameters (default)'], ...rows])}\n`)
      return
    }
    const { title, about, paper, use, rows, recipe, formula } = describeMethod(name, METHODS[name]!)
    const parameters = rows.length > 0 ? `\n${table([['parameter', 'for', 'default', 'range', 'meaning'], ...rows])}\n` : ''
    process.stdout.write(
      `${bold(name)}: ${title}\n${about}\n${paper ? `Paper: ${paper}\n` : ''}${use}\n${parameters}\n${recipe}\nWhat it computes (${formula.of}):\n\n${formula.lines.replaceAll(/^/gm, '    ')}\n`,
    )
  },
} satisfies Command
