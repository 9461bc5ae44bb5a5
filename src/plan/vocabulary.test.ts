import { describe, expect, test } from 'vitest'
import { plainToken, type Tokenizer } from '../checkpoint/tokenizer.ts'
import { MergeError } from '../errors.ts'
import { parse } from '../recipe/parse.ts'
import { mapRows, planVocabulary, type VocabularyModel } from './vocabulary.ts'
import { planTokenizerFiles, vocabularyChanges } from './vocabulary_files.ts'
import { tabulateVocabulary } from './vocabulary_table.ts'

function tokenizerOf(ref: string, tokens: readonly string[], more: Partial<Tokenizer> = {}): Tokenizer {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const added = new Map(tokens.filter(t => t.startsWith('<')).map(t => [t, { ...plainToken(t), special: true, normalized: false }]))
  const vocab = Object.fromEntries(ids)
  const json = { 'tokenizer.json': { added_tokens: [...added.values()].map(t => ({ id: ids.get(t.content)!, ...t })), model: { type: 'WordLevel', vocab } } }
  const files = Object.keys(json).map(name => ({ name, path: `/${ref}/${name}`, size: 1, role: 'tokenizer' as const }))
  return { ref, ids, added, special: {}, chatTemplate: null, kind: 'tokenizer.json', json, files, ...more }
}
const model = (name: string, tokens: readonly string[] | null, rows = tokens?.length ?? 0, more: Partial<Tokenizer> = {}): VocabularyModel => ({
  name,
  tokenizer: tokens && tokenizerOf(name, tokens, more),
  rows,
})

const A = model('a', ['<s>', '</s>', 'one', 'two'])
const B = model('b', ['two', 'three', '</s>', '<end>', '<s>'])
const C = model('c', ['three', '<s>', 'four'])

/** A recipe that merges a, b and c, with `text` for its tokenizer. */
function recipeOf(text: string, base = true) {
  const recipe = parse(
    `merge_method: linear\n${base ? 'base_model: a\n' : ''}models:\n${['a', 'b', 'c'].map(m => `  - {model: ${m}, parameters: {weight: 1}}\n`).join('')}${text}`,
    { name: 'recipe.yml' },
  )
  return { source: recipe.source, request: recipe.tokenizer!, chat: recipe.chatTemplate, base: base ? 'a' : null }
}
function planOf(text: string, models: readonly VocabularyModel[] = [A, B, C], base = true, other: Tokenizer | null = null) {
  const recipe = recipeOf(text, base)
  return { ...recipe, plan: planVocabulary(recipe.source, recipe.request, models, recipe.base, other) }
}
function refusal(text: string, models?: readonly VocabularyModel[], base?: boolean): string {
  try {
    planOf(text, models, base)
  } catch (error) {
    if (error instanceof MergeError) return error.message
    throw error
  }
  throw new Error('the plan was made')
}

describe('the vocabulary', () => {
  test.each([
    ['base', ['<s>', '</s>', 'one', 'two']],
    ['union', ['<s>', '</s>', 'one', 'two', 'three', 'four', '<end>']],
    ['b', ['two', 'three', '</s>', '<end>', '<s>']],
  ])('of %s', (source, tokens) => expect(planOf(`tokenizer_source: ${source}\n`).plan.output.tokens).toEqual(tokens))

  test('the order in which models are given does not matter, but for the base, which is first', () => {
    const { output } = planOf('tokenizer_source: union\n', [B, A]).plan
    expect(output.tokens.slice(0, 4)).toEqual(['<s>', '</s>', 'one', 'two'])
  })
  test('without a base the first model takes its place, and a note says so', () => {
    const { plan } = planOf('tokenizer_source: base\n', [B, A, C], false)
    expect(plan.output.tokens[0]).toBe('two')
    expect(plan.notes).toEqual(['the recipe names no base_model: the tokenizer is that of b, its first model'])
  })
  test('of a model that is not merged', () => {
    const { plan } = planOf('tokenizer_source: ./other\n', [A, B, C], true, tokenizerOf('other', ['two', '<s>', 'nine']))
    expect(plan.output.tokens).toEqual(['two', '<s>', 'nine'])
    expect(plan.notes).toEqual(['1 token of the output in none of the models: their rows are zero: "nine"'])
  })
})

describe('a model without a tokenizer', () => {
  test('of another height than the base: which one, and what to do', () => {
    expect(refusal('tokenizer_source: union\n', [A, B, model('c', null, 9)])).toBe(`c has no tokenizer; its embedding has 9 rows and that of a 4, so they do not share one
  at recipe.yml:7:1
  7 | tokenizer_source: union
    | ^^^^^^^^^^^^^^^^
  fix: copy tokenizer.json and tokenizer_config.json of the model it was trained from into its folder`)
  })
  test('of the base’s height is taken to share it', () => {
    const { plan } = planOf('tokenizer_source: union\n', [A, B, model('c', null, 4)])
    expect(plan.models.get('c')!.ids).toBe(A.tokenizer!.ids)
    expect(plan.notes).toEqual(['c has no tokenizer; its embedding is as high as that of a, whose tokenizer is taken for it'])
  })
  test('that is the base, or the source', () => {
    expect(refusal('tokenizer_source: union\n', [model('a', null, 4), B, C])).toContain('a has no tokenizer\n  at recipe.yml:7:1')
    expect(refusal('tokenizer_source: ./other\n')).toContain('./other has no tokenizer\n  at recipe.yml:7:19')
  })
})

describe('rules', () => {
  const rule = (text: string): string => `tokenizer: {source: union, tokens: {${text}}}\n`
  test.each([
    ['three: {source: a}', 'a has no token "three"', 'name a token that the model has'],
    ['thre: {source: b}', 'b has no token "thre"', 'did you mean "three"?'],
    ['x: {source: {kind: model_token, model: b, token: <ende>}}', 'b has no token "<ende>"', 'did you mean "<end>"?'],
    ['x: {source: {kind: model_token, model: b, token_id: 5}}', 'token_id is 5, and the embedding of b has 5 rows', 'from 0 to 4'],
  ])('%s', (text, what, fix) => {
    const message = refusal(rule(text))
    expect(message).toContain(what)
    expect(message).toContain(fix)
    expect(message).toMatch(/at recipe\.yml:7:\d+/)
  })
  test('a token beyond the embedding has no row to give', () => {
    expect(refusal(rule('<end>: {source: b}'), [A, model('b', ['two', 'three', '</s>', '<end>'], 3), C])).toContain(
      'token "<end>" of b has the id 3, and the embedding of b has 3 rows',
    )
  })
  test('a row beyond the vocabulary, but within the embedding, may be named', () => {
    const { source, request, plan } = planOf(rule('x: {source: {kind: model_token, model: a, token_id: 6}}'), [model('a', ['<s>', 'one'], 8), B, C])
    const map = mapRows(source, request, plan, [{ name: 'a', rows: 8 }])
    const r = plan.output.tokens.indexOf('x')
    expect([map.own[0]![r], map.fillRow[map.fillStart[r]!]]).toEqual([-1, 6])
  })
  test('one without effect is noted', () => {
    expect(planOf(rule('<s>: {source: a}')).plan.notes).toEqual(['the rule for "<s>" has no effect: every model has the token; add `force: true` if it is to win'])
    expect(planOf(rule('<s>: {source: a, force: true}')).plan.notes).toEqual([])
  })
  test('a tensor that comes from other models cannot take the row', () => {
    const { source, request, plan } = planOf(rule('four: {source: c}'))
    expect(() => mapRows(source, request, plan, [{ name: 'b', rows: 5 }])).toThrow(/c gives no rows to this tensor[\s\S]*take them from one of: b/)
  })
  test('a tensor of another height', () => {
    const { source, request, plan } = planOf(rule('four: {source: c}'))
    expect(() => mapRows(source, request, plan, [{ name: 'c', rows: 2 }])).toThrow('token "four" of c has the id 2, and the embedding of c has 2 rows')
  })
})

test('tokens beyond an embedding are noted', () => {
  expect(planOf('tokenizer_source: union\n', [A, model('b', ['a', 'b', 'c', 'd', 'e'], 1), C]).plan.notes).toEqual([
    '4 tokens of b have no row in its embedding of 1 rows and count as missing: "b", "c", "d", …',
  ])
})

describe('the table of the dry run', () => {
  function tableOf(text: string, models = [A, B, C]) {
    const { source, request, plan } = planOf(text, models)
    const map = mapRows(source, request, plan, models)
    return tabulateVocabulary(
      request,
      plan,
      map,
      models.map(m => m.name),
    ).map(({ what, count, examples }) => `${count} ${what} (${examples.join(' ')})`)
  }
  test('a union', () => {
    expect(tableOf('tokenizer: {source: union, pad_to_multiple_of: 8, tokens: {<end>: {source: {kind: zero}}}}\n')).toEqual([
      '1 in every model (<s>)',
      '2 in a and b: the row of a in the others (</s> two)',
      '1 only in a: its row everywhere (one)',
      '1 in b and c: their mean in the others (three)',
      '1 only in c: its row everywhere (four)',
      '1 by a rule of the recipe (<end>)',
      '1 padding: the mean of the rows above ()',
    ])
  })
  test('a source that leaves tokens out, with a padded embedding', () => {
    expect(tableOf('tokenizer_source: base\n', [model('a', ['<s>', '</s>', 'one', 'two'], 6), B, C])).toEqual([
      '1 in every model (<s>)',
      '2 in a and b: the row of a in the others (</s> two)',
      '1 only in a: its row everywhere (one)',
      '2 without a token: padding of the embeddings ()',
      '2 left out: tokens of b that the output does not have (three <end>)',
      '2 left out: tokens of c that the output does not have (three four)',
    ])
  })
})

describe('files', () => {
  const chat = (text: string) => recipeOf(`tokenizer_source: union\nchat_template: ${text}\n`)
  const withTemplate = (template: string) => tokenizerOf('t', ['x'], { chatTemplate: template })

  test('learned tokens and a template that is asked for', () => {
    const { source, chat: request } = chat('"{% for m in messages %}{{ m.content }}{% endfor %}"')
    const { files } = planTokenizerFiles(source, request, planOf('tokenizer_source: union\n').plan, null, [])
    expect(files.map(f => f.name)).toEqual(['chat_template.jinja', 'tokenizer.json', 'tokenizer_config.json'])
  })
  test('auto: what most models have; without any, a note', () => {
    const { source, chat: request } = chat('auto')
    const files = (all: readonly (Tokenizer | null)[]) => planTokenizerFiles(source, request, null, A.tokenizer, all)
    expect(files([null, withTemplate('X'), withTemplate('Y'), withTemplate('Y ')]).files).toContainEqual({ name: 'chat_template.jinja', text: 'Y' })
    expect(files([null, A.tokenizer])).toEqual({ files: A.tokenizer!.files, notes: ['chat_template: auto finds no template in any of the models'] })
  })
  test('a template without a tokenizer', () => {
    const { source, chat: request } = chat('chatml')
    expect(() => planTokenizerFiles(source, request, null, null, [])).toThrow(/a chat template needs a tokenizer[\s\S]*recipe\.yml:8:16/)
  })
  test('nothing asked for: the donor’s files, or none', () => {
    const { source } = chat('auto')
    expect(planTokenizerFiles(source, null, null, A.tokenizer, [])).toEqual({ files: A.tokenizer!.files, notes: [] })
    expect(planTokenizerFiles(source, null, null, null, [])).toEqual({ files: [], notes: [] })
  })

  test('config.json tells the new height, and ids that moved', () => {
    const { plan } = planOf('tokenizer_source: b\n')
    const config = { vocab_size: 4, text_config: { vocab_size: 4, width: 8 }, eos_token_id: 1, pad_token_id: 2, bos_token_id: null, stop_token_ids: [1, 0] }
    expect(vocabularyChanges('config.json', config, { tokenizer: A.tokenizer, rows: 4 }, plan)).toEqual({
      changes: { vocab_size: 5, 'text_config.vocab_size': 5, eos_token_id: 2, stop_token_ids: [2, 4] },
      notes: [
        'config.json: eos_token_id goes from 1 to 2, where its token is now',
        'config.json: stop_token_ids goes from [1,0] to [2,4], where its token is now',
        'config.json: pad_token_id means "one", which the output\'s vocabulary lacks; correct it by hand',
      ],
    })
    expect(vocabularyChanges('generation_config.json', { eos_token_id: 1 }, { tokenizer: null, rows: 4 }, plan)).toEqual({ changes: {}, notes: [] })
  })
  test('a language model within another', () => {
    const { plan } = planOf('tokenizer_source: b\n')
    const config = { image_token_index: 0, llm_config: { vocab_size: 4, eos_token_id: 1 }, audio_config: { vocab_size: 1024, eos_token_id: 1 } }
    expect(vocabularyChanges('config.json', config, { tokenizer: A.tokenizer, rows: 4 }, plan).changes).toEqual({
      image_token_index: 4,
      'llm_config.vocab_size': 5,
      'llm_config.eos_token_id': 2,
    })
  })
})
