/** A part of a model with layers of its own, such as the vision tower. The names of parts are those that recipes write under `modules:`. */
export interface Part {
  readonly name: string
  /** What its tensors' names begin with; `''` takes what no other part does. */
  readonly prefixes: readonly string[]
  /** What its layers' names begin with, in each spelling that is met. Empty: it has no layers. */
  readonly stacks: readonly string[]
  /** The field of config.json that counts its layers, in each spelling that is met; dots lead into nested objects. */
  readonly counts: readonly string[]
  /** Beginnings of names used after the layers, where the name alone would mislead. */
  readonly after: readonly string[]
  /** Ends of the names of tensors that stand in the first layer, but serve all of them. */
  readonly shared: readonly string[]
}

/** Facts about the models of one `model_type` in config.json. What a family does not say is inferred from names. */
export interface Family {
  readonly types: readonly string[]
  /** What every name begins with in a whole model, and none in its bare trunk: `transformer.`. */
  readonly prefix: string | null
  readonly parts: readonly Part[]
  /** The output head, and the embedding that stands for it where config.json ties them. */
  readonly head: string | null
  readonly embedding: string | null
  /** What `tie_word_embeddings` means when config.json does not say. */
  readonly tied: boolean
}

const part = (name: string, stacks: readonly string[], counts: readonly string[], rest: Partial<Part> = {}): Part => ({
  name,
  prefixes: [''],
  stacks,
  counts,
  after: [],
  shared: [],
  ...rest,
})

/** A model of one stack. */
const single = (types: string, stack: string, count: string, rest: Partial<Family> & { readonly after?: readonly string[] } = {}): Family => {
  const { after = [], ...own } = rest
  const prefix = own.prefix === undefined ? stack.slice(0, stack.indexOf('.') + 1) : own.prefix
  const bare = prefix && stack.startsWith(prefix) ? [stack.slice(prefix.length)] : []
  return { types: types.split(' '), prefix, parts: [part('default', [stack, ...bare], [count], { after })], head: null, embedding: null, tied: true, ...own }
}

const decoder = (types: string, rest: Partial<Family> & { readonly after?: readonly string[] } = {}): Family =>
  single(types, 'model.layers', 'num_hidden_layers', { head: 'lm_head.weight', embedding: 'model.embed_tokens.weight', tied: false, ...rest })

/** A language model that also sees: a vision tower, a projector, a decoder. */
const seeing = (types: string, tower: string, towerCount: string, rest: Partial<Family> = {}): Family => ({
  types: types.split(' '),
  prefix: null,
  parts: [
    part('multi_modal_projector', [], [], { prefixes: ['multi_modal_projector.', 'model.multi_modal_projector.'] }),
    part(
      tower,
      [`${tower}.vision_model.encoder.layers`, `${tower}.encoder.layers`, `${tower}.transformer.layers`, `${tower}.model.layers`].flatMap(s => [s, `model.${s}`]),
      [towerCount],
      {
        prefixes: [`${tower}.`, `model.${tower}.`],
      },
    ),
    part('text_decoder', ['language_model.model.layers', 'model.language_model.layers', 'model.layers'], ['text_config.num_hidden_layers', 'num_hidden_layers']),
  ],
  head: null,
  embedding: null,
  tied: false,
  ...rest,
})

const RELATIVE = ['.relative_attention_bias.weight']
const VISUAL = ['visual.', 'model.visual.'] // Qwen's name for its vision tower

/** The families that people merge. From the models' published code and checkpoints. */
export const FAMILIES: readonly Family[] = [
  decoder(
    'llama mistral ministral mixtral qwen2 qwen2_moe qwen3 qwen3_moe phi3 phimoe gpt_oss deepseek deepseek_v2 deepseek_v3 granite granitemoe granitemoeshared granitemoehybrid',
  ),
  decoder(
    'olmo olmo2 olmo3 olmoe stablelm stablelm_epoch baichuan internlm Yi arcee solar seed_oss glm glm4 glm4_moe exaone4 nemotron persimmon helium ernie4_5 minicpm hunyuan_v1_dense',
  ),
  decoder('gemma gemma2 gemma3_text cohere cohere2 starcoder2 smollm3', { tied: true }),
  decoder('lfm2', { tied: true, after: ['model.embedding_norm.'] }), // the final norm, in spite of its name
  decoder('phi', { after: ['model.final_layernorm.'] }),
  decoder('internlm2', { head: 'output.weight', embedding: 'model.tok_embeddings.weight' }),
  single('gpt2 gpt_bigcode gptj codegen jais', 'transformer.h', 'n_layer', { head: 'lm_head.weight', embedding: 'transformer.wte.weight' }),
  single('gpt_neo', 'transformer.h', 'num_layers', { head: 'lm_head.weight', embedding: 'transformer.wte.weight' }),
  single('qwen exaone', 'transformer.h', 'num_hidden_layers', { head: 'lm_head.weight', embedding: 'transformer.wte.weight', tied: false }),
  single('falcon RefinedWeb RefinedWebModel', 'transformer.h', 'num_hidden_layers', { head: 'lm_head.weight', embedding: 'transformer.word_embeddings.weight' }),
  single('bloom', 'transformer.h', 'n_layer', { head: 'lm_head.weight', embedding: 'transformer.word_embeddings.weight' }),
  single('mpt', 'transformer.blocks', 'n_layers', { head: 'lm_head.weight', embedding: 'transformer.wte.weight' }),
  single('gpt_neox', 'gpt_neox.layers', 'num_hidden_layers', { head: 'embed_out.weight', embedding: 'gpt_neox.embed_in.weight', tied: false }),
  single('opt', 'model.decoder.layers', 'num_hidden_layers', { head: 'lm_head.weight', embedding: 'model.decoder.embed_tokens.weight' }),
  single('chatglm', 'transformer.encoder.layers', 'num_layers', {
    head: 'transformer.output_layer.weight',
    embedding: 'transformer.embedding.word_embeddings.weight',
    tied: false,
    after: ['transformer.output_layer.', 'transformer.encoder.final_layernorm.'],
  }),
  single('mamba mamba2 falcon_mamba', 'backbone.layers', 'num_hidden_layers', { head: 'lm_head.weight', embedding: 'backbone.embeddings.weight' }),
  single('bert', 'bert.encoder.layer', 'num_hidden_layers', {
    head: 'cls.predictions.decoder.weight',
    embedding: 'bert.embeddings.word_embeddings.weight',
    after: ['bert.pooler.', 'pooler.', 'cls.', 'classifier.', 'qa_outputs.'],
  }),
  single('roberta xlm-roberta camembert', 'roberta.encoder.layer', 'num_hidden_layers', {
    head: 'lm_head.decoder.weight',
    embedding: 'roberta.embeddings.word_embeddings.weight',
    after: ['roberta.pooler.', 'pooler.', 'lm_head.', 'classifier.', 'qa_outputs.'],
  }),
  single('electra', 'electra.encoder.layer', 'num_hidden_layers', {
    head: 'generator_lm_head.weight',
    embedding: 'electra.embeddings.word_embeddings.weight',
    after: ['discriminator_predictions.', 'generator_predictions.', 'generator_lm_head.', 'classifier.', 'qa_outputs.'],
  }),
  single('distilbert', 'distilbert.transformer.layer', 'n_layers', {
    head: 'vocab_projector.weight',
    embedding: 'distilbert.embeddings.word_embeddings.weight',
    after: ['vocab_transform.', 'vocab_layer_norm.', 'vocab_projector.', 'pre_classifier.', 'classifier.', 'qa_outputs.'],
  }),
  single('modernbert', 'model.layers', 'num_hidden_layers', {
    head: 'decoder.weight',
    embedding: 'model.embeddings.tok_embeddings.weight',
    after: ['head.', 'decoder.', 'classifier.'],
  }),
  single('vit vit_mae vit_msn', 'vit.encoder.layer', 'num_hidden_layers', { tied: false }),
  single('deit', 'deit.encoder.layer', 'num_hidden_layers', { tied: false, after: ['cls_classifier.', 'distillation_classifier.'] }),
  single('beit data2vec-vision', 'beit.encoder.layer', 'num_hidden_layers', { tied: false }),
  single('dinov2', 'dinov2.encoder.layer', 'num_hidden_layers', { tied: false }),
  {
    types: ['t5', 'mt5', 'longt5'],
    prefix: null,
    parts: [
      part('encoder', ['encoder.block'], ['num_layers'], { prefixes: ['encoder.'], shared: RELATIVE }),
      part('decoder', ['decoder.block'], ['num_decoder_layers'], { prefixes: ['decoder.'], shared: RELATIVE }),
      part('shared', [], [], { after: ['lm_head.'] }),
    ],
    head: 'lm_head.weight',
    embedding: 'shared.weight',
    tied: true,
  },
  {
    types: ['umt5'],
    prefix: null,
    parts: [
      part('encoder', ['encoder.block'], ['num_layers'], { prefixes: ['encoder.'] }),
      part('decoder', ['decoder.block'], ['num_decoder_layers'], { prefixes: ['decoder.'] }),
      part('shared', [], [], { after: ['lm_head.'] }),
    ],
    head: 'lm_head.weight',
    embedding: 'shared.weight',
    tied: true,
  },
  {
    types: ['whisper'],
    prefix: 'model.',
    parts: [
      part('encoder', ['model.encoder.layers', 'encoder.layers'], ['encoder_layers'], { prefixes: ['model.encoder.', 'encoder.'] }),
      part('decoder', ['model.decoder.layers', 'decoder.layers'], ['decoder_layers'], { after: ['proj_out.'] }),
    ],
    head: 'proj_out.weight',
    embedding: 'model.decoder.embed_tokens.weight',
    tied: true,
  },
  {
    types: ['bart', 'mbart', 'marian', 'pegasus', 'm2m_100'],
    prefix: 'model.',
    parts: [
      part('encoder', ['model.encoder.layers', 'encoder.layers'], ['encoder_layers'], { prefixes: ['model.encoder.', 'encoder.'] }),
      part('decoder', ['model.decoder.layers', 'decoder.layers'], ['decoder_layers'], { prefixes: ['model.decoder.', 'decoder.'] }),
      part('shared', [], [], { after: ['lm_head.', 'final_logits_bias'] }),
    ],
    head: 'lm_head.weight',
    embedding: 'model.shared.weight',
    tied: true,
  },
  {
    types: ['clip', 'siglip', 'siglip2'],
    prefix: null,
    parts: [
      part('text_model', ['text_model.encoder.layers'], ['text_config.num_hidden_layers'], { prefixes: ['text_model.', 'text_projection.'] }),
      part('vision_model', ['vision_model.encoder.layers'], ['vision_config.num_hidden_layers'], { prefixes: ['vision_model.', 'visual_projection.'] }),
      part('default', [], []),
    ],
    head: null,
    embedding: null,
    tied: false,
  },
  seeing('llava llava_next vipllava mistral3 paligemma', 'vision_tower', 'vision_config.num_hidden_layers'),
  seeing('gemma3', 'vision_tower', 'vision_config.num_hidden_layers', { tied: true }),
  seeing('llama4', 'vision_model', 'vision_config.num_hidden_layers'),
  {
    types: ['qwen2_vl', 'qwen2_5_vl', 'qwen3_vl', 'qwen3_vl_moe'],
    prefix: null,
    parts: [
      part('multi_modal_projector', [], [], { prefixes: VISUAL.map(v => `${v}merger.`) }),
      part(
        'vision_tower',
        VISUAL.map(v => `${v}blocks`),
        ['vision_config.depth'],
        { prefixes: VISUAL },
      ),
      part('text_decoder', ['model.language_model.layers', 'model.layers'], ['text_config.num_hidden_layers', 'num_hidden_layers']),
    ],
    head: null,
    embedding: null,
    tied: false,
  },
]

/** Fields of config.json with an entry for each layer. */
export const LISTS_BY_LAYER: readonly string[] = ['layer_types', 'layers_block_type', 'no_rope_layers', 'mlp_layer_types', 'attention_layers']

/** Fields of config.json that list the indices of some layers. */
export const LISTS_OF_INDICES: readonly string[] = ['mlp_only_layers', 'full_attn_idxs', 'attn_layer_indices', 'moe_layers', 'global_attn_layers']

/** Fields of config.json that tell layers apart by a rule on their index. */
export const RULES_BY_INDEX: readonly string[] = [
  'first_k_dense_replace',
  'moe_layer_freq',
  'decoder_sparse_step',
  'sliding_window_pattern',
  'global_attn_every_n_layers',
  'full_attention_interval',
  'no_rope_layer_interval',
  'interleave_moe_layer_step',
  'attn_layer_period',
  'expert_layer_period',
]

/** What layer counts are called in families that are not listed. */
export const COUNT_FIELDS: readonly string[] = ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers', 'depth']
