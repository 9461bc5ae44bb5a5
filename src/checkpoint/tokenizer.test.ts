import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { open } from './checkpoint.ts'
import { openTokenizer, readTokenizer } from './tokenizer.ts'

const ROOT = join(import.meta.dirname, '../..')
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'merganser-tokenizer-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

let count = 0
/** A folder with these files; objects become JSON. */
function folderOf(files: Readonly<Record<string, unknown>>): string {
  const name = `m${count++}`
  mkdirSync(join(folder, name))
  for (const [file, content] of Object.entries(files))
    writeFileSync(join(folder, name, file), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
  return name
}
const read = (files: Readonly<Record<string, unknown>>) => openTokenizer(folderOf(files), { from: [folder] })
const idsOf = async (files: Readonly<Record<string, unknown>>) => Object.fromEntries((await read(files))!.ids)

const special = (id: number, content: string) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })
const bpe = (vocab: unknown, added: readonly unknown[] = []) => ({ added_tokens: added, model: { type: 'BPE', vocab, merges: [] } })

describe('tokenizer.json', () => {
  test('a real one, of a model', async () => {
    const tokenizer = (await readTokenizer(await open('zoo/text/code', { from: [ROOT] })))!
    expect(tokenizer).toMatchObject({ ref: 'zoo/text/code', kind: 'tokenizer.json' })
    const ids = [...tokenizer.ids.values()]
    expect(ids).toEqual(ids.map((_, i) => i))
    expect(tokenizer.ids.get('<s>')).toBe(1)
    expect(tokenizer.special).toMatchObject({ bos_token: '<s>' })
  })

  test('the vocabulary and added tokens, in order of ids', async () => {
    const tokenizer = (await read({ 'tokenizer.json': bpe({ b: 1, a: 0, '10': 2 }, [special(4, '<x>'), { id: 3, content: 'word' }, special(0, 'a')]) }))!
    expect([...tokenizer.ids]).toEqual([
      ['a', 0],
      ['b', 1],
      ['10', 2],
      ['word', 3],
      ['<x>', 4],
    ])
    expect([...tokenizer.added.keys()]).toEqual(['a', 'word', '<x>'])
    expect(tokenizer.added.get('word')).toEqual({ content: 'word', single_word: false, lstrip: false, rstrip: false, normalized: true, special: false })
  })

  test('WordPiece and WordLevel are maps, Unigram is a list', async () => {
    expect(await idsOf({ 'tokenizer.json': { model: { type: 'WordPiece', vocab: { '[UNK]': 0, a: 1, '##b': 2 } } } })).toEqual({ '[UNK]': 0, a: 1, '##b': 2 })
    expect(await idsOf({ 'tokenizer.json': { model: { type: 'WordLevel', vocab: { one: 0 } } } })).toEqual({ one: 0 })
    const scores = [
      ['<unk>', 0],
      ['▁a', -1.5],
      ['b', -2],
    ]
    expect(await idsOf({ 'tokenizer.json': { model: { type: 'Unigram', vocab: scores } } })).toEqual({ '<unk>': 0, '▁a': 1, b: 2 })
  })

  test('ids with holes stay', async () => expect(await idsOf({ 'tokenizer.json': bpe({ a: 0, b: 7 }, [special(20, '<late>')]) })).toEqual({ a: 0, b: 7, '<late>': 20 }))
  test('a token called __proto__ is a token', async () =>
    expect((await read({ 'tokenizer.json': '{"model":{"vocab":{"__proto__":0,"constructor":1}}}' }))!.ids.get('__proto__')).toBe(0))
})

describe('the configuration beside it', () => {
  const json = bpe({ a: 0, b: 1, '<s>': 2 }, [special(2, '<s>')])

  test('special tokens, as text or as objects; those that are not there are appended, as in transformers', async () => {
    const tokenizer = (await read({
      'tokenizer.json': json,
      'tokenizer_config.json': { bos_token: '<s>', eos_token: { content: 'b' }, pad_token: '<pad>', unk_token: null, additional_special_tokens: ['<x>', { content: '<y>' }, 'a'] },
    }))!
    expect(tokenizer.special).toEqual({ bos_token: '<s>', eos_token: 'b', pad_token: '<pad>' })
    expect(Object.fromEntries(tokenizer.ids)).toEqual({ a: 0, b: 1, '<s>': 2, '<pad>': 3, '<x>': 4, '<y>': 5 })
    expect(tokenizer.added.get('b')).toMatchObject({ special: true, normalized: false })
  })

  test('added_tokens_decoder adds what is missing, and moves nothing', async () => {
    const config = { added_tokens_decoder: { '1': special(0, 'a'), '9': special(9, '<nine>'), '0': special(0, '<taken>') } }
    expect(await idsOf({ 'tokenizer.json': json, 'tokenizer_config.json': config, 'added_tokens.json': { '<unread>': 5 } })).toEqual({
      a: 0,
      b: 1,
      '<s>': 2,
      '<taken>': 3,
      '<nine>': 9,
    })
  })
  test('added_tokens.json, where there is no such list', async () =>
    expect(await idsOf({ 'tokenizer.json': json, 'added_tokens.json': { '<n>': 3 } })).toEqual({ a: 0, b: 1, '<s>': 2, '<n>': 3 }))
  test('special_tokens_map.json, where the configuration is silent', async () => {
    const tokenizer = (await read({ 'tokenizer.json': json, 'special_tokens_map.json': { bos_token: { content: '<s>' }, additional_special_tokens: ['b'] } }))!
    expect(tokenizer.special).toEqual({ bos_token: '<s>' })
    expect([...tokenizer.added.keys()]).toEqual(['b', '<s>'])
  })

  test('the chat template: the file first, then the text, then the one called default', async () => {
    const named = [
      { name: 'tool_use', template: 'T' },
      { name: 'default', template: 'D' },
    ]
    const templateOf = async (files: object) => (await read({ 'tokenizer.json': json, ...files }))!.chatTemplate
    expect(await templateOf({ 'chat_template.jinja': 'F\n', 'tokenizer_config.json': { chat_template: 'C' } })).toBe('F\n')
    expect(await templateOf({ 'tokenizer_config.json': { chat_template: 'C' } })).toBe('C')
    expect(await templateOf({ 'tokenizer_config.json': { chat_template: named } })).toBe('D')
    expect(await templateOf({ 'tokenizer_config.json': { chat_template: named.slice(0, 1) } })).toBe(null)
    expect(await templateOf({})).toBe(null)
  })
})

describe('older files', () => {
  test('vocab.json', async () => {
    const tokenizer = (await read({ 'vocab.json': { b: 1, a: 0 }, 'merges.txt': '#version: 0.2\n', 'added_tokens.json': { '<n>': 2 } }))!
    expect(tokenizer.kind).toBe('vocab.json')
    expect(Object.fromEntries(tokenizer.ids)).toEqual({ a: 0, b: 1, '<n>': 2 })
  })
  test('vocab.txt: the line is the id; of equal tokens the last counts, and leaves a hole', async () => {
    expect(await idsOf({ 'vocab.txt': '[PAD]\r\na\r\nb\r\na\r\n' })).toEqual({ '[PAD]': 0, b: 2, a: 3 })
  })
  test('tokenizer.json wins over them', async () => expect(await idsOf({ 'tokenizer.json': bpe({ a: 0 }), 'vocab.json': { b: 0 } })).toEqual({ a: 0 }))

  const field = (number: number, bytes: readonly number[]) => [number * 8 + 2, bytes.length, ...bytes]
  const piece = (text: string, rest: readonly number[] = []) => field(1, [...field(1, [...new TextEncoder().encode(text)]), ...rest])
  const score = [0x15, 0, 0, 0x80, 0xbf] // field 2, a float: −1
  const kind = [0x18, 3] // field 3, a number
  const longNumber = [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01] // −1 as protobuf writes it
  const model = Uint8Array.from([...piece('<unk>', [...score, ...kind]), ...piece('▁a', score), ...field(2, [1, 2]), ...piece('b', longNumber), 0x19, 1, 2, 3, 4, 5, 6, 7, 8])

  test('tokenizer.model of Llama and its like', async () => {
    expect(await idsOf({ 'tokenizer.model': model, 'tokenizer_config.json': { tokenizer_class: 'LlamaTokenizer' }, 'added_tokens.json': { '<n>': 3 } })).toEqual({
      '<unk>': 0,
      '▁a': 1,
      b: 2,
      '<n>': 3,
    })
  })
  test('tokenizer.model of others shifts its ids: it has to be converted', async () => {
    const files = { 'tokenizer.model': model, 'tokenizer_config.json': { tokenizer_class: 'XLMRobertaTokenizer' } }
    await expect(read(files)).rejects.toThrow(/tokenizer\.model[\s\S]*convert it to tokenizer\.json/)
    await expect(read({ 'spiece.model': model })).rejects.toThrow(/spiece\.model[\s\S]*convert it to tokenizer\.json/)
    await expect(read({ 'tekken.json': {} })).rejects.toThrow(/tekken\.json[\s\S]*convert it to tokenizer\.json/)
  })
  test.each([
    ['cut', model.slice(0, 20)],
    ['a Git LFS pointer', new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:1\n')],
    ['empty', new Uint8Array()],
    ['a number without an end', Uint8Array.from([...model, 0x18, 0x80])],
    ['not UTF-8', Uint8Array.from(field(1, field(1, [0xff])))],
  ])('tokenizer.model that is %s', async (_, bytes) => {
    await expect(read({ 'tokenizer.model': bytes, 'tokenizer_config.json': { tokenizer_class: 'LlamaTokenizer' } })).rejects.toThrow('this is not a sentencepiece model')
  })
})

test('no tokenizer is null, not an error', async () => {
  expect(await read({ 'tokenizer_config.json': {} })).toBe(null)
  expect(await readTokenizer(await open('test/golden/models/tok-notok', { from: [ROOT] }))).toBe(null)
})

describe('damaged files are refused by name', () => {
  test.each([
    ['tokenizer.json', '{"model": {"vocab": {"a": 0, "a": 1}}}', '"a"'],
    ['tokenizer.json', '{"model": {"vocab": {"a": 0, "b": 0}}}', 'tokens "a" and "b" both have the id 0'],
    ['tokenizer.json', '{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 0, "content": "<x>"}]}', 'tokens "a" and "<x>" both have the id 0'],
    ['tokenizer.json', '{"model": {"vocab": {"a": -1}}}', 'token "a": its id must be a whole number from 0, found -1'],
    ['tokenizer.json', '{"model": {"vocab": {"a": "0"}}}', 'its id must be a whole number from 0, found a string'],
    ['tokenizer.json', '{"model": {"vocab": {"a": 4294967296}}}', 'its id must be a whole number from 0, found 4294967296'],
    ['tokenizer.json', '{"model": {"vocab": 3}}', 'the vocabulary must be an object, found a number'],
    ['tokenizer.json', '{"model": {}}', 'the vocabulary must be an object, found none'],
    ['tokenizer.json', '{}', 'model must be an object, found none'],
    ['tokenizer.json', '{"model": {"vocab": [["a"], 3]}}', 'entry 1 of the vocabulary must be a pair of token and score, found 3'],
    ['tokenizer.json', '{"model": {"vocab": {}}, "added_tokens": {}}', 'added_tokens must be a list, found an object'],
    ['tokenizer.json', '{"model": {"vocab": {}}, "added_tokens": [{"id": 1}]}', 'an added token must be an object with content'],
    ['tokenizer.json', '{"model": {"vocab": {}}, "added_tokens": [{"content": "x"}]}', 'its id must be a whole number from 0, found none'],
    ['tokenizer.json', '{', 'bad JSON'],
    ['vocab.json', '{"eng": {"a": 0}}', 'token "eng": its id must be a whole number from 0, found an object'],
  ])('%s %s', async (file, text, message) => {
    const name = folderOf({ [file]: text })
    const error = await openTokenizer(name, { from: [folder] }).then(
      () => null,
      (e: Error) => e.message,
    )
    expect(error).toContain(message)
    expect(error).toContain(`${name}/${file}`)
  })
})
