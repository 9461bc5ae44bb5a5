import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { memorySink } from '../src/bytes/sink.ts'
import { bytesOf, type DType, sizeOf } from '../src/dtype.ts'
import { type Event, execute } from '../src/execute/execute.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { openModels } from '../src/plan/open_models.ts'
import { type PlanOptions, plan } from '../src/plan/plan.ts'
import type { ElementOp } from '../src/plan/program.ts'
import { parse } from '../src/recipe/parse.ts'

// The law of laws.test.ts at the front door: from files to a file, threads, memory and tiling change no byte.
// Threads run dist/execute/worker.js, the build of the same sources: `npm test` builds first.

const MB = 2 ** 20
const TENSORS: readonly { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] }[] = [
  { name: 'positions', dtype: 'I64', shape: [3] },
  { name: 'model.embed_tokens.weight', dtype: 'BF16', shape: [4097, 4097] }, // more than 256 blocks: threads share its ranges
  { name: 'model.layers.0.mlp.up_proj.weight', dtype: 'BF16', shape: [700, 601] }, // stays in memory between passes where there is enough
  { name: 'model.layers.1.mlp.up_proj.weight', dtype: 'BF16', shape: [33, 65] },
  { name: 'model.norm.weight', dtype: 'BF16', shape: [7] },
  { name: 'scale', dtype: 'BF16', shape: [] },
  { name: 'empty', dtype: 'BF16', shape: [0, 4] },
]
const RECIPES = {
  ties: 'base + ties(code - base, math - base, weight=(0.5, 0.25), density=0.3)',
  dare_ties: 'base + dare_ties(code - base, math - base, weight=(0.5, 0.25), density=0.3)',
  slerp: 'slerp(base, code, t=0.3)',
  ties_global: 'base + ties(code - base, math - base, weight=(0.5, 0.25), density=0.3, trim=global, rescale=true)',
  metagpt: 'base + metagpt(code - base, math - base)',
} as const

let folder = ''
let models: Record<string, string> = {}
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'merganser-law-'))
  models = Object.fromEntries(['base', 'code', 'math'].map((name, i) => [name, writeModel(join(folder, name), i)]))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Weights around 0.01; those of an expert equal the base's in half of the places, and differ by up to a quarter elsewhere. */
function writeModel(path: string, expert: number): string {
  const { header, offsets, size } = headerOf(TENSORS, {})
  const file = new Uint8Array(size)
  file.set(header)
  let x = 88_172_645
  let y = 1 + expert * 7_919
  for (const [i, { dtype, shape }] of TENSORS.entries()) {
    const bytes = file.subarray(offsets[i], offsets[i]! + sizeOf(shape) * bytesOf(dtype))
    if (dtype === 'I64') {
      bytes.fill(1)
      continue
    }
    const weights = new Uint16Array(bytes.length / 2)
    for (let j = 0; j < weights.length; j++) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      y = (Math.imul(y, 1_664_525) + 1_013_904_223) | 0
      const sharp = 0x3c00 | (x & 0x81ff) // sign, two bits of exponent, mantissa
      weights[j] = expert > 0 && y < 0 ? sharp ^ ((y >>> 16) & 0x3f) : sharp
    }
    bytes.set(new Uint8Array(weights.buffer))
  }
  mkdirSync(path)
  writeFileSync(join(path, 'model.safetensors'), file)
  return path
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function merge(recipe: string, options: PlanOptions, place: 'folder' | 'memory'): Promise<{ readonly file: string; readonly events: readonly Event[] }> {
  const parsed = parse(recipe, { models, seed: 7 })
  const planned = plan(parsed, await openModels(parsed), options)
  const out = join(folder, 'out')
  const sink = place === 'folder' ? folderSink(out, { force: true }) : memorySink()
  const events: Event[] = []
  for await (const event of execute(planned, sink)) events.push(event)
  const bytes = 'files' in sink ? (sink as ReturnType<typeof memorySink>).files.get('model.safetensors')! : readFileSync(join(out, 'model.safetensors'))
  return { file: hash(bytes), events }
}

const RUNS: readonly (readonly [how: string, options: PlanOptions, place: 'folder' | 'memory'])[] = [
  ['in two threads', { threads: 2 }, 'folder'],
  ['in three threads with 24 MB', { threads: 3, memory: 24 * MB }, 'folder'],
  ['in this thread', { threads: 1 }, 'memory'],
  ['in this thread with 4 MB', { threads: 1, memory: 4 * MB }, 'memory'],
  ['in this thread with 2 GB', { threads: 1, memory: 2048 * MB }, 'memory'],
  ['in chunks of 8,192', { threads: 2, tiling: { chunk: 8192 } }, 'folder'],
  ['in chunks of 65,536', { threads: 2, tiling: { chunk: 65_536 } }, 'folder'],
]

test.each(Object.entries(RECIPES))('%s writes the same bytes in one thread and …', async (_, recipe) => {
  const before = Object.values(models).map(path => hash(readFileSync(join(path, 'model.safetensors'))))
  const { file: expected, events } = await merge(recipe, { threads: 1 }, 'folder')
  for (const [how, options, place] of RUNS) expect({ how, file: (await merge(recipe, options, place)).file }).toEqual({ how, file: expected })

  const [start, done] = [events[0]!, events.at(-1)!]
  expect({ start: start.kind, done: done.kind }).toEqual({ start: 'start', done: 'done' })
  if (start.kind === 'start' && done.kind === 'done') expect(done.tensors).toBe(start.tensors)
  expect(Object.values(models).map(path => hash(readFileSync(join(path, 'model.safetensors'))))).toEqual(before) // no input modified
  expect(readdirSync(folder).toSorted()).toEqual(['base', 'code', 'math', 'out']) // and nothing left beside the output
})

test('another seed drops other entries', async () => {
  const seeds = await Promise.all(
    [7, 8].map(async seed => {
      const recipe = parse(RECIPES.dare_ties, { models, seed })
      return plan(recipe, await openModels(recipe)).tasks.map(t => t.key.join())
    }),
  )
  expect(seeds[0]!.filter(key => seeds[1]!.includes(key))).toEqual([])
})

test('a budget too small for any cut is refused before anything is read or written', async () => {
  await expect(merge(RECIPES.ties, { threads: 2, memory: 1 * MB }, 'memory')).rejects.toThrow('a memory budget of 1 MB is too small for this merge')
})

test('code that would compute other bytes is another merge to --resume, as a new version of Merganser may be', async () => {
  const recipe = parse(RECIPES.ties, { models, seed: 7 })
  const planned = plan(recipe, await openModels(recipe), { threads: 1 })
  const fingerprint = async (of: typeof planned): Promise<string> => {
    let seen = ''
    const sink = memorySink()
    const begin: typeof sink.begin = request => {
      seen = request.fingerprint
      return sink.begin(request)
    }
    for await (const event of execute(of, { ...sink, begin })) if (event.kind === 'start') break
    return seen
  }
  const programs = planned.programs.map(p => ({ ...p, passes: p.passes.map(pass => ({ ...pass, stages: pass.stages.map(s => ({ ...s, ops: s.ops.map(swapped) })) })) }))
  expect(await fingerprint(planned)).toBe(await fingerprint(plan(recipe, await openModels(recipe), { threads: 2, memory: 64 * MB })))
  expect(await fingerprint({ ...planned, programs })).not.toBe(await fingerprint(planned))
})

/** a − b computed as b − a. */
const swapped = (op: ElementOp): ElementOp => (op.kind === 'map' && op.op === 'sub' ? { ...op, operands: op.operands.toReversed() } : op)
