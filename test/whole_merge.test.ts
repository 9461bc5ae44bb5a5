import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { folderSink } from '../src/bytes/folder.ts'
import { memorySink } from '../src/bytes/sink.ts'
import { MergeError } from '../src/errors.ts'
import { type Event, execute } from '../src/execute/execute.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { openModels } from '../src/plan/open_models.ts'
import { type Plan, type PlanOptions, plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'
import { decode, encode } from './floats.ts'
import { merganser, temporaryFolder, writeModel } from './front.ts'
import { randoms } from './linear_algebra.ts'

// Merges that work on whole matrices, from files to files: what they take is known before, they tell how far they are, and nothing changes their bytes.

const folder = temporaryFolder()
const MODELS = ['base', 'code', 'math', 'prose'] as const
const SPECTRAL = ['tsv_m', 'iso_c', 'iso_cts', 'swudi', 'star'] as const
const LARGE = 'model.layers.0.mlp.down_proj.weight'

/** Tensors of a small model: matrices of several shapes, and what spectral methods average. */
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  'model.embed_tokens.weight': [40, 24],
  'model.layers.0.self_attn.q_proj.weight': [24, 24],
  'model.layers.0.mlp.up_proj.weight': [70, 24],
  [LARGE]: [300, 260],
  'model.layers.1.mlp.up_proj.weight': [70, 24],
  'model.layers.1.mlp.router.weight': [2, 24], // fewer rows than models
  'model.norm.weight': [24],
  'model.conv.weight': [6, 4, 3, 3],
  'lm_head.weight': [40, 24],
}

beforeAll(() => {
  for (const [m, model] of MODELS.entries()) {
    const next = randoms(m + 1)
    const shared = randoms(99)
    const tensors = Object.entries(SHAPES).map(([name, shape]) => {
      const size = shape.reduce((a, b) => a * b)
      const values = Array.from({ length: size }, () => shared() + (m === 0 ? 0 : 0.1 * next()))
      return [name, { dtype: 'F16' as const, shape, bytes: encode('F16', values) }] as const
    })
    writeModel(join(folder, model), Object.fromEntries(tensors))
  }
})

const paths = (names: readonly string[]): Record<string, string> => Object.fromEntries(names.map(name => [name, join(folder, name)]))
const callOf = (method: string, models: readonly string[] = MODELS): string =>
  `base + ${method}(${models
    .slice(1)
    .map(m => `${m} - base`)
    .join(', ')})`
async function planOf(text: string, options: PlanOptions = {}, models: readonly string[] = MODELS): Promise<Plan> {
  const recipe = parse(text, { models: paths(models) })
  return plan(recipe, await openModels(recipe), options)
}

async function merged(merge: Plan, seen: (event: Event) => void = () => {}): Promise<Buffer> {
  const sink = memorySink()
  for await (const event of execute(merge, sink)) seen(event)
  return Buffer.from(sink.files.get('model.safetensors')!)
}

/** A merge's tensors as numbers. */
async function valuesOf(merge: Plan): Promise<Map<string, number[]>> {
  const file = await merged(merge)
  const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b)
  return new Map(merge.outputs[0]!.tensors.map(({ name, at, shape }) => [name, [...decode('F16', file.subarray(at, at + 2 * sizeOf(shape)))]]))
}

describe.each(SPECTRAL)('%s', method => {
  test('gives the same bytes with any number of threads, any memory, and chunks of any size', async () => {
    const text = callOf(method)
    const want = await merged(await planOf(text, { threads: 1 }))
    for (const options of [
      { threads: 1, memory: 12e6 },
      { threads: 1, tiling: { chunk: 256 } },
    ] satisfies PlanOptions[])
      expect((await merged(await planOf(text, options))).equals(want), JSON.stringify(options)).toBe(true)
    for (const flags of [
      ['--threads', '3', '--memory', '1GB'],
      ['--threads', '2', '--memory', '12MB'],
    ]) {
      const out = `${method}-${flags.join('')}`
      const ran = merganser(folder, 'merge', text, out, ...MODELS.flatMap(m => ['--model', `${m}=${m}`]), ...flags)
      expect(ran.stderr).not.toContain('error')
      const got = readFileSync(join(folder, out, 'model.safetensors'))
      const data = (file: Buffer): Buffer => file.subarray(8 + Number(file.readBigUInt64LE(0))) // the header names the paths of the models
      expect(data(got).equals(data(want)), flags.join(' ')).toBe(true)
    }
  })

  test('works on matrices that map features to features, and gives all else the mean', async () => {
    const { programs, tasks } = await planOf(callOf(method))
    const wholes = tasks.filter(t => programs[t.program]!.passes.some(p => p.wholes.length > 0)).map(t => t.name)
    expect(wholes.toSorted()).toEqual(['model.layers.0.self_attn.q_proj.weight', 'model.layers.0.mlp.up_proj.weight', LARGE, 'model.layers.1.mlp.up_proj.weight'].toSorted())
    const means = await valuesOf(await planOf(callOf('task_arithmetic').replace('+ task', '+ 1/3*task')))
    for (const [name, values] of await valuesOf(await planOf(callOf(method)))) {
      const worst = values.reduce((most, v, i) => Math.max(most, Math.abs(v - means.get(name)![i]!)), 0)
      expect({ name, isMean: worst <= 2 ** -10 }).toEqual({ name, isMean: !wholes.includes(name) }) // values are below 2; a third of a sum rounds otherwise than a sum of thirds
    }
  })
})

// A look at all tensors comes before anything is computed, and streams.
test('a number of the whole model over what is made of whole matrices is refused', async () => {
  await expect(planOf('base + ties(tsv_m(code - base, math - base), prose - base, density=0.3, trim=global)')).rejects.toThrow(
    /cannot be found over what is made of whole matrices, as model\.layers\.0\.\S+ is/,
  )
  const { programs } = await planOf('base + tsv_m(ties(code - base, density=0.3, trim=global), prose - base)', { threads: 1 })
  expect(programs.some(p => p.passes.some(pass => pass.wholes.length > 0))).toBe(true) // the other way round is no matter
})

test('progress tells of operations while one matrix is being worked on', async () => {
  const events: Event[] = []
  const merge = await planOf(callOf('tsv_m'), { threads: 1 })
  await merged(merge, event => events.push(event))
  const [start] = events
  expect(start).toMatchObject({ kind: 'start', operations: merge.totals.operations })
  const told = events.flatMap(e => (e.kind === 'progress' ? [e.operations] : []))
  expect(told.length).toBeGreaterThan(merge.tasks.length / 2)
  expect(told).toEqual(told.toSorted((a, b) => a - b))
  expect(told.at(-1)).toBe(merge.totals.operations)
})

test('a merge that is stopped within a large matrix ends soon, and goes on later to the same bytes', async () => {
  const big = ['base', 'big_code', 'big_math']
  for (const [m, model] of big.entries()) {
    const next = randoms(m + 31)
    const matrix = (rows: number) => ({ dtype: 'F32' as const, shape: [rows, 600], bytes: encode('F32', Array.from({ length: rows * 600 }, next)) })
    writeModel(join(folder, 'big', model), { 'model.layers.0.up.weight': matrix(700), 'model.layers.1.up.weight': matrix(64) })
  }
  const recipe = parse(callOf('tsv_m', big), { models: Object.fromEntries(big.map(model => [model, join(folder, 'big', model)])) })
  const merge = plan(recipe, await openModels(recipe), { threads: 1, memory: 1e9 })
  const out = join(folder, 'stopped')
  const modelOf = (path: string): Buffer => readFileSync(join(path, 'model.safetensors'))
  const stop = new AbortController()
  let finished = -1
  const stopped = (async () => {
    for await (const event of execute(merge, folderSink(out), { signal: stop.signal })) {
      if (event.kind !== 'progress' || event.operations === 0) continue
      finished = event.tensors
      stop.abort()
    }
  })()
  await expect(stopped).rejects.toThrow('the merge was stopped')
  expect(finished).toBe(0) // the larger matrix goes first, and tells before it is done
  for await (const _ of execute(merge, folderSink(out, { resume: true }))) {
    // only the files matter
  }
  for await (const _ of execute(merge, folderSink(join(folder, 'undisturbed')))) {
    // likewise
  }
  expect(modelOf(out).equals(modelOf(join(folder, 'undisturbed')))).toBe(true)
})

describe('memory', () => {
  /** Files of five models with one matrix, of which nothing but the header is ever written: a plan reads no more. */
  function hollow(rows: number, cols: number): Record<string, string> {
    const names = ['base', 'a', 'b', 'c', 'd']
    return Object.fromEntries(
      names.map(name => {
        const path = join(folder, `hollow-${rows}x${cols}`, name)
        mkdirSync(path, { recursive: true })
        const { header, size } = headerOf([{ name: LARGE, dtype: 'BF16', shape: [rows, cols] }], {})
        writeFileSync(join(path, 'model.safetensors'), header)
        truncateSync(join(path, 'model.safetensors'), size)
        return [name, path]
      }),
    )
  }
  async function planFor(method: string, rows: number, cols: number, options: PlanOptions, models = ['base', 'a', 'b', 'c', 'd']): Promise<Plan> {
    const all = hollow(rows, cols)
    const recipe = parse(callOf(method, models), { models: Object.fromEntries(models.map(model => [model, all[model]!])) })
    return plan(recipe, await openModels(recipe), options)
  }
  const GB = 1e9

  test.each([
    ['tsv_m', 4096, 14336],
    ['iso_c', 4096, 14336],
    ['iso_cts', 4096, 14336],
    ['star', 4096, 14336],
    ['tsv_m', 14336, 4096],
    ['iso_cts', 14336, 4096],
    ['swudi', 14336, 4096],
    ['swudi', 4096, 4096],
  ])('%s of four models of %i × %i takes at most 4 GB, and as many threads as fit', async (method, rows, cols) => {
    const one = await planFor(method, rows, cols, { threads: 1, memory: 4 * GB })
    expect(one.memory.total).toBeLessThanOrEqual(4 * GB)
    expect(one.wholes).toEqual({ tensors: 1, largest: { tensor: LARGE, shape: [rows, cols], bytes: expect.any(Number) } })
    const several = await planFor(method, rows, cols, { threads: 8, memory: 4 * GB })
    const { threads, perThread, total } = several.memory
    expect(threads).toBe(Math.min(8, Math.floor((4 * GB) / perThread)))
    expect(total).toBeLessThanOrEqual(4 * GB)
    expect(several.notes.some(n => n.includes(`${threads} of 8 threads work`))).toBe(threads < 8)
  })

  test('swudi of two wide matrices takes less than their columns would', async () => {
    const { memory } = await planFor('swudi', 4096, 14336, { threads: 1, memory: 4 * GB }, ['base', 'a', 'b'])
    expect(memory.total).toBeLessThanOrEqual(4 * GB) // three f64 squares of 14336 columns alone are 4.9 GB
  })

  test('too small a budget is refused with one that suffices', async () => {
    for (const method of SPECTRAL) {
      const error = await planFor(method, 1024, 768, { threads: 2, memory: 5e6 }).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(MergeError)
      const { what, details } = error as MergeError
      expect([what, details.where]).toEqual(['a memory budget of 5 MB is too small for this merge', `${LARGE} [1024,768], which is worked on as a whole`])
      const needed = Number(/^set --memory to ([\d.]+)MB or more$/.exec(details.fix!)![1]) * 1e6
      expect((await planFor(method, 1024, 768, { threads: 2, memory: needed })).memory.threads).toBe(1)
      await expect(planFor(method, 1024, 768, { threads: 2, memory: needed - 2e5 })).rejects.toThrow('too small')
    }
  })

  test('what no thread can have is refused with another way', async () => {
    for (const [method, rows, cols] of [
      ['iso_c', 16384, 65536],
      ['swudi', 4096, 14336],
    ] as const)
      await expect(planFor(method, rows, cols, { threads: 1, memory: 64 * GB })).rejects.toMatchObject({
        what: expect.stringMatching(/^[\d.]+ MB are needed at once, and a thread has no more than 4227.9 MB$/),
        details: { where: `${LARGE} [${rows},${cols}], which is worked on as a whole`, fix: expect.stringContaining('works on elements') },
      })
  })

  test('`merganser plan` shows it', () => {
    const shown = merganser(folder, 'plan', callOf('iso_c'), ...MODELS.flatMap(m => ['--model', `${m}=${m}`]))
    expect(shown.stdout).toMatch(new RegExp(`\\nwhole {4}4 matrices, one at a time in a thread, at most [\\d.]+ MB for ${LARGE} \\[300,260\\]; about [\\d.]+ [MG]FLOP\\n`))
    const plain = merganser(folder, 'plan', callOf('ties'), ...MODELS.flatMap(m => ['--model', `${m}=${m}`]))
    expect(plain.stdout).not.toContain('\nwhole')
  })
})
