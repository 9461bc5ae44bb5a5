import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { folderOf, resolvePath, statPath, workingFolder } from '../bytes/file.ts'
import { cacheFolder, folderStore } from '../bytes/store.ts'
import { MergeError } from '../errors.ts'
import { readSuite, type Split, type Suite } from '../evaluate/suite.ts'
import { suggest } from '../recipe/locate.ts'
import { AIMS, type Goal } from '../search/goal.ts'
import { provenanceOf, recipeWith } from '../search/recipe_text.ts'
import { search, type Trial } from '../search/search.ts'
import { STRATEGIES } from '../search/strategies/_all.ts'
import { readTemplate } from '../search/template.ts'
import { openTrials } from '../search/trials.ts'
import { type Arguments, type Command, readCount, readSeed, UsageError } from './_command.ts'
import { RECIPE_FLAGS, readFlags, readRecipe } from './_recipe.ts'
import { asJson, describe } from './_search.ts'
import { dim } from './_text.ts'
import { VERSION } from './_version.ts'

const MAX_WORKERS = 64

const { threads: _, memory: __, ...recipeFlags } = RECIPE_FLAGS // trials run side by side, each on one thread

export default {
  summary: 'Find the numbers and choices of a recipe by measuring its merges: choose on dev, report on test.',
  positionals: 'RECIPE',
  count: [1, 1],
  flags: {
    suite: { doc: 'What to measure: a YAML file with data for dev and test.', value: 'FILE' },
    variable: { doc: 'A variable of an expression, or another range for one of a recipe; once for each.', value: "'lambda=0..1:0.05'", multiple: true },
    strategy: { doc: `${Object.keys(STRATEGIES).join(', ')}. Default: grid up to 100 points, else by the variables.`, value: 'NAME' },
    objective: { doc: 'mean, worst (the gain of the task that gains least) or strongest. Default: mean; with --keep, strongest.', value: 'mean' },
    keep: { doc: 'A task that may lose so much of what the base scores; once for each.', value: 'TASK:5%', multiple: true },
    evaluations: { doc: 'Most points to try on all data. Default: 100; a grid that was asked for, 1,000.', value: 'N' },
    'search-seed': { doc: 'Seed of strategies that draw. Default: 0.', value: 'N' },
    workers: { doc: 'Evaluations side by side. Default: one per processor.', value: 'N' },
    out: { doc: 'Write the best recipe here.', value: 'best.yml', short: 'o' },
    task: { doc: 'Only this task; once for each.', value: 'NAME', multiple: true },
    limit: { doc: 'At most so many examples of each task: for a first look.', value: 'N' },
    'no-cache': { doc: 'Measure everything anew, and keep nothing.' },
    json: { doc: 'Print everything as JSON.' },
    ...recipeFlags,
  },
  examples: [
    "merganser search 'base + $lambda*(code - base)' --variable 'lambda=0..1:0.05' --suite zoo/text/suite.yml --model base=zoo/text/base --model code=zoo/text/code",
    'merganser search recipe.yml --suite suite.yml --strategy cma_es --evaluations 200 -o best.yml',
    'merganser search recipe.yml --suite suite.yml --keep prose:5%   # the strongest coefficients that leave prose alone',
  ],
  async run({ values, positionals }) {
    if (values['suite'] === undefined) throw new UsageError('search needs a suite', 'name one: --suite zoo/vision/suite.yml')
    const { recipe, options, folder } = await readRecipe(positionals[0]!, values)
    const out = values['out'] as string | undefined
    if (out !== undefined) await checkOut(out, positionals[0]!)
    const template = readTemplate(recipe, {
      name: options.name ?? 'recipe',
      isExpression: options.models !== undefined,
      variables: readFlags('variable', values['variable'], 'LOW..HIGH:STEP', "'lambda=0..1:0.05'"),
    })
    const [dev, test] = (await Promise.all((['dev', 'test'] as const).map(split => suiteOf(values, split)))) as [Suite, Suite]
    const goal = goalOf(values)
    const evaluations = values['evaluations'] === undefined ? undefined : readCount('evaluations', values['evaluations'] as string)
    const trials = await openTrials(
      template,
      { dev, test },
      {
        workers: workersOf(values),
        cache: values['no-cache'] === true ? null : folderStore(`${cacheFolder()}/${VERSION}`), // another version may count otherwise
        parse: options,
        from: [...new Set([workingFolder(), folder ?? workingFolder()])],
      },
    )
    const told = progress()
    try {
      const seed = values['search-seed'] === undefined ? 0 : readSeed('search-seed', values['search-seed'] as string)
      const result = await search(trials, { strategy: values['strategy'] as string | undefined, goal, evaluations, seed, found: told.found })
      told.end()
      const text = recipeWith(template, result.best.values, { parse: options, comments: provenanceOf(result, dev.name, VERSION) })
      if (out !== undefined) await write(out, text)
      const isElsewhere = out !== undefined && folder !== null && folderOf(out) !== folder
      const notes = isElsewhere ? [`relative paths in ${out} are looked up from the working folder, then from its own folder, not from ${positionals[0]}`] : []
      process.stdout.write(values['json'] === true ? `${JSON.stringify(asJson(result, dev, text, notes), null, 2)}\n` : describe(result, dev, out ?? null, notes))
    } finally {
      told.end()
      await trials.close()
    }
  },
} satisfies Command

const suiteOf = (values: Arguments['values'], split: Split): Promise<Suite> =>
  readSuite(values['suite'] as string, {
    split,
    limit: values['limit'] === undefined ? undefined : readCount('limit', values['limit'] as string),
    tasks: values['task'] as readonly string[] | undefined,
  })

function goalOf(values: Arguments['values']): Goal {
  const keep = ((values['keep'] as readonly string[] | undefined) ?? []).map(text => {
    const [, task, percent] = /^(.+):\s*([\d.]+)\s*%$/.exec(text) ?? []
    const share = Number(percent) / 100
    if (task === undefined || !(share >= 0 && share < 1)) throw new UsageError(`--keep "${text}" is not TASK:PERCENT`, 'write for example --keep prose:5%')
    return [task, share] as const
  })
  const name = (values['objective'] as string | undefined) ?? (keep.length > 0 ? 'strongest' : 'mean')
  const aim = AIMS.find(a => a === name)
  if (!aim) throw new UsageError(`--objective "${name}" is no objective`, suggest(name, AIMS, 'objectives'))
  return { aim, keep: Object.fromEntries(keep) }
}

function workersOf(values: Arguments['values']): number {
  if (values['workers'] === undefined) return Math.min(MAX_WORKERS, availableParallelism())
  return Math.min(MAX_WORKERS, readCount('workers', values['workers'] as string))
}

/** Before anything is measured. */
async function checkOut(out: string, recipe: string): Promise<void> {
  if (resolvePath(out) === resolvePath(recipe)) throw new UsageError(`--out ${out} is the recipe itself, whose variables would be lost`, 'name another file: -o best.yml')
  if ((await statPath(out))?.isFolder) throw new UsageError(`--out ${out} is a folder`, 'name a file: -o best.yml')
  if (!(await statPath(folderOf(out)))?.isFolder) throw new UsageError(`--out ${out} lies in no folder that exists`, 'make the folder first, or name another file')
}

async function write(path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((cause: unknown) => {
    throw new MergeError(`the best recipe cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, {
      where: path,
      fix: 'name another file; what was measured is known, so that the same search is quick',
      cause,
    })
  })
}

/** A line on a terminal that counts. */
function progress(): { found(trial: Trial): void; end(): void } {
  const isShown = process.stderr.isTTY === true
  let count = 0
  return {
    found: () => void (isShown && process.stderr.write(`\r\x1b[K${dim(`${++count} measured`)}`)),
    end: () => void (isShown && process.stderr.write('\r\x1b[K')),
  }
}
