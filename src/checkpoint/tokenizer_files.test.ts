import { describe, expect, test } from 'vitest'
import { type AddedToken, plainToken, type Tokenizer } from './tokenizer.ts'
import { tokenizerFiles } from './tokenizer_files.ts'

const special = (content: string): AddedToken => ({ ...plainToken(content), normalized: false, special: true })
const NO_CHANGE = { learned: [], forgotten: [], chatTemplate: null }

/** A tokenizer with these files; `text` stands for files that are not JSON. */
function tokenizerOf(json: Tokenizer['json'], text: readonly string[] = [], more: Partial<Tokenizer> = {}): Tokenizer {
  const files = [...Object.keys(json), ...text].map(name => ({ name, path: `/models/a/${name}`, size: 1, role: 'tokenizer' as const }))
  const ids = new Map([
    ['a', 0],
    ['b', 1],
    ['ab', 2],
    ['<s>', 3],
  ])
  return { ref: 'a', ids, added: new Map([['<s>', special('<s>')]]), special: {}, chatTemplate: null, kind: 'tokenizer.json', json, files, ...more }
}
const JSON_FILE = {
  version: '1.0',
  added_tokens: [{ id: 3, ...special('<s>') }],
  model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
}
/** The files by name: what is written, or the path that is copied. */
const filesOf = (...args: Parameters<typeof tokenizerFiles>): Record<string, unknown> =>
  Object.fromEntries(tokenizerFiles(...args).map(f => [f.name, 'path' in f ? f.path : f.name.endsWith('.json') ? JSON.parse(f.text) : f.text]))

test('without changes everything is copied', () => {
  const tokenizer = tokenizerOf({ 'tokenizer.json': JSON_FILE, 'tokenizer_config.json': { chat_template: 'T' } }, ['merges.txt', 'chat_template.jinja'])
  expect(filesOf(tokenizer, NO_CHANGE)).toEqual({
    'chat_template.jinja': '/models/a/chat_template.jinja',
    'merges.txt': '/models/a/merges.txt',
    'tokenizer.json': '/models/a/tokenizer.json',
    'tokenizer_config.json': '/models/a/tokenizer_config.json',
  })
})

describe('learned tokens', () => {
  const learned = [
    { ...plainToken('a'), id: 0 },
    { ...special('<x>'), id: 4 },
  ]
  test('join added_tokens in order of ids; the model stays', () => {
    const files = filesOf(tokenizerOf({ 'tokenizer.json': JSON_FILE, 'tokenizer_config.json': { bos_token: '<s>' } }), { ...NO_CHANGE, learned })
    expect(files).toEqual({
      'tokenizer.json': { ...JSON_FILE, added_tokens: [{ id: 0, ...plainToken('a') }, { id: 3, ...special('<s>') }, { id: 4, ...special('<x>') }] }, // biome-ignore format: one line
      'tokenizer_config.json': '/models/a/tokenizer_config.json',
    })
  })
  test('and a list in the configuration, which transformers believes', () => {
    const files = filesOf(tokenizerOf({ 'tokenizer.json': JSON_FILE, 'tokenizer_config.json': { bos_token: '<s>', added_tokens_decoder: { 3: special('<s>') } } }), {
      ...NO_CHANGE,
      learned,
    })
    expect(files['tokenizer_config.json']).toEqual({ bos_token: '<s>', added_tokens_decoder: { 0: plainToken('a'), 3: special('<s>'), 4: special('<x>') } })
  })
  test('and added_tokens.json, where older files need it', () => {
    expect(filesOf(tokenizerOf({ 'vocab.json': { a: 0, b: 1, ab: 2, '<s>': 3 } }, ['merges.txt'], { kind: 'vocab.json' }), { ...NO_CHANGE, learned })).toEqual({
      'added_tokens.json': { a: 0, '<s>': 3, '<x>': 4 },
      'merges.txt': '/models/a/merges.txt',
      'vocab.json': '/models/a/vocab.json',
    })
  })
  test('a token that only the configuration names is written down with its id', () => {
    const tokenizer = tokenizerOf({ 'tokenizer.json': JSON_FILE }, [], {
      ids: new Map([
        ['<s>', 3],
        ['<pad>', 4],
      ]),
      added: new Map([
        ['<s>', special('<s>')],
        ['<pad>', special('<pad>')],
      ]),
    })
    const { added_tokens } = filesOf(tokenizer, { ...NO_CHANGE, learned: [{ ...special('<x>'), id: 5 }] })['tokenizer.json'] as typeof JSON_FILE
    expect(added_tokens.map(t => [t.id, t.content])).toEqual([
      [3, '<s>'],
      [4, '<pad>'],
      [5, '<x>'],
    ])
  })
})

describe('forgotten tokens', () => {
  test('go from vocabulary, merges and added tokens', () => {
    const json = { ...JSON_FILE, model: { type: 'BPE', vocab: { a: 0, b: 1, c: 2, ab: 3, abc: 4, bb: 5 }, merges: ['a b', 'ab c', 'b b'] } }
    const tokenizer = tokenizerOf({ 'tokenizer.json': json, 'vocab.json': {} }, ['merges.txt'])
    expect(filesOf(tokenizer, { ...NO_CHANGE, forgotten: ['ab', 'bb', '<s>'] })).toEqual({
      'added_tokens.json': {},
      'tokenizer.json': { ...json, added_tokens: [], model: { type: 'BPE', vocab: { a: 0, b: 1, c: 2, abc: 4 }, merges: [] } },
    })
  })
  test('with a prefix that merges take away', () => {
    const model = { type: 'BPE', continuing_subword_prefix: '##', vocab: { a: 0, '##b': 1, ab: 2 }, merges: [['a', '##b']] }
    expect(filesOf(tokenizerOf({ 'tokenizer.json': { model } }), { ...NO_CHANGE, forgotten: ['ab'] })['tokenizer.json']).toMatchObject({
      model: { vocab: { a: 0, '##b': 1 }, merges: [] },
    })
  })
  test('of a list', () => {
    const vocab = [
      ['a', -1],
      ['b', -2],
    ]
    expect(filesOf(tokenizerOf({ 'tokenizer.json': { model: { type: 'Unigram', vocab } } }), { ...NO_CHANGE, forgotten: ['b'] })['tokenizer.json']).toMatchObject({
      model: { vocab: [['a', -1]] },
    })
  })
  test('of older files cannot be cut out', () => {
    expect(() => tokenizerFiles(tokenizerOf({ 'vocab.json': {} }, [], { kind: 'vocab.json' }), { ...NO_CHANGE, forgotten: ['a'] })).toThrow(
      /a: its vocab\.json has more tokens than its embedding has rows[\s\S]*convert it to tokenizer\.json/,
    )
  })
})

describe('chat templates', () => {
  const config = { model_max_length: 1e30, chat_template: 'OLD' }
  const tokenizer = tokenizerOf({ 'tokenizer.json': JSON_FILE, 'tokenizer_config.json': config, 'chat_template.json': { chat_template: 'OLD' } }, [], { chatTemplate: 'OLD' })
  test('a new one is written everywhere', () => {
    expect(filesOf(tokenizer, { ...NO_CHANGE, chatTemplate: 'NEW\n' })).toEqual({
      'chat_template.jinja': 'NEW\n',
      'chat_template.json': { chat_template: 'NEW\n' },
      'tokenizer.json': '/models/a/tokenizer.json',
      'tokenizer_config.json': { ...config, chat_template: 'NEW\n' },
    })
  })
  test('whole numbers keep their digits, which Python needs', () => {
    const [file] = tokenizerFiles(tokenizer, { ...NO_CHANGE, chatTemplate: 'NEW' }).filter(f => f.name === 'tokenizer_config.json')
    expect(file).toMatchObject({ text: '{\n  "model_max_length": 1000000000000000019884624838656,\n  "chat_template": "NEW"\n}\n' })
  })
  test('the old one moves to where it is looked for today', () => {
    expect(filesOf(tokenizer, { ...NO_CHANGE, chatTemplate: 'OLD' })).toMatchObject({ 'chat_template.jinja': 'OLD', 'tokenizer_config.json': '/models/a/tokenizer_config.json' })
  })
  test('named ones stay in their list', () => {
    const named = tokenizerOf({ 'tokenizer.json': JSON_FILE, 'tokenizer_config.json': { chat_template: [{ name: 'default', template: 'OLD' }] } }, [], { chatTemplate: 'OLD' })
    expect(filesOf(named, { ...NO_CHANGE, chatTemplate: 'OLD' })).toEqual({
      'tokenizer.json': '/models/a/tokenizer.json',
      'tokenizer_config.json': '/models/a/tokenizer_config.json',
    })
  })
})
