import { type Arguments, type Command, UsageError } from './_command.ts'
import { extract } from './_extract.ts'
import { RECIPE_FLAGS } from './_recipe.ts'
import { RUN_FLAGS } from './_run.ts'
import { showInfo } from './_vector_info.ts'
import { mergeAdapters } from './_vector_merge.ts'

interface Action {
  readonly run: (args: Arguments) => Promise<void>
  /** Of the command's. */
  readonly flags: readonly string[]
  readonly use: string
}

const COMMON = ['threads', 'memory', 'json']
const ACTIONS: Readonly<Record<string, Action>> = {
  extract: {
    run: extract,
    flags: [...COMMON, 'base', 'model', 'out', 'lora', 'sparse', 'dtype', 'force', 'resume', 'allow-nonfinite'],
    use: 'merganser vector extract --base PATH --model PATH -o FOLDER',
  },
  info: { run: showInfo, flags: [...COMMON, 'base', 'exact'], use: 'merganser vector info VECTOR' },
  merge: { run: mergeAdapters, flags: [...COMMON, 'model', 'out', 'by', 'rank', 'dtype', 'seed', 'force'], use: 'merganser vector merge EXPRESSION -o FOLDER' },
}

export default {
  summary: 'Task vectors as files: take them out of fine-tunes, look at them, merge adapters.',
  positionals: 'extract | info VECTOR | merge EXPRESSION',
  count: [1, 2],
  flags: {
    base: { doc: 'The model that was fine-tuned.', value: 'PATH' },
    model: { doc: 'extract: the fine-tune. merge: an adapter, once for each.', value: 'PATH, or NAME=PATH', multiple: true },
    out: { doc: 'The folder to write.', value: 'FOLDER', short: 'o' },
    lora: { doc: 'extract: an adapter of this rank, which PEFT loads.', value: 'RANK' },
    sparse: { doc: 'extract: the largest entries of each tensor, this share of all.', value: 'DENSITY' },
    by: { doc: 'merge: concat (exact, ranks add up), svd, core or peft_linear.', value: 'WAY' },
    rank: { doc: 'merge: the most that a module may have, for svd and core.', value: 'RANK' },
    exact: { doc: 'info: all singular values of large matrices, too.' },
    dtype: { doc: 'Dtype of what is written. Default: f32, which gives back bf16 and f16 models exactly, but for rare weights.', value: 'f32' },
    seed: RECIPE_FLAGS['seed']!,
    threads: RECIPE_FLAGS['threads']!,
    memory: RECIPE_FLAGS['memory']!,
    ...RUN_FLAGS,
  },
  examples: [
    'merganser vector extract --base models/base --model models/math -o vectors/math',
    'merganser vector extract --base models/base --model models/math -o adapters/math --lora 16',
    'merganser vector info vectors/math',
    "merganser vector merge '0.7*math + 0.3*code' -o adapters/both --model math=adapters/math --model code=adapters/code --by concat",
  ],
  outlivesReader: true,
  async run(args) {
    const [name, ...more] = args.positionals as [string, ...string[]]
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name]! : null
    const uses = Object.values(ACTIONS).map(({ use }) => `\`${use}\``)
    if (!action) throw new UsageError(`unknown action "${name}"`, `write ${uses.join(', or ')}`)
    const stray = Object.keys(args.values).find(flag => !action.flags.includes(flag))
    if (stray !== undefined) throw new UsageError(`--${stray} does not go with vector ${name}`, `leave it out: \`${action.use}\``)
    if (name === 'extract' && more.length > 0) throw new UsageError(`vector extract takes no "${more[0]}"`, `write \`${action.use}\``)
    await action.run(args)
  },
} satisfies Command
