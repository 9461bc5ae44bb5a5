import { describe, expect, test } from 'vitest'
import { commonTemplate } from './chat_template.ts'
import { moveTokenIds } from './token_ids.ts'
import type { Tokenizer } from './tokenizer.ts'

const from: Tokenizer = {
  ref: 'a',
  ids: new Map([
    ['<unk>', 0],
    ['<s>', 1],
    ['</s>', 2],
    ['<old>', 3],
  ]),
  added: new Map(),
  special: {},
  chatTemplate: null,
  kind: 'tokenizer.json',
  json: {},
  files: [],
}

describe('ids in a configuration', () => {
  test('follow their tokens', () => {
    expect(moveTokenIds({ bos_token_id: 1, eos_token_id: [2, 0], vocab_size: 3, unk_token_id: 0 }, from, ['<unk>', '</s>', null, '<s>'], {})).toEqual({
      changed: { bos_token_id: 3, eos_token_id: [1, 0] },
      lost: [],
    })
  })
  test('stay where nothing moves, and where they mean no token', () => {
    expect(moveTokenIds({ bos_token_id: 1, pad_token_id: null, sep_token_id: -1, eos_token_id: 77, cls_token_id: '1' }, from, ['<unk>', '<s>'], {})).toEqual({
      changed: {},
      lost: [],
    })
  })
  test('of a token that is gone take the new tokenizer’s of that name', () => {
    expect(moveTokenIds({ eos_token_id: 3, decoder_start_token_id: 3 }, from, ['x', '<|end|>'], { eos_token: '<|end|>' })).toEqual({
      changed: { eos_token_id: 1 },
      lost: [{ key: 'decoder_start_token_id', token: '<old>' }],
    })
  })
})

describe('the common chat template', () => {
  test.each([
    [[], null],
    [[null, '', ' \n'], null],
    [[null, 'a'], 'a'],
    [['a', 'b', 'b'], 'b'],
    [['b', 'a', 'a', 'b'], 'b'],
    [['a', ' b\n', 'b'], 'b'],
  ])('%j: %j', (templates, winner) => expect(commonTemplate(templates)).toBe(winner))
})
