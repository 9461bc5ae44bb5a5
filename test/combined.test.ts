import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type MemorySink, memorySink } from '../src/bytes/sink.ts'
import { type Adapter, openAdapter } from '../src/checkpoint/adapter.ts'
import { open } from '../src/checkpoint/checkpoint.ts'
import type { FloatDType } from '../src/dtype.ts'
import { sizeOf } from '../src/dtype.ts'
import { type Combined, combineAdapters } from '../src/execute/combine.ts'
import { planCombination } from '../src/plan/combination.ts'
import type { Combination } from '../src/plan/joined.ts'
import { parse } from '../src/recipe/parse.ts'
import { decode } from './floats.ts'
import { merganser, REPOSITORY, type TensorSpec, temporaryFolder, writeAdapter } from './front.ts'

// Adapters made one. What PEFT makes of the adapters in test/combined was written by test/combined/make.py.

const folder = temporaryFolder()
cpSync(join(REPOSITORY, 'test/combined'), join(folder, 'peft'), { recursive: true })

type Product = { readonly values: Float64Array; readonly shape: readonly [number, number] }

/** scale·(B·A) of each module in float64, from the bytes of the files. */
function productsOf({ modules, files }: Adapter, contents?: Uint8Array): ReadonlyMap<string, Product> {
  const numbers = ({ file, start, end, dtype }: Adapter['tensors'] extends ReadonlyMap<string, infer T> ? T : never): Float64Array =>
    decode(dtype as FloatDType, Uint8Array.from((contents ?? readFileSync((files[file]!.locator as { file: string }).file)).subarray(start, end)))
  return new Map(
    [...modules.values()].map(({ name, a, b, rank, scale }) => {
      const [left, right] = [numbers(b), numbers(a)]
      const [rows, columns] = [b.shape[0]!, sizeOf(a.shape.slice(1))]
      const values = Float64Array.from({ length: rows * columns }, (_, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns]
        let sum = 0
        for (let k = 0; k < rank; k++) sum += left[row * rank + k]! * right[k * columns + column]!
        return scale * sum
      })
      return [name, { values, shape: [rows, columns] }]
    }),
  )
}

/** Σ weight·product of each module that any has. */
function sumOf(...terms: readonly (readonly [number, ReadonlyMap<string, Product>])[]): ReadonlyMap<string, Product> {
  const sum = new Map<string, Product>()
  for (const [weight, products] of terms) {
    for (const [name, { values, shape }] of products) {
      const before = sum.get(name)?.values
      sum.set(name, { shape, values: values.map((x, i) => weight * x + (before?.[i] ?? 0)) })
    }
  }
  return sum
}

const squared = (x: Float64Array): number => x.reduce((sum, value) => sum + value * value, 0)

/** ‖got − want‖/‖want‖ over all modules, which must be the same. */
function distance(got: ReadonlyMap<string, Product>, want: ReadonlyMap<string, Product>): number {
  expect([...got.keys()].sort()).toEqual([...want.keys()].sort())
  let [off, all] = [0, 0]
  for (const [name, { values }] of want) {
    off += squared(got.get(name)!.values.map((x, i) => x - values[i]!))
    all += squared(values)
  }
  return Math.sqrt(off / all)
}

const opened = (name: string): Promise<Adapter> => openAdapter(name, { from: [folder] })

/** Through the API: what becomes of adapters in `folder`, by their paths. */
async function combine(text: string, paths: Readonly<Record<string, string>>, by: Combination, rank: number | null = null) {
  const adapters = new Map(await Promise.all(Object.entries(paths).map(async ([name, path]) => [name, await opened(path)] as const)))
  const recipe = parse(text, { models: paths, adapters: new Set(Object.keys(paths)), result: 'vector', output: { dtype: 'F32' } })
  const sink: MemorySink = memorySink()
  const told: Combined[] = []
  for await (const combined of combineAdapters(planCombination(recipe, adapters, { by, rank, dtype: 'F32' }), sink, { threads: 1 })) told.push(combined)
  return { files: sink.files, told }
}

/** Of a command that must go well: the adapter that it has written. */
async function merged(text: string, out: string, ...args: readonly string[]): Promise<Adapter> {
  const { status, stderr } = merganser(folder, 'vector', 'merge', text, '-o', out, ...args)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return opened(out)
}

const models = (...names: readonly string[]): string[] => names.flatMap(name => ['--model', `${name}=peft/${name}`])

describe('as PEFT’s add_weighted_adapter', async () => {
  const { tensors, files } = await open('peft/expected.safetensors', { from: [folder] })
  const bytes = readFileSync((files[0]!.locator as { file: string }).file)
  const expected = (label: string): ReadonlyMap<string, Product> =>
    new Map(
      [...tensors.values()].flatMap(({ name, shape, start, end }) =>
        name.startsWith(`${label}/`) ? [[name.slice(label.length + 1), { shape: [shape[0]!, shape[1]!], values: decode('F32', Uint8Array.from(bytes.subarray(start, end))) }]] : [],
      ),
    )

  // Linear, embedding, transposed and convolution layers; ranks 2 and 4, one of 3 by its pattern; rsLoRA. Float32 either way: 1e-6 is some roundings.
  test.each([
    ['concat', '0.7*a - 0.4*b', ['a', 'b'], []],
    ['svd', '0.7*a - 0.4*b', ['a', 'b'], ['--rank', '3']],
    ['peft_linear', '0.7*a - 0.3*c', ['a', 'c'], []],
  ] as const)('%s', async (by, text, names, args) => {
    const adapter = await merged(text, `as-${by}`, ...models(...names), '--by', by, ...args)
    expect(distance(productsOf(adapter), expected(by))).toBeLessThan(1e-6)
  })

  test('the file says a scale of 1, and the rank of every module', async () => {
    const adapter = await merged('0.7*a - 0.4*b', 'patterns', ...models('a', 'b'), '--by', 'concat')
    expect(Object.fromEntries([...adapter.modules].map(([name, { rank, scale }]) => [name, [rank, scale]]))).toMatchObject({
      words: [6, 1],
      'layers.0.up': [6, 1],
      'layers.1.up': [5, 1],
      'layers.0.down': [2, 1],
      conv: [2, 1],
    })
  })
})

describe('laws', () => {
  test.each(['concat', 'svd', 'core', 'peft_linear'] as const)('one adapter at weight 1 gives itself, by %s', async by => {
    for (const name of ['a', 'b']) {
      const adapter = await merged('1*x', `self-${by}-${name}`, '--model', `x=peft/${name}`, '--by', by)
      expect(distance(productsOf(adapter), productsOf(await opened(`peft/${name}`)))).toBeLessThan(1e-6)
    }
  })

  test.each(['concat', 'core'] as const)('a sum of three is the sum of what they add, by %s', async by => {
    const adapter = await merged('0.5*a - b + 2*c/3', `sum-${by}`, ...models('a', 'b', 'c'), '--by', by)
    const [a, b, c] = (await Promise.all(['a', 'b', 'c'].map(name => opened(`peft/${name}`)))).map(x => productsOf(x)) as [
      ReadonlyMap<string, Product>,
      ReadonlyMap<string, Product>,
      ReadonlyMap<string, Product>,
    ]
    expect(distance(productsOf(adapter), sumOf([0.5, a], [-1, b], [2 / 3, c]))).toBeLessThan(1e-5)
  })

  test('added to its model, the combination is the model with the sum: 1e-5', async () => {
    const [base, zoo] = ['zoo/text/base', 'zoo/text'].map(path => join(REPOSITORY, path)) as [string, string]
    const names = ['--model', `a=${zoo}/math-lora`, '--model', `b=${zoo}/code-lora`]
    for (const by of ['concat', 'core'] as const) {
      await merged('0.7*a + 0.3*b', `zoo-${by}`, ...names, '--by', by)
      for (const [text, out, args] of [
        ['base + ab', `zoo-${by}-one`, ['--model', `ab=zoo-${by}`]],
        ['base + 0.7*a + 0.3*b', `zoo-${by}-two`, names],
      ] as const)
        expect(merganser(folder, 'merge', text, out, '--dtype', 'f32', '--model', `base=${base}`, ...args).status).toBe(0)
      const [one, two] = await Promise.all(['one', 'two'].map(async which => readNumbers(`zoo-${by}-${which}`)))
      let most = 0
      for (const [name, values] of two!) for (const [i, x] of values.entries()) most = Math.max(most, Math.abs(x - one!.get(name)![i]!))
      expect(most).toBeLessThan(1e-5)
    }
  })

  async function readNumbers(path: string): Promise<ReadonlyMap<string, Float64Array>> {
    const { tensors, files } = await open(path, { from: [folder] })
    const bytes = Uint8Array.from(readFileSync((files[0]!.locator as { file: string }).file))
    return new Map([...tensors.values()].map(({ name, start, end, dtype }) => [name, decode(dtype as FloatDType, bytes.slice(start, end))]))
  }

  test('any shapes, ranks and scales: sums by concat and core are exact to 1e-5, and the error of svd is the one that it tells', async () => {
    const numbers = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233)))
    const side = fc.integer({ min: 1, max: 12 })
    const part = fc.record({
      rank: fc.integer({ min: 1, max: 9 }),
      alpha: fc.integer({ min: 1, max: 20 }),
      weight: fc.double({ min: -2, max: 2, noNaN: true }),
      rslora: fc.boolean(),
    })
    let run = 0
    await fc.assert(
      fc.asyncProperty(side, side, fc.array(part, { minLength: 2, maxLength: 3 }), fc.integer({ min: 1, max: 12 }), async (rows, columns, parts, rank) => {
        const name = `run${run++}`
        const labels = parts.map((_, i) => 'xyz'[i]!)
        for (const [i, p] of parts.entries()) {
          const tensors: Record<string, TensorSpec> = {
            'm.lora_A.weight': { shape: [p.rank, columns], values: numbers(p.rank * columns, i + rows) },
            'm.lora_B.weight': { shape: [rows, p.rank], values: numbers(p.rank * rows, i + 10 * columns) },
          }
          writeAdapter(join(folder, name, labels[i]!), tensors, { r: p.rank, lora_alpha: p.alpha, use_rslora: p.rslora })
        }
        const paths = Object.fromEntries(labels.map(label => [label, `${name}/${label}`]))
        const text = labels.map((label, i) => `(${parts[i]!.weight.toFixed(6)})*${label}`).join(' + ')
        const terms = await Promise.all(labels.map(async (label, i) => [Number(parts[i]!.weight.toFixed(6)), productsOf(await opened(paths[label]!))] as const))
        const want = sumOf(...terms)
        const scale = Math.sqrt(terms.reduce((sum, [weight, products]) => sum + weight ** 2 * squared(products.get('m')!.values), 0)) + 1e-30 // terms may cancel
        const errorOf = async (files: ReadonlyMap<string, Uint8Array>): Promise<number> => {
          const got = productsOf(await fromMemory(files), files.get('adapter_model.safetensors'))
          return Math.sqrt(squared(got.get('m')!.values.map((x, i) => x - want.get('m')!.values[i]!))) / scale
        }
        for (const by of ['concat', 'core'] as const) expect(await errorOf((await combine(text, paths, by)).files)).toBeLessThan(1e-5)
        const { files, told } = await combine(text, paths, 'svd', Math.min(rank, rows, columns))
        expect(Math.abs((await errorOf(files)) - Math.sqrt(told[0]!.cut!.lost) / scale)).toBeLessThan(1e-5)
      }),
      { numRuns: 30 },
    )
  })

  /** What a combination has left in memory, opened like a folder. */
  async function fromMemory(files: ReadonlyMap<string, Uint8Array>): Promise<Adapter> {
    const out = join(folder, 'memory')
    mkdirSync(out, { recursive: true })
    for (const [name, bytes] of files) writeFileSync(join(out, name), bytes)
    return opened('memory')
  }

  test('an adapter that is none of the others’ business stays beside them: targets need not overlap for concat', async () => {
    const tensors = (module: string): Record<string, TensorSpec> => ({
      [`${module}.lora_A.weight`]: { shape: [1, 2], values: [1, 2] },
      [`${module}.lora_B.weight`]: { shape: [2, 1], values: [3, 4] },
    })
    writeAdapter(join(folder, 'q'), tensors('layers.0.q'))
    writeAdapter(join(folder, 'v'), tensors('layers.0.v'))
    const adapter = await merged('q + 2*v', 'both', '--model', 'q=q', '--model', 'v=v', '--by', 'concat')
    expect(Object.fromEntries([...productsOf(adapter)].map(([name, { values }]) => [name, [...values]]))).toEqual({ 'layers.0.q': [3, 6, 4, 8], 'layers.0.v': [6, 12, 8, 16] })
  })
})

describe('any method', () => {
  test('on whole matrices, then cut: at full rank it is what the method gives of what the adapters add', async () => {
    writeAdapter(join(folder, 'p'), { 'm.lora_A.weight': { shape: [1, 3], values: [1, 2, -3] }, 'm.lora_B.weight': { shape: [2, 1], values: [1, -1] } })
    writeAdapter(join(folder, 'r'), { 'm.lora_A.weight': { shape: [1, 3], values: [2, -5, 1] }, 'm.lora_B.weight': { shape: [2, 1], values: [1, 1] } })
    const adapter = await merged('ties(a, b, density=1)', 'ties', '--model', 'a=p', '--model', 'b=r', '--by', 'svd', '--rank', '2')
    // a adds [1 2 −3; −1 −2 3] and b [2 −5 1; 2 −5 1]: signs by the sums [3 −3 −2; 1 −7 4], and the mean of what has them
    expect([...productsOf(adapter).get('m')!.values].map(x => Math.round(x * 1e4) / 1e4)).toEqual([1.5, -5, -3, 2, -3.5, 2])
  })

  test('in core space the rank stays within the sum of ranks, and nothing is cut off', async () => {
    const { told } = await combine('ties(a, b, density=0.5)', { a: 'peft/a', b: 'peft/b' }, 'core')
    expect(Object.fromEntries(told.map(({ module, rank }) => [module, rank]))).toMatchObject({ 'layers.0.up': 6, 'layers.0.down': 2, words: 6 })
    for (const { cut } of told) expect(cut!.lost / cut!.energy).toBeLessThan(1e-12)
  })
})

describe('what cannot be is said before a byte is written', () => {
  test.each([
    [
      ['0.5*a + 0.5*b', ...models('a', 'b'), '--by', 'peft_linear'],
      'layers.0.turned: peft_linear adds A to A and B to B, and ranks differ: 2 in a, 4 in b',
      'write --by concat, or --by svd with a --rank',
    ],
    [['a + b', ...models('a', 'b'), '--by', 'svd', '--rank', '10'], 'rank 10 is more than any matrix has: conv [6, 24] has the most, 6', 'write --rank 6 or less'],
    [['a + b', ...models('a', 'b'), '--by', 'concat', '--rank', '3'], 'concat has the sum of all ranks, and no --rank', 'leave --rank out, or write --by svd'],
    [
      ['ties(a, b, density=0.5)', ...models('a', 'b'), '--by', 'concat'],
      'concat takes a weighted sum of adapters, such as `0.5*a + 0.5*b`, and this is another formula',
      'write --by core or --by svd',
    ],
    [['a + b', ...models('a', 'b'), '--by', 'sdv'], '--by "sdv" is no way to combine adapters', 'did you mean "svd"?'],
    [['a + b', ...models('a', 'b')], '--by is missing', 'write --by concat, --by svd, --by core, --by peft_linear'],
    [['q + v', '--model', 'q=q', '--model', 'v=v', '--by', 'core'], 'q and v have no module in common, so that core has nothing to combine', 'write --by concat'],
    [
      ['a + w', '--model', 'a=q', '--model', 'w=wide', '--by', 'concat'],
      'layers.0.q: B·A is [2, 2] in a and [2, 3] in w: the adapters are for different architectures',
      'combine adapters of one base model',
    ],
    [
      ['a + d', '--model', 'a=q', '--model', 'd=dora', '--by', 'concat'],
      'adapters of DoRA cannot be combined without their model: what they add depends on its weights',
      'add each adapter to its model instead',
    ],
    [
      ['a + s', '--model', 'a=q', '--model', 's=saving', '--by', 'svd'],
      'base_model.model.norm.weight is a whole tensor and no difference',
      'add each adapter to its model instead',
    ],
    [['a + b', ...models('a', 'b'), '--by', 'concat', '--lora', '3'], '--lora does not go with vector merge', 'leave it out'],
  ])('%s', (args, what, fix) => {
    const tensors = { 'layers.0.q.lora_A.weight': { shape: [1, 3] }, 'layers.0.q.lora_B.weight': { shape: [2, 1] } }
    writeAdapter(join(folder, 'wide'), tensors)
    writeAdapter(join(folder, 'dora'), { ...tensors, 'layers.0.q.lora_magnitude_vector': { shape: [2] } }, { use_dora: true })
    writeAdapter(join(folder, 'saving'), { ...tensors, 'norm.weight': { shape: [2] } })
    const { status, stderr } = merganser(folder, 'vector', 'merge', ...args, '-o', 'never')
    expect(stderr).toContain(what)
    expect(stderr).toContain(fix)
    expect(status).toBeGreaterThan(0)
    expect(() => readFileSync(join(folder, 'never/adapter_config.json'))).toThrow()
  })
})
