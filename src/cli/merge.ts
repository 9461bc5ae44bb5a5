import type { Command } from './_command.ts'
import { prepare, RECIPE_FLAGS } from './_recipe.ts'
import { RUN_FLAGS, runToFolder, warm } from './_run.ts'

export default {
  summary: 'Merge models by a recipe (a YAML file, mergekit’s or Merganser’s own form) or by an expression.',
  positionals: 'RECIPE OUT',
  count: [2, 2],
  flags: {
    ...RECIPE_FLAGS,
    ...RUN_FLAGS,
  },
  examples: ['merganser merge recipe.yml out/', "merganser merge 'base + 0.6*(code - base)' out/ --model base=models/base --model code=models/code"],
  outlivesReader: true,
  async run(args) {
    const [recipe, out] = args.positionals as [string, string]
    await runToFolder((await prepare(recipe, args, { opened: warm })).plan, out, args)
  },
} satisfies Command
