import { resolvePath, statPath } from '../../bytes/file.ts'
import { MergeError } from '../../errors.ts'
import { isObject, parseJson } from '../../json.ts'
import { preset, required, type Settings } from '../options.ts'
import type { Subject } from '../subject.ts'
import type { Task } from '../suite.ts'
import { type Outcome, runProgram } from './_process.ts'
import type { Engine, Host } from './engine.ts'

const options = {
  command: required('texts', 'The program and its arguments, started in the suite’s folder without a shell; {model} is the folder of the model, {task} and {split} as everywhere.'),
  timeout: preset('number', 'Seconds after which it is ended.', 3600),
} as const

export default {
  summary: 'Any program: it gets the folder of the model and prints JSON. A merge is written to a temporary folder for it.',
  abilities: ['report'],
  options,
  start: startCommands,
} satisfies Engine

function startCommands(): Host {
  const runs = new WeakMap<Subject, Map<string, Promise<unknown>>>() // one run serves all tasks with the same command
  return {
    identity: async () => 'command',
    files: filesOf,
    async run(task, subject) {
      const { command, timeout } = own(task)
      const known = runs.get(subject) ?? new Map<string, Promise<unknown>>()
      runs.set(subject, known)
      const key = JSON.stringify(command)
      return {
        report() {
          const report = known.get(key) ?? subject.inFolder(folder => runCommand(command, folder, task, timeout * 1000))
          known.set(key, report)
          return report
        },
        tokens() {
          throw new Error('the metric of a command asks for no tokens') // a suite that lets it is refused
        },
      }
    },
    notes: () => [],
    close: async () => {},
  }
}

const own = (task: Task): Settings<typeof options> => task.settings as unknown as Settings<typeof options> // read by these very declarations

/** The arguments of a command that are files, such as its script: results depend on them. */
async function filesOf(task: Task): Promise<readonly string[]> {
  const paths = own(task).command.map(word => resolvePath(task.folder, word))
  const found = await Promise.all(paths.map(async path => ((await statPath(path).catch(() => null))?.isFile ? [path] : []))) // an argument may be no possible path
  return found.flat()
}

async function runCommand(command: readonly string[], model: string, task: Task, timeoutMs: number): Promise<unknown> {
  const words = command.map(word => word.replaceAll('{model}', model))
  const outcome = await runProgram(words, task.folder, timeoutMs)
  const fault = faultOf(outcome)
  if (fault) throw failure(fault[0], words, outcome, fault[1])
  const report = jsonIn(outcome.stdout)
  if (report === null) {
    const what = outcome.stdout.trim() === '' ? 'the command printed nothing, where JSON was expected' : 'the command printed no JSON object'
    throw failure(what, words, outcome, `let it print one JSON object, such as {"accuracy": 0.5}; it printed: ${outcome.stdout.trim().slice(0, 200) || 'nothing'}`)
  }
  return report
}

function faultOf({ code, problem }: Outcome): readonly [what: string, fix: string] | null {
  switch (problem?.kind) {
    case 'missing':
      return [`the command cannot be started (${problem.detail})`, 'install the program, or correct `command` in the suite']
    case 'time':
      return [`the command was ended after ${problem.detail}`, 'give it more time in the suite, `timeout: 7200`, or less to do']
    case 'output':
      return [`the command printed more than ${problem.detail}`, 'let it print one JSON object']
    case 'signal':
      return [`the command was ended by ${problem.detail}`, 'run it by hand to see why']
    default:
      return code === 0 ? null : [`the command ended with code ${code}`, 'run it by hand to see why']
  }
}

function failure(what: string, words: readonly string[], { stderr }: Outcome, fix: string): MergeError {
  const said = stderr.trim() === '' ? '' : `\n  it said:\n${stderr.trim().replaceAll(/^/gm, '    ')}`
  return new MergeError(what + said, { where: words.join(' '), fix })
}

/** The JSON object that a text is, or ends with: programs print other things before. */
function jsonIn(text: string): unknown {
  const lines = text.trim().split('\n')
  const starts = lines.flatMap((line, i) => (line.startsWith('{') ? [i] : []))
  for (const start of [0, ...starts.toReversed()]) {
    try {
      const value = parseJson(lines.slice(start).join('\n'), reason => raise(reason), { pythonNumbers: true })
      if (isObject(value)) return value
    } catch {
      // the object begins elsewhere
    }
  }
  return null
}

function raise(reason: string): never {
  throw new Error(reason)
}
