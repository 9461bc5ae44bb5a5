import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { memorySink } from '../src/bytes/sink.ts'
import { open } from '../src/checkpoint/checkpoint.ts'
import { bytesOf, sizeOf } from '../src/dtype.ts'
import { execute } from '../src/execute/execute.ts'
import { openModels } from '../src/plan/open_models.ts'
import { type Plan, plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'

/** The folder of mergekit's outputs; recipes are run in it. */
export const GOLDEN = fileURLToPath(new URL('./golden', import.meta.url))

/** A tensor as its file holds it. */
export interface Stored {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** The plan of a recipe that is run in the golden folder. */
export async function planInGolden(text: string, name: string, seed?: number): Promise<Plan> {
  const recipe = parse(text, { name: `${name}/recipe.yml`, ...(seed === undefined ? {} : { seed }) })
  return plan(recipe, await openModels(recipe, { from: [GOLDEN] }), { threads: 1 })
}

/** Runs a recipe of the golden folder through parse, open, plan and execute; gives what it would write. */
export async function mergeInMemory(text: string, name: string, seed?: number): Promise<Map<string, Stored>> {
  const merge = await planInGolden(text, name, seed)
  const sink = memorySink()
  for await (const _ of execute(merge, sink)) {
    // only the result matters
  }
  const stored = merge.outputs.flatMap(file =>
    file.tensors.map(t => [t.name, { dtype: t.dtype, shape: t.shape, bytes: sink.files.get(file.name)!.slice(t.at, t.at + sizeOf(t.shape) * bytesOf(t.dtype)) }] as const),
  )
  return new Map(stored)
}

/** The tensors of a checkpoint folder. */
export async function tensorsOf(folder: string): Promise<Map<string, Stored>> {
  const checkpoint = await open(folder)
  const files = checkpoint.files.map(f => readFileSync((f.locator as { file: string }).file)) // a folder's files are files
  return new Map([...checkpoint.tensors.values()].map(t => [t.name, { dtype: t.dtype, shape: t.shape, bytes: Uint8Array.from(files[t.file]!.subarray(t.start, t.end)) }]))
}

/** The text of a file that the plan writes or copies beside the tensors. */
export function textOf({ companions }: Plan, name: string): string {
  const file = companions.find(c => c.name === name)
  if (!file) throw new Error(`the plan has no ${name}`)
  return 'text' in file ? file.text : readFileSync(file.path, 'utf8')
}

/** Token → id of a tokenizer.json, read without the code under test. */
export function idsOf(json: string): Map<string, number> {
  const { model, added_tokens } = JSON.parse(json)
  const vocabulary: [string, number][] = Array.isArray(model.vocab) ? model.vocab.map(([token]: [string], id: number) => [token, id]) : Object.entries(model.vocab)
  return new Map([...vocabulary, ...added_tokens.map((t: { content: string; id: number }) => [t.content, t.id])])
}

const BY_TOKEN = ['model.embed_tokens.weight', 'lm_head.weight']

/**
 * Our tensors with the rows of embedding and head in mergekit's order, which numbers appended tokens anew in every run and cuts rows without a
 * token off. Rows from the end of its vocabulary on are padding, and stay where they are. `folder` holds its files.
 */
export function inTheirOrder(ours: ReadonlyMap<string, Stored>, merge: Plan, folder: string): Map<string, Stored> {
  const file = join(folder, 'tokenizer.json')
  if (!existsSync(file)) return new Map(ours)
  const own = idsOf(textOf(merge, 'tokenizer.json'))
  const theirs = idsOf(readFileSync(file, 'utf8'))
  const rows = [...theirs].map(([token, id]) => [id, own.get(token)!] as const)
  const { vocab_size: height } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { vocab_size: number }
  for (let r = theirs.size; r < height; r++) rows.push([r, r])
  return new Map(
    [...ours].map(([name, tensor]) => {
      if (!BY_TOKEN.includes(name)) return [name, tensor]
      const width = tensor.bytes.length / tensor.shape[0]!
      const bytes = new Uint8Array(height * width)
      for (const [to, from] of rows) bytes.set(tensor.bytes.subarray(from * width, (from + 1) * width), to * width)
      return [name, { ...tensor, shape: [height, ...tensor.shape.slice(1)], bytes }]
    }),
  )
}
