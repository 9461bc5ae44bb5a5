import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { DType } from '../src/dtype.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'
import { merganser, temporaryFolder, writeFiles, writeModel } from './front.ts'

// What users see for each mistake, word for word. Nothing may have been written.

const folder = temporaryFolder()
const W = 'model.layers.0.w.weight'
const model = (rows = 2, extra = {}) => ({ [W]: { shape: [rows, 2], values: Array.from({ length: rows * 2 }, (_, i) => i + 1) }, ...extra })

beforeAll(() => {
  for (const name of ['base', 'code', 'math']) writeModel(join(folder, name), model())
  writeModel(join(folder, 'wide'), model(3))
  writeModel(join(folder, 'double'), { [W]: { dtype: 'F64', shape: [2, 2], values: [1, 2, 1e300, 4] } })
  writeModel(join(folder, 'damaged'), { [W]: { dtype: 'F64', shape: [2, 2], values: [1, 2, 1e300, Number.NEGATIVE_INFINITY] } })
  writeModel(join(folder, 'quantised'), { [W]: { dtype: 'I8', shape: [2, 2] } })
  writeModel(join(folder, 'more'), model(2, { 'score.weight': { shape: [1, 2] } }))
  writeModel(join(folder, 'deep'), { ...model(), 'model.layers.1.w.weight': { shape: [2, 2] } })
  const named = (...names: readonly string[]) => Object.fromEntries(names.map(name => [name, { shape: [2, 2] }]))
  writeModel(join(folder, 'flat'), named('first.weight', 'second.weight'))
  writeModel(join(folder, 'twin'), named('encoder.layers.0.w.weight', 'decoder.layers.0.w.weight'))
  writeModel(join(folder, 't5'), named('shared.weight', 'encoder.block.0.w.weight', 'decoder.block.0.w.weight'), { architectures: ['T5Model'], model_type: 't5', num_layers: 1 })
  writeModel(join(folder, 'kinds'), named('model.layers.0.mlp.up_proj.weight', 'model.layers.1.moe.gate.weight'))
  writeModel(join(folder, 'split'), named('model.layers.0.attn.q_proj.weight', 'model.layers.0.attn.k_proj.weight'))
  writeModel(join(folder, 'fused'), named('model.layers.0.attn.qkv_proj.weight'))
  writeModel(join(folder, 'large'), model(), { architectures: ['Toy'], hidden_size: 16 })
  writeModel(join(folder, 'small'), model(), { architectures: ['Toy'], hidden_size: 32 })
  writeModel(join(folder, 'other'), model(), { architectures: ['Toy2'] })
  writeModel(join(folder, 'nan'), { [W]: { shape: [2, 2], values: [1, 2, 3, Number.NaN] } })
  writeModel(join(folder, 'inf'), { [W]: { dtype: 'F16', shape: [2, 2], values: [1, Number.NEGATIVE_INFINITY, 3, 4] } })
  writeModel(join(folder, 'huge'), { [W]: { shape: [2, 2], values: [1, 2, 70000, 4] } })
  const spoken = (rows: number, dtype: DType = 'F32') => ({ 'model.embed_tokens.weight': { dtype, shape: [rows, 2] }, ...model() })
  const vocabulary = (...tokens: readonly string[]) => JSON.stringify({ model: { vocab: Object.fromEntries(tokens.map((token, id) => [token, id])) } })
  const speaking: Readonly<Record<string, readonly [rows: number, tokenizer: Readonly<Record<string, string>>, dtype?: DType]>> = {
    speaker: [3, { 'tokenizer.json': vocabulary('<s>', 'one', 'two') }],
    speaker2: [3, { 'tokenizer.json': vocabulary('<s>', 'two', 'three') }],
    mute: [4, {}],
    garbled: [3, { 'tokenizer.json': '{"model": {"vocab": {"<s>": 0, "one": 0}}}' }],
    unread: [3, { 'tokenizer.json': '{"model":\n  {"vocab": ]}}' }],
    tekken: [3, { 'tekken.json': '{}' }],
    whole: [3, { 'tokenizer.json': vocabulary('<s>', 'one') }, 'I8'],
  }
  for (const [name, [rows, files, dtype]] of Object.entries(speaking)) {
    writeModel(join(folder, name), spoken(rows, dtype))
    writeFiles(join(folder, name), files)
  }
  writeModel(join(folder, 'broad'), { 'model.embed_tokens.weight': { shape: [3, 4] }, ...model() })
  writeFiles(join(folder, 'broad'), { 'tokenizer.json': vocabulary('<s>', 'two') })
  mkdirSync(join(folder, 'nothing'))
  const vast = [{ name: W, dtype: 'F32' as const, shape: [2 ** 20, 2 ** 20] }] // 4 TB, none of it on the disk
  mkdirSync(join(folder, 'vast'))
  const { header, size } = headerOf(vast, {})
  writeFileSync(join(folder, 'vast/model.safetensors'), header)
  truncateSync(join(folder, 'vast/model.safetensors'), size)
  writeFiles(folder, { 'occupied/notes.txt': 'mine', 'full/model.safetensors': 'x', 'full/src/main.c': 'mine', afile: 'x', 'mixed/model.safetensors': 'an old model' })
})

/** The temporary folder and the free space of this disk stand as FOLDER and FREE. */
const plain = (text: string): string =>
  text
    .trimEnd()
    .replaceAll(folder, 'FOLDER')
    .replace(/has [\d.]+ [MG]B free/, 'has FREE free')

const isUntouched = (): boolean => !existsSync(join(folder, 'out')) && !existsSync(join(folder, 'out.partial'))

/** Mistakes with tokenizers: the models of a linear merge, the last line of the recipe, what is printed. */
const TOKENS: readonly (readonly [what: string, models: readonly string[], tokens: string, message: readonly string[]])[] = [
  [
    'a model without a tokenizer',
    ['speaker', 'mute'],
    'tokenizer_source: union',
    [
      'error: mute has no tokenizer; its embedding has 4 rows and that of speaker 3, so they do not share one',
      '  at recipe.yml:4:1',
      '  4 | tokenizer_source: union',
      '    | ^^^^^^^^^^^^^^^^',
      '  fix: copy tokenizer.json and tokenizer_config.json of the model it was trained from into its folder',
    ],
  ],
  [
    'a source without a tokenizer',
    ['speaker', 'speaker2'],
    'tokenizer_source: nothing',
    [
      'error: nothing has no tokenizer',
      '  at recipe.yml:4:19',
      '  4 | tokenizer_source: nothing',
      '    |                   ^^^^^^^',
      '  fix: copy tokenizer.json and tokenizer_config.json of the model it was trained from into its folder',
    ],
  ],
  [
    'a source that does not exist',
    ['speaker', 'speaker2'],
    'tokenizer_source: speeker',
    [
      'error: no file or folder "speeker" in FOLDER',
      '  at recipe.yml:4:19',
      '  4 | tokenizer_source: speeker',
      '    |                   ^^^^^^^',
      '  fix: did you mean "speaker" or "speaker2"?',
    ],
  ],
  [
    'models without an embedding',
    ['base', 'code'],
    'tokenizer_source: base',
    [
      'error: no model has an embedding that is recognised, whose rows could be matched',
      '  at recipe.yml:4:1',
      '  4 | tokenizer_source: base',
      '    | ^^^^^^^^^^^^^^^^',
      '  fix: embeddings are told by names such as `model.embed_tokens.weight`; leave out the tokenizer, and each row stays where it is',
    ],
  ],
  [
    'a tokenizer with one id twice',
    ['speaker', 'garbled'],
    'tokenizer_source: union',
    ['error: tokens "<s>" and "one" both have the id 0', '  at garbled/tokenizer.json', '  fix: take the tokenizer’s files anew from the model’s source'],
  ],
  [
    'a tokenizer that is no JSON',
    ['speaker', 'unread'],
    'tokenizer_source: base',
    [
      'error: bad JSON: expected a value, found "]"',
      '  at unread/tokenizer.json:2:13',
      '  2 |   {"vocab": ]}}',
      '    |             ^',
      '  fix: take the tokenizer’s files anew from the model’s source',
    ],
  ],
  [
    'a tokenizer of a kind that has to be converted',
    ['speaker', 'tekken'],
    'tokenizer_source: base',
    [
      'error: a tokenizer of this kind cannot be read',
      '  at tekken/tekken.json',
      '  fix: convert it to tokenizer.json: load it with `AutoTokenizer.from_pretrained(folder)` of transformers, and call its `save_pretrained(folder)`',
    ],
  ],
  [
    'embeddings of whole numbers',
    ['whole'],
    'tokenizer_source: base',
    [
      'error: model.embed_tokens.weight: I8 in whole, and rows are matched by token only where they are floats',
      '  at recipe.yml',
      '  fix: merge the models before they are quantised, or leave out the tokenizer',
    ],
  ],
  [
    'embeddings of another width',
    ['speaker', 'broad'],
    'tokenizer_source: base',
    [
      'error: model.embed_tokens.weight: shapes [3,2] in speaker and [3,4] in broad differ',
      '  at recipe.yml',
      '  fix: merge models of one size, or write the recipe in Merganser’s own form, whose `rules:` say what becomes of such a tensor; `merganser plan` shows which tensors match, and what to write',
    ],
  ],
  [
    'a rule for a token that its source lacks',
    ['speaker', 'speaker2'],
    'tokenizer: {tokens: {three: {source: speaker}}}',
    [
      'error: speaker has no token "three"',
      '  at recipe.yml:4:38',
      '  4 | tokenizer: {tokens: {three: {source: speaker}}}',
      '    |                                      ^^^^^^^',
      '  fix: name a token that the model has, or one by its row with `{kind: model_token, model: ..., token_id: ...}`',
    ],
  ],
  [
    'a rule for a row that is not there',
    ['speaker', 'speaker2'],
    'tokenizer: {tokens: {x: {source: {kind: model_token, model: speaker, token_id: 3}}}}',
    [
      'error: token_id is 3, and the embedding of speaker has 3 rows',
      '  at recipe.yml:4:80',
      '  4 | tokenizer: {tokens: {x: {source: {kind: model_token, model: speaker, token_id: 3}}}}',
      '    |                                                                                ^',
      '  fix: name a token with an id from 0 to 2',
    ],
  ],
  [
    'a rule that names no model of the merge',
    ['speaker', 'speaker2'],
    'tokenizer: {tokens: {three: {source: speaker3}}}',
    [
      'error: unknown model "speaker3"',
      '  at recipe.yml:4:38',
      '  4 | tokenizer: {tokens: {three: {source: speaker3}}}',
      '    |                                      ^^^^^^^^',
      '  fix: did you mean "speaker"?',
    ],
  ],
  [
    'a rule for a model without an embedding',
    ['speaker', 'base'],
    'tokenizer: {tokens: {one: {source: base}}}',
    [
      'error: base gives no embedding to the merge',
      '  at recipe.yml:4:36',
      '  4 | tokenizer: {tokens: {one: {source: base}}}',
      '    |                                    ^^^^',
      '  fix: take the row from one of: speaker',
    ],
  ],
  [
    'a chat template without a tokenizer',
    ['base', 'code'],
    'chat_template: chatml',
    [
      'error: a chat template needs a tokenizer, and the output has none',
      '  at recipe.yml:4:16',
      '  4 | chat_template: chatml',
      '    |                ^^^^^^',
      '  fix: take one from a model that has it, with `tokenizer_source: path/to/model`',
    ],
  ],
]

/** Mistakes on the command line, in an expression or in the models: exit code, arguments, what is printed. */
const COMMANDS: readonly (readonly [what: string, status: number, args: readonly string[], message: readonly string[]])[] = [
  ['a misspelt command', 2, ['merg', 'x'], ['error: unknown command "merg"', '  fix: did you mean `merganser merge`?']],
  ['a misspelt flag', 2, ['merge', 'base', 'out', '--modle', 'base=base'], ['error: unknown flag --modle', '  fix: did you mean --model?']],
  ['a flag without its value', 2, ['merge', 'base', 'out', '--model'], ['error: --model needs a value', '  fix: write --model NAME=PATH']],
  ['a model flag without a name', 2, ['merge', 'base', 'out', '--model', 'base'], ['error: --model "base" is not NAME=PATH', '  fix: write e.g. --model base=models/llama']],
  [
    'a model flag given twice',
    2,
    ['merge', 'base', 'out', '--model', 'base=base', '--model', 'base=base'],
    ['error: --model base is given twice', '  fix: give each model a name of its own'],
  ],
  ['no output folder named', 2, ['merge', 'base', '--model', 'base=base'], ['error: merganser merge takes RECIPE OUT; given: "base"', '  fix: see `merganser help merge`']],
  ['shards of a few bytes', 2, ['merge', 'base', 'out', '--model', 'base=base', '--shard-size', '10'], ['error: --shard-size 10 is too small', '  fix: write at least 1MB']],
  ['no threads', 2, ['merge', 'base', 'out', '--model', 'base=base', '--threads', '0'], ['error: --threads "0" is not a positive whole number', '  fix: write e.g. --threads 4']],
  [
    'memory that is no size',
    2,
    ['merge', 'base', 'out', '--model', 'base=base', '--memory', 'lots'],
    ['error: --memory "lots" is not a size', '  fix: write e.g. --memory 512MB or --memory 4GiB'],
  ],
  [
    'an output dtype that is not floating',
    1,
    ['merge', 'base', 'out', '--model', 'base=base', '--dtype', 'int8'],
    ['error: int8 is not a floating-point dtype', '  at --dtype', '  fix: use one of: float32, float16, bfloat16, float64, float8_e4m3fn, float8_e5m2'],
  ],
  [
    'an unknown dtype',
    1,
    ['merge', 'base', 'out', '--model', 'base=base', '--dtype', 'bf17'],
    ['error: unknown dtype "bf17"', '  at --dtype', '  fix: use one of: float32, float16, bfloat16, float64, float8_e4m3fn, float8_e5m2'],
  ],
  ['a recipe file that is not there', 1, ['merge', 'recipe.yml', 'out'], ['error: recipe.yml: no such recipe file', '  fix: check the path']],
  [
    'a recipe that is a folder',
    2,
    ['merge', 'base', 'out'],
    ['error: base is a folder, not a recipe', "  fix: give a recipe file, or an expression such as 'base + 0.5*(code - base)'"],
  ],
  [
    'a model that is not there, with a near name',
    1,
    ['merge', '0.5*base + 0.5*cod', 'out', '--model', 'base=base', '--model', 'cod=cod'],
    ['error: no file or folder "cod" in FOLDER', '  fix: did you mean "code"?'],
  ],
  [
    'a model folder without weights',
    1,
    ['merge', 'occupied', 'out', '--model', 'occupied=occupied'],
    ['error: no .safetensors file in occupied, which holds notes.txt', '  fix: Merganser reads safetensors: give a folder with such a file'],
  ],
  [
    'an unknown name in an expression',
    1,
    ['merge', 'base + 0.5*(cod - base)', 'out', '--model', 'base=base', '--model', 'code=code'],
    ['error: unknown name "cod"', '  at expression:1:13', '  1 | base + 0.5*(cod - base)', '    |             ^^^', '  fix: did you mean "code"?'],
  ],
  [
    'an unknown method',
    1,
    ['merge', 'tie(base, code)', 'out', '--model', 'base=base', '--model', 'code=code'],
    ['error: unknown method "tie"', '  at expression:1:1', '  1 | tie(base, code)', '    | ^^^', '  fix: did you mean "ties"? All methods: `merganser methods`'],
  ],
  [
    'an unknown parameter',
    1,
    ['merge', 'base + ties(code - base, densty=0.2)', 'out', '--model', 'base=base', '--model', 'code=code'],
    [
      'error: unknown parameter "densty" of ties',
      '  at expression:1:26',
      '  1 | base + ties(code - base, densty=0.2)',
      '    |                          ^^^^^^^^^^',
      '  fix: did you mean "density"?',
    ],
  ],
  [
    'a value out of range',
    1,
    ['merge', 'base + ties(code - base, density=20)', 'out', '--model', 'base=base', '--model', 'code=code'],
    [
      'error: density is 20, and must be above 0 and at most 1',
      '  at expression:1:26',
      '  1 | base + ties(code - base, density=20)',
      '    |                          ^^^^^^^^^^',
      '  fix: did you mean 0.2?',
    ],
  ],
  [
    'a value of the wrong type',
    1,
    ['merge', 'base + ties(code - base, density=high)', 'out', '--model', 'base=base', '--model', 'code=code'],
    [
      'error: density must be a number, not "high"',
      '  at expression:1:26',
      '  1 | base + ties(code - base, density=high)',
      '    |                          ^^^^^^^^^^^^',
      '  fix: write a number such as 0.5',
    ],
  ],
  [
    'a missing required parameter',
    1,
    ['merge', 'slerp(base, code)', 'out', '--model', 'base=base', '--model', 'code=code'],
    ['error: slerp needs t', '  at expression:1:1', '  1 | slerp(base, code)', '    | ^^^^^^^^^^^^^^^^^', '  fix: add `t=0.5` to the call: `slerp(base, code, t=0.5)`'],
  ],
  [
    'too many models for slerp',
    1,
    ['merge', 'slerp(base, code, math, t=0.5)', 'out', '--model', 'base=base', '--model', 'code=code', '--model', 'math=math'],
    [
      'error: slerp takes 2 models, not 3 (base, code, math)',
      '  at expression:1:1',
      '  1 | slerp(base, code, math, t=0.5)',
      '    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^',
      '  fix: keep 2, or use a method for any number of models, such as linear',
    ],
  ],
  [
    'a missing parenthesis',
    1,
    ['merge', 'base + 0.5*(code - base', 'out', '--model', 'base=base', '--model', 'code=code'],
    ['error: "(" is never closed', '  at expression:1:12', '  1 | base + 0.5*(code - base', '    |            ^', '  fix: add ")"'],
  ],
  [
    'two models added',
    1,
    ['merge', 'base + math', 'out', '--model', 'base=base', '--model', 'math=math'],
    ['error: adds two models', '  at expression:1:1', '  1 | base + math', '    | ^^^^^^^^^^^', '  fix: write `base + (math - base)`, or average with `0.5*base + 0.5*math`'],
  ],
  [
    'a task vector alone',
    1,
    ['merge', 'math - base', 'out', '--model', 'base=base', '--model', 'math=math'],
    ['error: this is a task vector, not a model', '  at expression:1:1', '  1 | math - base', '    | ^^^^^^^^^^^', '  fix: add it to a model: `base + (math - base)`'],
  ],
  [
    'weights that add up to 0',
    1,
    ['merge', 'linear(base, math, weight=(1, -1))', 'out', '--model', 'base=base', '--model', 'math=math'],
    [
      'error: the weights of linear add up to 0, and the average divides by their sum',
      '  at expression:1:1',
      '  1 | linear(base, math, weight=(1, -1))',
      '    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^',
      '  fix: change a weight, or add them without dividing: `normalize=false`',
    ],
  ],
  [
    'shapes that differ',
    1,
    ['merge', 'base + (wide - base)', 'out', '--model', 'base=base', '--model', 'wide=wide'],
    [
      'error: model.layers.0.w.weight: shapes [2,2] in base and [3,2] in wide differ',
      '  at expression',
      "  fix: merge models of one size, or take the tensor from one of them: `rules: [{ tensors: 'model.layers.0.w.weight', from: MODEL }]`; `merganser plan` shows which tensors match, and what to write",
    ],
  ],
  [
    'a tensor that one model lacks',
    1,
    ['merge', '0.5*base + 0.5*more', 'out', '--model', 'base=base', '--model', 'more=more'],
    [
      'error: score.weight: in more, but not in base',
      '  at expression',
      "  fix: say what becomes of it in `rules:`, e.g. `- { tensors: 'score.weight', from: more }` or `drop: true`; `merganser plan` shows which tensors match, and what to write",
    ],
  ],
  [
    'a tensor of whole numbers in one model and floats in another',
    1,
    ['merge', 'base + 0.5*(quantised - base)', 'out', '--model', 'base=base', '--model', 'quantised=quantised'],
    [
      'error: model.layers.0.w.weight: I8 in quantised and F32 in base, and only floats can be merged',
      '  at expression',
      "  fix: merge models of one kind, or take the tensor from one of them: `rules: [{ tensors: 'model.layers.0.w.weight', from: base }]`; `merganser plan` shows which tensors match, and what to write",
    ],
  ],
  [
    'numbers of layers that differ',
    1,
    ['merge', '0.5*base + 0.5*deep', 'out', '--model', 'base=base', '--model', 'deep=deep'],
    [
      'error: base and deep cannot be merged: number of layers 1 against 2',
      '  at expression',
      '  fix: merge fine-tunes of one base model, or say in `rules:` which tensors come from which model; `merganser plan` shows which tensors match, and what to write',
    ],
  ],
  [
    'hidden sizes that differ',
    1,
    ['merge', '0.5*small + 0.5*large', 'out', '--model', 'small=small', '--model', 'large=large'],
    [
      'error: small and large cannot be merged: hidden_size 32 against 16',
      '  at expression',
      '  fix: merge fine-tunes of one base model, or say in `rules:` which tensors come from which model',
    ],
  ],
  [
    'NaN in an input',
    1,
    ['merge', '0.5*base + 0.5*nan', 'out', '--model', 'base=base', '--model', 'nan=nan'],
    ['error: nan contains NaN', '  at model.layers.0.w.weight[1, 1]', '  fix: use an undamaged copy of the model, or pass --allow-nonfinite to merge all the same'],
  ],
  [
    'NaN in a model that is copied',
    1,
    ['merge', 'nan', 'out', '--model', 'nan=nan'],
    ['error: nan contains NaN', '  at model.layers.0.w.weight[1, 1]', '  fix: use an undamaged copy of the model, or pass --allow-nonfinite to merge all the same'],
  ],
  [
    'infinity in an input',
    1,
    ['merge', 'base + (inf - base)', 'out', '--model', 'base=base', '--model', 'inf=inf'],
    ['error: inf contains -infinity', '  at model.layers.0.w.weight[0, 1]', '  fix: use an undamaged copy of the model, or pass --allow-nonfinite to merge all the same'],
  ],
  [
    'a float64 that float32 cannot hold',
    1,
    ['merge', 'base + 0.5*(double - base)', 'out', '--model', 'base=base', '--model', 'double=double'],
    [
      'error: double contains 1e+300, and merges are computed in float32, which ends at 3.4e38',
      '  at model.layers.0.w.weight[1, 0]',
      '  fix: take the tensor unchanged from one model, or pass --allow-nonfinite to merge it as infinity',
    ],
  ],
  [
    'infinity behind a large float64 in a model that is copied',
    1,
    ['merge', 'damaged', 'out', '--model', 'damaged=damaged'],
    ['error: damaged contains -infinity', '  at model.layers.0.w.weight[1, 1]', '  fix: use an undamaged copy of the model, or pass --allow-nonfinite to merge all the same'],
  ],
  [
    'a value that the output dtype cannot hold',
    1,
    ['merge', 'huge', 'out', '--model', 'huge=huge', '--dtype', 'f16'],
    [
      "error: the value 70000 is too large for the output's dtype",
      '  at model.layers.0.w.weight[1, 0]',
      '  fix: write a wider dtype (bf16 or f32) or lower the weights, or pass --allow-nonfinite to write it all the same',
    ],
  ],
  [
    'an output folder with other files',
    1,
    ['merge', 'base', 'occupied', '--model', 'base=base'],
    ['error: the output folder occupied exists and is not empty', '  fix: choose another name, or replace the model in it with --force'],
  ],
  [
    'an output folder with a model',
    1,
    ['merge', 'base', 'mixed', '--model', 'base=base'],
    ['error: the output folder mixed exists and is not empty', '  fix: choose another name, or replace the model in it with --force'],
  ],
  ['an output that is a file', 1, ['merge', 'base', 'afile', '--model', 'base=base'], ['error: the output afile is a file', '  fix: give the name of a folder to be made']],
  [
    '--force on a folder that holds more than a model',
    1,
    ['merge', 'base', 'full', '--model', 'base=base', '--force'],
    ['error: the output folder full holds more than a model (the folder src), and --force would delete it', '  fix: choose another name, or empty the folder yourself'],
  ],
  [
    '--force on a folder without a model',
    1,
    ['merge', 'base', 'occupied', '--model', 'base=base', '--force'],
    ['error: the output folder occupied holds more than a model (notes.txt), and --force would delete it', '  fix: choose another name, or empty the folder yourself'],
  ],
  [
    'an output inside an input',
    1,
    ['merge', 'base', 'base/out', '--model', 'base=base'],
    ['error: the output folder base/out lies inside the input FOLDER/base', '  fix: write to a folder apart from the inputs'],
  ],
  [
    'an output that is an input',
    1,
    ['merge', 'base', 'base', '--model', 'base=base', '--force'],
    ['error: the output folder base is the input FOLDER/base', '  fix: write to a folder apart from the inputs'],
  ],
  [
    'an output that contains the inputs',
    1,
    ['merge', 'base', '.', '--model', 'base=base', '--force'],
    ['error: the output folder . contains the input FOLDER/base', '  fix: write to a folder apart from the inputs'],
  ],
  [
    'an output below a file',
    1,
    ['merge', 'base', 'afile/out', '--model', 'base=base'],
    ['error: afile/out cannot be made: a part of its path is a file', '  fix: choose another folder'],
  ],
  [
    'a disk too small',
    1,
    ['merge', 'vast', 'out', '--model', 'vast=vast'],
    ['error: the output needs 4398.0 GB, but the disk of out has FREE free', '  fix: free space, write to another disk, or choose a smaller dtype (`output: { dtype: bf16 }`)'],
  ],
  [
    'a memory budget too small',
    1,
    ['merge', 'base + ties(code - base, density=0.2)', 'out', '--model', 'base=base', '--model', 'code=code', '--memory', '1MB', '--threads', '2'],
    ['error: a memory budget of 1 MB is too small for this merge', '  at 2 threads of 0.5 MB each', '  fix: set --memory to 1.4MB or more, or --threads 1 with 0.7MB'],
  ],
  [
    'a tensor to show that is not there',
    1,
    ['plan', 'base', '--formula', '--tensor', 'model.layers.0.v.weight', '--model', 'base=base'],
    ['error: there is no tensor "model.layers.0.v.weight"', '  fix: did you mean "model.layers.0.w.weight"?'],
  ],
  ['--tensor without --formula', 2, ['plan', 'base', '--tensor', 'x', '--model', 'base=base'], ['error: --tensor goes with --formula', '  fix: add --formula']],
  ['an unknown method to show', 2, ['methods', 'tie'], ['error: unknown method "tie"', '  fix: did you mean "ties"? All methods: `merganser methods`']],
]

describe('on the command line', () => {
  for (const [what, status, args, message] of COMMANDS) {
    test(what, () => {
      const ran = merganser(folder, ...args)
      expect(plain(ran.stderr).split('\n')).toEqual(message)
      expect({ status: ran.status, stdout: ran.stdout, isUntouched: isUntouched() }).toEqual({ status, stdout: '', isUntouched: true })
    })
  }
})

/** Mistakes in a recipe: the recipe, what is printed. */
const RECIPES: readonly (readonly [what: string, recipe: string, message: readonly string[]])[] = [
  [
    'YAML that is broken',
    'merge_method: linear\nmodels:\n  - model: base\n   parameters: {weight: 1}\n',
    [
      'error: not valid YAML: sequence item without - indicator',
      '  at recipe.yml:4:1',
      '  4 |    parameters: {weight: 1}',
      '    | ^',
      '  fix: check the indentation, colons, brackets and quotes of this line',
    ],
  ],
  [
    'a misspelt block',
    'merge_method: linear\nmodels:\n  - model: base\n    paramters: {weight: 1}\n',
    ['error: unknown key "paramters"', '  at recipe.yml:4:5', '  4 |     paramters: {weight: 1}', '    |     ^^^^^^^^^', '  fix: did you mean "parameters"?'],
  ],
  [
    'a misspelt parameter',
    'merge_method: linear\nmodels:\n  - model: base\n    parameters: {wieght: 1}\n',
    [
      'error: base: unknown parameter "wieght" of linear',
      '  at recipe.yml:4:18',
      '  4 |     parameters: {wieght: 1}',
      '    |                  ^^^^^^^^^',
      '  fix: did you mean "weight"?',
    ],
  ],
  [
    'a missing weight',
    'merge_method: linear\nmodels:\n  - model: base\n    parameters: {weight: 1}\n  - model: code\n',
    [
      'error: linear needs a weight for code',
      '  at recipe.yml:5:12',
      '  5 |   - model: code',
      '    |            ^^^^',
      '  fix: add `parameters: {weight: 1}` to this entry, or `weight: 1` to the top-level parameters',
    ],
  ],
  [
    'a method of another name',
    'merge_method: dare-ties\nbase_model: base\nmodels:\n  - model: code\n    parameters: {weight: 1}\n',
    [
      'error: unknown method "dare-ties"',
      '  at recipe.yml:1:15',
      '  1 | merge_method: dare-ties',
      '    |               ^^^^^^^^^',
      '  fix: did you mean "dare_ties"? All methods: `merganser methods`',
    ],
  ],
  [
    'a duplicate model',
    'merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 1}}\n  - {model: base, parameters: {weight: 2}}\n',
    [
      'error: base is listed twice, on lines 3 and 4',
      '  at recipe.yml:4:13',
      '  4 |   - {model: base, parameters: {weight: 2}}',
      '    |             ^^^^',
      '  fix: keep one entry, with the sum of the weights',
    ],
  ],
  [
    'no base',
    'merge_method: ties\nmodels:\n  - {model: code, parameters: {weight: 1}}\n',
    [
      'error: ties needs base_model',
      '  at recipe.yml:1:1',
      '  1 | merge_method: ties',
      '    | ^^^^^^^^^^^^^^^^^^',
      '  fix: add the line `base_model: code`, with the model that the others were fine-tuned from',
    ],
  ],
  [
    'different architectures',
    'merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 1}}\n  - {model: other, parameters: {weight: 1}}\n',
    ['error: base and other cannot be merged: architecture Toy against Toy2', '  at recipe.yml', '  fix: merge fine-tunes of one base model'],
  ],
  [
    'layers beyond the last',
    'merge_method: passthrough\nslices:\n  - sources: [{model: deep, layer_range: [0, 2]}]\n  - sources: [{model: deep, layer_range: [1, 3]}]\n',
    [
      'error: deep has 2 layers, and [1, 3] goes beyond',
      '  at recipe.yml:4:42',
      '  4 |   - sources: [{model: deep, layer_range: [1, 3]}]',
      '    |                                          ^^^^^^',
      '  fix: layers are counted from 0 and the end is not included: [1, 2] reaches the last',
    ],
  ],
  [
    'layers beyond the last by far',
    'merge_method: passthrough\nslices:\n  - sources: [{model: base, layer_range: [4, 8]}]\n',
    [
      'error: base has 1 layer, and [4, 8] goes beyond',
      '  at recipe.yml:3:42',
      '  3 |   - sources: [{model: base, layer_range: [4, 8]}]',
      '    |                                          ^^^^^^',
      '  fix: the last layer is [0, 1]',
    ],
  ],
  [
    'slices that hold no layer',
    'merge_method: passthrough\nslices:\n  - sources: [{model: base, layer_range: [1, 1]}]\n',
    ['error: the slices hold no layer', '  at recipe.yml:2:1', '  2 | slices:', '    | ^^^^^^', '  fix: give at least one slice a range of layers, such as [0, 16]'],
  ],
  [
    'slices of a model without layers',
    'merge_method: passthrough\nslices:\n  - sources: [{model: flat, layer_range: [0, 1]}]\n',
    [
      'error: flat: no layers are recognised here',
      '  at recipe.yml:3:42',
      '  3 |   - sources: [{model: flat, layer_range: [0, 1]}]',
      '    |                                          ^^^^^^',
      '  fix: layers are told by names such as `model.layers.0.mlp…`; merge this model whole, with `models:`',
    ],
  ],
  [
    'slices of a model with two stacks',
    'merge_method: passthrough\nslices:\n  - sources: [{model: twin, layer_range: [0, 1]}]\n',
    [
      'error: twin has several stacks of layers: encoder.layers, decoder.layers',
      '  at recipe.yml:2:1',
      '  2 | slices:',
      '    | ^^^^^^',
      '  fix: slice each under `modules:`, where it has default, encoder.layers, decoder.layers',
    ],
  ],
  [
    'slices of unequal length',
    'merge_method: linear\nparameters: {weight: 1}\nslices:\n  - sources:\n      - {model: deep, layer_range: [0, 2]}\n      - {model: base, layer_range: [0, 1]}\n',
    [
      'error: slice 1 merges layers one by one, and takes 2 of deep, but 1 of base',
      '  at recipe.yml:6:36',
      '  6 |       - {model: base, layer_range: [0, 1]}',
      '    |                                    ^^^^^^',
      '  fix: give all sources of a slice ranges of one length, e.g. `layer_range: [0, 2]` here',
    ],
  ],
  [
    'layers of different kinds',
    'merge_method: linear\nparameters: {weight: 1}\nslices:\n  - sources:\n      - {model: kinds, layer_range: [0, 1]}\n      - {model: deep, layer_range: [1, 2]}\n',
    [
      'error: model.layers.0.mlp.up_proj.weight: in kinds, but not in deep (as model.layers.1.mlp.up_proj.weight)',
      '  at recipe.yml',
      '  fix: these layers are not of one kind: choose ranges in which they are',
    ],
  ],
  [
    'a module that the architecture does not have',
    'merge_method: passthrough\nmodules:\n  encodr: {models: [{model: t5}]}\n',
    ['error: T5Model has no module "encodr"', '  at recipe.yml:3:3', '  3 |   encodr: {models: [{model: t5}]}', '    |   ^^^^^^', '  fix: did you mean "encoder"?'],
  ],
  [
    'a module of another kind of model',
    'merge_method: passthrough\nmodules:\n  vision_tower: {models: [{model: base}]}\n',
    ['error: Toy has no module "vision_tower"', '  at recipe.yml:3:3', '  3 |   vision_tower: {models: [{model: base}]}', '    |   ^^^^^^^^^^^^', '  fix: its modules: default'],
  ],
  [
    'modules of which one is missing',
    'merge_method: passthrough\nmodules:\n  encoder: {models: [{model: t5}]}\n  shared: {models: [{model: t5}]}\n',
    ['error: nothing is said of module decoder of T5Model', '  at recipe.yml:2:1', '  2 | modules:', '    | ^^^^^^^', '  fix: add `decoder: {models: [{model: t5, …}]}`'],
  ],
  [
    'layers of a module that has none',
    'merge_method: passthrough\nmodules:\n  encoder: {models: [{model: t5}]}\n  decoder: {models: [{model: t5}]}\n  shared: {slices: [{sources: [{model: t5, layer_range: [0, 1]}]}]}\n',
    [
      'error: t5: no layers are recognised here',
      '  at recipe.yml:5:57',
      '  5 |   shared: {slices: [{sources: [{model: t5, layer_range: [0, 1]}]}]}',
      '    |                                                         ^^^^^^',
      '  fix: give this module `models:`, or a range of no layers such as [0, 0]',
    ],
  ],
  [
    'fused and split projections',
    'merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: split}, {model: fused}]\n',
    [
      'error: model.layers.0.attn.q_proj.weight: in split, but not in fused, which has model.layers.0.attn.qkv_proj.weight',
      '  at recipe.yml',
      '  fix: merge models of one architecture, or write the recipe in Merganser’s own form, whose `rules:` say what becomes of such a tensor; `merganser plan` shows which tensors match, and what to write',
    ],
  ],
  [
    'a revision of a local model',
    'merge_method: passthrough\nmodels:\n  - {model: base@main}\n',
    ['error: base is a local path, and has no revision main', '  at recipe.yml:3:13', '  3 |   - {model: base@main}', '    |             ^^^^^^^^^', '  fix: write `base` alone'],
  ],
  [
    'a revision of a hub’s model',
    'merge_method: passthrough\nmodels:\n  - {model: org/llama@v1}\n',
    [
      'error: no file or folder "org/llama@v1", and revision v1 of org/llama is not in the local cache of the Hugging Face hub',
      '  at recipe.yml:3:13',
      '  3 |   - {model: org/llama@v1}',
      '    |             ^^^^^^^^^^^^',
      '  fix: run `hf download org/llama --revision v1` first',
    ],
  ],
  [
    'an adapter',
    'merge_method: passthrough\nmodels:\n  - {model: base+./lora}\n',
    [
      'error: no folder "./lora" with an adapter',
      '  at recipe.yml:3:13',
      '  3 |   - {model: base+./lora}',
      '    |             ^^^^^^^^^^^',
      '  fix: check the path of the adapter',
    ],
  ],
  [
    'an adapter in a mapping',
    'merge_method: passthrough\nmodels:\n  - model: {model: {path: base}, lora: {path: org/lora, revision: r1}}\n',
    [
      'error: no file or folder "org/lora@r1", and revision r1 of org/lora is not in the local cache of the Hugging Face hub',
      '  at recipe.yml:3:27',
      '  3 |   - model: {model: {path: base}, lora: {path: org/lora, revision: r1}}',
      '    |                           ^^^^',
      '  fix: run `hf download org/lora --revision r1` first',
    ],
  ],
  [
    'a misspelt stage',
    'name: merged-math\nmerge_method: passthrough\nmodels: [{model: base}]\n---\nmerge_method: passthrough\nmodels: [{model: merged-mth}]\n',
    [
      'error: no file or folder "merged-mth" in FOLDER',
      '  at recipe.yml:6:18',
      '  6 | models: [{model: merged-mth}]',
      '    |                  ^^^^^^^^^^',
      '  fix: did you mean "merged-math", the name of another document?',
    ],
  ],
  [
    'a stage of more layers than a model',
    'name: tall\nmerge_method: passthrough\nslices: [{sources: [{model: deep, layer_range: [0, 2]}]}, {sources: [{model: deep, layer_range: [1, 2]}]}]\n---\nmerge_method: linear\nparameters: {weight: 1}\nmodels: [{model: tall}, {model: deep}]\n',
    [
      'error: layers are merged one by one, and these are 3 of tall, but 2 of deep',
      '  at recipe.yml:5:15',
      '  5 | merge_method: linear',
      '    |               ^^^^^^',
      '  fix: choose as many layers of each, with `slices:`',
    ],
  ],
  [
    'layers beyond the last of a stage',
    'name: tall\nmerge_method: passthrough\nslices: [{sources: [{model: deep, layer_range: [0, 2]}]}, {sources: [{model: deep, layer_range: [1, 2]}]}]\n---\nmerge_method: passthrough\nslices: [{sources: [{model: tall, layer_range: [2, 5]}]}]\n',
    [
      'error: tall has 3 layers, and [2, 5] goes beyond',
      '  at recipe.yml:6:48',
      '  6 | slices: [{sources: [{model: tall, layer_range: [2, 5]}]}]',
      '    |                                                ^^^^^^',
      '  fix: layers are counted from 0 and the end is not included: [2, 3] reaches the last',
    ],
  ],
  [
    'a model path that does not exist',
    'merge_method: linear\nmodels:\n  - {model: ./bsae, parameters: {weight: 1}}\n',
    [
      'error: no file or folder "./bsae" in FOLDER',
      '  at recipe.yml:3:13',
      '  3 |   - {model: ./bsae, parameters: {weight: 1}}',
      '    |             ^^^^^^',
      '  fix: did you mean "./base"?',
    ],
  ],
  [
    'a rule with two actions',
    'models: {base: base, code: code}\nmerge: base\nrules:\n  - {tensors: "*", from: base, drop: true}\n',
    [
      'error: the rule has both from and drop',
      '  at recipe.yml:4:32',
      '  4 |   - {tensors: "*", from: base, drop: true}',
      '    |                                ^^^^',
      '  fix: keep one of merge, from, drop',
    ],
  ],
  [
    'a weight that float32 cannot hold',
    'merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 1e300}}\n',
    [
      'error: weight is 1e+300, and merges are computed in float32, which ends at 3.4e38',
      '  at recipe.yml:3:32',
      '  3 |   - {model: base, parameters: {weight: 1e300}}',
      '    |                                ^^^^^^^^^^^^^',
      '  fix: write a smaller number',
    ],
  ],
  [
    'weights whose sum float32 cannot hold: dividing by it gave zeros',
    'merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 3e38}}\n  - {model: code, parameters: {weight: 3e38}}\n',
    [
      'error: the weights of linear add up to 6e+38, and float32 ends at 3.4e38',
      '  at recipe.yml:1:15',
      '  1 | merge_method: linear',
      '    |               ^^^^^^',
      '  fix: write smaller weights',
    ],
  ],
  [
    'weights that are 0 in float32',
    'merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 1e-60}}\n  - {model: code, parameters: {weight: 1e-60}}\n',
    [
      'error: the weights of linear add up to 0, and the average divides by their sum',
      '  at recipe.yml:1:15',
      '  1 | merge_method: linear',
      '    |               ^^^^^^',
      '  fix: give at least one model a weight other than 0',
    ],
  ],
  [
    'a number with a leading 0, which is 8 to PyYAML',
    'merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 010}}\n',
    [
      'error: 010 means different numbers to different readers of YAML',
      '  at recipe.yml:3:40',
      '  3 |   - {model: base, parameters: {weight: 010}}',
      '    |                                        ^^^',
      '  fix: write it without the leading 0',
    ],
  ],
  [
    'a pattern without meaning',
    'models: {base: base, code: code}\nmerge: base\nrules:\n  - {tensors: "(q|k)_proj", from: base}\n',
    [
      'error: "(" has no meaning in a pattern',
      '  at recipe.yml:4:15',
      '  4 |   - {tensors: "(q|k)_proj", from: base}',
      '    |               ^^^^^^^^^^^^',
      '  fix: write alternatives as `{q,k,v}_proj`',
    ],
  ],
  [
    'a rule that drops everything',
    'models: {base: base}\nmerge: base\nrules:\n  - {tensors: "*", drop: true}\n',
    ['error: the merge has no tensors', '  at recipe.yml', '  fix: leave at least one tensor undropped'],
  ],
  [
    'a donor that is no model',
    'models: {base: base}\nmerge: base\noutput: {config_from: bse}\n',
    ['error: unknown model "bse"', '  at recipe.yml:3:23', '  3 | output: {config_from: bse}', '    |                       ^^^', '  fix: did you mean "base"?'],
  ],
  ...TOKENS.map(
    ([what, models, tokens, message]) =>
      [what, `merge_method: linear\nmodels: [${models.map(m => `{model: ${m}}`).join(', ')}]\nparameters: {weight: 1}\n${tokens}\n`, message] as const,
  ),
]

describe('in a recipe', () => {
  for (const [what, recipe, message] of RECIPES) {
    test(what, () => {
      writeFiles(folder, { 'recipe.yml': recipe })
      const ran = merganser(folder, 'merge', 'recipe.yml', 'out')
      expect(plain(ran.stderr).split('\n')).toEqual(message)
      expect({ status: ran.status, stdout: ran.stdout, isUntouched: isUntouched() }).toEqual({ status: 1, stdout: '', isUntouched: true })
    })
  }
})

test('an output where no folder can be made', () => {
  const ran = merganser(folder, 'merge', 'base', '/proc/nowhere/out', '--model', 'base=base')
  expect(ran.stderr).toBe('error: /proc/nowhere/out cannot be made here\n  fix: choose another folder\n')
  expect(ran.status).toBe(1)
})

test('the memory that the refusal names is enough', () => {
  const args = ['merge', 'base + ties(code - base, density=0.2)', 'enough', '--model', 'base=base', '--model', 'code=code', '--threads', '2']
  const asked = /set --memory to ([\d.]+MB)/.exec(merganser(folder, ...args, '--memory', '1MB').stderr)![1]!
  expect(merganser(folder, ...args, '--memory', asked).status).toBe(0)
})

test('--allow-nonfinite merges a NaN and says where it is', () => {
  const ran = merganser(folder, 'merge', 'nan', 'allowed', '--model', 'nan=nan', '--allow-nonfinite')
  expect(ran.stderr.trimEnd()).toBe('note: nan has NaN at model.layers.0.w.weight[1, 1]')
  expect(ran.status).toBe(0)
  const bytes = readFileSync(join(folder, 'allowed/model.safetensors'))
  expect(bytes.subarray(-4)).toEqual(readFileSync(join(folder, 'nan/model.safetensors')).subarray(-4))
})

test('a merge of something empty by quantiles gives something empty', () => {
  writeModel(join(folder, 'empty'), { w: { dtype: 'F32', shape: [0, 4], bytes: new Uint8Array() } })
  expect(merganser(folder, 'merge', 'arcee_fusion(a, base=b)', 'emptied', '--model', 'a=empty', '--model', 'b=empty')).toMatchObject({ status: 0 })
  rmSync(join(folder, 'empty'), { recursive: true })
  rmSync(join(folder, 'emptied'), { recursive: true })
})

test('more threads than anybody has are as many as are of use', () => {
  expect(merganser(folder, 'plan', 'base', '--model', 'base=base', '--threads', '100000').stdout).toContain('for 64 threads')
  expect(merganser(folder, 'merge', 'base', 'many', '--model', 'base=base', '--threads', '100000')).toMatchObject({ status: 0, stderr: '' })
  rmSync(join(folder, 'many'), { recursive: true })
})

test('with --json an error is an event, too', () => {
  const { status, stdout, stderr } = merganser(folder, 'merge', 'bse', 'x', '--model', 'base=base', '--json')
  expect(JSON.parse(stdout)).toMatchObject({ kind: 'error', what: 'unknown name "bse"', fix: 'did you mean "base"?' })
  expect(stderr).toContain('error: unknown name "bse"')
  expect(status).toBe(1)
})

test.each([
  ['ties(code - base, density=true)', 'density must be a number, not true', 'write a number such as 0.5'],
  ['1e39*(code - base)', '1e+39 is beyond float32, in which merges are computed', 'write a smaller number'],
])('%s', (task, what, fix) => {
  const { stderr, status } = merganser(folder, 'merge', `base + ${task}`, 'x', '--model', 'base=base', '--model', 'code=code')
  expect(stderr).toContain(`error: ${what}\n`)
  expect(stderr).toContain(`  fix: ${fix}\n`)
  expect(status).toBe(1)
})

describe('in TypeScript', () => {
  const recipe = parse('1*base', { models: { base: join(folder, 'base') } })
  test.each([
    [{ memory: Number.NaN }, 'the memory budget is null'],
    [{ memory: '1GB' as unknown as number }, 'the memory budget is "1GB"'],
    [{ threads: 0 }, 'the number of threads is 0'],
    [{ threads: 2.5 }, 'the number of threads is 2.5'],
  ])('plan with %j', async (options, message) => {
    const models = await openModels(recipe)
    expect(() => plan(recipe, models, options)).toThrow(message)
  })

  test('plan without the models', () => {
    expect(() => plan(recipe, new Map())).toThrow('the model base of the recipe was not opened')
  })
})

test('a refused --force leaves the folder as it was', () => {
  expect(readFileSync(join(folder, 'full/src/main.c'), 'utf8')).toBe('mine')
  expect(readFileSync(join(folder, 'occupied/notes.txt'), 'utf8')).toBe('mine')
})
