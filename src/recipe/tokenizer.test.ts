import { describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { CHAT_TEMPLATES } from './chat_templates.ts'
import { parse } from './parse.ts'
import type { Recipe } from './recipe.ts'

const HEAD = `merge_method: linear
base_model: ./a
models:
  - {model: ./a, parameters: {weight: 1}}
  - {model: ./code, parameters: {weight: 1}}
` // 5 lines

const read = (text: string): Recipe => parse(HEAD + text, { name: 'recipe.yml' })
const at = (line: number, column: number, end: number) => ({ line, column, end })

function refused(text: string): string {
  try {
    read(text)
  } catch (error) {
    if (error instanceof MergeError) return error.message
    throw error
  }
  throw new Error('the recipe was read')
}

describe('what is read', () => {
  test('without keys: nothing', () => expect(read('')).toMatchObject({ tokenizer: null, chatTemplate: null }))
  test('keys without values: nothing', () => expect(read('tokenizer:\ntokenizer_source:\nchat_template:\n')).toMatchObject({ tokenizer: null, chatTemplate: null }))

  for (const kind of ['union', 'base'] as const) {
    test(`tokenizer_source: ${kind}`, () => {
      expect(read(`tokenizer_source: ${kind}\n`).tokenizer).toEqual({ source: { kind, at: at(6, 19, 19 + kind.length) }, tokens: [], padToMultipleOf: null, at: at(6, 1, 17) })
    })
  }
  test('a model, merged or not', () => {
    expect(read('tokenizer_source: ./code\n').tokenizer?.source).toMatchObject({ kind: 'model', model: './code', reference: { path: './code' }, at: at(6, 19, 25) })
    expect(read('tokenizer: {source: {model: {path: org/other}}}\n').tokenizer?.source).toMatchObject({ kind: 'model', model: 'org/other', at: at(6, 21, 47) })
    const { reference } = read('tokenizer: {source: {path: org/other, revision: v1}}\n').tokenizer!.source as { reference: object }
    expect(reference).toMatchObject({ text: null, path: 'org/other', revision: 'v1', lora: null })
  })
  test('a model whose name is near that of another is none the less a model', () => expect(read('tokenizer_source: code2\n').tokenizer?.source).toMatchObject({ model: 'code2' }))
  test('an empty tokenizer is mergekit’s default, the union', () => expect(read('tokenizer: {}\n').tokenizer?.source.kind).toBe('union'))

  test('rules, in order, each at its place', () => {
    const { tokenizer } = read(`tokenizer:
  source: union
  pad_to_multiple_of: 64
  tokens:
    <|im_end|>: {source: ./code}
    <s>:
      source: {kind: zero}
      force: true
    "\\n": {source: {kind: model_token, model: ./a, token: " "}}
    07x: {source: {kind: model_token, model: {model: {path: ./a}}, token_id: 0}, force: false}
    7: {source: {model: ./a, token: 7}}
`)
    expect(tokenizer).toEqual({
      source: { kind: 'union', at: at(7, 11, 16) },
      padToMultipleOf: 64,
      tokens: [
        { token: '<|im_end|>', source: { kind: 'model', model: './code', at: at(10, 26, 32) }, force: false, at: at(10, 5, 15) },
        { token: '<s>', source: { kind: 'zero', at: at(12, 15, 27) }, force: true, at: at(11, 5, 8) },
        { token: '\n', source: { kind: 'model_token', model: './a', token: ' ', at: at(14, 59, 62) }, force: false, at: at(14, 5, 9) },
        { token: '07x', source: { kind: 'model_token', model: './a', token: 0, at: at(15, 78, 79) }, force: false, at: at(15, 5, 8) },
        { token: '7', source: { kind: 'model_token', model: './a', token: '7', at: at(16, 37, 38) }, force: false, at: at(16, 5, 6) },
      ],
      at: at(6, 1, 10),
    })
  })
  test('it is plain data', () => {
    const { tokenizer, chatTemplate } = read('tokenizer: {tokens: {a: {source: ./a}}}\nchat_template: chatml\n')
    expect(JSON.parse(JSON.stringify({ tokenizer, chatTemplate }))).toEqual({ tokenizer, chatTemplate })
  })
})

describe('chat templates', () => {
  test('auto', () => expect(read('chat_template: auto\n').chatTemplate).toEqual({ kind: 'auto', at: at(6, 16, 20) }))
  for (const name of ['alpaca', 'chatml', 'exaone', 'llama3', 'mistral']) {
    test(name, () => expect(read(`chat_template: ${name}\n`).chatTemplate).toEqual({ kind: 'text', name, text: CHAT_TEMPLATES[name], at: at(6, 16, 16 + name.length) }))
  }
  test('a template written out, line breaks kept', () => {
    const { chatTemplate } = read('chat_template: |\n  {% for m in messages %}\n  {{ m.content }}\n  {% endfor %}\n')
    expect(chatTemplate).toMatchObject({ kind: 'text', name: null, text: '{% for m in messages %}\n{{ m.content }}\n{% endfor %}\n' })
  })
  test('the known ones are one line, and close what they open', () => {
    for (const text of Object.values(CHAT_TEMPLATES)) {
      expect(text).not.toMatch(/[\n]/)
      const count = (word: RegExp): number => [...text.matchAll(word)].length
      expect(count(/\{% for /g)).toBe(count(/\{% endfor %\}/g))
      expect(count(/\{% if /g)).toBe(count(/\{% endif %\}/g))
      expect(count(/\{[{%]/g)).toBe(count(/[}%]\}/g))
    }
  })
  test('no name inherited from Object', () => expect(refused('chat_template: constructor\n')).toContain('unknown chat template "constructor"'))
})

test('a mistake is shown at its place, with what to do', () => {
  expect(refused('tokenizer:\n  source: union\n  tokens:\n    <s>: {sourse: ./a}\n')).toBe(`unknown key "sourse"
  at recipe.yml:9:11
  9 |     <s>: {sourse: ./a}
    |           ^^^^^^
  fix: did you mean "source"?`)
})

describe('refused', () => {
  const cases: readonly (readonly [recipe: string, what: string, fix: string])[] = [
    ['tokenizer: {source: union}\ntokenizer_source: base\n', 'tokenizer and tokenizer_source are both given', 'keep one of the two'],
    ['tokenizer_sorce: base\n', 'unknown key "tokenizer_sorce"', 'did you mean "tokenizer_source"?'],
    ['chat_templates: auto\n', 'unknown key "chat_templates"', 'did you mean "chat_template"?'],
    ['tokenizer: union\n', 'tokenizer must be a mapping', 'tokenizer: {source: union}'],
    ['tokenizer_source: unoin\n', 'tokenizer_source is "unoin"', 'did you mean "union"? If it is a model\'s folder, write ./unoin'],
    ['tokenizer_source: Base\n', 'tokenizer_source is "Base"', 'did you mean "base"?'],
    ['tokenizer_source: [union]\n', 'tokenizer_source must be text', 'tokenizer_source: union'],
    ['tokenizer: {source: {pth: ./a}}\n', 'unknown key "pth"', 'did you mean "path"?'],
    ['tokenizer: {source: {}}\n', 'source has no path', 'source: path/to/model'],
    ['tokenizer: {pad_multiple_of: 8}\n', 'unknown key "pad_multiple_of"', 'did you mean "pad_to_multiple_of"?'],
    ['tokenizer: {pad_to_multiple_of: 0}\n', 'pad_to_multiple_of must be a whole number from 1', 'pad_to_multiple_of: 64'],
    ['tokenizer: {pad_to_multiple_of: 6.5}\n', 'pad_to_multiple_of must be a whole number from 1', 'pad_to_multiple_of: 64'],
    ['tokenizer: {pad_to_multiple_of: "64"}\n', 'pad_to_multiple_of must be a whole number from 1', 'pad_to_multiple_of: 64'],
    ['tokenizer: {pad_to_multiple_of: 1e9}\n', 'pad_to_multiple_of must be a whole number from 1 to 1048576', 'pad_to_multiple_of: 64'],
    ['tokenizer: {tokens: [<s>]}\n', 'tokens must be a mapping', 'tokens: {'],
    ['tokenizer: {tokens: {<s>: ./a}}\n', 'the rule of token "<s>" must be a mapping', 'source: path/to/model'],
    ['tokenizer: {tokens: {<s>: {force: true}}}\n', 'token "<s>" has no source', 'source: {kind: zero}'],
    ['tokenizer: {tokens: {<s>: {source: ./a, force: 1}}}\n', 'force must be true or false', 'force: true'],
    ['tokenizer: {tokens: {<s>: {source: ./cod}}}\n', 'unknown model "./cod"', 'did you mean "./code"?'],
    ['tokenizer: {tokens: {<s>: {source: base}}}\n', 'unknown model "base"', 'models: ./a, ./code'],
    ['tokenizer: {tokens: {<s>: {source: {kind: zeros}}}}\n', 'unknown kind "zeros"', 'did you mean "zero"?'],
    ['tokenizer: {tokens: {<s>: {source: {kind: mean}}}}\n', 'unknown kind "mean"', 'source: {kind: zero}'],
    ['tokenizer: {tokens: {<s>: {source: {kind: zero, model: ./a}}}}\n', 'unknown key "model"', 'keys here: kind'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, token: x}}}}\n', 'model_token has no model', 'add `model: path/to/model`'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./a}}}}\n', 'model_token has neither token nor token_id', 'token_id: 1'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./a, token: x, token_id: 1}}}}\n', 'token and token_id are both given', 'keep one of the two'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./b, token: x}}}}\n', 'unknown model "./b"', 'did you mean "./a"?'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./a, token_id: -1}}}}\n', 'token_id must be a whole number from 0', 'token_id: 1'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./a, token_id: "1"}}}}\n', 'token_id must be a whole number from 0', 'token_id: 1'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./a, token: true}}}}\n', 'token must be text', 'in quotes'],
    ['tokenizer: {tokens: {<s>: {source: {kind: model_token, model: ./a, token: ""}}}}\n', 'token must be text', 'in quotes'],
    ['tokenizer: {tokens: {"": {source: ./a}}}\n', 'a token is empty', 'write the text of a token'],
    ['tokenizer: {tokens: {007: {source: ./a}}}\n', 'YAML reads the token 007 as 7', "put it in quotes: '007'"],
    ['tokenizer: {tokens: {<s>: {source: ./a}, <s>: {source: ./code}}}\n', '"<s>" is written twice', 'keep one of the two'],
    ['chat_template: chatmll\n', 'unknown chat template "chatmll"', 'did you mean "chatml"? Known names: auto, alpaca, chatml, exaone, llama3, mistral'],
    ['chat_template: vicuna\n', 'unknown chat template "vicuna"', 'known names: auto, alpaca, chatml, exaone, llama3, mistral; or write out a Jinja template'],
    ['chat_template: "{{ short }}"\n', 'unknown chat template "{{ short }}"', 'known names'],
    ['chat_template: a sentence without any braces in it\n', 'unknown chat template "a sentence', 'known names'],
    ['chat_template: {name: chatml}\n', 'chat_template must be text', 'chat_template: auto'],
  ]
  for (const [recipe, what, fix] of cases) {
    test(recipe.trim(), () => {
      const message = refused(recipe)
      expect(message).toContain(what)
      expect(message).toContain(fix)
      expect(message).toMatch(/at recipe\.yml:[67]:\d+/)
    })
  }
})
