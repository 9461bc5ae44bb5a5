import type { WholeOp } from '../src/algebra/ops.ts'
import { build, diagonal, flip, minus, norm, type Rows, times, unit } from './linear_algebra.ts'

// The methods on whole matrices from their papers, in doubles, by rotations (Hestenes, Jacobi): slow, short, and by other means than the kernels.

const LEFT_OVER = 2 ** -18 // share of a task vector that is nothing: kernels/whole/common_space.ts

interface Triplets {
  /** Columns. */
  readonly u: Rows
  readonly values: readonly number[]
  readonly v: Rows
}

const NOTHING = 2 ** -22 // share of the largest singular value that is none: kernels/svd.ts says why

/** Singular triplets, values descending; zeros on both sides where a value is nothing, or no more than `least`. */
export function triplets(a: Rows, nothing = 0): Triplets {
  if (a.length < a[0]!.length) {
    const { u, values, v } = triplets(flip(a), nothing)
    return { u: v, values, v: u }
  }
  const { columns, turned } = rotate(a)
  const lengths = columns.map(c => Math.hypot(...c))
  const order = [...lengths.keys()].sort((i, j) => lengths[j]! - lengths[i]!)
  const least = Math.max(nothing, NOTHING * Math.max(...lengths))
  const some = (of: readonly (readonly number[])[], by: (i: number) => number): Rows => flip(order.map(i => of[i]!.map(x => x * by(i))))
  return {
    u: some(columns, i => (lengths[i]! > least ? 1 / lengths[i]! : 0)),
    values: order.map(i => (lengths[i]! > least ? lengths[i]! : 0)),
    v: some(turned, i => Number(lengths[i]! > least)),
  }
}

/** Columns of A·V, orthogonal to each other, and those of V. */
function rotate(a: Rows): { readonly columns: readonly number[][]; readonly turned: readonly number[][] } {
  const columns = flip(a).map(c => [...c])
  const turned = unit(columns.length).map(r => [...r])
  for (let sweep = 0, isMoving = true; isMoving && sweep < 60; sweep++) {
    isMoving = false
    for (let p = 0; p < columns.length; p++) {
      for (let q = p + 1; q < columns.length; q++) {
        const [x, y] = [columns[p]!, columns[q]!]
        let [xx, yy, xy] = [0, 0, 0]
        for (let i = 0; i < x.length; i++) {
          xx += x[i]! * x[i]!
          yy += y[i]! * y[i]!
          xy += x[i]! * y[i]!
        }
        if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy)) continue
        isMoving = true
        const z = (yy - xx) / (2 * xy)
        const t = Math.sign(z || 1) / (Math.abs(z) + Math.sqrt(1 + z * z))
        const c = 1 / Math.sqrt(1 + t * t)
        for (const [s, w] of [
          [x, y],
          [turned[p]!, turned[q]!],
        ] as const) {
          for (let i = 0; i < s.length; i++) [s[i], w[i]] = [c * s[i]! - t * c * w[i]!, t * c * s[i]! + c * w[i]!]
        }
      }
    }
  }
  return { columns, turned }
}

const compose = ({ u, values, v }: Triplets): Rows => times(times(u, diagonal(values)), flip(v))
const polar = (a: Rows): Rows => compose({ ...triplets(a), values: Array(Math.min(a.length, a[0]!.length)).fill(1) as number[] })
const best = (a: Rows, k: number, nothing = 0): Triplets => {
  const { u, values, v } = triplets(a, nothing)
  return { u: u.map(r => r.slice(0, k)), values: values.slice(0, k), v: v.map(r => r.slice(0, k)) }
}
/** Triplets side by side. */
const join = (all: readonly Triplets[]): Triplets => ({
  u: all[0]!.u.map((_, i) => all.flatMap(t => t.u[i]!)),
  values: all.flatMap(t => t.values),
  v: all[0]!.v.map((_, i) => all.flatMap(t => t.v[i]!)),
})
const plus = (a: Rows, b: Rows): Rows => a.map((row, i) => row.map((x, j) => x + b[i]![j]!))
const scaled = (a: Rows, by: number): Rows => a.map(row => row.map(x => x * by))
const zeros = (a: Rows): Rows => scaled(a, 0)
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
const sizes = (a: Rows): [m: number, n: number] => [a.length, a[0]!.length]

export const WHOLES: Readonly<Record<WholeOp, (matrices: readonly Rows[], numbers: readonly number[]) => Rows>> = {
  tsv(matrices) {
    const k = Math.floor(Math.min(...sizes(matrices[0]!)) / matrices.length)
    const { u, values, v } = join(matrices.map(m => best(m, k)))
    return compose({ u: polar(u), values, v: polar(v) })
  },

  isotropic([sum]) {
    const all = triplets(sum!)
    return compose({ ...all, values: all.values.map(() => mean(all.values)) })
  },

  common_space([sum, ...tasks], [fraction]) {
    const rank = Math.min(...sizes(sum!))
    const own = Math.floor((rank - Math.floor(fraction! * rank + 1e-9)) / tasks.length)
    const common = best(sum!, rank - own * tasks.length)
    const outside = (task: Rows): Rows => (common.values.length === 0 ? task : minus(task, times(common.u, times(flip(common.u), task))))
    const { u, values, v } = join([common, ...tasks.map(task => best(outside(task), own, LEFT_OVER * norm(task)))])
    return compose({ u: polar(u), values: values.map(() => mean(values)), v: polar(v) })
  },

  wudi([sum, ...tasks], [share, rate]) {
    const n = sum![0]!.length
    let inner = build(n, n, () => 0)
    let cubes = zeros(sum!)
    for (const task of tasks) {
      const square = norm(task) ** 2
      const gram = scaled(times(flip(task), task), square === 0 ? 0 : 1 / square)
      inner = plus(inner, gram)
      cubes = plus(cubes, times(task, gram))
    }
    const { u: q, values } = triplets(inner) // symmetric and without negative eigenvalues: its singular values are they
    const top = Math.floor(share! * n + 1e-9)
    const gates = values.map((value, i) => (i < top ? 1 - Math.exp(-rate! * value) : 0))
    const through = (a: Rows, by: readonly number[]): Rows => times(times(times(a, q), diagonal(by)), flip(q))
    const inverse = gates.map((g, i) => g / Math.max(values[i]!, 1e-8))
    return plus(minus(sum!, through(sum!, gates)), through(cubes, inverse))
  },

  low_rank(matrices, [share]) {
    return matrices
      .map(matrix => {
        const { u, values, v } = triplets(matrix)
        const whole = values.reduce((a, b) => a + b, 0)
        let [count, held] = [0, 0]
        do held += values[count++]!
        while (count < values.length && held < share! * whole)
        return compose({ u, values: values.map((value, i) => (i < count && held > 0 ? (value * whole) / held : 0)), v })
      })
      .reduce(plus)
  },
}
