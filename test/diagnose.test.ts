import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { type DiagnoseOptions, type Diagnosis, diagnose } from '../src/diagnose/diagnose.ts'
import { MEASURES } from '../src/diagnose/measures/_all.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { openModels } from '../src/plan/open_models.ts'
import { parse } from '../src/recipe/parse.ts'
import { f32, writeModel } from './command.ts'
import { build, flip, minus, norm, type Rows, randoms, times } from './linear_algebra.ts'

const folder = mkdtempSync(join(tmpdir(), 'merganser-diagnose-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SUM = 'base + (a - base) + (b - base)'
type Tensors = Readonly<Record<string, Rows>>

/** A model of matrices, and of vectors where there is one row and the name is `v`. */
function write(name: string, tensors: Tensors): string {
  const written = Object.entries(tensors).map(([tensor, rows]) => [tensor, f32(rows.flat(), tensor === 'v' ? [rows[0]!.length] : [rows.length, rows[0]!.length])] as const)
  writeModel(join(folder, name), Object.fromEntries(written))
  return join(folder, name)
}

async function look(text: string, models: Readonly<Record<string, string>>, options: DiagnoseOptions = {}): Promise<Diagnosis> {
  const recipe = parse(text, { models })
  return diagnose(recipe, await openModels(recipe), options)
}

/** The value of a measure. */
function measureOf({ measures }: Diagnosis, measure: string, ...of: readonly string[]): number | null {
  const found = measures.find(m => m.measure === measure && `${m.of}` === `${of}`)
  if (!found) throw new Error(`${measure} of ${of} is not measured`)
  return found.value
}

const zoo = (set: string, models: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(models).map(([name, path]) => [name, `zoo/${set}/${path}`]))

/** Plain float64 over plain arrays, written from the definitions. Whole model: all entries one after another. */
function reference(base: Tensors, a: Tensors, b: Tensors): Record<string, number | null> {
  const names = Object.keys(base)
  const deltas = (model: Tensors): Rows[] => names.map(name => minus(model[name]!, base[name]!))
  const [da, db] = [deltas(a), deltas(b)]
  const [fa, fb, fz] = [da.flat(2), db.flat(2), Object.values(base).flat(2)]
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, v, i) => sum + v * y[i]!, 0)
  const share = (x: number, y: number): number | null => (y === 0 ? null : x / y)
  const count = (test: (x: number, y: number) => boolean): number => fa.filter((x, i) => test(x, fb[i]!)).length
  const smaller = fa.map((x, i) => Math.min(Math.abs(x), Math.abs(fb[i]!)))
  const conflicts = fa.map((x, i) => x * fb[i]! < 0)
  /** Neurons: rows of matrices, entries of vectors. */
  const neurons = names.flatMap((name, n): { readonly a: readonly number[]; readonly b: readonly number[]; readonly base: readonly number[] | null }[] =>
    name === 'v' ? da[n]![0]!.map((x, i) => ({ a: [x], b: [db[n]![0]![i]!], base: null })) : da[n]!.map((row, r) => ({ a: row, b: db[n]![r]!, base: base[name]![r]! })),
  )
  const rows = neurons.filter(n => n.base !== null)
  const long = (x: readonly number[]): number => Math.sqrt(dot(x, x))
  const theta = Object.values(a).flat(2)
  return {
    norm: long(fa),
    relative_norm: share(long(fa), long(fz)),
    lineage: share(dot(theta, fz), long(theta) * long(fz)),
    unchanged: da.filter(rows => rows.flat().every(x => x === 0)).length / da.length,
    changed_entries: fa.filter(x => x !== 0).length / fa.length,
    equal_entries: count((x, y) => x === y) / fa.length,
    cosine: share(dot(fa, fb), long(fa) * long(fb)),
    sign_conflict: share(
      conflicts.filter(c => c).length,
      count((x, y) => x !== 0 && y !== 0),
    ),
    weighted_sign_conflict: share(
      smaller.reduce((sum, x, i) => sum + (conflicts[i] ? x : 0), 0),
      smaller.reduce((sum, x) => sum + x, 0),
    ),
    shared_entries: share(
      count((x, y) => x !== 0 && y !== 0),
      count((x, y) => x !== 0 || y !== 0),
    ),
    shared_rows: share(
      neurons.reduce((sum, n) => sum + (n.b.some(x => x !== 0) ? dot(n.a, n.a) : 0), 0),
      dot(fa, fa),
    ),
    row_profile: share(
      rows.reduce((sum, n) => sum + long(n.a) * long(n.b), 0),
      Math.sqrt(rows.reduce((sum, n) => sum + dot(n.a, n.a), 0) * rows.reduce((sum, n) => sum + dot(n.b, n.b), 0)),
    ),
    rewritten_rows: share(
      rows.reduce((sum, n) => sum + (long(n.a) > 0 && long(n.b) > 0 && 4 * Math.min(dot(n.a, n.a), dot(n.b, n.b)) >= dot(n.base!, n.base!) ? dot(n.a, n.a) : 0), 0),
      rows.reduce((sum, n) => sum + dot(n.a, n.a), 0),
    ),
    own_rows_damage: share(
      neurons.reduce((sum, n) => sum + (n.a.some(x => x !== 0) ? dot(n.b, n.b) : 0), 0), // the recipe adds both, so what is not a's is b's
      dot(fa, fa),
    ),
  }
}

/** Whole quarters, most of them no change, so that float32 is exact and supports differ. */
const matrix = (rows: number, columns: number, value: fc.Arbitrary<number>): fc.Arbitrary<Rows> =>
  fc.array(fc.array(value, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows })
const change = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -8, max: 8 }).map(n => n / 4) })
const theta = fc.integer({ min: -8, max: 8 }).map(n => n / 4)
const cases = fc.record({ rows: fc.integer({ min: 1, max: 5 }), columns: fc.integer({ min: 1, max: 20 }) }).chain(({ rows, columns }) => {
  const model = (value: fc.Arbitrary<number>) => fc.record({ m: matrix(rows, columns, value), n: matrix(columns, rows, value), v: matrix(1, columns, value) })
  return fc.record({ base: model(theta), a: model(change), b: model(change) })
})
const add = (x: Tensors, y: Tensors): Tensors => Object.fromEntries(Object.entries(x).map(([name, rows]) => [name, rows.map((row, r) => row.map((v, c) => v + y[name]![r]![c]!))]))

describe('measures', () => {
  test('of small models are what float64 gives', { timeout: 60_000 }, async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(cases, async ({ base, a, b }) => {
        run++
        const models = { base, a: add(base, a), b: add(base, b) }
        const paths = Object.fromEntries(Object.entries(models).map(([name, tensors]) => [name, write(`${name}${run}`, tensors)]))
        const found = await look(SUM, paths, { quick: true })
        for (const [measure, expected] of Object.entries(reference(models.base, models.a, models.b))) {
          const { of } = MEASURES[measure]!
          const value = measureOf(found, measure, ...(of === 'task' ? ['a'] : ['a', 'b']))
          if (expected === null) expect(value, measure).toBeNull()
          else expect(value, measure).toBeCloseTo(expected, 5)
        }
      }),
      { numRuns: 20 },
    )
  })

  test('a fifth of the entries is compared at the top, and entries that have not changed are none', async () => {
    const zeros = build(1, 10, () => 0)
    const a = [[9, 8, 1, 1, 1, 1, 1, 1, 1, 1]] // top: 0, 1
    const b = [[9, 1, 8, 1, 1, 1, 1, 1, 1, 1]] // top: 0, 2
    const models = { base: write('top-base', { w: zeros }), a: write('top-a', { w: a }), b: write('top-b', { w: b }) }
    expect(measureOf(await look(SUM, models, { quick: true }), 'shared_top_entries', 'a', 'b')).toBe(1 / 3)
    const sparse = { ...models, b: write('top-sparse', { w: [[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]] }) }
    expect(measureOf(await look(SUM, sparse, { quick: true }), 'shared_top_entries', 'a', 'b')).toBe(1 / 2)
  })

  /** R by the products themselves. */
  const damage = (off: Rows, own: Rows): number => (norm(times(off, flip(own))) / norm(times(own, flip(own)))) ** 2

  test('directional damage is exact where the task vector has rank one: all directions lead to the same', async () => {
    const next = randoms(7)
    const [u, v] = [Array.from({ length: 12 }, next), Array.from({ length: 40 }, next)]
    const zeros = build(12, 40, () => 0)
    const a = build(12, 40, (i, j) => Math.fround(u[i]! * v[j]!))
    const b = build(12, 40, () => Math.fround(next()))
    const found = await look('base + 0.5*(a - base) + 2*(b - base)', { base: write('one-base', { w: zeros }), a: write('one-a', { w: a }), b: write('one-b', { w: b }) })
    const off = build(12, 40, (i, j) => 2 * b[i]![j]! - 0.5 * a[i]![j]!)
    expect(measureOf(found, 'directional_damage', 'a')! / damage(off, a)).toBeCloseTo(1, 5)
  })

  test('directional damage of matrices of any rank is within four of the standard errors that it states', async () => {
    const next = randoms(11)
    const random = (): Rows => build(96, 64, () => Math.fround(next()))
    const [base, a, b] = [random(), random(), random()]
    const models = { base, a: add({ w: base }, { w: a })['w']!, b: add({ w: base }, { w: b })['w']! }
    const rounded = (rows: Rows): Rows => rows.map(row => row.map(Math.fround))
    const found = await look(SUM, Object.fromEntries(Object.entries(models).map(([name, w]) => [name, write(`any-${name}`, { w: rounded(w) })])))
    const { value, error } = found.measures.find(m => m.measure === 'directional_damage' && m.of[0] === 'a')!
    expect(error).toBeGreaterThan(0)
    expect(error! / value!).toBeLessThan(0.2)
    expect(Math.abs(value! - damage(b, a))).toBeLessThan(4 * error!)
  })

  test('a recipe that leaves a task out does it damage 1, and one that is the expert does none', async () => {
    const models = zoo('vision-hard', { base: 'base', a: 'mnist', b: 'greek' })
    const found = await look('base + (a - base) + 0*(b - base)', models)
    expect(measureOf(found, 'directional_damage', 'a')).toBeCloseTo(0, 6)
    expect(measureOf(found, 'directional_damage', 'b')).toBeGreaterThan(1) // the base would do 1, and a is added
    expect(measureOf(await look('ties(a, b, base=base, weight=0)', models), 'directional_damage', 'b')).toBeCloseTo(1, 6)
  })

  test('numbers are the same for any threads, memory and chunks', { timeout: 60_000 }, async () => {
    const models = zoo('vision-hard', { base: 'base', a: 'mnist', b: 'greek' })
    const text = 'base + ties(a - base, b - base, density=0.3)'
    const first = (await look(text, models, { threads: 1 })).measures
    expect((await look(text, models, { threads: 3, memory: 64e6 })).measures).toEqual(first)
    expect((await look(text, models, { threads: 2, tiling: { chunk: 1024 } })).measures).toEqual(first)
  })
})

test('a tensor of more than a message is looked at in ranges, and every entry once', async () => {
  const size = 65 * 65_536 + 5
  const model = (name: string, isChanged: (i: number) => boolean): string => {
    const { header } = headerOf([{ name: 'w', dtype: 'BF16', shape: [size] }], {})
    mkdirSync(join(folder, name))
    const bits = Uint16Array.from({ length: size }, (_, i) => (isChanged(i) ? 0x4000 : 0x3f80)) // 2 or 1
    writeFileSync(join(folder, name, 'model.safetensors'), Buffer.concat([header, Buffer.from(bits.buffer)]))
    return join(folder, name)
  }
  const [base, a] = [model('large-base', () => false), model('large-a', i => i % 3 === 0 || i === size - 1)]
  const changed = Math.ceil(size / 3) + Number((size - 1) % 3 !== 0)
  const found = await look('base + (a - base)', { base, a }, { threads: 2, quick: true })
  expect(measureOf(found, 'norm', 'a')).toBe(Math.sqrt(changed))
  expect(measureOf(found, 'changed_entries', 'a')).toBe(changed / size)
  expect(found.measures).toEqual((await look('base + (a - base)', { base, a }, { threads: 1, quick: true })).measures)
})

describe('toy networks', () => {
  const toy = async (network: string): Promise<Diagnosis> => look(SUM, zoo(`toy/${network}`, { base: 'base', a: 'a', b: 'b' }))

  test('tasks with neurons of their own are safe', async () => {
    const { verdict } = await toy('separate')
    expect(verdict.outlook).toBe('safe')
    expect(verdict.reasons).toContain('no neuron is changed by two tasks')
  })

  test('a recipe that halves what an expert has learned is not called safe, however separate the tasks are', async () => {
    const found = await look('base + 0.5*(a - base) + 0.5*(b - base)', zoo('toy/separate', { base: 'base', a: 'a', b: 'b' }))
    expect(found.verdict.outlook).toBe('doubtful')
    expect(measureOf(found, 'own_rows_damage', 'a')).toBe(0.25)
  })

  test('a shared parameter is unsafe', async () => {
    const found = await toy('shared-parameter')
    expect(found.verdict.outlook).toBe('unsafe')
    expect(measureOf(found, 'sign_conflict', 'a', 'b')).toBe(1)
    expect(measureOf(found, 'directional_damage', 'a')).toBe(4)
  })

  test('a shared neuron is unsafe, though no entry is shared, no sign differs and no direction is damaged', async () => {
    const found = await toy('shared-neuron')
    expect(found.verdict.outlook).toBe('unsafe')
    expect(measureOf(found, 'sign_conflict', 'a', 'b')).toBeNull()
    expect(measureOf(found, 'shared_entries', 'a', 'b')).toBe(0)
    expect(measureOf(found, 'directional_damage', 'a')).toBe(0)
    expect(measureOf(found, 'rewritten_rows', 'a', 'b')).toBe(1)
    expect(found.findings[0]).toMatchObject({ gate: 'shared neurons', severity: 'stop', models: ['a', 'b'] })
  })
})

describe.each(['vision', 'vision-hard'])('models of zoo/%s', set => {
  const gatesOf = async (model: string): Promise<Diagnosis> => look(SUM, zoo(set, { base: 'base', a: 'mnist', b: model }), { quick: true })

  test('a sound pair passes every gate, and is promised nothing', async () => {
    const { verdict, findings } = await gatesOf('greek')
    expect([verdict.outlook, findings]).toEqual(['open', []])
  })

  test('a model trained from another seed does not share the base', async () => {
    const { verdict, findings } = await gatesOf('greek-other-seed')
    expect(verdict.outlook).toBe('unsafe')
    expect(findings).toEqual([expect.objectContaining({ gate: 'lineage', severity: 'stop', models: ['b'], what: expect.stringContaining('trained from another start') })])
  })

  test('a permuted copy does not match the base, but for what has no order of neurons', async () => {
    const { findings } = await gatesOf('korean-permuted')
    expect(findings).toEqual([
      expect.objectContaining({ gate: 'lineage', severity: 'stop', models: ['b'], what: expect.stringContaining('position_embedding.weight is the base’s') }),
    ])
  })

  test('a tenfold learning rate shows in the length of the task vector', async () => {
    const { verdict, findings } = await gatesOf('latin-hot')
    expect(verdict.outlook).toBe('doubtful')
    expect(findings.map(f => f.gate)).toEqual(['lineage', 'norm', 'norm'])
    expect(findings.every(f => f.models.includes('b'))).toBe(true)
  })

  test('random labels do not show in weights, and it is said that nothing was run', async () => {
    const { findings, notLookedAt } = await gatesOf('sanskrit-random-labels')
    expect(findings).toEqual([])
    expect(notLookedAt).toContainEqual(expect.stringContaining('an expert that learned nonsense looks like any other'))
  })
})

describe('gates', () => {
  const base = write('g-base', { w: build(12, 12, (i, j) => i - j + 0.5) })

  test('NaN and infinity are counted, by model and tensor', async () => {
    const broken = write('g-nan', { w: build(12, 12, (i, j) => (i === 3 && j === 4 ? NaN : i === 5 && j < 2 ? -Infinity : i - j + 0.5)) })
    const { verdict, findings, measures } = await look(SUM, { base, a: broken, b: write('g-b', { w: build(12, 12, (i, j) => i - j + 0.51) }) }, { quick: true })
    expect(verdict.outlook).toBe('unsafe')
    expect(findings[0]).toMatchObject({ gate: 'non-finite', models: ['a'], what: 'a has 3 values that are not finite, w' })
    expect(measures.filter(m => Number.isNaN(m.value))).toEqual([]) // null is what JSON has for them
  })

  test('a model that is there twice, and one that is the base', async () => {
    const twice = write('g-twice', { w: build(12, 12, (i, j) => i - j + 0.51) })
    const { findings } = await look('base + (a - base) + (b - base) + (c - base)', { base, a: twice, b: twice, c: base }, { quick: true })
    expect(findings.filter(f => f.gate === 'duplicate').map(f => f.what)).toEqual(['a and b are the same model', 'c is base itself: its task vector is zero'])
  })

  test('a recipe without a base is refused', async () => {
    await expect(look('0.5*a + 0.5*b', { a: base, b: base })).rejects.toThrow('the recipe names no base')
    expect((await look('0.5*a + 0.5*b', { a: base, b: base }, { base: 'a', quick: true })).tasks).toEqual(['b'])
  })

  test('what is not compared is told', async () => {
    const other = write('g-shape', { w: build(12, 12, (i, j) => i - j + 0.51) })
    const wide = write('g-two', { w: build(12, 12, (i, j) => i - j + 0.5), extra: build(2, 2, () => 1) })
    const recipe = parse(
      "models: { base: BASE, a: A }\nmerge: base + (a - base)\nrules: [{ tensors: 'extra', from: base }]\n"
        .replace('BASE', JSON.stringify(wide))
        .replace(' A ', ` ${JSON.stringify(other)} `),
    )
    const { notLookedAt } = await diagnose(recipe, await openModels(recipe), { quick: true })
    expect(notLookedAt).toContain('1 tensors of the base that a has not in the same shape')
  })

  test('methods on whole matrices are measured but for what they do themselves', async () => {
    const models = zoo('vision-hard', { base: 'base', a: 'mnist', b: 'greek' })
    const found = await look('tsv_m(a, b, base=base)', models, { quick: true })
    expect(found.notLookedAt[0]).toMatch(/^\d+ tensors for which the damage of the recipe is not known: the method works on whole matrices$/)
    expect(measureOf(found, 'cosine', 'a', 'b')).not.toBeNull()
  })
})
