import { MergeError } from '../../errors.ts'
import { type Data, promptField, textsField } from '../data.ts'
import type { Runner } from '../engines/engine.ts'
import { optional, preset, type Settings } from '../options.ts'
import { chooseClasses, type Labelled, readLabelled } from './_classes.ts'
import { generateTexts, SAMPLING } from './_generate.ts'

// What a model answers, and what it should have: from a classifier whose classes have names, or from a language model that goes on after a prompt.

export const ANSWER_OPTIONS = {
  labels: preset('text', 'Of tensors: the field that holds the index of the class.', 'labels'),
  among: optional('numbers', 'Of tensors: only these classes may be answered.'),
  names: optional('texts', 'Of tensors: the names of the classes, in their order.'),
  prompt: preset('text', 'Of lines: the field with the prompt, text or token ids.', 'prompt'),
  answer: preset('text', 'Of lines: the field with the right answer, a text or several of which any will do.', 'answer'),
  until: optional('text', 'Of lines: the answer ends before this text, such as a line end.'),
  ...SAMPLING,
  temperature: preset('number', 'Of samples; 0 takes the likeliest token each time.', 0),
} as const
type Own = Settings<typeof ANSWER_OPTIONS>

export interface Answered {
  readonly references: readonly (readonly string[])[]
  answers(runner: Runner): Promise<readonly string[]>
}

export function readAnswers(data: Data, settings: Own): Answered {
  if (data.kind === 'tensors') return fromClasses(readLabelled(data, settings.labels), settings)
  if (data.kind === 'text') throw new MergeError('answers are not read from plain text', { where: data.file, fix: 'use jsonl with a prompt and an answer on each line' })
  const prompts = data.lines.map(line => promptField(line, settings.prompt))
  const references = data.lines.map(line => {
    const value = line.fields[settings.answer]
    return typeof value === 'string' ? [value] : textsField(line, settings.answer, 1)
  })
  return {
    references,
    async answers(runner) {
      const texts = await generateTexts(runner, prompts, settings)
      return texts.map(text => (settings.until === null ? text : text.split(settings.until, 1)[0]!))
    },
  }
}

function fromClasses(labelled: Labelled, { names, among }: Own): Answered {
  const nameOf = (c: number, row: number): string => {
    if (names === null) return String(c)
    const name = names[c]
    if (name === undefined) throw new MergeError(`class ${c} has no name; \`names\` has ${names.length}`, { where: `${labelled.file}: row ${row}`, fix: 'name every class' })
    return name
  }
  return {
    references: labelled.labels.map((label, row) => [nameOf(label, row)]),
    answers: async runner => chooseClasses(await runner.classify(labelled.inputs), labelled, among).map(nameOf),
  }
}
