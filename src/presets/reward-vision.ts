import { folderSink } from '../bytes/folder.ts'
import { withTemporaryFolder } from '../bytes/store.ts'
import { runInMemory } from '../evaluate/load.ts'
import type { Weights } from '../evaluate/weights.ts'
import { headerOf } from '../formats/safetensors.ts'
import { compareModels } from '../plan/comparison.ts'
import { openModels } from '../plan/open_models.ts'
import { plan } from '../plan/plan.ts'
import { parse } from '../recipe/parse.ts'
import type { Preset } from './preset.ts'

type Model = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>

const WIDTH = 4
const LAYERS = 4
const CROSS = [1, 4] // layers of the vision model's decoder that look at the picture
const WORDS = ['a', 'b', 'c']
const PICTURE_WORDS = ['c', 'b', 'a', '<image>'] // the same tokens in other rows, and one more

const MERGE = '0.5*vlm + 0.5*rm'
const RENAME = `{ layers: { gaps: [${CROSS}] }, add: 'language_model.' }`
const RULES = `vocab: common
rules:
  - { tensors: 'vision_model.*', from: vlm }
  - { tensors: 'multi_modal_projector.*', from: vlm }
  - { tensors: 'language_model.model.layers.{${CROSS}}.*', from: vlm }
  - { tensors: 'language_model.score.*', from: rm }
  - { tensors: 'language_model.lm_head.*', drop: true }`

/** The language tower of a vision model merged with a text reward model (Li et al., 2025, https://arxiv.org/abs/2502.13487): the structure of it. */
export default {
  summary: 'A text reward model merged into a vision-language model: prefix, shifted layers, other rows of tokens, heads. The structure alone, on a pair made here.',
  recipe: `${MERGE}, with rm: { rename: ${RENAME} }, \`vocab: common\` and rules for what only one has`,
  needs: [],
  run: () => withFolder(show),
} satisfies Preset

/** A generator within a temporary folder, which goes when it ends. */
async function* withFolder<T, R>(run: (folder: string) => AsyncGenerator<T, R, void>): AsyncGenerator<T, R, void> {
  const steps: { values: T[]; result: R } = await withTemporaryFolder(async folder => {
    const values: T[] = []
    const steps = run(folder)
    let step = await steps.next()
    for (; !step.done; step = await steps.next()) values.push(step.value)
    return { values, result: step.value }
  })
  yield* steps.values
  return steps.result
}

async function* show(folder: string): ReturnType<Preset['run']> {
  const [rm, vlm] = [rewardModel(), visionModel()]
  await write(`${folder}/rm`, rm, { architectures: ['LlamaForSequenceClassification'], model_type: 'llama', num_hidden_layers: LAYERS, vocab_size: WORDS.length }, WORDS)
  const decoder = { num_hidden_layers: LAYERS + CROSS.length, vocab_size: PICTURE_WORDS.length }
  await write(`${folder}/vlm`, vlm, { architectures: ['PictureForConditionalGeneration'], text_config: decoder }, PICTURE_WORDS)
  const models = (rename: string) => `models:\n  vlm: ${JSON.stringify(`${folder}/vlm`)}\n  rm: ${rename}\n`
  const path = JSON.stringify(`${folder}/rm`)

  const bare = parse(`${models(path)}merge: ${MERGE}\n`)
  const unnamed = compareModels(bare, await openModels(bare))!
  yield tableOf('Before anything is said: no name meets another', unnamed.lines, [
    'What `merganser plan` proposes:',
    ...unnamed.proposals.flatMap(({ why, lines }) => [`  ${why}`, ...lines.map(line => `    ${line.replaceAll(folder, 'models')}`)]),
  ])

  const recipe = parse(`${models(`{ path: ${path}, rename: ${RENAME} }`)}merge: ${MERGE}\n${RULES}\n`)
  const opened = await openModels(recipe)
  yield tableOf('As the recipe has it', compareModels(recipe, opened)!.lines, RULES.split('\n'))

  const merged = await runInMemory(plan(recipe, opened, { threads: 1 }))
  const wanted = expected(rm, vlm)
  const wrong = [...new Set([...wanted.keys(), ...merged.keys()])].filter(name => !isEqual(merged, wanted, name))
  yield {
    title: 'The merged model, tensor by tensor, against the same arithmetic in plain loops',
    columns: ['part', 'tensors', 'as computed'],
    rows: PARTS.map(([part, pattern]) => {
      const names = [...wanted.keys()].filter(name => pattern.test(name))
      return [part, String(names.length), names.some(name => wrong.includes(name)) ? '✗' : '✓']
    }),
    remarks: [
      'The zoo has no vision-language model: no accuracy is shown here, and none is claimed. The paper’s effect needs one, and its control is the same question without the picture.',
    ],
  }
  return wrong.length === 0
    ? { isAsExpected: true, conclusion: `all ${merged.size} tensors are what the same arithmetic in plain loops gives, bit for bit` }
    : { isAsExpected: false, conclusion: `tensors that differ from the same arithmetic in plain loops: ${wrong.join(', ')}` }
}

const PARTS: readonly (readonly [string, RegExp])[] = [
  ['decoder layers, under shifted indices, averaged', /layers\.(?![14]\.)\d+\.mlp/],
  ['final norm, averaged', /^language_model\.model\.norm/],
  ['embedding, averaged by token; the picture’s row as in vlm', /embed_tokens/],
  ['cross-attention layers, from vlm', /language_model\.model\.layers\.[14]\./],
  ['vision tower and projector, from vlm', /^(vision_model|multi_modal_projector)\./],
  ['score head, from rm', /score/],
]

function tableOf(title: string, lines: NonNullable<ReturnType<typeof compareModels>>['lines'], remarks: readonly string[]) {
  const rows = lines.map(({ tensors, count, in: models, outcome, from }) => [
    tensors,
    String(count),
    models.length === 2 ? 'both' : models.join(),
    from ? `${outcome} from ${from}` : outcome,
  ])
  return { title, columns: ['tensors', 'count', 'models', 'becomes'], rows, remarks }
}

/** Whole numbers, so that their averages are exact: nothing of a merge depends on what stands in a tensor. */
function numbers(shape: readonly number[], first: number): Model[string] {
  return { shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => first + i) }
}

function rewardModel(): Model {
  const layers = Array.from({ length: LAYERS }, (_, i) => [`model.layers.${i}.mlp.up_proj.weight`, numbers([WIDTH, WIDTH], 100 * i)] as const)
  return {
    'model.embed_tokens.weight': numbers([WORDS.length, WIDTH], 1000),
    ...Object.fromEntries(layers),
    'model.norm.weight': numbers([WIDTH], 7),
    'score.weight': numbers([1, WIDTH], 50),
  }
}

function visionModel(): Model {
  const layers = Array.from({ length: LAYERS + CROSS.length }, (_, i) => [
    [`language_model.model.layers.${i}.mlp.up_proj.weight`, numbers([WIDTH, WIDTH], 2000 + 100 * i)] as const,
    ...(CROSS.includes(i) ? [[`language_model.model.layers.${i}.cross_attn.q_proj.weight`, numbers([WIDTH, WIDTH], 9000 + i)] as const] : []),
  ]).flat()
  return {
    'language_model.model.embed_tokens.weight': numbers([PICTURE_WORDS.length, WIDTH], 3000),
    ...Object.fromEntries(layers),
    'language_model.model.norm.weight': numbers([WIDTH], 17),
    'language_model.lm_head.weight': numbers([PICTURE_WORDS.length, WIDTH], 4000),
    'vision_model.layers.0.w': numbers([WIDTH], 1),
    'vision_model.layers.1.w': numbers([WIDTH], 2),
    'multi_modal_projector.weight': numbers([WIDTH, WIDTH], 5),
  }
}

/** What must come out, written down without the engine. */
function expected(rm: Model, vlm: Model): Weights {
  const half = (a: number, b: number): number => 0.5 * a + 0.5 * b
  const out = new Map(Object.entries(vlm).filter(([name]) => !name.includes('lm_head')))
  const average = (name: string, other: string): void => {
    const { shape, data } = vlm[name]!
    out.set(name, { shape, data: data.map((x, i) => half(x, rm[other]!.data[i]!)) })
  }
  const free = Array.from({ length: LAYERS + CROSS.length }, (_, i) => i).filter(i => !CROSS.includes(i))
  for (const [own, shifted] of free.entries()) average(`language_model.model.layers.${shifted}.mlp.up_proj.weight`, `model.layers.${own}.mlp.up_proj.weight`)
  average('language_model.model.norm.weight', 'model.norm.weight')
  const name = 'language_model.model.embed_tokens.weight'
  const { shape, data } = vlm[name]!
  const rows = data.map((x, i) => {
    const row = WORDS.indexOf(PICTURE_WORDS[Math.floor(i / WIDTH)]!)
    return row < 0 ? x : half(x, rm['model.embed_tokens.weight']!.data[row * WIDTH + (i % WIDTH)]!)
  })
  out.set(name, { shape, data: rows })
  out.set('language_model.score.weight', rm['score.weight']!)
  return out
}

function isEqual(ours: Weights, theirs: Weights, name: string): boolean {
  const [a, b] = [ours.get(name), theirs.get(name)]
  return a !== undefined && b !== undefined && String(a.shape) === String(b.shape) && a.data.every((x, i) => Object.is(x, b.data[i]))
}

/** A model as Hugging Face has it: one file of tensors, config.json, and a tokenizer of whole words. */
async function write(folder: string, model: Model, config: object, words: readonly string[]): Promise<void> {
  const tensors = Object.entries(model).map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape }))
  const { header, offsets, size } = headerOf(tensors, { format: 'pt' })
  const file = 'model.safetensors'
  const sink = folderSink(folder)
  await sink.begin({ bytes: size, fingerprint: '', inputs: [], files: [{ name: file, size }], isOfModel: () => true })
  await sink.write(file, 0, header)
  for (const [i, { data }] of Object.values(model).entries()) await sink.write(file, offsets[i]!, new Uint8Array(data.buffer))
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]))
  const files = { 'config.json': config, 'tokenizer.json': { added_tokens: [], model: { type: 'WordLevel', vocab, unk_token: words[0] } } }
  for (const [name, value] of Object.entries(files)) await sink.write(name, 0, new TextEncoder().encode(JSON.stringify(value)))
  await sink.finish()
}
