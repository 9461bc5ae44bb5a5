import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FloatDType } from '../src/dtype.ts'
import { METHODS } from '../src/methods/_all.ts'
import { decode } from './floats.ts'
import { GOLDEN, inTheirOrder, mergeInMemory, planInGolden, type Stored, tensorsOf } from './golden.ts'

interface Case {
  readonly name: string
  readonly method: string
  /** Tensors where mergekit has a defect that we do not share. */
  readonly quirk?: { readonly tensors: readonly string[] }
  readonly tolerance: { readonly metric: 'rel' | 'exact' | 'ulp'; readonly value?: number; readonly ulp?: number; readonly max_fraction?: number }
}
const { cases } = JSON.parse(readFileSync(join(GOLDEN, 'index.json'), 'utf8')) as { cases: readonly Case[] }

describe('mergekit 0.1.4 gives the same model', () => {
  for (const { name, method, tolerance, quirk } of cases) {
    const text = readFileSync(join(GOLDEN, 'cases', name, 'recipe.yml'), 'utf8')
    if (!Object.hasOwn(METHODS, method)) continue
    test(name, async () => {
      const folder = join(GOLDEN, 'cases', name, 'expected')
      const got = inTheirOrder(await mergeInMemory(text, name), await planInGolden(text, name), folder)
      const expected = await tensorsOf(folder)
      const ambiguous = ambiguousElements(name)
      expect([...got.keys()].sort()).toEqual([...expected.keys()].sort())
      for (const [tensor, want] of expected) {
        const ours = got.get(tensor)!
        expect({ tensor, dtype: ours.dtype, shape: ours.shape }).toEqual({ tensor, dtype: want.dtype, shape: want.shape })
        const skip = new Set(ambiguous[tensor] ?? [])
        if (quirk?.tensors.includes(tensor)) expect(Buffer.from(ours.bytes).equals(Buffer.from(want.bytes)), `${tensor}: the defect`).toBe(false)
        else if (tolerance.metric === 'exact') expect(Buffer.from(ours.bytes).equals(Buffer.from(want.bytes)), tensor).toBe(true)
        else if (tolerance.metric === 'ulp') compareUlp(tensor, ours, want, tolerance.ulp!, tolerance.max_fraction!)
        else if (name !== 'bf16-linear') compareRelative(tensor, ours, want, tolerance.value!, skip)
      }
    })
  }

  // mergekit rounds the weights (0.6 becomes 0.6016), every product and the sum to bf16; here arithmetic is float32, always.
  // So beyond the tolerance our value must be the better one: the exact average, rounded once.
  test('bf16-linear: within the tolerance, or nearer to the exact average than mergekit', async () => {
    const got = await mergeInMemory(readFileSync(join(GOLDEN, 'cases/bf16-linear/recipe.yml'), 'utf8'), 'bf16-linear')
    const expected = await tensorsOf(join(GOLDEN, 'cases/bf16-linear/expected'))
    const models = await Promise.all(['bf16-ft1', 'bf16-ft2', 'bf16-ft3'].map(m => tensorsOf(join(GOLDEN, 'models', m))))
    const weights = [0.6, 0.4, 0.3]
    let beyond = 0
    for (const [tensor, want] of expected) {
      const [a, b] = [decode('BF16', got.get(tensor)!.bytes), decode('BF16', want.bytes)]
      const inputs = models.map(m => decode('BF16', m.get(tensor)!.bytes))
      const scale = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
      for (let i = 0; i < b.length; i++) {
        const exact = inputs.reduce((total, x, m) => total + weights[m]! * x[i]!, 0) / 1.3
        expect(Math.abs(a[i]! - exact), `${tensor}[${i}]: half a unit of the last place from the exact average, and float32's own rounding`).toBeLessThanOrEqual(
          2 ** (Math.floor(Math.log2(Math.abs(exact) || 1e-30)) - 8) + 1e-6 * scale,
        )
        if (Math.abs(a[i]! - b[i]!) <= 0.008 * scale) continue
        beyond++
        expect(Math.abs(a[i]! - exact), `${tensor}[${i}]`).toBeLessThan(Math.abs(b[i]! - exact))
      }
    }
    expect(beyond).toBeLessThanOrEqual(1) // of 20,448 elements
  })
})

// Cases that lie in folders of their own: from.md says who computed them and, where it is not 1e-6, how near we must be. A folder more is a test more.
describe('mergekit, or numpy where it has no such method, gives the same model', () => {
  for (const name of readdirSync(join(GOLDEN, 'more')).filter(n => existsSync(join(GOLDEN, 'more', n, 'recipe.yml')))) {
    const folder = join(GOLDEN, 'more', name)
    const text = readFileSync(join(folder, 'recipe.yml'), 'utf8')
    const hasTokens = existsSync(join(folder, 'expected/tokenizer.json'))
    test(name, async () => {
      const from = readFileSync(join(folder, 'from.md'), 'utf8')
      const tolerance = Number(/^Tolerance: (\S+) /m.exec(from)?.[1] ?? 1e-6)
      const skipped = [...from.matchAll(/^Not compared: (\S+) /gm)].map(m => m[1]!)
      const merged = await mergeInMemory(text, name)
      const got = hasTokens ? inTheirOrder(merged, await planInGolden(text, name), join(folder, 'expected')) : merged
      const expected = await tensorsOf(join(folder, 'expected'))
      expect([...got.keys()].sort()).toEqual([...expected.keys()].sort())
      for (const [tensor, want] of expected) {
        if (skipped.includes(tensor)) continue
        const ours = got.get(tensor)!
        expect({ tensor, dtype: ours.dtype, shape: ours.shape }).toEqual({ tensor, dtype: want.dtype, shape: want.shape })
        compareRelative(tensor, ours, want, tolerance, new Set())
      }
    })
    if (hasTokens || !existsSync(join(folder, 'expected/config.json'))) continue // that of a merge of vocabularies is compared in vocabulary.test.ts
    test(`${name}: config.json tells of the same layers`, async () => {
      const companion = (await planInGolden(text, name)).companions.find(c => c.name === 'config.json')
      expect(JSON.parse((companion as { text: string }).text)).toMatchObject(JSON.parse(readFileSync(join(folder, 'expected/config.json'), 'utf8')) as object)
    })
  }
})

// mergekit erases the task vectors of tensors in which gamma amounts to no outlier at all.
test('breadcrumbs without outliers to drop trims as TIES does', async () => {
  const entry = (gamma: string): string => `models: [{model: ./models/ft2, parameters: {weight: 0.7, density: 0.4${gamma}}}]`
  const recipe = (method: string, gamma: string): string => `merge_method: ${method}\nbase_model: ./models/base\ndtype: float32\n${entry(gamma)}\n`
  const trimmed = await mergeInMemory(`${recipe('ties', '')}parameters: {normalize: false}\n`, 'ties')
  for (const method of ['breadcrumbs', 'breadcrumbs_ties']) {
    const crumbs = await mergeInMemory(recipe(method, ', gamma: 0'), method)
    for (const [name, { bytes }] of trimmed) expect(Buffer.from(crumbs.get(name)!.bytes).equals(Buffer.from(bytes)), `${method}: ${name}`).toBe(true)
  }
})

// Of 32 coordinates that differ, 2 % are none. mergekit writes a tensor of another shape.
test('sce leaves the base where select_topk amounts to no coordinate', async () => {
  const merged = await mergeInMemory(readFileSync(join(GOLDEN, 'errors/sce-tiny-topk/recipe.yml'), 'utf8'), 'sce-tiny-topk')
  const base = await tensorsOf(join(GOLDEN, 'models/base'))
  for (const [name, { shape, bytes }] of merged) {
    const isBase = Buffer.from(bytes).equals(Buffer.from(base.get(name)!.bytes))
    expect({ name, isBase }).toEqual({ name, isBase: shape.length === 1 }) // the matrices are large enough
  }
})

/** Elements whose selection hangs on equal magnitudes: any choice is right. */
function ambiguousElements(name: string): Readonly<Record<string, readonly number[]>> {
  if (!readdirSync(join(GOLDEN, 'cases', name)).includes('ambiguous.json')) return {}
  const text = JSON.parse(readFileSync(join(GOLDEN, 'cases', name, 'ambiguous.json'), 'utf8')) as Record<string, readonly number[]>
  return text
}

function compareRelative(tensor: string, ours: Stored, want: Stored, tolerance: number, skip: ReadonlySet<number>): void {
  const [a, b] = [decode(ours.dtype as FloatDType, ours.bytes), decode(want.dtype as FloatDType, want.bytes)]
  const scale = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  let worst = 0
  for (let i = 0; i < b.length; i++) if (!skip.has(i)) worst = Math.max(worst, Math.abs(a[i]! - b[i]!))
  expect(worst, `${tensor}: largest difference, of ${scale}`).toBeLessThanOrEqual(tolerance * scale)
}

function compareUlp(tensor: string, ours: Stored, want: Stored, ulp: number, fraction: number): void {
  const ordered = (s: Stored): Int32Array =>
    Int32Array.from(new Int16Array(s.bytes.buffer as ArrayBuffer, s.bytes.byteOffset, s.bytes.length / 2), bits => (bits < 0 ? -(bits & 0x7fff) : bits))
  const [a, b] = [ordered(ours), ordered(want)]
  const differences = a.map((x, i) => Math.abs(x - b[i]!))
  expect(Math.max(...differences), `${tensor}: largest distance in units of the last place`).toBeLessThanOrEqual(ulp)
  expect(differences.filter(d => d > 0).length / a.length, `${tensor}: share of elements that differ`).toBeLessThanOrEqual(fraction)
}
