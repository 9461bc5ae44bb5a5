import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { memorySink } from '../src/bytes/sink.ts'
import { open } from '../src/checkpoint/checkpoint.ts'
import { vectorMetadata } from '../src/checkpoint/vector.ts'
import { type FloatDType, sizeOf } from '../src/dtype.ts'
import { execute } from '../src/execute/execute.ts'
import { extractSparse } from '../src/execute/extract_sparse.ts'
import { findFigures } from '../src/execute/figures.ts'
import { planFigures } from '../src/plan/figures.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { countKept, layOutSparse } from '../src/plan/sparse_layout.ts'
import { parse } from '../src/recipe/parse.ts'
import { f32, merganser, ROOT, readModel, type Written, writeModel } from './command.ts'
import { decode } from './floats.ts'
import { writeAdapter } from './front.ts'

// Other forms of task vectors than whole tensors: adapters, and the largest entries; and what `vector info` tells of any.

const folder = mkdtempSync(join(tmpdir(), 'merganser-forms-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string): string => join(folder, name)
const run = (...args: readonly string[]) => merganser(args, folder)
const events = (stdout: string): Record<string, unknown>[] =>
  stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
const BASE = join(ROOT, 'zoo/text/base')
const MATH = join(ROOT, 'zoo/text/math')

/** Numbers without a pattern that arithmetic could hide in. */
const numbers = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233) * 0.5))
const filled = (shape: readonly number[], seed: number): Written => f32(numbers(sizeOf(shape), seed), shape)
const LLAMA = { 'config.json': JSON.stringify({ architectures: ['LlamaForCausalLM'], model_type: 'llama', num_hidden_layers: 1, tie_word_embeddings: false }) }
const UP = 'model.layers.0.mlp.up_proj'
const SHAPES = { 'model.embed_tokens.weight': [5, 3], [`${UP}.weight`]: [4, 3], [`${UP}.bias`]: [4], 'model.norm.weight': [3], 'lm_head.weight': [5, 3], scale: [1] }
const modelOf = (seed: number): Record<string, Written> => Object.fromEntries(Object.entries(SHAPES).map(([name, shape], i) => [name, filled(shape, seed + i)]))

writeModel(at('base'), modelOf(1), LLAMA)
writeModel(at('tuned'), modelOf(20), LLAMA)

/** The difference of two models, or what one has. */
const minus = (a: Written, b: Written): number[] => a.values.map((x, i) => x - b.values[i]!)
const energyOf = (values: readonly number[]): number => values.reduce((sum, x) => sum + x * x, 0)

describe('vector extract --lora', () => {
  test('at full rank base and adapter give the fine-tune back; what an adapter has no place for is told, with its share', async () => {
    const { code, stdout } = await run('vector', 'extract', '--base', 'base', '--model', 'tuned', '-o', 'full', '--lora', '3', '--json')
    expect(code).toBe(0)
    const [base, tuned] = [await readModel(at('base')), await readModel(at('tuned'))]
    const share = (name: string): number =>
      energyOf(minus(tuned[name]!, base[name]!)) / Object.keys(SHAPES).reduce((sum, other) => sum + energyOf(minus(tuned[other]!, base[other]!)), 0)
    const told = events(stdout)
    expect(told.filter(({ kind }) => kind === 'left').map(({ tensor }) => tensor)).toEqual(['scale'])
    for (const { kind, tensor, energy } of told) if (kind === 'left') expect(energy).toBeCloseTo(share(tensor as string), 6)
    expect(told.at(-1)).toMatchObject({ kind: 'done', rank: 3, matrices: 3, saved: [`${UP}.bias`, 'model.norm.weight'] })
    expect(told.at(-1)!['kept']).toBeCloseTo(1 - share('scale'), 6)
    expect(await run('merge', 'x', 'back', '--model', 'x=base+full')).toMatchObject({ code: 0 })
    const back = await readModel(at('back'))
    for (const name of Object.keys(SHAPES)) {
      const want = name === 'scale' ? base[name]! : tuned[name]!
      for (const [i, x] of want.values.entries()) expect(Math.abs(back[name]!.values[i]! - x)).toBeLessThan(1e-6)
    }
  })

  test('a matrix of rank 1 is kept whole at rank 1, and of two directions the longer one', async () => {
    const zeros = f32(new Array<number>(6).fill(0), [2, 3])
    writeModel(at('flat'), { 'one.weight': zeros, 'two.weight': zeros })
    writeModel(at('steep'), { 'one.weight': f32([1, 2, 3, -2, -4, -6], [2, 3]), 'two.weight': f32([3, 0, 0, 0, 4, 0], [2, 3]) })
    const told = events((await run('vector', 'extract', '--base', 'flat', '--model', 'steep', '-o', 'rank1', '--lora', '1', '--json')).stdout)
    const kept = Object.fromEntries(told.flatMap(event => (event['kind'] === 'factor' ? [[event['tensor'], event['kept'] as number]] : [])))
    expect(kept['one.weight']).toBeCloseTo(1, 6)
    expect(kept['two.weight']).toBeCloseTo(16 / 25, 6)
    await run('merge', 'x', 'bent', '--model', 'x=flat+rank1')
    const { 'one.weight': one, 'two.weight': two } = await readModel(at('bent'))
    expect(one!.values.map(x => Math.round(x * 1e5) / 1e5)).toEqual([1, 2, 3, -2, -4, -6])
    expect(two!.values.map(x => Math.round(x * 1e5) / 1e5 + 0)).toEqual([0, 0, 0, 0, 4, 0])
  })

  test('the share kept of a fine-tune is what applying the adapter leaves, and falls with the rank', async () => {
    const shares: number[] = []
    const [base, tuned] = [await readModel(BASE), await readModel(MATH)]
    for (const rank of [4, 32]) {
      const { stdout } = await run('vector', 'extract', '--base', BASE, '--model', MATH, '-o', `math${rank}`, '--lora', String(rank), '--json')
      await run('merge', 'base + 1*(x - base)', `math${rank}-back`, '--dtype', 'f32', '--model', `base=${BASE}`, '--model', `x=${BASE}+math${rank}`)
      const back = await readModel(at(`math${rank}-back`))
      const [off, all] = Object.keys(base).reduce(([o, a], name) => [o! + energyOf(minus(back[name]!, tuned[name]!)), a! + energyOf(minus(base[name]!, tuned[name]!))], [0, 0])
      const kept = events(stdout).at(-1)!['kept'] as number
      expect(kept).toBeCloseTo(1 - off! / all!, 5)
      shares.push(kept)
    }
    expect(shares[1]).toBeGreaterThan(shares[0]! + 0.1)
  })

  test('the config has alpha = rank, short targets, and the modules that are saved whole by their full names', () => {
    const config = JSON.parse(readFileSync(at('full/adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(config).toMatchObject({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: 'base',
      r: 3,
      lora_alpha: 3,
      target_modules: ['embed_tokens', 'lm_head', 'up_proj'],
      modules_to_save: ['model.norm'],
      bias: 'lora_only',
      rank_pattern: {},
    })
  })

  test('layers that GPT-2 stores transposed', async () => {
    const gpt2 = { 'config.json': JSON.stringify({ architectures: ['GPT2LMHeadModel'], model_type: 'gpt2', n_layer: 1 }) }
    const names = { 'transformer.h.0.attn.c_attn.weight': [4, 12], 'transformer.h.0.attn.c_proj.weight': [4, 4], 'transformer.wte.weight': [6, 4] }
    const of = (seed: number) => Object.fromEntries(Object.entries(names).map(([name, shape], i) => [name, filled(shape, seed + i)]))
    writeModel(at('gpt'), of(1), gpt2)
    writeModel(at('gpt-tuned'), of(50), gpt2)
    const { stderr } = await run('vector', 'extract', '--base', 'gpt', '--model', 'gpt-tuned', '-o', 'gpt-lora', '--lora', '4')
    expect(stderr).toContain('transformer.wte.weight is the output head, too: PEFT changes both only where it merges the adapter into the model')
    expect(JSON.parse(readFileSync(at('gpt-lora/adapter_config.json'), 'utf8'))).toMatchObject({ fan_in_fan_out: true })
    const { tensors } = await open(at('gpt-lora/adapter_model.safetensors'))
    expect(tensors.get('base_model.model.transformer.h.0.attn.c_attn.lora_A.weight')!.shape).toEqual([4, 4])
    expect(tensors.get('base_model.model.transformer.h.0.attn.c_attn.lora_B.weight')!.shape).toEqual([12, 4])
    await run('merge', 'x', 'gpt-back', '--model', 'x=gpt+gpt-lora')
    const [back, tuned] = [await readModel(at('gpt-back')), await readModel(at('gpt-tuned'))]
    for (const name of Object.keys(names)) for (const [i, x] of tuned[name]!.values.entries()) expect(Math.abs(back[name]!.values[i]! - x)).toBeLessThan(1e-6)
  })
})

describe('vector extract --sparse', () => {
  test('keeps the largest entries, of equal ones the first, and is added like any task vector', async () => {
    writeModel(at('s-base'), { w: f32([1, 1, 1, 1, 1, 1], [2, 3]), still: f32([5, 5]), one: f32([1], []) })
    writeModel(at('s-tuned'), { w: f32([3, 0, -1, 3, 1, 1.5], [2, 3]), still: f32([5, 5]), one: f32([4], []) })
    expect(await run('vector', 'extract', '--base', 's-base', '--model', 's-tuned', '-o', 's-tau', '--sparse', '0.34')).toMatchObject({ code: 0 })
    expect(await readModel(at('s-tau'))).toMatchObject({ 'w.indices': { dtype: 'I32', shape: [2] }, 'w.values': f32([2, -2]), 'one.values': f32([3]) })
    await run('merge', 'm + 0.5*tau', 's-out', '--model', 'm=s-base', '--model', 'tau=s-tau')
    expect(await readModel(at('s-out'))).toEqual({ w: f32([2, 1, 0, 1, 1, 1], [2, 3]), still: f32([5, 5]), one: f32([2.5], []) })
  })

  test('any tensors, densities and cuts of the engine: the k largest and no others, read back bit for bit', async () => {
    let number = 0
    const sizes = fc.constantFrom([1], [7], [3, 5], [300, 7], [65_536], [70_001], [2, 33_000])
    const value = fc.constantFrom(0, 0.5, -0.5, 1, -1, 3, 2 ** -12, -7)
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.array(value, { minLength: 1, maxLength: 50 }),
        fc.double({ min: 1e-4, max: 1, noNaN: true }),
        fc.constantFrom(256, 4096, 65_536),
        async (shape, pattern, density, chunk) => {
          const name = `p${number++}`
          const delta = Array.from({ length: sizeOf(shape) }, (_, i) => pattern[(i * i + 3 * i) % pattern.length]!)
          writeModel(at(`${name}-b`), { w: f32(new Array<number>(sizeOf(shape)).fill(0), shape) })
          writeModel(at(`${name}-t`), { w: f32(delta, shape) })
          const models = { base: at(`${name}-b`), model: at(`${name}-t`) }
          const recipe = parse('model - base', { models, result: 'vector', output: { dtype: 'F32', configFrom: 'base' } })
          const checkpoints = await openModels(recipe)
          const figures = await findFigures(planFigures(recipe, checkpoints, { threads: 1, tiling: { chunk } }))
          expect(figures[0]!.nonzeros).toBe(delta.filter(x => x !== 0).length)
          expect(Math.abs(figures[0]!.energy - energyOf(delta))).toBeLessThanOrEqual(1e-6 * energyOf(delta)) // squares are float32
          const layout = layOutSparse(
            figures.map(f => ({ name: f.name, shape: f.shape, count: countKept(f.shape, f.nonzeros, density) })),
            'F32',
            { ...vectorMetadata(checkpoints.get('base')!) },
          )
          const sink = memorySink()
          for await (const { count, energy, kept } of extractSparse(layout, plan(recipe, checkpoints, { threads: 1, tiling: { chunk } }), 'F32', sink)) {
            expect(count).toBe(layout.tensors[0]!.count)
            expect(kept).toBeLessThanOrEqual(energy)
          }
          const k = Math.min(delta.filter(x => x !== 0).length, Math.max(1, Math.round(density * delta.length)))
          const order = [...delta.keys()].sort((i, j) => Math.abs(delta[j]!) - Math.abs(delta[i]!) || i - j).slice(0, k)
          const want = new Array<number>(delta.length).fill(0)
          for (const i of order) want[i] = delta[i]!
          writeModel(at(`${name}-s`), {}) // a folder
          rmSync(at(`${name}-s/model.safetensors`))
          writeFileSync(at(`${name}-s/task_vector.safetensors`), sink.files.get('task_vector.safetensors')!)
          const adding = parse('base + tau', { models: { base: models.base, tau: at(`${name}-s`) }, adapters: new Set(['tau']) })
          const out = memorySink()
          const merging = plan(adding, await openModels(adding), { threads: 1, tiling: { chunk } })
          for await (const _ of execute(merging, out)) {
            // only the result matters
          }
          const [tensor] = merging.outputs[0]!.tensors
          expect([...decode(tensor!.dtype as FloatDType, out.files.get('model.safetensors')!.slice(tensor!.at))]).toEqual(want)
          rmSync(at(`${name}-s`), { recursive: true })
        },
      ),
      { numRuns: 25 },
    )
  })

  test('a tensor that is longer than what is in memory at once', async () => {
    const shape = [2100, 2100] // 4.41 million, of 4.19
    const delta = numbers(sizeOf(shape), 3)
    writeModel(at('l-base'), { w: f32(new Array<number>(sizeOf(shape)).fill(0), shape) })
    writeModel(at('l-tuned'), { w: f32(delta, shape) })
    await run('vector', 'extract', '--base', 'l-base', '--model', 'l-tuned', '-o', 'l-tau', '--sparse', '0.001')
    const order = [...delta.keys()].sort((i, j) => Math.abs(delta[j]!) - Math.abs(delta[i]!) || i - j).slice(0, 4410)
    const { tensors } = await open(at('l-tau/task_vector.safetensors'))
    const bytes = Uint8Array.from(readFileSync(at('l-tau/task_vector.safetensors')))
    const { start, end } = tensors.get('w.indices')!
    expect([...new Int32Array(bytes.slice(start, end).buffer)]).toEqual(order.toSorted((i, j) => i - j))
    await run('merge', 'm + tau', 'l-out', '--model', 'm=l-base', '--model', 'tau=l-tau')
    const kept = new Set(order)
    const out = (await readModel(at('l-out')))['w']!.values
    expect(out.findIndex((x, i) => x !== (kept.has(i) ? delta[i]! : 0))).toBe(-1)
  })

  test('a task vector made sparse at density 1 is the whole one', async () => {
    for (const args of [[], ['--sparse', '1']]) await run('vector', 'extract', '--base', BASE, '--model', MATH, '-o', `all${args.length}`, ...args)
    for (const name of ['all0', 'all2']) await run('merge', 'base + tau', `${name}-out`, '--model', `base=${BASE}`, '--model', `tau=${name}`)
    expect(await readModel(at('all2-out'))).toEqual(await readModel(at('all0-out')))
  })

  test('a damaged one is refused', async () => {
    const path = at('s-tau/task_vector.safetensors')
    const bytes = readFileSync(path)
    const text = bytes.toString('latin1')
    const { tensors } = await open(at('s-tau'))
    const indices = tensors.get('w.indices')!
    for (const [name, change, what] of [
      ['swapped', () => bytes.writeInt32LE(5, indices.start), 'its indices do not ascend'],
      ['shapes', () => bytes.write(text.replace('\\"w\\":[2,3]', '\\"w\\":[1,1]'), 'latin1'), '"w": indices and values do not belong together'],
    ] as const) {
      bytes.write(text, 'latin1')
      change()
      writeModel(at(name), {})
      rmSync(at(`${name}/model.safetensors`))
      writeFileSync(at(`${name}/task_vector.safetensors`), bytes)
      const { code, stderr } = await run('merge', 'm + tau', 'never', '--model', 'm=s-base', '--model', `tau=${name}`)
      expect(stderr).toContain(what)
      expect(code).toBe(1)
    }
  })
})

describe('vector info', () => {
  const info = async (...args: readonly string[]) =>
    JSON.parse((await run('vector', 'info', ...args, '--json')).stdout) as Record<string, unknown> & { readonly tensors: readonly Record<string, unknown>[] }

  test('norms, densities and ranks of known matrices', async () => {
    writeModel(at('i-base'), { 'layers.0.w.weight': f32([0, 0, 0, 0], [2, 2]), 'layers.1.w.weight': f32([0, 0, 0, 0], [2, 2]), bias: f32([1, 2]) })
    writeModel(at('i-tuned'), { 'layers.0.w.weight': f32([3, 0, 0, 4], [2, 2]), 'layers.1.w.weight': f32([1, 1, 1, 1], [2, 2]), bias: f32([1, 2]) })
    await run('vector', 'extract', '--base', 'i-base', '--model', 'i-tuned', '-o', 'i-tau')
    const told = await info('i-tau')
    expect(told).toMatchObject({ kind: 'task vector', base: 'i-base', density: 0.6, elements: 10 })
    expect(told['norm']).toBeCloseTo(Math.sqrt(29), 6)
    const [first, second, bias] = ['layers.0.w.weight', 'layers.1.w.weight', 'bias'].map(name => told.tensors.find(t => t['name'] === name)!)
    expect(first).toMatchObject({ norm: 5, density: 0.5, rank90: 2, rank99: 2, areUpperBounds: false })
    expect(first!['stableRank']).toBeCloseTo(25 / 16, 6)
    expect(second).toMatchObject({ norm: 2, density: 1, rank90: 1, rank99: 1 })
    expect(bias).toEqual({ name: 'bias', shape: [2], norm: 0, density: 0 })
    expect(told['layers']).toMatchObject([
      { layer: 'layers.0', norm: 5 },
      { layer: 'layers.1', norm: 2 },
      { layer: 'outside of layers', norm: 0 },
    ])
  })

  test('an adapter by its factors alone says the same as against its base, as dense and as sparse', async () => {
    writeAdapter(at('ad'), { [`${UP}.lora_A.weight`]: filled([2, 3], 5), [`${UP}.lora_B.weight`]: filled([4, 2], 6) }, { r: 2, lora_alpha: 3 })
    await run('merge', 'x', 'ad-model', '--model', 'x=base+ad')
    await run('vector', 'extract', '--base', 'base', '--model', 'ad-model', '-o', 'ad-sparse', '--sparse', '1')
    const told = await Promise.all([info('ad'), info('ad', '--base', 'base'), info('ad-model', '--base', 'base'), info('ad-sparse')])
    for (const { kind, tensors } of told) {
      const up = tensors.find(({ name }) => name === `${UP}.weight`)!
      const first = told[0].tensors[0]!
      expect(up['norm'], String(kind)).toBeCloseTo(first['norm'] as number, 5)
      expect(up['stableRank']).toBeCloseTo(first['stableRank'] as number, 4)
      expect([up['rank90'], up['rank99']]).toEqual([first['rank90'], first['rank99']])
    }
    expect(told.map(({ kind }) => kind)).toEqual(['adapter', 'adapter', 'fine-tune', 'task vector'])
  })

  test('threads, memory and tiles change no number', async () => {
    const one = await info(MATH, '--base', BASE, '--threads', '1', '--memory', '3MB')
    expect(await info(MATH, '--base', BASE, '--threads', '2')).toEqual(one)
  })

  test('a matrix too large for all its values: bounds that hold', async () => {
    // Singular values 1/i of two random bases would be a spectrum to test; a diagonal has the same, and is a matrix like any other to the sketch.
    const side = 1100
    const diagonal = new Array<number>(side * side).fill(0)
    for (let i = 0; i < side; i++) diagonal[i * side + i] = Math.fround(1 / (i + 1))
    writeModel(at('wide-base'), { 'm.weight': f32(new Array<number>(side * side).fill(0), [side, side]) })
    writeModel(at('wide'), { 'm.weight': f32(diagonal, [side, side]) })
    const squares = Array.from({ length: side }, (_, i) => 1 / (i + 1) ** 2)
    const all = squares.reduce((sum, x) => sum + x, 0)
    const rankFor = (share: number): number => {
      let held = 0
      return 1 + squares.findIndex(x => (held += x) >= share * all)
    }
    const [told] = (await info('wide', '--base', 'wide-base')).tensors
    expect(told).toMatchObject({ valuesLookedAt: 256, areUpperBounds: true })
    for (const [key, share] of [
      ['rank90', 0.9],
      ['rank99', 0.99],
    ] as const) {
      expect(told![key]).toBeGreaterThanOrEqual(rankFor(share))
      expect(told![key]).toBeLessThanOrEqual(1.05 * rankFor(share) + 1)
    }
    expect(told!['stableRank']).toBeCloseTo(all, 4)
  })
})

describe('what cannot be is said before a byte is written', () => {
  writeModel(at('narrow'), { [`${UP}.weight`]: filled([4, 2], 1) }, LLAMA)
  writeAdapter(at('lora'), { [`${UP}.lora_A.weight`]: filled([2, 3], 5), [`${UP}.lora_B.weight`]: filled([4, 2], 6) }, { r: 2, lora_alpha: 3 })
  writeAdapter(
    at('dora'),
    { [`${UP}.lora_A.weight`]: filled([2, 3], 5), [`${UP}.lora_B.weight`]: filled([4, 2], 6), [`${UP}.lora_magnitude_vector`]: filled([4], 7) },
    { r: 2, lora_alpha: 3, use_dora: true },
  )
  const extract = ['vector', 'extract', '--base', 'base', '--model', 'tuned', '-o', 'x'] as const
  test.each([
    [[...extract, '--lora', '6'], 'rank 6 is more than any matrix has: model.embed_tokens.weight [5,3] has the most, 3', 'write --lora 3 or less'],
    [[...extract, '--lora', '0'], '--lora "0" is not a positive whole number', 'write e.g. --lora 4'],
    [[...extract, '--sparse', '1.5'], '--sparse "1.5" is no density: the share of entries to keep lies above 0 and goes up to 1', 'write e.g. --sparse 0.05'],
    [[...extract, '--sparse', '0'], '--sparse "0" is no density', 'write e.g. --sparse 0.05'],
    [[...extract, '--sparse', 'half'], '--sparse "half" is no density', 'write e.g. --sparse 0.05'],
    [[...extract, '--sparse', '0.1', '--lora', '2'], '--lora and --sparse are two forms of a task vector', 'give one of them'],
    [[...extract, '--lora', '2', '--resume'], '--resume goes with whole task vectors', 'leave out --resume'],
    [[...extract, '--by', 'svd'], '--by does not go with vector extract', 'leave it out'],
    [['vector', 'extract', '--base', 'base', '--model', 'base', '-o', 'x', '--lora', '2'], 'base does not differ from base', 'give a fine-tune of the base'],
    [['vector', 'extract', '--base', 'base', '--model', 'tuned', '--model', 'base', '-o', 'x'], '--model is given twice', 'write `merganser vector extract'],
    [['vector', 'info'], 'there is no task vector to look at', 'write `merganser vector info VECTOR`'],
    [['vector', 'info', 'base'], 'base is a model, and no task vector', 'write `merganser vector info base --base BASE`'],
    [
      ['vector', 'info', 'lora', '--base', 'narrow'],
      `base_model.model.${UP}.lora_A.weight of shape [2,3] does not fit ${UP}.weight of narrow, which is [4,2]`,
      'use the adapter with the model it was trained on (adapter_config.json calls it org/base)',
    ],
    [
      ['vector', 'info', 'dora'],
      'what an adapter of DoRA adds depends on the weights of its model',
      'write `merganser vector info dora --base BASE`, with the model that was fine-tuned (org/base)',
    ],
    [['vector', 'info', 'full'], `base_model.model.${UP}.base_layer.bias is a whole tensor, whose difference is not known without the model`, '--base BASE'],
  ])('%s', async (args, what, fix) => {
    const { code, stderr } = await run(...args)
    expect(stderr).toContain(what)
    expect(stderr).toContain(fix)
    expect(code).toBeGreaterThan(0)
    expect(readdirSync(folder)).not.toContain('x')
  })
})
