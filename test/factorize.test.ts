import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eigen, eigenOperations, eigenScratchBytes, mergeWorkBytes } from '../src/kernels/eigen.ts'
import { finish, type Matrix, matrix, transposed, type Work } from '../src/kernels/matrix.ts'
import { type Convergence, newtonSchulz, newtonSchulzScratchBytes, polar, polarOperations, polarScratchBytes } from '../src/kernels/polar.ts'
import { qr, qrScratchBytes } from '../src/kernels/qr.ts'
import { randomSvd, randomSvdScratchBytes, type Sketch } from '../src/kernels/random_svd.ts'
import { RANK_TOLERANCE, svd, svdOperations, svdScratchBytes } from '../src/kernels/svd.ts'
import { build, diagonal, flip, hestenes, jacobi, minus, norm, type Rows, randoms, times, unit } from './linear_algebra.ts'
import { createBench } from './matrices.ts'

const { engine, put, take, hold, alone } = createBench(48 * 2 ** 20)

const nans = (rows: number, cols: number): Rows => build(rows, cols, () => Number.NaN)
const rounded = (a: Rows): Rows => a.map(row => row.map(Math.fround))
const scaled = (a: Rows, by: number): Rows => a.map(row => row.map(x => x * by))
/** How far the columns are from orthonormal. */
const skew = (q: Rows): number => norm(minus(times(flip(q), q), unit(q[0]!.length)))
const size = fc.integer({ min: 1, max: 70 })

/** Q of a random matrix by Gram and Schmidt, twice. */
function orthogonal(n: number, seed: number): Rows {
  const random = randoms(seed)
  const rows: number[][] = []
  while (rows.length < n) {
    let row = Array.from({ length: n }, random)
    for (let again = 0; again < 2; again++) {
      for (const other of rows) {
        const s = row.reduce((sum, x, i) => sum + x * other[i]!, 0)
        row = row.map((x, i) => x - s * other[i]!)
      }
      const length = Math.hypot(...row)
      row = row.map(x => x / length)
    }
    rows.push(row)
  }
  return rows
}

function eigenOf(a: Rows, count = a.length): { values: number[]; vectors: Rows } {
  return alone(() => {
    const { values, vectors } = finish(eigen(engine, put(a, { isWide: true }), count, hold(eigenScratchBytes(a.length))))
    return { values: [...values], vectors: take(vectors) }
  })
}

/** What is wrong with values and vectors of a symmetric matrix, relative to its norm. */
function eigenErrors(a: Rows): { residual: number; skew: number; isDescending: boolean } {
  const { values, vectors } = eigenOf(a)
  const back = times(times(flip(vectors), diagonal(values)), vectors)
  return { residual: norm(minus(back, a)) / (norm(a) || 1), skew: skew(flip(vectors)), isDescending: values.every((x, i) => i === 0 || x <= values[i - 1]!) }
}

const symmetric = (n: number, seed: number): Rows => {
  const random = randoms(seed)
  const a = build(n, n, random)
  return build(n, n, (i, j) => a[i]![j]! + a[j]![i]!)
}

// f64 throughout: 1e-13 is some hundred roundings.
const isFine = ({ residual, skew, isDescending }: ReturnType<typeof eigenErrors>): boolean => residual < 1e-13 && skew < 1e-12 && isDescending

describe('eigenvectors of a symmetric matrix', () => {
  test('diagonalize random matrices of any size and scale', () => {
    fc.assert(
      fc.property(size, fc.constantFrom(1, 1e15, 1e-15, 1e-80), fc.nat(), (n, scale, seed) => {
        const errors = eigenErrors(scaled(symmetric(n, seed), scale))
        if (!isFine(errors)) throw new Error(JSON.stringify(errors))
      }),
      { numRuns: 40 },
    )
  })

  test('are found across panels, merges and chunks', () => {
    for (const n of [128, 131, 300]) expect({ n, ...eigenErrors(symmetric(n, n)) }).toSatisfy(isFine)
  })

  test('have the values that Jacobi’s rotations give', () => {
    for (const n of [1, 2, 3, 7, 32, 33, 40]) {
      const a = symmetric(n, n + 100)
      const want = jacobi(a)
      const wrong = eigenOf(a).values.filter((x, i) => !(Math.abs(x - want[i]!) <= 1e-13 * norm(a)))
      expect({ n, wrong }).toEqual({ n, wrong: [] })
    }
  })

  test('of a chain have the values of its formula, 2 − 2·cos(iπ / (n + 1))', () => {
    const n = 150
    const { values } = eigenOf(build(n, n, (i, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)))
    const wrong = values.filter((x, i) => Math.abs(x - (2 - 2 * Math.cos(((n - i) * Math.PI) / (n + 1)))) > 1e-14)
    expect(wrong).toEqual([])
  })

  const n = 70
  const hard: Readonly<Record<string, Rows>> = {
    zero: build(n, n, () => 0),
    identity: unit(n),
    'all ones: rank 1': build(n, n, () => 1),
    'diagonal with repeats': diagonal(Array.from({ length: n }, (_, i) => i % 3)),
    'Wilkinson’s, whose values come in nearly equal pairs': build(n, n, (i, j) => (i === j ? Math.abs(i - (n - 1) / 2) : Math.abs(i - j) === 1 ? 1 : 0)),
    'Hilbert’s, ill-conditioned beyond f64': build(n, n, (i, j) => 1 / (i + j + 1)),
    'graded over 60 orders': build(n, n, (i, j) => 10 ** -((i + j) * 0.43)),
    'two blocks that do not touch': build(n, n, (i, j) => (i < 35 === j < 35 ? Math.cos(i * j) + Math.cos(j * i) : 0)),
    'one value 40 times': (() => {
      const q = orthogonal(n, 5)
      return times(times(flip(q), diagonal(Array.from({ length: n }, (_, i) => (i < 40 ? 1 : i)))), q).map((row, i, all) => row.map((x, j) => (x + all[j]![i]!) / 2))
    })(),
    // Roots so close that vectors are orthogonal only by Gu and Eisenstat's weights: by the given ones they are off by 1e-3.
    'ten of Wilkinson’s, glued by 1e-4': build(210, 210, (i, j) => (i === j ? Math.abs((i % 21) - 10) : Math.abs(i - j) === 1 ? (Math.max(i, j) % 21 === 0 ? 1e-4 : 1) : 0)),
    'a glued chain: couplings of 1e-14': build(n, n, (i, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? (Math.max(i, j) % 10 === 0 ? 1e-14 : -1) : 0)),
  }
  test.each(Object.entries(hard))('are as good for: %s', (_, a) => {
    expect(eigenErrors(a)).toSatisfy(isFine)
  })

  test('that are few are the first of all, to the bit', () => {
    for (const [n, count] of [
      [20, 3],
      [90, 1],
      [90, 31],
    ] as const) {
      const a = symmetric(n, 9)
      const [all, some] = [eigenOf(a), eigenOf(a, count)]
      expect(some.values).toEqual(all.values.slice(0, count))
      expect(some.vectors).toEqual(all.vectors.slice(0, count))
    }
  })

  test('look at the lower half only', () => {
    const a = symmetric(77, 3)
    expect(eigenOf(a.map((row, i) => row.map((x, j) => (j > i ? Number.NaN : x))))).toEqual(eigenOf(a))
  })

  test('are the same bits at another place', () => {
    const a = symmetric(77, 3)
    const here = eigenOf(a)
    alone(() => {
      hold(8)
      expect(eigenOf(a)).toEqual(here)
    })
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('come to an end for %s', bad => {
    for (const n of [5, 70]) {
      const { vectors } = eigenOf(build(n, n, (i, j) => (i + j === 3 ? bad : 1)))
      expect(vectors.flat().some(Number.isNaN)).toBe(true)
    }
  })
})

function qrOf(a: Rows, isFlipped = false): { q: Rows; r: Rows } {
  return alone(() => {
    const [m, n] = [a.length, a[0]!.length]
    const ma = isFlipped ? transposed(put(flip(a), { gap: 1 })) : put(a, { gap: 2 })
    const [q, r] = [put(nans(m, n), { gap: 1 }), put(nans(n, n))]
    finish(qr(engine, ma, q, r, hold(qrScratchBytes(m, n))))
    return { q: take(q), r: take(r) }
  })
}

describe('QR', () => {
  const check = (a: Rows, isFlipped = false): void => {
    const { q, r } = qrOf(a, isFlipped)
    const residual = norm(minus(times(q, r), a)) / (norm(a) || 1)
    const below = r.flatMap((row, i) => row.filter((x, j) => j < i && x !== 0))
    const errors = { residual, skew: skew(q), below }
    // f32: columns' errors of 6e-8 times a small factor each
    if (!(residual < 2e-6 && errors.skew < 1e-6 * Math.sqrt(r.length) && below.length === 0)) throw new Error(JSON.stringify(errors))
  }

  test('gives orthonormal columns and a triangle whose product is the matrix', () => {
    fc.assert(
      fc.property(size, size, fc.boolean(), fc.constantFrom(1, 1e15, 1e-15, 1e30, 1e-30), fc.nat(), (x, y, isFlipped, scale, seed) => {
        const random = randoms(seed)
        check(
          build(Math.max(x, y), Math.min(x, y), () => Math.fround(random() * scale)),
          isFlipped,
        )
      }),
      { numRuns: 40 },
    )
  })

  test('fills up what lacks rank: zeros, equal columns, a column of zeros, denormals', () => {
    check(build(40, 35, () => 0))
    check(build(50, 40, i => i + 1))
    check(build(50, 40, (i, j) => (j === 7 ? 0 : Math.fround(Math.sin(i * 40 + j * j)))))
    const { q } = qrOf(build(9, 4, (i, j) => (((i * 7 + j * j) % 5) - 2) * 2 ** -149))
    expect(skew(q)).toBeLessThan(1e-6)
  })

  test('of a wide matrix is a broken promise', () => {
    expect(() => finish(qr(engine, matrix(engine.heap, 2, 3), matrix(engine.heap, 2, 3), null, 0))).toThrow('tall')
  })
})

interface Triplets {
  readonly values: number[]
  readonly u: Rows
  readonly v: Rows
}

function svdOf(a: Rows, k = Math.min(a.length, a[0]!.length), sketch: Sketch | null = null): Triplets {
  return alone(() => {
    const [m, n] = [a.length, a[0]!.length]
    const sides = { u: put(nans(m, k), { gap: 3 }), v: transposed(put(nans(k, n), { gap: 1 })) }
    const scratch = hold(sketch ? randomSvdScratchBytes(m, n, k, sketch) : svdScratchBytes(m, n))
    const work = sketch ? randomSvd(engine, put(a), k, sides, scratch, sketch) : svd(engine, put(a, { gap: 2 }), k, sides, scratch)
    return { values: [...finish(work)], u: take(sides.u), v: take(sides.v) }
  })
}

const rebuild = ({ values, u, v }: Triplets): Rows => times(times(u, diagonal(values)), flip(v))

/** Of so many random rows and columns, with the given singular values. */
function withValues(m: number, n: number, values: readonly number[], seed: number): Rows {
  const [u, v] = [orthogonal(m, seed), orthogonal(n, seed + 1)]
  return rounded(build(m, n, (i, j) => values.reduce((sum, s, p) => sum + u[p]![i]! * s * v[p]![j]!, 0)))
}

describe('singular value decomposition', () => {
  test('gives orthonormal sides whose product is the matrix, for any shape and scale', () => {
    fc.assert(
      fc.property(size, size, fc.constantFrom(1, 1e15, 1e-15, 1e30, 1e-30), fc.nat(), (m, n, scale, seed) => {
        const random = randoms(seed)
        const a = build(m, n, () => Math.fround(random() * scale))
        const got = svdOf(a)
        const isFull = got.values.every(s => s > 1e-6 * got.values[0]!)
        const errors = { residual: norm(minus(rebuild(got), a)) / norm(a), u: skew(got.u), v: skew(got.v), isFull }
        if (!(errors.residual < 1e-6 && (!isFull || (errors.u < 1e-6 && errors.v < 1e-6)))) throw new Error(JSON.stringify(errors))
      }),
      { numRuns: 40 },
    )
  })

  test('has the values that rotating columns gives, small ones included', () => {
    for (const [m, n] of [
      [1, 1],
      [1, 9],
      [9, 1],
      [24, 24],
      [20, 33],
      [33, 20],
    ] as const) {
      const random = randoms(m)
      const a = build(m, n, (_, j) => Math.fround(random() * 10 ** (-j / 8))) // values over three to four orders
      const want = hestenes(a).values
      const off = svdOf(a).values.map((s, i) => Math.abs(s / want[i]! - 1))
      expect({ m, n, off: Math.max(...off) < 1e-7 }).toEqual({ m, n, off: true })
    }
  })

  test('finds values of 1e-5 of the largest to six digits, and sides that are orthonormal', () => {
    const a = withValues(30, 50, [1, 0.5, 0.5, 1e-3, 1e-4, 1e-5], 4)
    const want = hestenes(a).values
    const got = svdOf(a, 6)
    for (const [i, s] of got.values.entries()) expect(Math.abs(s / want[i]! - 1)).toBeLessThan(1e-6)
    expect(skew(got.u)).toBeLessThan(1e-6)
    expect(skew(got.v)).toBeLessThan(1e-6)
  })

  test('gives zeros for what the matrix lacks in rank; the shorter side stays orthonormal', () => {
    const a = build(6, 9, (i, j) => (i % 3) + 1 + j * ((i % 3) - 1)) // rank 2: three rows, twice each, one the mean of the others
    const { values, u, v } = svdOf(a)
    expect(values.slice(2)).toEqual([0, 0, 0, 0])
    expect(values[1]).toBeGreaterThan(1)
    expect(skew(u)).toBeLessThan(1e-6)
    expect(v.map(row => row.slice(2))).toEqual(build(9, 4, () => 0))
    const tall = svdOf(flip(a))
    expect(tall).toEqual({ values, u: v, v: u })
  })

  test('of zeros is zeros', () => {
    const { values, v } = svdOf(build(3, 5, () => 0))
    expect(values).toEqual([0, 0, 0])
    expect(v).toEqual(build(5, 3, () => 0))
  })

  test('of denormals has their values', () => {
    const a = build(5, 8, (i, j) => (((i * 3 + j * 5) % 7) - 3) * 2 ** -149)
    const want = hestenes(scaled(a, 2 ** 149)).values
    for (const [i, s] of svdOf(a).values.entries()) expect(Math.abs(s * 2 ** 149 - want[i]!)).toBeLessThan(1e-6 * want[0]!)
  })

  test('of equal values takes some basis of their space', () => {
    const a = rounded(orthogonal(40, 2))
    const got = svdOf(a)
    for (const s of got.values) expect(Math.abs(s - 1)).toBeLessThan(1e-6)
    expect(norm(minus(times(got.u, flip(got.v)), a))).toBeLessThan(1e-5)
  })

  test('cut at k is the best matrix of rank k: what is left has the size of the values left out', () => {
    const random = randoms(12)
    const a = build(45, 60, () => Math.fround(random()))
    const rest = Math.sqrt(
      hestenes(a)
        .values.slice(10)
        .reduce((sum, s) => sum + s * s, 0),
    )
    const left = norm(minus(a, rebuild(svdOf(a, 10))))
    expect(Math.abs(left / rest - 1)).toBeLessThan(1e-6)
  })

  test('is the same bits twice, and anywhere', () => {
    const random = randoms(31)
    const a = build(70, 300, () => Math.fround(random())) // more than one chunk is the business of the test of polar factors
    const here = svdOf(a)
    alone(() => {
      hold(8)
      expect(svdOf(a)).toEqual(here)
    })
  })

  test('of more triplets than there are is a broken promise', () => {
    const m = (rows: number, cols: number) => matrix(engine.heap, rows, cols)
    expect(() => finish(svd(engine, m(2, 5), 3, { u: m(2, 3), v: m(5, 3) }, 0))).toThrow('at most 2 triplets')
    expect(() => finish(svd(engine, m(2, 5), 2, { u: m(5, 2), v: m(2, 2) }, 0))).toThrow('2 triplets of 2 × 5')
  })
})

describe('randomised singular value decomposition', () => {
  test('is exact where the rank is no more than k', () => {
    for (const [m, n] of [
      [40, 60],
      [60, 40],
    ] as const) {
      for (const scale of [1, 1e30, 1e-30]) {
        const a = rounded(scaled(withValues(m, n, [3, 2, 1, 0.5], 6), scale))
        const got = svdOf(a, 4, { oversample: 4 })
        expect(norm(minus(rebuild(got), a)) / scale).toBeLessThan(1e-5)
        expect(skew(got.u)).toBeLessThan(3e-6)
        expect(skew(got.v)).toBeLessThan(3e-6)
      }
    }
  })

  test('keeps its bound on a spectrum that falls slowly, and gains by passes', () => {
    const [m, n, k] = [70, 60, 8]
    const values = Array.from({ length: 60 }, (_, i) => 1 / (1 + i) ** 0.5)
    const a = withValues(m, n, values, 7)
    const error = (passes: number): number => hestenes(minus(a, rebuild(svdOf(a, k, { oversample: 8, passes })))).values[0]!
    const [none, two] = [error(0), error(2)]
    expect(two).toBeLessThan(1.1 * values[k]!)
    expect(two).toBeLessThan(none)
    const got = svdOf(a, k, { oversample: 8 }).values
    for (const [i, s] of got.entries()) {
      expect(s).toBeLessThan(values[i]! * (1 + 1e-6))
      expect(s).toBeGreaterThan(values[i]! * 0.9)
    }
  })

  test('of all triplets is the decomposition itself', () => {
    const random = randoms(5)
    const a = build(12, 17, () => Math.fround(random()))
    const [some, all] = [svdOf(a, 12, {}), svdOf(a)]
    for (const [i, s] of some.values.entries()) expect(Math.abs(s / all.values[i]! - 1)).toBeLessThan(1e-5)
  })
})

function polarOf(a: Rows): { factor: Rows; values: number[] } {
  return alone(() => {
    const [m, n] = [a.length, a[0]!.length]
    const out = put(nans(m, n), { gap: 1 })
    const values = finish(polar(engine, put(a, { gap: 3 }), out, hold(polarScratchBytes(m, n))))
    return { factor: take(out), values: [...values] }
  })
}

function newtonOf(a: Rows, maxSteps?: number): Convergence & { readonly factor: Rows } {
  return alone(() => {
    const [m, n] = [a.length, a[0]!.length]
    const out = put(nans(m, n), { gap: 1 })
    const how = finish(newtonSchulz(engine, put(a, { gap: 3 }), out, hold(newtonSchulzScratchBytes(m, n)), maxSteps))
    return { ...how, factor: take(out) }
  })
}

describe('polar factors', () => {
  test('are orthonormal, and what is left of the matrix is symmetric and positive', () => {
    fc.assert(
      fc.property(size, size, fc.constantFrom(1, 1e15, 1e-15), fc.nat(), (m, n, scale, seed) => {
        const random = randoms(seed)
        const a = build(m, n, () => Math.fround(random() * scale))
        const { factor, values } = polarOf(a)
        const [tall, of] = m < n ? [flip(factor), flip(a)] : [factor, a]
        const p = times(flip(tall), of)
        const errors = { skew: skew(tall), asymmetry: norm(minus(p, flip(p))) / norm(p), back: norm(minus(times(tall, p), of)) / norm(of) }
        const least = p.length <= 20 ? jacobi(p.map((row, i) => row.map((x, j) => (x + p[j]![i]!) / 2))).at(-1)! : 0
        const isFull = values.at(-1)! > 1e-5 * values[0]!
        if (isFull && !(errors.skew < 2e-6 && errors.asymmetry < 1e-6 && errors.back < 1e-6 && least > -1e-6 * values[0]!)) throw new Error(JSON.stringify(errors))
      }),
      { numRuns: 40 },
    )
  })

  test('have more triplets than a chunk takes', () => {
    const random = randoms(2)
    const { factor } = polarOf(build(270, 280, () => Math.fround(random())))
    expect(skew(flip(factor))).toBeLessThan(1e-6 * Math.sqrt(270))
  })

  test('of ill-conditioned matrices are still orthonormal', () => {
    const values = Array.from({ length: 20 }, (_, i) => 10 ** (-i / 4)) // down to 2e-5
    const a = withValues(20, 30, values, 8)
    const { factor } = polarOf(a)
    expect(skew(flip(factor))).toBeLessThan(1e-6)
    expect(norm(minus(factor, hestenes(a).polar))).toBeLessThan(1e-5)
  })

  test('of what lacks rank are orthonormal on its range and zero elsewhere', () => {
    const a = rounded(times(withValues(12, 3, [3, 2, 1], 3), withValues(3, 15, [1, 1, 1], 9))) // rank 3, but for rounding
    const exact = build(8, 10, (i, j) => (i % 4) * (j + 1) + (i % 2) * 5) // rank 2 exactly
    const { factor, values } = polarOf(exact)
    expect(values.slice(2)).toEqual([0, 0, 0, 0, 0, 0])
    expect(norm(minus(factor, hestenes(exact, 1e-6).polar))).toBeLessThan(1e-6)
    const near = polarOf(a)
    expect(near.values.filter(s => s > 1e-5)).toHaveLength(3)
    for (const s of near.values.slice(3)) expect(s === 0 || s > RANK_TOLERANCE * near.values[0]!).toBe(true)
    expect(polarOf(build(4, 6, () => 0))).toEqual({ factor: build(4, 6, () => 0), values: [0, 0, 0, 0] })
  })

  test('by Newton and Schulz are the same where a matrix is far from singular', () => {
    for (const [m, n, scale] of [
      [1, 1, 1],
      [20, 50, 1],
      [50, 20, 1e15],
      [33, 65, 1e-15],
    ] as const) {
      const random = randoms(m)
      const a = build(m, n, () => Math.fround(random() * scale))
      const { factor, steps, isConverged } = newtonOf(a)
      expect({ isConverged, isShort: steps < 15 }).toEqual({ isConverged: true, isShort: true })
      expect(norm(minus(factor, polarOf(a).factor))).toBeLessThan(5e-6)
    }
  })

  test('by Newton and Schulz say when the steps did not suffice', () => {
    const a = withValues(10, 10, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1e-4], 1)
    expect(newtonOf(a, 10)).toMatchObject({ steps: 10, isConverged: false })
    const { factor, isConverged, steps } = newtonOf(a)
    expect({ isConverged, steps: steps > 20 }).toEqual({ isConverged: true, steps: true })
    expect(norm(minus(factor, hestenes(a).polar))).toBeLessThan(5e-3) // f32's 6e-8, over 1e-4, and again
    expect(newtonOf(build(3, 4, () => 0))).toEqual({ factor: build(3, 4, () => 0), steps: 30, departure: Math.sqrt(3), isConverged: false })
  })

  test('of NaN are NaN, and come to an end', () => {
    const a = build(5, 6, (i, j) => (i === 2 && j === 3 ? Number.NaN : i - j))
    expect(polarOf(a).factor.flat().every(Number.isNaN)).toBe(true)
    expect(newtonOf(a)).toMatchObject({ isConverged: false })
  })
})

test('work tells what it has done and can be left at any piece', () => {
  alone(() => {
    const a = put(symmetric(100, 1), { isWide: true })
    const work: Work<unknown> = eigen(engine, a, 100, hold(eigenScratchBytes(100)))
    const { value, done } = work.next()
    expect(done).toBe(false)
    expect(value).toBeGreaterThan(0)
    work.return(undefined)
    expect(work.next().done).toBe(true)
  })
})

test('work adds up to about the operations it announces', () => {
  const random = randoms(3)
  const [m, n, k] = [150, 260, 40]
  const a = build(m, n, () => Math.fround(random()))
  const sumOf = (announced: number, start: (at: (rows: number, cols: number) => Matrix) => Work<unknown>): number =>
    alone(() => {
      const heard: number[] = []
      finish(
        start((rows, cols) => put(nans(rows, cols))),
        sum => heard.push(sum),
      )
      expect(heard).toEqual(heard.toSorted((x, y) => x - y))
      return heard.at(-1)! / announced
    })
  const shares = [
    sumOf(eigenOperations(m, k), () => eigen(engine, put(symmetric(m, 1), { isWide: true }), k, hold(eigenScratchBytes(m)))),
    sumOf(svdOperations(m, n, k), at => svd(engine, put(a), k, { u: at(m, k), v: at(n, k) }, hold(svdScratchBytes(m, n)))),
    sumOf(polarOperations(n, m), at => polar(engine, put(flip(a)), at(n, m), hold(polarScratchBytes(m, n)))),
  ]
  // Blocks at the edges cost more than the formula says, up to half more at this size; deflation saves some.
  for (const share of shares) expect(share).toSatisfy((x: number) => x > 0.8 && x < 2)
})

test('a merge takes the room that the kernels say', () => {
  for (const n of [1, 33, 4096]) expect(mergeWorkBytes(n)).toBe(engine.kernels.merge_work(n))
})
