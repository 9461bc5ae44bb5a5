import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { describe, expect, test } from 'vitest'
import { open } from '../src/checkpoint/checkpoint.ts'
import { openTokenizer, readTokenizer } from '../src/checkpoint/tokenizer.ts'
import { tokenizerFiles } from '../src/checkpoint/tokenizer_files.ts'
import { mapRows, planVocabulary, type VocabularyPlan } from '../src/plan/vocabulary.ts'
import { planTokenizerFiles, vocabularyChanges } from '../src/plan/vocabulary_files.ts'
import { parse } from '../src/recipe/parse.ts'
import type { Expression, Recipe } from '../src/recipe/recipe.ts'
import { gather } from './gather.ts'
import { GOLDEN, tensorsOf } from './golden.ts'

// Row maps against mergekit's embeddings: each golden case with a tokenizer, gathered and merged the naive way. Rows are compared by
// token, since mergekit numbers appended tokens anew in every run.

const TENSORS = ['model.embed_tokens.weight', 'lm_head.weight'] as const
const TOLERANCE = 1e-6 // of the largest expected magnitude, as test/golden/README.md; float32 sums in another order stay below 2e-7

async function planOf(recipe: Recipe) {
  const request = recipe.tokenizer!
  const checkpoints = await Promise.all(Object.values(recipe.models).map(({ path }) => open(path, { from: [GOLDEN] })))
  const names = Object.keys(recipe.models)
  const heightOf = (i: number, tensor: string): number => checkpoints[i]!.tensors.get(tensor)!.shape[0]!
  const models = await Promise.all(checkpoints.map(async (c, i) => ({ name: names[i]!, tokenizer: await readTokenizer(c), rows: heightOf(i, TENSORS[0]) })))
  const { source } = request
  const other = source.kind === 'model' && !recipe.models[source.model] ? await openTokenizer(source.model, { from: [GOLDEN] }) : null
  const plan = planVocabulary(recipe.source, request, models, recipe.output.tokenizerFrom, other)
  const mapOf = (tensor: string) =>
    mapRows(
      recipe.source,
      request,
      plan,
      names.map((name, i) => ({ name, rows: heightOf(i, tensor) })),
    )
  return { plan, names, mapOf, tokenizers: models.map(m => m.tokenizer) }
}

const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer)

/** The recipe's method over whole arrays, in float64. */
function merged(recipe: Recipe, names: readonly string[], tensors: readonly Float32Array[]): Float64Array {
  const call = recipe.merge
  if (call.kind !== 'call') throw new Error('a mergekit recipe is one call')
  const indexOf = (e: Expression): number => (e.kind === 'model' ? names.indexOf(e.model) : -1)
  const weights = call.arguments.map(a => Number(a.parameters['weight']?.value))
  const inputs = call.arguments.map(a => tensors[indexOf(a.expression)]!)
  const out = new Float64Array(inputs[0]!.length)
  switch (call.method) {
    case 'linear': {
      const total = weights.reduce((a, b) => a + b, 0)
      return out.map((_, k) => inputs.reduce((sum, x, i) => sum + (weights[i]! / total) * x[k]!, 0))
    }
    case 'task_arithmetic': {
      const base = tensors[indexOf(call.base!)]!
      return out.map((_, k) => inputs.reduce((sum, x, i) => sum + weights[i]! * (x[k]! - base[k]!), base[k]!))
    }
    case 'slerp': {
      const [a, b] = inputs as [Float32Array, Float32Array]
      const norm = (x: Float32Array): number => Math.sqrt(x.reduce((s, v) => s + v * v, 0))
      const cos = a.reduce((s, v, k) => s + v * b[k]!, 0) / norm(a) / norm(b)
      const angle = Math.acos(cos)
      const t = Number(call.parameters['t']!.value)
      const [p, q] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)]
      return out.map((_, k) => p * a[k]! + q * b[k]!)
    }
    default:
      throw new Error(`no formula for ${call.method} here`)
  }
}

/** Token → id of a tokenizer.json, read without the code under test. */
function expectedIds(file: string): Map<string, number> {
  const { model, added_tokens } = JSON.parse(readFileSync(file, 'utf8'))
  const vocabulary: [string, number][] = Array.isArray(model.vocab) ? model.vocab.map(([token]: [string], id: number) => [token, id]) : Object.entries(model.vocab)
  return new Map([...vocabulary, ...added_tokens.map((t: { content: string; id: number }) => [t.content, t.id])])
}

const folders = ['cases', 'more'].flatMap(group => (existsSync(join(GOLDEN, group)) ? readdirSync(join(GOLDEN, group)).map(name => `${group}/${name}`) : []))
const cases = folders.filter(name => existsSync(join(GOLDEN, name, 'expected/tokenizer.json')))

describe.each(cases)('%s', name => {
  const recipe = parse(readFileSync(join(GOLDEN, name, 'recipe.yml'), 'utf8'), { name: `${name}/recipe.yml` })
  const expected = expectedIds(join(GOLDEN, name, 'expected/tokenizer.json'))

  test('the same tokens; those of the source keep their ids', async () => {
    const { plan } = await planOf(recipe)
    const tokens = plan.output.tokens.filter(token => token !== null)
    expect(tokens.toSorted()).toEqual([...expected.keys()].toSorted())
    for (const [token, id] of plan.source.ids) if (id < plan.output.tokens.length && expected.has(token)) expect([token, plan.output.tokens[id]]).toEqual([token, token])
  })

  test('the same rows', async () => {
    const { plan, names, mapOf } = await planOf(recipe)
    const outputs = await tensorsOf(join(GOLDEN, name, 'expected'))
    const inputs = await Promise.all(names.map(model => tensorsOf(join(GOLDEN, model))))
    for (const tensor of TENSORS) {
      const { shape, bytes } = outputs.get(tensor)!
      const want = floats(bytes)
      const [height, width] = shape as [number, number]
      const map = mapOf(tensor)
      const embeddings = inputs.map(i => floats(i.get(tensor)!.bytes))
      const got = merged(
        recipe,
        names,
        names.map((_, m) => gather(map, m, embeddings, width)),
      )
      const limit = TOLERANCE * want.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      const rowOf = new Map(plan.output.tokens.map((token, r) => [token, r]))
      const pairs = [...expected].map(([token, id]) => [id, rowOf.get(token)!] as const)
      if (recipe.tokenizer!.padToMultipleOf !== null) {
        expect(map.rows).toBe(height)
        for (let r = expected.size; r < height; r++) pairs.push([r, r])
      }
      for (const [theirs, ours] of pairs) {
        for (let c = 0; c < width; c++) expect(Math.abs(got[ours * width + c]! - want[theirs * width + c]!), `row ${ours}, column ${c}`).toBeLessThanOrEqual(limit)
      }
    }
  })

  test('the written tokenizer cuts texts as the expected one does', async () => {
    const { plan } = await planOf(recipe)
    const ids = new Map(plan.output.tokens.map((token, r) => [token, r]))
    const [ours, theirs] = [await written(plan), JSON.parse(readFileSync(join(GOLDEN, name, 'expected/tokenizer.json'), 'utf8'))]
    const read = (json: object) => new Tokenizer(json, {}).encode(TEXT, { add_special_tokens: false })
    const [got, want] = [read(ours), read({ ...theirs, post_processor: null })]
    expect(got.tokens).toEqual(want.tokens)
    expect(got.ids).toEqual(want.tokens.map((token: string) => ids.get(token) ?? ids.get('<unk>')))
  })

  test('the vocab_size of config.json', async () => {
    const { plan } = await planOf(recipe)
    const expected = JSON.parse(readFileSync(join(GOLDEN, name, 'expected/config.json'), 'utf8'))
    const kept = plan.output.tokens.slice(0, plan.output.padding).filter(token => token === null).length // mergekit cuts these rows off
    expect(vocabularyChanges('config.json', { vocab_size: 1 }, { tokenizer: null, rows: null }, plan).changes['vocab_size']).toBe(expected.vocab_size + kept)
  })

  const template = join(GOLDEN, name, 'expected/chat_template.jinja')
  if (existsSync(template))
    test('the chat template', async () => {
      const { plan, tokenizers } = await planOf(recipe)
      const { files } = planTokenizerFiles(recipe.source, recipe.chatTemplate, plan, null, tokenizers)
      expect(files.find(f => f.name === 'chat_template.jinja')).toEqual({ name: 'chat_template.jinja', text: readFileSync(template, 'utf8') })
    })
})

// Tokens of all models between letters; the lone space before <|im_end|> of tok-three would go to the token in only one of its ways.
const TEXT = '<s>abcd the thing<|im_start|>ing er and<|im_end|>bc 3 ouch quef ▁a to<|extra|>ab<new>of cab</s>efe ea'

async function written({ source, output }: VocabularyPlan): Promise<object> {
  const files = tokenizerFiles(source, { ...output, chatTemplate: null })
  const file = files.find(f => f.name === 'tokenizer.json')!
  return JSON.parse('text' in file ? file.text : readFileSync(file.path, 'utf8'))
}

describe('what mergekit fails on', () => {
  const recipeOf = (name: string) => parse(readFileSync(join(GOLDEN, 'errors', name, 'recipe.yml'), 'utf8'), { name: `${name}/recipe.yml` })

  test('tokenizer-kind-zero: a row of zeros for the model that lacks the token, the own row for the other', async () => {
    const { plan, mapOf } = await planOf(recipeOf('tokenizer-kind-zero'))
    const map = mapOf('lm_head.weight')
    const r = plan.output.tokens.indexOf('<|im_start|>')
    const ones = new Float32Array(53 * 16).fill(1)
    expect([0, 1].map(m => gather(map, m, [ones, ones], 16)[r * 16])).toEqual([0, 1])
  })
  test('tokenizer-missing-file: the model that lacks one is named', async () => {
    await expect(planOf(recipeOf('tokenizer-missing-file'))).rejects.toThrow(/\.\/models\/tok-notok has no tokenizer; its embedding has 53 rows and that of \.\/models\/tok-a 48/)
  })
})
