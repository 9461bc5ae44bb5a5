import { eigenOf } from './_eigen.ts'
import { normals } from './_random.ts'

export interface CmaEs {
  /** A generation of points. */
  ask(): readonly (readonly number[])[]
  /** Their values, of which less is better, in the order asked. Only their ranks matter. */
  tell(values: readonly number[]): void
  /** The middle of the distribution: with noisy values better than the best point that was met. */
  mean(): readonly number[]
  /** The standard deviation along the longest axis. */
  spread(): number
}

/**
 * The covariance matrix adaptation evolution strategy, (μ/μ_w, λ): N. Hansen, "The CMA Evolution Strategy: A Tutorial" (2016),
 * https://arxiv.org/abs/1604.00772, with the default parameters of its table 1, but for positive weights only (no active update).
 */
export function createCmaEs({ mean, sigma, random }: { readonly mean: readonly number[]; readonly sigma: number; random(): number }): CmaEs {
  const n = mean.length
  const size = generationOf(n)
  const parents = Math.floor(size / 2)
  const raw = Array.from({ length: parents }, (_, i) => Math.log((size + 1) / 2) - Math.log(i + 1)) // equation 49
  const total = raw.reduce((a, b) => a + b, 0)
  const weights = raw.map(w => w / total)
  const effective = 1 / weights.reduce((sum, w) => sum + w * w, 0)
  const pathShare = (effective + 2) / (n + effective + 5) // c_σ, equation 55
  const damping = 1 + 2 * Math.max(0, Math.sqrt((effective - 1) / (n + 1)) - 1) + pathShare // d_σ
  const covarianceShare = (4 + effective / n) / (n + 4 + (2 * effective) / n) // c_c, equation 56
  const one = 2 / ((n + 1.3) ** 2 + effective) // c_1, equation 57
  const many = Math.min(1 - one, (2 * (0.25 + effective + 1 / effective - 2)) / ((n + 2) ** 2 + effective)) // c_μ, equation 58
  const expected = Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n)) // of the norm of n standard normals

  const normal = normals(random)
  let center = [...mean]
  let step = sigma
  let generation = 0
  const covariance = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => Number(i === j)))
  let { vectors, values } = eigenOf(covariance)
  let decomposed = 0
  const path = new Array<number>(n).fill(0) // p_σ
  const trail = new Array<number>(n).fill(0) // p_c
  let steps: readonly (readonly number[])[] = []

  return {
    ask() {
      steps = Array.from({ length: size }, () => {
        const z = Array.from({ length: n }, (_, i) => normal() * Math.sqrt(values[i]!))
        return vectors.map(row => dot(row, z)) // y = B·D·z
      })
      return steps.map(y => center.map((c, i) => c + step * y[i]!))
    },
    tell(answers) {
      generation++
      const order = answers.map((_, i) => i).sort((a, b) => answers[a]! - answers[b]! || a - b)
      const best = order.slice(0, parents).map(i => steps[i]!)
      const move = center.map((_, i) => weights.reduce((sum, w, k) => sum + w * best[k]![i]!, 0))
      center = center.map((c, i) => c + step * move[i]!)

      const white = whitened(move)
      for (let i = 0; i < n; i++) path[i] = (1 - pathShare) * path[i]! + Math.sqrt(pathShare * (2 - pathShare) * effective) * white[i]!
      const length = Math.sqrt(dot(path, path))
      const isSteady = length / Math.sqrt(1 - (1 - pathShare) ** (2 * generation)) < (1.4 + 2 / (n + 1)) * expected // h_σ
      for (let i = 0; i < n; i++) trail[i] = (1 - covarianceShare) * trail[i]! + (isSteady ? Math.sqrt(covarianceShare * (2 - covarianceShare) * effective) * move[i]! : 0)
      const kept = 1 - one - many + (isSteady ? 0 : one * covarianceShare * (2 - covarianceShare))
      for (let i = 0; i < n; i++) {
        for (let j = 0; j <= i; j++) {
          const spread = weights.reduce((sum, w, k) => sum + w * best[k]![i]! * best[k]![j]!, 0)
          covariance[i]![j] = covariance[j]![i] = kept * covariance[i]![j]! + one * trail[i]! * trail[j]! + many * spread
        }
      }
      step *= Math.exp((pathShare / damping) * (length / expected - 1))
      if (generation - decomposed < 1 / ((one + many) * n * 10)) return // between two such generations the matrix hardly changes
      decomposed = generation
      ;({ vectors, values } = eigenOf(covariance))
    },
    mean: () => center,
    spread: () => step * Math.sqrt(Math.max(...values)),
  }

  /** C^(−1/2)·y. */
  function whitened(y: readonly number[]): readonly number[] {
    const turned = values.map((value, k) => vectors.reduce((sum, row, i) => sum + row[k]! * y[i]!, 0) / Math.sqrt(value))
    return vectors.map(row => dot(row, turned))
  }
}

/** Points of one generation for `n` numbers: λ, equation 48. */
export const generationOf = (n: number): number => 4 + Math.floor(3 * Math.log(n))

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
