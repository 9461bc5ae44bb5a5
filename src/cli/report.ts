import { writeFile } from 'node:fs/promises'
import { fileError, readText, statPath } from '../bytes/file.ts'
import { open } from '../checkpoint/checkpoint.ts'
import { sizeOf } from '../dtype.ts'
import { MergeError } from '../errors.ts'
import { isObject, parseJsonFile } from '../json.ts'
import { type EvaluationJson, type MergedModel, reportPage } from '../report/page.ts'
import { type Command, UsageError } from './_command.ts'
import { green, harmless } from './_text.ts'

export default {
  summary: 'Put a merge and its measurements on one page: a self-contained HTML file.',
  positionals: 'MODEL|JSON …',
  count: [1, 100],
  flags: { out: { doc: 'The file to write.', value: 'FILE', short: 'o' }, force: { doc: 'Replace the file.' } },
  examples: ['merganser evaluate base code out --json --suite suite.yml … > scores.json', 'merganser report out/ scores.json -o report.html'],
  async run({ positionals, values }) {
    const out = values['out'] as string | undefined
    if (out === undefined) throw new UsageError('--out is missing', 'write `merganser report MODEL scores.json -o report.html`')
    if (values['force'] !== true && (await statPath(out))) throw new MergeError(`${out} exists`, { fix: 'choose another name, or replace it with --force' })
    const models: MergedModel[] = []
    const evaluations: EvaluationJson[] = []
    for (const path of positionals) {
      if (/\.json$/i.test(path)) evaluations.push(await readEvaluation(path))
      else models.push(await readModel(path))
    }
    await writeFile(out, reportPage({ models, evaluations, others: [] })).catch(cause => {
      throw fileError(cause, out)
    })
    process.stdout.write(`${green('✓')} ${harmless(out)}\n`)
  },
} satisfies Command

async function readModel(path: string): Promise<MergedModel> {
  const { ref, files, tensors, architecture } = await open(path)
  const all = [...tensors.values()]
  const metadata = files[0]?.metadata ?? {}
  const inputs = metadata['merganser.inputs'] === undefined ? {} : (JSON.parse(metadata['merganser.inputs']) as Record<string, { path: string; headers: Record<string, string> }>)
  return {
    ref,
    architecture,
    parameters: all.reduce((sum, t) => sum + sizeOf(t.shape), 0),
    bytes: files.reduce((sum, f) => sum + f.size, 0),
    tensors: all.length,
    dtypes: [...new Set(all.map(t => t.dtype))],
    recipe: metadata['merganser.recipe'] ?? null,
    inputs: Object.entries(inputs).map(([name, { path: from, headers }]) => ({ name, path: from, headers })),
  }
}

/** What `evaluate --json` has printed. */
async function readEvaluation(path: string): Promise<EvaluationJson> {
  const fix = 'give what `merganser evaluate … --json` prints'
  const json: unknown = parseJsonFile(path, await readText(path), fix)
  const isScores = isObject(json) && typeof json['suite'] === 'string' && Array.isArray(json['models']) && json['models'].every(m => isObject(m) && Array.isArray(m['tasks']))
  if (!isScores) throw new MergeError(`${path} holds no evaluation`, { fix })
  return json as unknown as EvaluationJson // written by evaluate, which has these fields
}
