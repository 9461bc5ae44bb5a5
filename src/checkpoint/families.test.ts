import { describe, expect, test } from 'vitest'
import { layersOf } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { divisionsOf } from './divisions.ts'
import { FAMILIES, type Family } from './families.ts'
import { findTensor, isFeatureMap, isHead, isTied } from './find.ts'

const familyOf = (type: string): Family => FAMILIES.find(f => f.types.includes(type))!

/** A model of nothing but names, as far as families are concerned. */
function named(type: string | null, names: readonly string[], config: object = {}): Checkpoint {
  const family = type === null ? null : familyOf(type)
  const tensors = new Map(names.map(name => [name, { name }]))
  return { family, tensors, config, layers: layersOf(names, family) } as unknown as Checkpoint // the functions under test read no more
}

describe('the table', () => {
  test('no model_type is listed twice', () => {
    const types = FAMILIES.flatMap(f => f.types)
    expect(types.filter((t, i) => types.indexOf(t) !== i)).toEqual([])
  })

  test('each stack belongs to the part that names it, and at most one part takes the rest', () => {
    for (const { types, parts } of FAMILIES) {
      expect(parts.filter(p => p.prefixes.includes('')).length, types[0]).toBeLessThanOrEqual(1)
      for (const part of parts) {
        for (const stack of part.stacks) {
          const owner = parts.find(p => p.prefixes.some(prefix => prefix !== '' && stack.startsWith(prefix))) ?? parts.find(p => p.prefixes.includes(''))
          expect(owner?.name, `${types[0]}: ${stack}`).toBe(part.name)
        }
      }
    }
  })
})

describe('roles that names alone would get wrong', () => {
  test.each([
    ['lfm2', 'model.embedding_norm.weight', 'after'],
    ['distilbert', 'pre_classifier.weight', 'after'],
    ['distilbert', 'vocab_transform.weight', 'after'],
    ['bert', 'cls.seq_relationship.weight', 'after'],
    ['bert', 'bert.embeddings.LayerNorm.weight', 'before'],
    ['whisper', 'proj_out.weight', 'after'],
    ['chatglm', 'transformer.output_layer.weight', 'after'],
    ['t5', 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', 'before'],
    ['umt5', 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', 'inside'],
  ])('%s: %s is %s', (type, name, role) => {
    const { layers } = named(type, [name, `${familyOf(type).parts[0]!.stacks[0]}.0.w.weight`])
    expect(layers.role(name)).toBe(role)
  })

  test('only the stacks that a family is known to have count as such', () => {
    const names = ['model.layers.0.w.weight', 'model.vision.blocks.0.w.weight']
    expect([...named('llama', names).layers.stacks.keys()]).toEqual(['model.layers'])
    expect([...named(null, names).layers.stacks.keys()]).toEqual(['model.layers', 'model.vision.blocks'])
  })
})

describe('divisions', () => {
  const owners = (type: string | null, names: readonly string[]) => {
    const [division] = divisionsOf(named(type, names))
    return names.map(name => division!.of(name))
  }

  test('a model that sees, in the old and the new spelling', () => {
    const names = ['vision_tower.vision_model.encoder.layers.0.w', 'multi_modal_projector.w', 'language_model.model.layers.0.w', 'language_model.lm_head.weight']
    const parts = ['vision_tower', 'multi_modal_projector', 'text_decoder', 'text_decoder']
    expect(owners('gemma3', names)).toEqual(parts)
    const renamed = ['model.vision_tower.vision_model.encoder.layers.0.w', 'model.multi_modal_projector.w', 'model.language_model.layers.0.w', 'lm_head.weight']
    expect(owners('gemma3', renamed)).toEqual(parts)
    expect(owners('qwen2_vl', ['visual.blocks.0.w', 'visual.merger.mlp.0.weight', 'model.layers.0.w', 'lm_head.weight'])).toEqual(parts)
  })

  test('without a family: a stack is a module, and default is the rest', () => {
    const model = named(null, ['a.layers.0.w', 'a.layers.1.w', 'b.layers.0.w', 'embed.weight'])
    const [division, ...others] = divisionsOf(model)
    expect(others).toEqual([])
    expect(division!.modules).toEqual(['default', 'a.layers', 'b.layers'])
    expect([...model.tensors.keys()].map(name => division!.of(name))).toEqual(['a.layers', 'a.layers', 'b.layers', 'default'])
    expect(division!.modules.map(m => division!.stackOf(m))).toEqual([null, 'a.layers', 'b.layers'])
  })

  test('one stack or none is one module', () => {
    for (const names of [['model.layers.0.w', 'lm_head.weight'], ['w']]) {
      const [division] = divisionsOf(named(null, names))
      expect(division!.modules).toEqual(['default'])
      expect(division!.stackOf('default')).toBe(names.length > 1 ? 'model.layers' : null)
    }
  })
})

describe('finding a tensor', () => {
  test('with the prefix of the family or without', () => {
    const bare = named('gpt2', ['h.0.ln_1.weight', 'wte.weight'])
    expect(findTensor(bare, 'transformer.h.0.ln_1.weight')).toMatchObject({ tensor: { name: 'h.0.ln_1.weight' }, as: 'alias' })
    expect(findTensor(bare, 'h.0.ln_1.weight')).toMatchObject({ as: 'itself' })
    expect(findTensor(bare, 'h.1.ln_1.weight')).toBeNull()
    expect(findTensor(named(null, ['h.0.ln_1.weight']), 'transformer.h.0.ln_1.weight')).toBeNull()
  })

  test('the embedding serves as head where the two are tied, and only there', () => {
    const names = ['model.embed_tokens.weight', 'model.layers.0.w']
    expect(findTensor(named('qwen2', names, { tie_word_embeddings: true }), 'lm_head.weight')).toMatchObject({ tensor: { name: 'model.embed_tokens.weight' }, as: 'embedding' })
    expect(findTensor(named('qwen2', names, { tie_word_embeddings: false }), 'lm_head.weight')).toBeNull()
    expect(findTensor(named('qwen2', [...names, 'lm_head.weight'], { tie_word_embeddings: true }), 'lm_head.weight')).toMatchObject({ as: 'itself' })
    expect(findTensor(named('qwen2', names, { tie_word_embeddings: true }), 'score.weight')).toBeNull()
  })

  test('what config.json does not say, the family does', () => {
    expect([isTied(named('llama', [])), isTied(named('gemma2', [])), isTied(named(null, []))]).toEqual([false, true, false])
    expect([isHead(named('gpt_neox', []), 'embed_out.weight'), isHead(named('gpt_neox', []), 'lm_head.weight')]).toEqual([true, false])
  })
})

describe('what maps features to features', () => {
  const isMap = (type: string | null, name: string, shape: readonly number[] = [8, 8]): boolean =>
    isFeatureMap(named(type, [name, 'model.layers.0.mlp.up_proj.weight']), { name, shape })

  test.each([
    ['llama', 'model.layers.0.self_attn.q_proj.weight'],
    ['llama', 'model.layers.31.mlp.down_proj.weight'],
    ['gpt2', 'transformer.h.0.attn.c_attn.weight'],
    ['bert', 'bert.encoder.layer.0.attention.output.dense.weight'],
    [null, 'encoder.layers.0.mlp.fc1.weight'],
    [null, 'encoder.layers.0.attn.score.weight'], // in a layer it answers nothing yet
    [null, 'model.layers.0.embedder.weight'],
  ])('%s: %s', (type, name) => expect(isMap(type, name)).toBe(true))

  test.each([
    ['llama', 'model.embed_tokens.weight'],
    ['llama', 'lm_head.weight'],
    ['gpt2', 'transformer.wte.weight'],
    ['gpt2', 'transformer.wpe.weight'],
    ['bert', 'bert.embeddings.token_type_embeddings.weight'],
    ['t5', 'shared.weight'],
    ['t5', 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight'],
    [null, 'embeddings.position_embedding.weight'],
    [null, 'vision_model.embeddings.position_embedding.weight'],
    [null, 'visual.class_embedding'],
    [null, 'classifier.weight'],
    [null, 'score.weight'],
    [null, 'text_projection.weight'],
  ])('not in %s: %s', (type, name) => expect(isMap(type, name)).toBe(false))

  test('only what has two dimensions', () => {
    const name = 'model.layers.0.mlp.up_proj.weight'
    expect([[8], [8, 8], [8, 4, 3, 3], []].map(shape => isMap('llama', name, shape))).toEqual([false, true, false, false])
  })
})
