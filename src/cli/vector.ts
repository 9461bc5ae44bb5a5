import { outputDType } from '../dtype.ts'
import { type Arguments, type Command, UsageError } from './_command.ts'
import { prepareText, RECIPE_FLAGS } from './_recipe.ts'
import { RUN_FLAGS, runToFolder, warm } from './_run.ts'

export default {
  summary: 'Take the task vector of a fine-tune out of it, as files of its own.',
  positionals: 'extract',
  count: [1, 1],
  flags: {
    base: { doc: 'The model that was fine-tuned.', value: 'PATH' },
    model: { doc: 'The fine-tune.', value: 'PATH' },
    out: { doc: 'The folder to write.', value: 'FOLDER', short: 'o' },
    dtype: { doc: 'Dtype of the task vector. Default: f32, which gives back bf16 and f16 models exactly, but for rare weights.', value: 'f32' },
    threads: RECIPE_FLAGS['threads']!,
    memory: RECIPE_FLAGS['memory']!,
    ...RUN_FLAGS,
  },
  examples: [
    'merganser vector extract --base models/base --model models/math -o vectors/math',
    "merganser merge 'base + 0.5*math' out/ --model base=models/base --model math=vectors/math",
  ],
  outlivesReader: true,
  async run(args) {
    const [action] = args.positionals
    if (action !== 'extract') throw new UsageError(`unknown action "${action}"`, 'write `merganser vector extract --base PATH --model PATH -o FOLDER`')
    await extract(args)
  },
} satisfies Command

async function extract(args: Arguments): Promise<void> {
  const { values } = args
  const [base, model, out] = ['base', 'model', 'out'].map(flag => {
    if (typeof values[flag] !== 'string') throw new UsageError(`--${flag} is missing`, 'write `merganser vector extract --base PATH --model PATH -o FOLDER`')
    return values[flag]
  }) as [string, string, string]
  const dtype = values['dtype'] === undefined ? null : outputDType(values['dtype'] as string, { where: '--dtype' })
  const options = { name: 'vector extract', models: { base, model }, result: 'vector', output: { configFrom: 'base', dtype } } as const
  await runToFolder((await prepareText('model - base', options, { values, opened: warm })).plan, out, args)
}
