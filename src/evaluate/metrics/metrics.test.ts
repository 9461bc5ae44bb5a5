import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ratioOf } from '../bootstrap.ts'
import type { Data, DataTensor, Line } from '../data.ts'
import { languageModel, rewardModel } from '../engines/_language.ts'
import type { Runner } from '../engines/engine.ts'
import type { Tokens } from '../tokens.ts'
import { METRICS } from './_all.ts'
import { windowsOf } from './_surprise.ts'
import { editDistance, wordsOf } from './_words.ts'

// Metrics on models that are so simple that the numbers can be computed another way: a bigram over the letters a to d, a judge of lengths.

const LETTERS = 'abcd'
const START = 4
const tokens: Tokens = {
  encode: text => [...text].map(letter => LETTERS.indexOf(letter)),
  decode: ids => ids.map(id => LETTERS[id] ?? '').join(''),
  idOf: token => (token === '<s>' ? START : token === '</s>' ? 5 : -1),
}

/** Scores of the next token given the last one; of no meaning, and all different. */
const logit = (last: number, next: number): number => Math.sin(3 * last + 7 * next) * 2
const lnP = (last: number, next: number): number => logit(last, next) - Math.log([0, 1, 2, 3, 4, 5].reduce((sum, other) => sum + Math.exp(logit(last, other)), 0))

/** The bigram as a network that takes padded rows of ids, as an ONNX graph would. */
const bigram: Partial<Runner> = {
  ...languageModel(async ids => ({
    dims: [...ids.dims, 6],
    data: Float32Array.from({ length: ids.data.length * 6 }, (_, i) => logit(Number(ids.data[Math.floor(i / 6)]), i % 6)),
  })),
  tokens: async () => tokens,
}

/** Rates a sequence by how many of its tokens are `b`. */
const judge: Partial<Runner> = {
  ...rewardModel(async ids => {
    const [rows, length] = ids.dims as [number, number]
    return { dims: [rows], data: Float32Array.from({ length: rows }, (_, n) => ids.data.slice(n * length, (n + 1) * length).filter(id => Number(id) === 1).length) }
  }),
  tokens: async () => tokens,
}

const lines = (...objects: readonly object[]): Data => ({
  kind: 'lines',
  file: 'data.jsonl',
  lines: objects.map((fields, i): Line => ({ where: `data.jsonl:${i + 1}`, fields: fields as Line['fields'] })),
})

function settingsOf(name: string, given: object): never {
  const defaults = Object.fromEntries(Object.entries(METRICS[name]!.options).map(([key, option]) => [key, option.default]))
  return { ...defaults, ...given } as never // the test has them right
}

async function score(name: string, runner: Partial<Runner>, data: Data, given: object = {}): Promise<number> {
  const metric = METRICS[name]!
  const settings = settingsOf(name, given)
  const counts = await metric.count(runner as Runner, metric.read(data, settings), settings)
  return (metric.score ?? (x => x))(ratioOf(counts))
}

const letters = (least: number, most: number) => fc.array(fc.integer({ min: 0, max: 3 }), { minLength: least, maxLength: most }).map(ids => tokens.decode(ids))

describe('perplexity and bits per byte', () => {
  test('are those of the chain rule, whatever the windows', () =>
    fc.assert(
      fc.asyncProperty(letters(1, 60), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }), async (text, context, stride) => {
        const ids = tokens.encode(text)
        const nats = ids.reduce((sum, id, i) => sum - lnP(i === 0 ? START : ids[i - 1]!, id), 0)
        const data = { kind: 'text', file: 'a.txt', text } as const
        expect(await score('perplexity', bigram, data, { start: '<s>', context, stride })).toBeCloseTo(reference(ids, context, stride), 4)
        if (context >= ids.length) {
          expect(await score('perplexity', bigram, data, { start: '<s>', context, stride })).toBeCloseTo(Math.exp(nats / ids.length), 4)
          expect(await score('bits_per_byte', bigram, data, { start: '<s>', context, stride })).toBeCloseTo(nats / Math.LN2 / ids.length, 5)
        }
      }),
    ))

  /** Token by token: a bigram sees <s> where a window begins anew. */
  function reference(ids: readonly number[], context: number, stride: number): number {
    const step = Math.min(stride, context)
    const nats = ids.map((id, i) => {
      const from = i < context ? 0 : Math.ceil((i + 1 - context) / step) * step // where the first window that reaches the token begins
      return -lnP(i === from ? START : ids[i - 1]!, id)
    })
    return Math.exp(nats.reduce((a, b) => a + b) / ids.length)
  }

  test('without a first token, the first token of the text is not scored', async () => {
    const expected = Math.exp(-(lnP(0, 1) + lnP(1, 2)) / 2)
    expect(await score('perplexity', bigram, { kind: 'text', file: 'a.txt', text: 'abc' }, { context: 8 })).toBeCloseTo(expected, 5)
    expect(await score('perplexity', bigram, { kind: 'text', file: 'a.txt', text: 'abc' }, { context: 2 })).toBeCloseTo(expected, 5)
  })

  test('bytes are those of UTF-8, of the first characters only', async () => {
    const metric = METRICS['bits_per_byte']!
    const settings = settingsOf('bits_per_byte', { characters: 3 })
    expect(metric.read({ kind: 'text', file: 'a.txt', text: '道😀éab' }, settings)).toEqual({ text: '道😀é', bytes: 9 })
  })

  test('windows score every token once, see at most the context, and all that precedes as far as it fits', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 30 }), (length, context, stride) => {
        const ids = Array.from({ length }, (_, i) => 100 + i) // each names its place
        const windows = windowsOf(ids, 7, context, stride)
        expect(windows.flatMap(w => w.targets.filter(t => t >= 0))).toEqual(ids)
        for (const { inputs, targets } of windows) {
          expect(inputs.length).toBeLessThanOrEqual(context)
          for (const [i, target] of targets.entries()) if (target >= 0) expect(inputs[i]).toBe(i === 0 ? 7 : target - 1)
        }
      }),
    ))
})

describe('generation', () => {
  test('takes the likeliest token at temperature 0, whatever else is in the batch', async () => {
    const greedy = { length: 6, temperature: 0, seed: 1, banned: [4, 5], stop: -1, context: 3 }
    const best = (last: number): number => [0, 1, 2, 3].reduce((a, b) => (logit(last, b) > logit(last, a) ? b : a))
    const expected = [0]
    for (let i = 0; i < 6; i++) expected.push(best(expected.at(-1)!))
    const [alone] = await bigram.generate!([[0]], greedy)
    const [, among] = await bigram.generate!([[1, 2, 3, 1], [0], [2]], greedy)
    expect([0, ...alone!]).toEqual(expected)
    expect(among).toEqual(alone)
  })

  test('samples follow the distribution', async () => {
    const n = 4000
    const sampled = await bigram.generate!(
      Array.from({ length: n }, () => [2]),
      { length: 1, temperature: 0.7, seed: 3, banned: [5], stop: -1, context: 9 },
    )
    const weight = (next: number): number => Math.exp(logit(2, next) / 0.7)
    const total = [0, 1, 2, 3, 4].reduce((sum, next) => sum + weight(next), 0)
    for (const next of [0, 1, 2, 3, 4]) {
      const p = weight(next) / total
      const found = sampled.filter(([token]) => token === next).length / n
      expect(Math.abs(found - p), `token ${next}`).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / n))
    }
    expect(sampled.some(([token]) => token === 5)).toBe(false)
  })

  test('is the same for a seed, another for another, and ends at the token that ends texts', async () => {
    const sampling = { length: 12, temperature: 1, seed: 5, banned: [], stop: 3, context: 9 }
    const prompts = [[0], [1], [2, 0]]
    const first = await bigram.generate!(prompts, sampling)
    expect(await bigram.generate!(prompts, sampling)).toEqual(first)
    expect(await bigram.generate!(prompts, { ...sampling, seed: 6 })).not.toEqual(first)
    expect(first.flat()).not.toContain(3)
  })
})

describe('edits and words', () => {
  /** By definition: the cheapest of the three last steps. */
  const byDefinition = (a: readonly string[], b: readonly string[]): number => {
    if (a.length === 0 || b.length === 0) return a.length + b.length
    const [restA, restB] = [a.slice(1), b.slice(1)]
    return Math.min(byDefinition(restA, b) + 1, byDefinition(a, restB) + 1, byDefinition(restA, restB) + (a[0] === b[0] ? 0 : 1))
  }
  const words = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 5 })

  test('the distance is that of its definition', () => {
    fc.assert(fc.property(words, words, (a, b) => editDistance(a, b) === byDefinition(a, b)))
  })

  test('case and punctuation around words do not count, accents in any form are one', () => {
    expect(wordsOf(' “Don’t!” she said — E\u0301t\u00e9. ')).toEqual(['don’t', 'she', 'said', 'été'])
  })
})

const classifier = (width: number, ...scores: readonly number[]): Partial<Runner> => ({ classify: async () => ({ width, data: Float32Array.from(scores) }) })
const labelled = (labels: readonly number[]): Data => ({
  kind: 'tensors',
  file: 'x.safetensors',
  tensors: new Map<string, DataTensor>([
    ['images', { shape: [labels.length, 1], data: new Uint8Array(labels.length) }],
    ['labels', { shape: [labels.length], data: Uint8Array.from(labels) }],
  ]),
})

describe('classes', () => {
  test('accuracy counts the highest score, the first of equals', async () => {
    expect(await score('accuracy', classifier(3, 1, 5, 2, /**/ 4, 4, 0, /**/ 0, 1, 2), labelled([1, 1, 2]))).toBe(2 / 3)
  })
  test('among a few classes only these are answered', async () => {
    expect(await score('accuracy', classifier(3, 1, 5, 2, /**/ 4, 6, 5), labelled([2, 0]), { among: [0, 2] })).toBe(1 / 2)
  })
  test('a label out of range is refused with its row', async () => {
    await expect(score('accuracy', classifier(2, 0, 1, 0, 1), labelled([1, 2]))).rejects.toThrow(
      'the label 2 is out of range: the model’s classes are from 0 to 1\n  at x.safetensors: row 1',
    )
  })
  test('word error rate and exact match of isolated words are complements', async () => {
    const runner = classifier(2, 0, 1, 3, 1, 0, 1)
    expect(await score('word_error_rate', runner, labelled([1, 1, 1]), { names: ['zero', 'one'] })).toBeCloseTo(1 / 3, 12)
    expect(await score('exact_match', runner, labelled([1, 1, 1]), { names: ['zero', 'one'] })).toBeCloseTo(2 / 3, 12)
  })
})

describe('texts', () => {
  test('pairs by reward, ties lost', async () => {
    const data = lines({ chosen: 'bb', rejected: 'ba' }, { chosen: 'a', rejected: 'b' }, { chosen: 'b', rejected: 'b' }, { chosen: 'bbb', rejected: 'bb' })
    expect(await score('pair_accuracy', judge, data, { start: '<s>', end: '</s>' })).toBe(0.5)
  })

  test('long texts keep the token behind them', async () => {
    const seen: (readonly number[])[] = []
    const runner: Partial<Runner> = { tokens: async () => tokens, rewards: async all => all.map(s => seen.push(s)) }
    await score('pair_accuracy', runner, lines({ chosen: 'abcdabcd', rejected: 'a' }), { start: '<s>', end: '</s>', context: 5 })
    expect(seen).toEqual([
      [4, 0, 1, 2, 5],
      [4, 0, 5],
    ])
  })

  test('pairs by likelihood are those of the chain rule', () =>
    fc.assert(
      fc.asyncProperty(letters(1, 8), letters(1, 8), async (chosen, rejected) => {
        const sum = (text: string): number => tokens.encode(text).reduce((total, id, i, ids) => total + lnP(i === 0 ? START : ids[i - 1]!, id), 0)
        fc.pre(Math.abs(sum(chosen) - sum(rejected)) > 1e-4) // float32 logits
        expect(await score('pair_accuracy', bigram, lines({ chosen, rejected }), { by: 'likelihood', start: '<s>' })).toBe(sum(chosen) > sum(rejected) ? 1 : 0)
      }),
    ))

  test('the best of N is the worth of the first that is rated highest', async () => {
    const data = lines({ candidates: ['b', 'bb', 'ab'], worth: [0.1, 0.7, 0.9] }, { candidates: ['a', 'bab'], worth: [true, false] })
    expect(await score('best_of_n', judge, data)).toBe((0.7 + 0) / 2)
    expect(await score('best_of_n', judge, data, { n: 1 })).toBe((0.1 + 1) / 2)
  })

  test('multiple choice: ln p of the answer alone, per answer, token or byte', () =>
    fc.assert(
      fc.asyncProperty(letters(1, 5), fc.array(letters(1, 5), { minLength: 2, maxLength: 4 }), fc.constantFrom('answer', 'token', 'byte'), async (question, choices, per) => {
        const scores = choices.map(choice => {
          const ids = tokens.encode(choice)
          const sum = ids.reduce((total, id, i) => total + lnP(i === 0 ? tokens.encode(question).at(-1)! : ids[i - 1]!, id), 0)
          return per === 'answer' ? sum : sum / ids.length
        })
        const order = scores.toSorted((a, b) => b - a)
        fc.pre(order[0]! - order[1]! > 1e-4)
        const answer = scores.indexOf(order[0]!)
        expect(await score('multiple_choice', bigram, lines({ question, choices, answer }), { per })).toBe(1)
        expect(await score('multiple_choice', bigram, lines({ question, choices, answer: (answer + 1) % choices.length }), { per })).toBe(0)
      }),
    ))

  const writer = (...texts: readonly string[]): Partial<Runner> => ({
    tokens: async () => ({ ...tokens, decode: ids => texts[ids[0]!]! }),
    generate: async prompts => prompts.map((_, i) => [i]),
  })

  test('listed words are whole words of any case, the longest first', async () => {
    const data = lines({ prompt: [0] }, { prompt: [1] }, { prompt: [2] })
    const runner = writer('Oh BLIMEY, great-googly moogly', 'sublimey and blimeyish', 'blimey blimey')
    const words = ['blimey', 'great', 'great-googly']
    expect(await score('word_list_rate', runner, data, { words })).toBe(2 / 3)
    expect(await score('word_list_rate', runner, data, { words, per: 'word' })).toBe(4 / 9)
  })

  test('generated answers: exact match of any reference, cut where the suite says; words wrong', async () => {
    const data = lines({ prompt: 'ab', answer: ['42', 'forty-two'] }, { prompt: 'c', answer: 'the cat sat' })
    const runner = writer('42\nand more', 'a cat sat down')
    expect(await score('exact_match', runner, data, { until: '\n' })).toBe(0.5)
    expect(await score('word_error_rate', runner, data, { until: '\n' })).toBe(2 / 4)
  })

  test.each([
    ['pair_accuracy', { chosen: 'a' }, 'the field "rejected" is missing\n  at data.jsonl:2\n  fix: fields of this line: chosen'],
    ['pair_accuracy', { chosen: 3, rejected: 'b' }, 'the field "chosen" must be text; here it is 3\n  at data.jsonl:2, field "chosen"'],
    ['best_of_n', { candidates: ['a', 'b'], worth: [1] }, 'the field "worth" must be a list of 2 numbers, or of true and false; here it is an array'],
    ['multiple_choice', { question: 'a', choices: ['b', 'c'], answer: 2 }, 'the field "answer" must be a whole number from 0 to 1; here it is 2'],
    ['word_list_rate', { prompt: [] }, 'the field "prompt" must be text, or a list of token ids; here it is an array'],
  ])('%s says which line and field are wrong', async (name, object, message) => {
    const good = { chosen: 'a', rejected: 'b', candidates: ['a'], worth: [1], question: 'a', choices: ['a', 'b'], answer: 0, prompt: 'a' }
    await expect(async () => METRICS[name]!.read(lines(good, object), settingsOf(name, { words: ['a'] }))).rejects.toThrow(message)
  })
})
