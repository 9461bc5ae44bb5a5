import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { describe, expect, test } from 'vitest'
import { GOLDEN, idsOf, planInGolden, textOf } from './golden.ts'

// The files of a merge with a tokenizer against mergekit's; golden.test.ts compares its embeddings. Tokens are compared by their text, since
// mergekit numbers appended tokens anew in every run.

const groups = ['cases', 'more'].filter(group => existsSync(join(GOLDEN, group)))
const folders = groups.flatMap(group => readdirSync(join(GOLDEN, group)).map(name => `${group}/${name}`))
const cases = folders.filter(name => existsSync(join(GOLDEN, name, 'expected/tokenizer.json')))

type Json = Readonly<Record<string, unknown>>

describe.each(cases)('%s', name => {
  const planned = () => planInGolden(readFileSync(join(GOLDEN, name, 'recipe.yml'), 'utf8'), name)
  const expected = (file: string): string => readFileSync(join(GOLDEN, name, 'expected', file), 'utf8')
  const theirs = idsOf(expected('tokenizer.json'))

  test('the same tokens', async () => {
    const own = idsOf(textOf(await planned(), 'tokenizer.json'))
    expect([...own.keys()].sort()).toEqual([...theirs.keys()].sort())
    expect(
      [...own.values()].sort((a, b) => a - b),
      'ids from 0 on, no two the same',
    ).toEqual([...own.keys()].map((_, i) => i))
  })

  test('the written tokenizer cuts texts as the expected one does', async () => {
    const merge = await planned()
    const own = textOf(merge, 'tokenizer.json')
    const read = (json: string) => new Tokenizer({ ...(JSON.parse(json) as Json), post_processor: null }, {}).encode(TEXT, { add_special_tokens: false })
    const [got, want] = [read(own), read(expected('tokenizer.json'))]
    const ids = idsOf(own)
    expect(got.tokens).toEqual(want.tokens)
    expect(got.ids).toEqual(want.tokens.map((token: string) => ids.get(token) ?? ids.get('<unk>')))
  })

  // mergekit leaves ids of special tokens as they were, and cuts rows without a token off.
  test('config.json: the same but for ids that follow their tokens', async () => {
    const merge = await planned()
    const [own, wanted] = [JSON.parse(textOf(merge, 'config.json')) as Json, JSON.parse(expected('config.json')) as Json]
    const isId = (key: string): boolean => key.endsWith('_token_id')
    const rows = merge.outputs.flatMap(o => o.tensors).find(t => t.name === 'model.embed_tokens.weight')!.shape[0]!
    expect(own['vocab_size']).toBe(rows)
    expect(rows).toBeGreaterThanOrEqual(Number(wanted['vocab_size']))
    for (const [key, value] of Object.entries(own)) if (!isId(key) && key !== 'vocab_size' && key in wanted) expect({ key, value }).toEqual({ key, value: wanted[key] })
    for (const key of Object.keys(own).filter(isId)) {
      const moved = merge.notes.some(note => note.startsWith(`config.json: ${key} goes from `))
      expect({ key, isTheirs: own[key] === wanted[key] }).toEqual({ key, isTheirs: !moved })
    }
  })

  if (existsSync(join(GOLDEN, name, 'expected/chat_template.jinja')))
    test('the chat template', async () => expect(textOf(await planned(), 'chat_template.jinja')).toBe(expected('chat_template.jinja')))
})

// Tokens of all models between letters; the lone space before <|im_end|> of tok-three would go to the token in only one of its ways.
const TEXT = '<s>abcd the thing<|im_start|>ing er and<|im_end|>bc 3 ouch quef ▁a to<|extra|>ab<new>of cab</s>efe ea'

test('cases with a tokenizer', () => expect(cases.length).toBeGreaterThanOrEqual(18))
