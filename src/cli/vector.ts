import { type Command, UsageError } from './_command.ts'
import { extract } from './_extract.ts'
import { RECIPE_FLAGS } from './_recipe.ts'
import { RUN_FLAGS } from './_run.ts'
import { mergeAdapters } from './_vector_merge.ts'
import { showInfo } from './_vector_info.ts'

const ACTIONS = { extract, info: showInfo, merge: mergeAdapters }

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
    const [action] = args.positionals
    if (action === undefined || !Object.hasOwn(ACTIONS, action)) {
      throw new UsageError(`unknown action "${action}"`, 'write `merganser vector extract --base PATH --model PATH -o FOLDER`, `merganser vector info VECTOR`, or `merganser vector merge EXPRESSION -o FOLDER`')
    }
    await ACTIONS[action as keyof typeof ACTIONS](args) // looked up above
  },
} satisfies Command
