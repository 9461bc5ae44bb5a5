import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEngine } from '../src/kernels/kernels.ts'
import { copy, finish, gram, type Matrix, matrix, matrixBytes, multiply, PRODUCT_SCRATCH_BYTES, part, transposed } from '../src/kernels/matrix.ts'
import { build, flip, type Rows, randoms, times } from './linear_algebra.ts'
import { createBench } from './matrices.ts'

const { engine, put, take, hold, alone } = createBench(48 * 2 ** 20)

const F32 = 2 ** -24 // half a unit in the last place of an f32, relative
const TINY = 2 ** -149 // the least f32

/** A·B by the kernels, with each of the four ways to lay the operands out, rows apart by `gap` elements. */
function productOf(a: Rows, b: Rows, { flipA = false, flipB = false, flipC = false, gap = 0, isWide = false, alpha = 1, beta = 0, c = null as Rows | null } = {}): Rows {
  return alone(() => {
    const ma = flipA ? transposed(put(flip(a), { gap, isWide })) : put(a, { gap, isWide })
    const mb = flipB ? transposed(put(flip(b), { gap })) : put(b, { gap })
    const old = c ?? build(a.length, b[0]!.length, () => Number.NaN)
    const mc = flipC ? transposed(put(flip(old), { gap, isWide })) : put(old, { gap, isWide })
    finish(multiply(engine, mc, ma, mb, hold(PRODUCT_SCRATCH_BYTES), { alpha, beta }))
    return take(mc)
  })
}

const magnitudes = (a: Rows): Rows => a.map(row => row.map(Math.abs))
const size = fc.integer({ min: 1, max: 70 })
const layoutOf = fc.record({ flipA: fc.boolean(), flipB: fc.boolean(), flipC: fc.boolean(), gap: fc.integer({ min: 0, max: 5 }) })

describe('a product of matrices', () => {
  test('is the sum of products within a rounding for each, for any sizes, layouts, alpha and beta', () => {
    fc.assert(
      fc.property(
        size,
        size,
        size,
        layoutOf,
        fc.constantFrom(1, -0.5),
        fc.constantFrom(0, 1, 2.5),
        fc.constantFrom(1, 1e15, 1e-15),
        fc.nat(),
        (m, n, k, layout, alpha, beta, scale, seed) => {
          const random = randoms(seed)
          const draw = (): number => Math.fround(random() * scale)
          const [a, b, c] = [build(m, k, draw), build(k, n, draw), build(m, n, () => Math.fround(random() * scale * scale))]
          const got = productOf(a, b, { ...layout, alpha, beta, c })
          const [want, bound] = [times(a, b), times(magnitudes(a), magnitudes(b))]
          got.forEach((row, i) => {
            row.forEach((x, j) => {
              const exact = alpha * want[i]![j]! + beta * c[i]![j]!
              const slack = (k + 3) * F32 * (Math.abs(alpha) * bound[i]![j]! + Math.abs(beta * c[i]![j]!)) + k * TINY
              if (!(Math.abs(x - exact) <= slack)) throw new Error(`[${i}, ${j}] is ${x} instead of ${exact} ± ${slack}`)
            })
          })
        },
      ),
      { numRuns: 60 },
    )
  })

  test('in f64 takes operands of either kind and is exact to 1e-15', () => {
    for (const [m, n, k] of [
      [1, 1, 1],
      [5, 3, 7],
      [33, 18, 300],
    ] as const) {
      const random = randoms(m)
      const a = build(m, k, random) // more digits than f32 has
      const b = build(k, n, () => Math.fround(random()))
      const [want, bound] = [times(a, b), times(magnitudes(a), magnitudes(b))]
      for (const flipA of [false, true]) {
        const got = productOf(a, b, { isWide: true, flipA })
        const wrong = got.flatMap((row, i) => row.filter((x, j) => !(Math.abs(x - want[i]![j]!) <= 1e-15 * k * bound[i]![j]!)))
        expect({ m, flipA, wrong }).toEqual({ m, flipA, wrong: [] })
      }
    }
  })

  // Integers below 2^24 are exact in f32, so that nothing hides behind a tolerance; sizes beyond every block: 512 deep, 32 (16) rows, 512 (256) columns.
  test.each([false, true])('is exact over integers across all blocks; f64: %s', isWide => {
    const random = randoms(3)
    const draw = (): number => Math.round(random() * 4)
    const [a, b] = [build(70, 1031, draw), build(1031, 530, draw)]
    const want = times(a, b)
    const wrong = productOf(a, b, { isWide }).flatMap((row, i) => row.flatMap((x, j) => (x === want[i]![j] ? [] : [`[${i}, ${j}] is ${x} instead of ${want[i]![j]}`])))
    expect(wrong.slice(0, 5)).toEqual([])
  })

  test('with beta 0 does not read C, of which nothing was known; with another it does', () => {
    expect(productOf([[2]], [[3]], { c: [[Number.NaN]] })).toEqual([[6]])
    expect(productOf([[2]], [[3]], { c: [[Number.NaN]], beta: 1 })).toEqual([[Number.NaN]])
    expect(productOf([[2]], [[3]], { c: [[10]], beta: 0.5, alpha: -1 })).toEqual([[-1]])
  })

  test('of no terms is zero, plus what beta keeps', () => {
    const empty = (isWide: boolean, beta: number): Rows =>
      alone(() => {
        const c = put(
          [
            [1, 2, 3],
            [4, 5, 6],
          ],
          { isWide },
        )
        finish(multiply(engine, c, matrix(engine.heap, 2, 0), matrix(engine.heap, 0, 3), hold(PRODUCT_SCRATCH_BYTES), { beta }))
        return take(c)
      })
    for (const isWide of [false, true]) {
      expect(empty(isWide, 0)).toEqual([
        [0, 0, 0],
        [0, 0, 0],
      ])
      expect(empty(isWide, 2)).toEqual([
        [2, 4, 6],
        [8, 10, 12],
      ])
    }
  })

  test('keeps an infinity to its row and a NaN to its column', () => {
    const a = build(9, 6, (i, j) => (i === 3 && j === 2 ? Number.POSITIVE_INFINITY : 1))
    const b = build(6, 11, (i, j) => (i === 4 && j === 7 ? Number.NaN : 2))
    expect(productOf(a, b)).toEqual(build(9, 11, (i, j) => (j === 7 ? Number.NaN : i === 3 ? Number.POSITIVE_INFINITY : 12)))
  })

  test('keeps denormals', () => {
    expect(productOf([[2 ** -100, TINY]], [[2 ** -40], [3]])).toEqual([[2 ** -140 + 3 * TINY]])
  })

  test('writes nothing between the rows of C', () => {
    alone(() => {
      const c = put(
        build(5, 6, () => 7),
        { gap: 2 },
      )
      const all = matrix(c.at, 5, 8)
      finish(multiply(engine, c, put(build(5, 3, () => 1)), put(build(3, 6, () => 1)), hold(PRODUCT_SCRATCH_BYTES)))
      expect(take(all).map(row => row.slice(0, 6))).toEqual(build(5, 6, () => 3))
      expect(take(all).map(row => row.slice(6))).toEqual(build(5, 2, () => 7))
    })
  })

  test('has the same bits at any place, alone or within a larger product, in either order', () => {
    const random = randoms(8)
    const [a, b] = [build(45, 600, () => Math.fround(random())), build(600, 37, () => Math.fround(random()))]
    const whole = productOf(a, b)
    alone(() => {
      hold(4) // everything lies elsewhere
      expect(productOf(a, b, { gap: 3 })).toEqual(whole)
    })
    expect(productOf(a, b, { flipA: true, flipB: true, flipC: true })).toEqual(whole)
    expect(productOf(a.slice(7, 20), flip(flip(b).slice(11, 30)))).toEqual(whole.slice(7, 20).map(row => row.slice(11, 30)))
  })

  test('yields what it has done, in pieces that add up to 2·m·n·k', () => {
    const pieces = alone(() => {
      const [m, n, k] = [1100, 1800, 2400]
      const a = matrix(hold(matrixBytes(m, 1)), m, k, { stride: k })
      const views = { a: { ...a, rowStride: 1, colStride: 0 }, b: matrix(hold(matrixBytes(1, n)), 1, n) } // one column, one row, over and over
      const b: Matrix = { ...views.b, rows: k, rowStride: 0 }
      const c = matrix(hold(matrixBytes(m, n)), m, n)
      return [...multiply(engine, c, views.a, b, hold(PRODUCT_SCRATCH_BYTES))]
    })
    expect(pieces.length).toBeGreaterThan(1)
    expect(pieces.reduce((x, y) => x + y)).toBe(2 * 1100 * 1800 * 2400)
  })

  test('of sizes that do not fit is a broken promise', () => {
    const [a, b] = [matrix(engine.heap, 2, 3), matrix(engine.heap, 2, 3)]
    expect(() => finish(multiply(engine, matrix(engine.heap, 2, 3), a, b, 0))).toThrow('2 × 3 times 2 × 3 is not 2 × 3')
    expect(() => finish(multiply(engine, matrix(engine.heap, 2, 2), matrix(engine.heap, 2, 3, { isWide: true }), transposed(b), 0))).toThrow('operands of f32')
    expect(() => part(a, 1, 3)).toThrow('within 2 × 3')
    expect(() => matrix(4, 2, 3, { stride: 2 })).toThrow('room')
    expect(() => matrix(4, 2, 3, { isWide: true })).toThrow('multiple')
  })
})

describe('a Gram matrix', () => {
  test.each([
    [1, 1],
    [5, 3],
    [47, 20],
    [530, 19], // more than one block of rows
  ])('%i × %i: the product with its own transpose, symmetric to the bit', (m, k) => {
    const random = randoms(m)
    const a = build(m, k, () => Math.fround(random()))
    for (const isWide of [false, true]) {
      const got = alone(() => {
        const c = put(
          build(m, m, () => Number.NaN),
          { isWide },
        )
        finish(gram(engine, c, put(a), hold(PRODUCT_SCRATCH_BYTES)))
        return take(c)
      })
      const want = alone(() => {
        const c = put(
          build(m, m, () => 0),
          { isWide },
        )
        finish(multiply(engine, c, put(a), put(flip(a)), hold(PRODUCT_SCRATCH_BYTES)))
        return take(c)
      })
      expect(got).toEqual(want)
      expect(flip(got)).toEqual(got)
    }
  })
})

describe('a copy', () => {
  test('converts with one rounding, scales, and transposes', () => {
    for (const [m, n] of [
      [1, 1],
      [17, 40],
      [33, 5],
    ] as const) {
      const random = randoms(n)
      const a = build(m, n, random)
      for (const [from, to] of [
        [true, true],
        [true, false],
        [false, true],
        [false, false],
      ] as const) {
        const given = from ? a : a.map(row => row.map(Math.fround))
        const want = given.map(row => row.map(x => (to ? x * 0.3 : Math.fround(x * 0.3))))
        alone(() => {
          const d = put(
            build(n, m, () => 0),
            { isWide: to, gap: 1 },
          )
          copy(engine, transposed(d), put(a, { isWide: from }), 0.3)
          expect(take(d)).toEqual(flip(want))
        })
      }
    }
  })

  test('is of one size', () => {
    expect(() => copy(engine, matrix(engine.heap, 2, 3), matrix(engine.heap, 3, 2))).toThrow('size of 3 × 2, not 2 × 3')
  })
})

test('the fixed random matrix has mean 0, deviation 1, no equal columns, and the same bits every time', () => {
  const n = 200
  const draw = (): Rows =>
    alone(() => {
      const g = matrix(hold(matrixBytes(n, n)), n, n)
      engine.kernels.gaussian(g.at, n, n, n, 0)
      return take(g)
    })
  const g = draw()
  expect(draw()).toEqual(g)
  const all = g.flat()
  const mean = all.reduce((x, y) => x + y) / all.length
  expect(Math.abs(mean)).toBeLessThan(4 / n) // four deviations of a mean of n² numbers
  expect(Math.abs(all.reduce((x, y) => x + y * y, 0) / all.length - 1)).toBeLessThan((4 * Math.SQRT2) / n)
  const products = times(flip(g), g)
  const largest = Math.max(...products.flatMap((row, i) => row.filter((_, j) => j !== i).map(Math.abs)))
  expect(largest).toBeLessThan(6 * Math.sqrt(n)) // six deviations, of 20,000 pairs
})

test('scratch of a product is what the kernels say', () => {
  expect(createEngine(0).kernels.gemm_scratch()).toBe(PRODUCT_SCRATCH_BYTES)
})
