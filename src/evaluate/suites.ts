/** Choose coefficients on dev, report test. */
export type Split = 'dev' | 'test'

/** The tasks of zoo/vision and zoo/vision-hard, in the order of their expected.json. */
export const VISION_TASKS = ['mnist', 'digits', 'greek', 'korean', 'latin', 'balinese', 'katakana', 'sanskrit'] as const
export type VisionTask = (typeof VISION_TASKS)[number]

/** The held-out texts of zoo/text. */
export const TEXT_NAMES = ['code', 'math', 'prose', 'oaths', 'poems', 'bronte', 'bronte_plain', 'darwin', 'darwin_plain'] as const
export type TextName = (typeof TEXT_NAMES)[number]

/** Where the parts of an image evaluation lie. */
export interface VisionSuite {
  /** `images` and the trunk's tensors → `features`. */
  readonly graph: string
  /** `features` and a task's head → `logits`. */
  readonly head: string
  readonly tasks: { readonly [T in VisionTask]: { readonly head: string } & { readonly [S in Split]: string } }
}

/** Where the parts of a text evaluation lie. */
export interface TextSuite {
  /** `input_ids` and the model's tensors → `logits`. */
  readonly graph: string
  readonly tokenizer: string
  readonly tokenizerConfig: string
  readonly texts: { readonly [N in TextName]: { readonly [S in Split]: TextPart } }
}

export interface TextPart {
  readonly file: string
  /** Only the first so many characters (Unicode code points) count. */
  readonly characters?: number
}

/** The evaluation of a zoo of trunks with frozen heads, such as zoo/vision. */
export function visionSuite(folder: string): VisionSuite {
  const filesOf = (task: VisionTask) => ({
    head: `${folder}/heads/${task}.safetensors`,
    dev: `${folder}/data/${task}.dev.safetensors`,
    test: `${folder}/data/${task}.test.safetensors`,
  })
  return { graph: `${folder}/graph.onnx`, head: `${folder}/head.onnx`, tasks: record(VISION_TASKS, filesOf) }
}

const DEV_CHARACTERS = 24_000 // expected.json, method.bpb: "*.dev.txt: first 24,000 characters only"

/** The evaluation of the text zoo, zoo/text. All its models but `zh` share the tokenizer of `base`. */
export function textSuite(folder: string): TextSuite {
  const filesOf = (name: TextName) => ({
    dev: { file: `${folder}/eval/${name}.dev.txt`, characters: DEV_CHARACTERS },
    test: { file: `${folder}/eval/${name}.test.txt` },
  })
  return {
    graph: `${folder}/graph.onnx`,
    tokenizer: `${folder}/base/tokenizer.json`,
    tokenizerConfig: `${folder}/base/tokenizer_config.json`,
    texts: record(TEXT_NAMES, filesOf),
  }
}

function record<K extends string, V>(keys: readonly K[], of: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map(key => [key, of(key)])) as Record<K, V> // fromEntries forgets the type of the keys
}
