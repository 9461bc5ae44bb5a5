import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { memorySink } from '../src/bytes/sink.ts'
import { execute } from '../src/execute/execute.ts'
import { openModels } from '../src/plan/open_models.ts'
import { plan } from '../src/plan/plan.ts'
import { parse } from '../src/recipe/parse.ts'
import { show } from '../src/recipe/show.ts'
import { f32, numbersOf, writeModel } from './command.ts'

// Functions of expressions that are no merge methods, against arithmetic in float64.

const BASE = [1, 2, -3, 0.5]
const A = [1.5, 2.25, -3, 1] // a - base: 0.5, 0.25, 0, 0.5
const B = [1, 4, -2, 1.5] // b - base: 0, 2, 1, 1
const folder = mkdtempSync(join(tmpdir(), 'merganser-functions-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const models = Object.fromEntries(
  Object.entries({ base: { w: BASE, zero: [1, 2] }, a: { w: A, zero: [1.5, 2] }, b: { w: B, zero: [1, 2] } }).map(([name, { w, zero }]) => {
    writeModel(join(folder, name), { w: f32(w), zero: f32(zero) })
    return [name, join(folder, name)]
  }),
)
const minus = (x: readonly number[], y: readonly number[]): number[] => x.map((v, i) => v - y[i]!)
const plus = (x: readonly number[], y: readonly number[], by = 1): number[] => x.map((v, i) => v + by * y[i]!)
const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, v, i) => sum + v * y[i]!, 0)
const [TA, TB] = [minus(A, BASE), minus(B, BASE)]
const norm = (x: readonly number[]): number => Math.sqrt(dot(x, x))

async function merge(text: string, seed = 0): Promise<Record<string, readonly number[]>> {
  const recipe = parse(text, { models, seed })
  const sink = memorySink()
  for await (const _ of execute(plan(recipe, await openModels(recipe)), sink)) void _
  const file = join(folder, 'merged.safetensors')
  writeFileSync(file, sink.files.get('model.safetensors')!)
  return numbersOf(file)
}

const cases: readonly (readonly [string, readonly number[]])[] = [
  ['mean(a, b)', minus(plus(A, B), []).map((_, i) => (A[i]! + B[i]!) / 2)],
  ['base + 0.4*mean(a - base, b - base)', plus(BASE, plus(TA, TB), 0.2)],
  ['base + orthogonal(a - base, to=b - base)', plus(BASE, plus(TA, TB, -dot(TA, TB) / dot(TB, TB)))],
  ['base + scale_to(a - base, like=b - base)', plus(BASE, TA, norm(TB) / norm(TA))],
  ['base + norm(a - base)/norm(random(a - base))*(b - base)', plus(BASE, TB)],
  ['base + 0.1*norm(a - base)/norm(b - base)*(b - base)', plus(BASE, TB, (0.1 * norm(TA)) / norm(TB))],
  ['base + (b - base)/norm(b - base)', plus(BASE, TB, 1 / norm(TB))],
]

describe('functions of an expression', () => {
  test.each(cases)('%s', async (text, expected) => {
    const w = (await merge(text)).w!
    for (const [i, value] of expected.entries()) expect(w[i]).toBeCloseTo(value, 6)
  })

  test('a task vector that is zero has no direction: nothing is removed along it, and nothing grows from it', async () => {
    expect([...(await merge('base + orthogonal(a - base, to=b - base)')).zero!]).toEqual([1.5, 2])
    expect([...(await merge('base + scale_to(b - base, like=a - base)')).zero!]).toEqual([1, 2])
  })

  test('noise is as long as the task vector in every tensor, the same wherever it is written alike, and another with another seed', async () => {
    const noise = minus([...(await merge('base + random(b - base)')).w!], BASE)
    expect(norm(noise)).toBeCloseTo(norm(TB), 6)
    expect(Math.abs(dot(noise, TB))).toBeLessThan(0.99 * norm(TB) ** 2) // not the vector itself
    const { w, zero } = await merge('base + 0.25*random(b - base) + 0.75*random(b - base)')
    for (const [i, x] of minus([...w!], BASE).entries()) expect(x).toBeCloseTo(noise[i]!, 6)
    expect(zero).toEqual([1, 2]) // a tensor that did not move has no noise
    expect(minus([...(await merge('base + random(b - base)', 1)).w!], BASE)).not.toEqual(noise)
    expect(minus([...(await merge('base + random(2*b - 2*base)')).w!], BASE).map(x => x / 2)).not.toEqual(noise)
  })

  test('what is left is orthogonal to what was removed', async () => {
    const left = minus([...(await merge('base + orthogonal(a - base, to=b - base)')).w!], BASE)
    expect(Math.abs(dot(left, TB))).toBeLessThan(1e-6)
  })

  test.each(cases.map(([text]) => text))('%s is shown as it is read', text => {
    const shown = show(parse(text, { models }).merge)
    expect(show(parse(shown, { models }).merge)).toBe(shown)
  })
})

describe('what a function cannot take is said where it stands', () => {
  test.each([
    ['base + norm(a - base)', 'adds a number to a model', 'numbers only multiply'],
    ['base + norm(a)*(b - base)', 'norm is for task vectors, and `a` is a model', 'subtract the base: `math - base`'],
    ['norm(a - base)*base', 'scales a model by a norm, whose value is only known when the merge runs', 'scale task vectors by norms'],
    ['base + orthogonal(a - base, to=b)', 'orthogonal is for task vectors, and `b` is a model', 'subtract the base'],
    ['base + orthogonal(a - base, b - base)', 'the second argument of orthogonal is written `to=`', 'orthogonal(math - base, to=code - base)'],
    ['base + orthogonal(a - base)', 'orthogonal needs `to=`', 'orthogonal(math - base, to=code - base)'],
    ['base + scale_to(a - base, to=b - base)', 'scale_to takes no "to"', 'scale_to(math - base, like=code - base)'],
    ['base + scale_to(like=b - base)', 'scale_to takes no "like" here', 'scale_to(math - base, like=code - base)'],
    ['base + norm(a - base, b - base)*(a - base)', 'norm takes one argument', 'norm(math - base)'],
    ['base + random(a)', 'random is for task vectors, and `a` is a model', 'subtract the base'],
    ['mean()', 'mean needs an argument', 'mean(math - base, code - base)'],
    ['mean(a, b - base)', 'mean mixes models and task vectors', 'make all arguments models, or all task vectors'],
    ['mean(a, 2)', 'an argument of mean is a number', 'its arguments are task vectors'],
    ['mean(a, b', '"(" is never closed', 'add ")"'],
    ['means(a, b)', 'unknown method "means"', 'did you mean "mean"?'],
  ])('%s', (text, what, fix) => {
    expect(() => parse(text, { models })).toThrow(what)
    expect(() => parse(text, { models })).toThrow(fix)
  })
})
