// The tensors of a Llama of about so many parameters, and its config.json.

const HEAD = 64
const LAYERS = 32 // of a typical model: the width follows from the parameters
const SMALL = 300e6 // below this a vocabulary of 128,256 would be most of the model

/** `{ tensors: [{ name, shape }], config, parameters }` of a Llama with tied embeddings of about `wanted` parameters. */
export function shapeOf(wanted) {
  const vocabulary = wanted < SMALL ? 32_000 : 128_256
  const perLayer = hidden => 4 * hidden ** 2 + 3 * hidden * inner(hidden) + 2 * hidden
  const layersAt = hidden => (wanted - vocabulary * hidden) / perLayer(hidden)
  let hidden = HEAD
  for (let next = hidden; layersAt(next) >= 1; next += HEAD) if (Math.abs(layersAt(next) - LAYERS) < Math.abs(layersAt(hidden) - LAYERS)) hidden = next
  const layers = Math.max(1, Math.round(layersAt(hidden)))
  const tensors = [{ name: 'model.embed_tokens.weight', shape: [vocabulary, hidden] }]
  for (let l = 0; l < layers; l++) tensors.push(...layer(`model.layers.${l}`, hidden))
  tensors.push({ name: 'model.norm.weight', shape: [hidden] })
  const parameters = tensors.reduce((sum, t) => sum + sizeOf(t), 0)
  return { tensors, config: configOf({ vocabulary, hidden, layers }), parameters }
}

/** `count` tensors of 256 elements, named as the experts of a model with very many. */
export function manyShape(count) {
  const tensors = Array.from({ length: count }, (_, i) => ({ name: `model.layers.${Math.floor(i / 100)}.experts.${i % 100}.weight`, shape: [16, 16] }))
  return { tensors, config: { architectures: ['BenchForCausalLM'], model_type: 'bench', torch_dtype: 'bfloat16' }, parameters: count * 256 }
}

export const sizeOf = ({ shape }) => shape.reduce((product, n) => product * n, 1)

/** The width of the feed-forward layers: 2.75 times the hidden one, as in TinyLlama. */
const inner = hidden => (hidden * 11) / 4

const layer = (at, hidden) => [
  { name: `${at}.input_layernorm.weight`, shape: [hidden] },
  { name: `${at}.self_attn.q_proj.weight`, shape: [hidden, hidden] },
  { name: `${at}.self_attn.k_proj.weight`, shape: [hidden, hidden] },
  { name: `${at}.self_attn.v_proj.weight`, shape: [hidden, hidden] },
  { name: `${at}.self_attn.o_proj.weight`, shape: [hidden, hidden] },
  { name: `${at}.post_attention_layernorm.weight`, shape: [hidden] },
  { name: `${at}.mlp.gate_proj.weight`, shape: [inner(hidden), hidden] },
  { name: `${at}.mlp.up_proj.weight`, shape: [inner(hidden), hidden] },
  { name: `${at}.mlp.down_proj.weight`, shape: [hidden, inner(hidden)] },
]

const configOf = ({ vocabulary, hidden, layers }) => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: vocabulary,
  hidden_size: hidden,
  intermediate_size: inner(hidden),
  num_hidden_layers: layers,
  num_attention_heads: hidden / HEAD,
  num_key_value_heads: hidden / HEAD,
  hidden_act: 'silu',
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: 'bfloat16',
})
