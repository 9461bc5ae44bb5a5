import { MergeError } from '../../errors.ts'
import { ANSWER_OPTIONS, type Answered, readAnswers } from './_answers.ts'
import { editDistance, wordsOf } from './_words.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: 'Words inserted, left out or replaced, over the words that were said. Case and punctuation do not count.',
  better: 'lower',
  unit: '%',
  data: ['tensors', 'lines'],
  options: ANSWER_OPTIONS,
  uses: ({ names }) => (names === null ? 'generate' : 'classify'),
  read(data, settings): Answered & { readonly words: readonly (readonly (readonly string[])[])[] } {
    const answered = readAnswers(data, settings)
    const words = answered.references.map(texts => texts.map(wordsOf))
    const silent = words.findIndex(of => of.some(w => w.length === 0))
    if (silent >= 0) throw new MergeError('an example whose reference has no word', { where: `${data.file}: example ${silent + 1}`, fix: 'remove it, or say what was said' })
    return { ...answered, words }
  },
  async count(runner, { answers, words }) {
    const heard = (await answers(runner)).map(wordsOf)
    const best = words.map((texts, i) => {
      const [first, ...others] = texts.map(said => ({ edits: editDistance(said, heard[i]!), length: said.length }))
      return others.reduce((a, b) => (b.edits / b.length < a.edits / a.length ? b : a), first!)
    })
    return { over: best.map(b => b.edits), under: best.map(b => b.length) }
  },
})
