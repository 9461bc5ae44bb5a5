import { describe, expect, test } from 'vitest'
import { layersOf } from './architecture.ts'
import { open } from './checkpoint.ts'

const ROOT = new URL('../../', import.meta.url).pathname

describe('layersOf', () => {
  test('Llama: one stack', () => {
    const layers = layersOf(['model.embed_tokens.weight', 'model.layers.0.mlp.up_proj.weight', 'model.layers.31.mlp.up_proj.weight', 'model.norm.weight', 'lm_head.weight'])
    expect(layers.count).toBe(32)
    expect(layers.of('model.layers.31.mlp.up_proj.weight')).toEqual({ stack: 'model.layers', index: 31, count: 32 })
    expect(layers.of('model.norm.weight')).toBeNull()
    expect(layers.role('model.embed_tokens.weight')).toBe('before')
    expect(layers.role('model.layers.0.mlp.up_proj.weight')).toBe('inside')
    expect(layers.role('model.norm.weight')).toBe('after')
    expect(layers.role('lm_head.weight')).toBe('after')
  })

  test('GPT-2: h, with and without the transformer prefix', () => {
    expect(layersOf(['h.0.attn.c_attn.weight', 'h.1.attn.c_attn.weight', 'wte.weight']).of('h.1.attn.c_attn.weight')).toEqual({ stack: 'h', index: 1, count: 2 })
    const layers = layersOf(['transformer.wte.weight', 'transformer.wpe.weight', 'transformer.h.0.ln_1.weight', 'transformer.ln_f.weight'])
    expect(layers.of('transformer.h.0.ln_1.weight')).toEqual({ stack: 'transformer.h', index: 0, count: 1 })
    expect(['transformer.wte.weight', 'transformer.wpe.weight', 'transformer.h.0.ln_1.weight', 'transformer.ln_f.weight'].map(layers.role)).toEqual([
      'before',
      'before',
      'inside',
      'after',
    ])
  })

  test('BERT: encoder.layer, an embedding norm at the front, a pooler at the end', () => {
    const names = ['bert.embeddings.LayerNorm.weight', 'bert.encoder.layer.0.output.dense.weight', 'bert.encoder.layer.1.output.dense.weight', 'bert.pooler.dense.weight']
    const layers = layersOf(names)
    expect([...layers.stacks]).toEqual([['bert.encoder.layer', 2]])
    expect(names.map(layers.role)).toEqual(['before', 'inside', 'inside', 'after'])
  })

  test('T5: two stacks; the inner `layer` is not one', () => {
    const layers = layersOf([
      'shared.weight',
      'encoder.block.0.layer.1.DenseReluDense.wi.weight',
      'encoder.block.7.layer.0.layer_norm.weight',
      'decoder.block.5.layer.2.layer_norm.weight',
      'encoder.final_layer_norm.weight',
    ])
    expect([...layers.stacks]).toEqual([
      ['encoder.block', 8],
      ['decoder.block', 6],
    ])
    expect(layers.count).toBe(8)
    expect(layers.of('decoder.block.5.layer.2.layer_norm.weight')).toEqual({ stack: 'decoder.block', index: 5, count: 6 })
    expect(layers.role('shared.weight')).toBe('before')
    expect(layers.role('encoder.final_layer_norm.weight')).toBe('after')
  })

  test('a mixture of experts: the layer, not the expert', () => {
    expect(layersOf(['model.layers.3.mlp.experts.60.w1.weight']).of('model.layers.3.mlp.experts.60.w1.weight')).toEqual({ stack: 'model.layers', index: 3, count: 4 })
  })

  test('numbers outside of a stack are not layers when there is one', () => {
    const layers = layersOf(['conv.0.weight', 'conv.1.weight', 'encoder.layers.0.weight'])
    expect(layers.of('conv.1.weight')).toBeNull()
    expect([...layers.stacks.keys()]).toEqual(['encoder.layers'])
  })

  test('a number before the stack is passed over', () => {
    expect(layersOf(['0.auto_model.encoder.layer.2.output.dense.bias']).of('0.auto_model.encoder.layer.2.output.dense.bias')?.stack).toBe('0.auto_model.encoder.layer')
  })

  test('without a usual name, the largest prefix that repeats', () => {
    const layers = layersOf(['net.0.weight', 'net.0.bias', 'net.2.weight', 'net.2.bias', 'out.0.weight', 'out.1.weight'])
    expect([...layers.stacks]).toEqual([['net', 3]])
    expect(layersOf(['net.0.weight', 'net.1.bias']).count).toBe(0)
  })

  test('no layers, odd names and absurd indices', () => {
    const odd = ['weight', '', '.', '..', '7', 'layers', 'layers.x.weight', 'layers.4294967296.weight', '__proto__.0.constructor']
    const layers = layersOf(odd)
    expect(layers.count).toBe(0)
    for (const name of odd) expect(layers.of(name)).toBeNull()
    expect(layers.role('weight')).toBe('before')
    expect(layersOf([]).stacks.size).toBe(0)
  })

  test('GPT-NeoX: embed_in before, embed_out after', () => {
    const layers = layersOf(['gpt_neox.layers.0.mlp.bias'])
    expect(layers.role('gpt_neox.embed_in.weight')).toBe('before')
    expect(layers.role('embed_out.weight')).toBe('after')
  })

  test('the vision transformer of the zoo', async () => {
    const { layers, tensors } = await open('zoo/vision/base', { from: [ROOT] })
    expect([...layers.stacks]).toEqual([['encoder.layers', 4]])
    expect(layers.role('embeddings.norm.bias')).toBe('before')
    expect(layers.role('final_norm.weight')).toBe('after')
    expect([...tensors.keys()].filter(name => layers.of(name)).length).toBe(64)
  })
})
