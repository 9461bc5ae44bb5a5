import { readFileSync } from 'node:fs'
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
