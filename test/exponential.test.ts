import { expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import { createEngine } from '../src/kernels/kernels.ts'
import { run } from './engine.ts'

// Exponential and logarithm: of elements in float32 by generated code, of numbers in float64 by musl's functions. Both keep an error, not the bits of Math.

const { kernels } = createEngine(0)
const TINY = 2 ** -149 // the least float32
const unit = (x: number, digits: number, least: number): number => 2 ** Math.max(least, Math.floor(Math.log2(Math.abs(x) || TINY)) - digits)
/** Distance in units of the last place of a float32. */
const ulps = (got: number, want: number): number => Math.abs(got - want) / unit(want, 23, -149)

const exp = (values: Float32Array): Promise<Float32Array> => run(Tensor.source(0, [values.length]).exp(), [values])
const log = (values: Float32Array): Promise<Float32Array> => run(Tensor.source(0, [values.length]).log(), [values])

test('exp of elements is within 2 units of the last place, from the least to the largest result', async () => {
  const x = Float32Array.from({ length: 200_001 }, (_, i) => -103.9 + i * 0.000_963)
  const got = await exp(x)
  expect(x.filter((v, i) => ulps(got[i]!, Math.exp(v)) > 2)).toEqual(new Float32Array(0))
})

test('log of elements is within 2 units of the last place, of subnormal numbers too', async () => {
  const x = Float32Array.from({ length: 200_001 }, (_, i) => TINY * 2 ** (i * 0.001_38)).filter(v => v > 0 && v < 3.4e38)
  const got = await log(x)
  expect(x.filter((v, i) => ulps(got[i]!, Math.log(v)) > 2)).toEqual(new Float32Array(0))
  const near = Float32Array.from({ length: 20_001 }, (_, i) => 1 + (i - 10_000) * 2 ** -23) // where the logarithm is small
  const close = await log(near)
  expect(near.filter((v, i) => ulps(close[i]!, Math.log(v)) > 2)).toEqual(new Float32Array(0))
})

test('the ends are those of Math', async () => {
  expect([...(await exp(Float32Array.of(0, -0, 89, 1000, -104.5, -1000, Infinity, -Infinity, NaN)))]).toEqual([1, 1, Infinity, Infinity, 0, 0, Infinity, 0, NaN])
  expect([...(await log(Float32Array.of(1, 0, -0, -1, Infinity, -Infinity, NaN)))]).toEqual([0, -Infinity, -Infinity, NaN, Infinity, NaN, NaN])
})

test('of numbers they are within 1 unit of the last place of a float64', () => {
  for (let i = -2000; i <= 2000; i++) {
    const x = i * 0.1713
    expect(Math.abs(kernels.exp(x) - Math.exp(x)) / unit(Math.exp(x), 52, -1074)).toBeLessThanOrEqual(1)
    const y = 2 ** (i / 3)
    expect(Math.abs(kernels.log(y) - Math.log(y)) / unit(Math.log(y), 52, -1074)).toBeLessThanOrEqual(1)
  }
})
