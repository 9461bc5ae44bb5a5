import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { open } from '../src/checkpoint/checkpoint.ts'
import { execute } from '../src/execute/execute.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { type ParseOptions, parse } from '../src/recipe/parse.ts'
import { f32, merganser, readModel, type Written, writeModel } from './command.ts'
import { REPOSITORY, temporaryFolder } from './front.ts'

// Embeddings of models whose vocabularies differ: `vocab: skip | common | union`.

const folder = temporaryFolder()

async function planned(recipe: string, options: ParseOptions = {}) {
  const parsed = parse(recipe, options)
  return plan(parsed, await openModels(parsed, { from: [folder, REPOSITORY] }))
}

async function merge(recipe: string, options: ParseOptions = {}, name = 'out'): Promise<string> {
  for await (const _ of execute(await planned(recipe, options), folderSink(join(folder, name), { force: true })));
  return join(folder, name)
}

function writeTokens(name: string, tokens: readonly string[], tensors: Readonly<Record<string, Written>>, config: object = {}): void {
  const ids = Object.fromEntries(tokens.map((token, id) => [token, id]))
  const added = tokens.flatMap((content, id) =>
    content.startsWith('<') ? [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }] : [],
  )
  writeModel(join(folder, name), tensors, {
    'config.json': JSON.stringify({ architectures: ['LlamaForCausalLM'], model_type: 'llama', ...config }),
    'tokenizer.json': JSON.stringify({ added_tokens: added, model: { type: 'WordLevel', vocab: ids, unk_token: '<s>' } }),
  })
}

describe('oaths subtracted from a model with a larger vocabulary', () => {
  const options = (vocab: 'skip' | 'common'): ParseOptions => ({ models: { zh: 'zoo/text/zh', oaths: 'zoo/text/oaths', base: 'zoo/text/base' }, vocab })
  const tables = ['model.embed_tokens.weight', 'lm_head.weight']
  const width = 128
  const shared = 1280

  test('skip: embedding and head are zh’s own, all else is merged', async () => {
    const out = await readModel(await merge('zh - 0.8*(oaths - base)', options('skip')))
    const zh = await readModel(join(REPOSITORY, 'zoo/text/zh'))
    for (const name of tables) expect(out[name]).toEqual(zh[name])
    expect(out['model.norm.weight']!.values).not.toEqual(zh['model.norm.weight']!.values)
    expect(Object.keys(out)).toEqual(Object.keys(zh))
  })

  test('common: rows of shared tokens are merged, those of others stay bit for bit', async () => {
    const path = await merge('zh - 0.8*(oaths - base)', options('common'))
    const [out, zh, oaths, base] = await Promise.all([path, ...['zh', 'oaths', 'base'].map(name => join(REPOSITORY, 'zoo/text', name))].map(p => readModel(p)))
    for (const name of tables) {
      expect(out![name]!.shape).toEqual([2176, width])
      expect(out![name]!.dtype).toBe(zh![name]!.dtype)
      expect(out![name]!.values.slice(shared * width)).toEqual(zh![name]!.values.slice(shared * width))
      let differing = 0
      for (let i = 0; i < shared * width; i++) {
        const want = zh![name]!.values[i]! - 0.8 * (oaths![name]!.values[i]! - base![name]!.values[i]!)
        const got = out![name]!.values[i]!
        if (Math.abs(got - want) > 2 ** -8 * Math.abs(want) + 1e-6) differing++ // half a unit of bfloat16, of 8 bits
      }
      expect(differing).toBe(0)
      expect(out![name]!.values.slice(0, shared * width)).not.toEqual(zh![name]!.values.slice(0, shared * width))
    }
    for (const file of ['config.json', 'tokenizer.json'])
      expect(JSON.parse(readFileSync(join(path, file), 'utf8'))).toEqual(JSON.parse(readFileSync(join(REPOSITORY, 'zoo/text/zh', file), 'utf8')))
  })

  test('from the command line', async () => {
    const models = ['zh', 'oaths', 'base'].flatMap(name => ['--model', `${name}=${join(REPOSITORY, 'zoo/text', name)}`])
    const { code, stdout, stderr } = await merganser(['plan', 'zh - 0.8*(oaths - base)', ...models, '--vocab', 'common'], folder)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/1,280 +in every model/)
    expect(stdout).toMatch(/896 +not in every model: as in zh/)
    const wrong = await merganser(['plan', 'zh - 0.8*(oaths - base)', ...models, '--vocab', 'comon'], folder)
    expect(wrong).toMatchObject({ code: 2, stderr: 'error: --vocab "comon" is no policy of vocabularies\n  fix: did you mean "common"?\n' })
  })
})

describe('rows by token', () => {
  // Rows hold the model's tens and the token's place. The base has a hole of padding below, and −0, which no sum keeps.
  writeTokens(
    'a',
    ['<s>', 'one', 'two', 'only'],
    { 'model.embed_tokens.weight': f32([10, 11, 12, -0, 7, 7], [6, 1]), 'lm_head.weight': f32([10, 11, 12, -0, 7, 7], [6, 1]) },
    { vocab_size: 4 },
  )
  writeTokens('b', ['two', '<s>', 'more'], { 'model.embed_tokens.weight': f32([22, 20, 24], [3, 1]), 'lm_head.weight': f32([22, 20, 24], [3, 1]) })
  writeTokens('c', ['<bos>', 'two', 'one'], { 'model.embed_tokens.weight': f32([30, 32, 31], [3, 1]), 'lm_head.weight': f32([30, 32, 31], [3, 1]) })
  const recipe = (vocab: string, merge = '0.5*a + 0.5*b', models = '{ a: a, b: b }'): string => `models: ${models}\nmerge: ${merge}\nvocab: ${vocab}\n`
  const rows = async (text: string): Promise<readonly number[]> => (await readModel(await merge(text)))['model.embed_tokens.weight']!.values

  test('common: what is not shared, and what has no token, is the base’s bit for bit, in any dtype', async () => {
    const out = await rows(recipe('common'))
    expect(out).toEqual([15, 11, 17, -0, 7, 7])
    expect(Object.is((await readModel(join(folder, 'out')))['lm_head.weight']!.values[3], -0)).toBe(true)
    expect((await readModel(await merge(`${recipe('common')}output: { dtype: bf16 }`)))['lm_head.weight']!.values).toEqual([15, 11, 17, -0, 7, 7])
    expect(await rows(recipe('common', '0.5*b + 0.5*a'))).toEqual([17, 15, 24])
  })

  test('a vocab_size that is not the number of rows stays as it is, where the rows stay', async () => {
    await rows(recipe('common'))
    expect(JSON.parse(readFileSync(join(folder, 'out/config.json'), 'utf8'))).toMatchObject({ vocab_size: 4 })
    await rows(recipe('union'))
    expect(JSON.parse(readFileSync(join(folder, 'out/config.json'), 'utf8'))).toMatchObject({ vocab_size: 6 })
  })

  test('union: tokens that one model has keep its row; padding on request', async () => {
    expect((await rows(recipe('union', '0.5*b + 0.5*a', '{ a: a, b: b }'))).slice(0, 5)).toEqual([17, 15, 24, 11, -0])
    expect(await rows(recipe('{ policy: union, pad_to_multiple_of: 4 }', '0.5*b + 0.5*a'))).toHaveLength(8)
  })

  test('skip: the base’s rows, whatever the others have', async () => expect(await rows(recipe('skip'))).toEqual([10, 11, 12, -0, 7, 7]))

  test('tokens that mean the same meet under the base’s name', async () => {
    const models = '{ a: a, c: c }'
    expect(await rows(recipe('common', '0.5*a + 0.5*c', models))).toEqual([10, 21, 22, -0, 7, 7])
    expect(await rows(recipe("{ policy: common, tokens: { c: { '<bos>': '<s>' } } }", '0.5*a + 0.5*c', models))).toEqual([20, 21, 22, -0, 7, 7])
  })

  test('a merge over equal vocabularies leaves padding alone, too', async () => {
    const table = f32([0, 1, 2, 3, 9, 9], [6, 1])
    writeTokens('like-a', ['<s>', 'one', 'two', 'only'], { 'model.embed_tokens.weight': table, 'lm_head.weight': table })
    expect(await rows(recipe('common', '0.5*a + 0.5*b', '{ a: a, b: like-a }'))).toEqual([5, 6, 7, 1.5, 7, 7])
  })

  test.each([
    ['comon', 'unknown policy "comon" of vocabularies', 'did you mean "common"?'],
    ['{}', 'vocab has no policy', 'write `policy: skip`, `policy: common`, `policy: union`'],
    ['{ policy: common, pad_to_multiple_of: 8 }', 'common keeps the rows as they are, also their number', 'remove pad_to_multiple_of, or write `policy: union`'],
    ["{ policy: skip, tokens: { b: { x: '<s>' } } }", 'with skip no rows are matched, and tokens have no effect', 'remove tokens, or write `policy: common`'],
    ["{ policy: common, tokens: { d: { x: '<s>' } } }", 'unknown model "d"', 'models: a, b'],
    ["{ policy: common, tokens: { b: { mor: '<s>' } } }", 'b has no token "mor"', 'did you mean "more"?'],
    ["{ policy: common, tokens: { b: { more: 'two' } } }", 'b would have two tokens "two"', 'rename its own "two" as well, or leave "two" out'],
    ["{ policy: common, tokens: { a: { one: 'x' } } }", 'the tokens of a are what others are called by: the merge builds on it', 'name the tokens of the other models'],
    ['common\ntokenizer: { source: union }', 'vocab and tokenizer are both given', 'keep one of the two: `vocab` takes the tokenizer of the model that the merge builds on'],
  ])('%s', async (vocab, what, fix) => {
    await expect(planned(recipe(vocab))).rejects.toMatchObject({ what, details: { fix } })
  })

  test('a model without a tokenizer', async () => {
    writeModel(join(folder, 'mute'), { 'model.embed_tokens.weight': f32([1, 2], [2, 1]), 'lm_head.weight': f32([1, 2], [2, 1]) }, { 'config.json': '{"model_type": "llama"}' })
    await expect(planned(recipe('common', '0.5*a + 0.5*mute', '{ a: a, mute: mute }'))).rejects.toMatchObject({ what: expect.stringContaining('mute has no tokenizer') as string })
  })
})

test('whatever the vocabularies: shared rows are merged by token, every other row is the base’s', async () => {
  const letters = fc.uniqueArray(fc.constantFrom('<s>', 'a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1, maxLength: 7 })
  const padding = fc.integer({ min: 0, max: 3 })
  await fc.assert(
    fc.asyncProperty(fc.tuple(letters, padding), fc.tuple(letters, padding), fc.tuple(letters, padding), fc.integer({ min: 1, max: 3 }), async (a, b, c, width) => {
      const random = (model: number, i: number): number => Math.fround(Math.sin(100 * model + i)) // any numbers that float32 rounds when it adds them
      const given = Object.entries({ a, b, c }).map(([name, [tokens, more]], model) => {
        const height = tokens.length + more
        const values = Array.from({ length: height * width }, (_, i) => random(model, i))
        writeTokens(`any-${name}`, tokens, { 'model.embed_tokens.weight': f32(values, [height, width]) }, { tie_word_embeddings: true })
        return { tokens, rowOf: (r: number) => values.slice(r * width, (r + 1) * width), height }
      })
      const path = await merge('models: { a: any-a, b: any-b, c: any-c }\nmerge: a + 0.5*(b - c)\nvocab: common\n', {}, 'any')
      const out = (await readModel(path))['model.embed_tokens.weight']!
      const [base, ...others] = given
      const want = Array.from({ length: base!.height }, (_, r) => {
        const own = base!.rowOf(r)
        const theirs = others.map(({ tokens, rowOf }) => (r < base!.tokens.length && tokens.includes(base!.tokens[r]!) ? rowOf(tokens.indexOf(base!.tokens[r]!)) : null))
        if (theirs.includes(null)) return own
        return own.map((value, k) => Math.fround(value + Math.fround(0.5 * Math.fround(theirs[0]![k]! - theirs[1]![k]!))))
      })
      expect(out.values).toEqual(want.flat())
    }),
    { numRuns: 40 },
  )
})

test('any thread count, memory and tiling give the same bytes', async () => {
  const options: ParseOptions = { models: { zh: 'zoo/text/zh', oaths: 'zoo/text/oaths', base: 'zoo/text/base' }, vocab: 'common' }
  const parsed = parse('ties(oaths, zh, base=zh, density=0.5)', { ...options, models: { zh: 'zoo/text/zh', oaths: 'zoo/text/oaths' } })
  const models = await openModels(parsed, { from: [REPOSITORY] })
  const bytes: Buffer[] = []
  for (const [i, how] of [{ threads: 1 }, { threads: 2, tiling: { chunk: 256 } }].entries()) {
    for await (const _ of execute(plan(parsed, models, how), folderSink(join(folder, `same${i}`))));
    bytes.push(readFileSync(join(folder, `same${i}`, 'model.safetensors')))
  }
  expect(bytes[0]!.equals(bytes[1]!)).toBe(true)
  expect((await open(join(folder, 'same0'))).tensors.get('lm_head.weight')!.shape).toEqual([2176, 128])
})
