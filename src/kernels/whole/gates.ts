import type { Engine } from '../kernels.ts'

const LEAST = 1e-8 // eigenvalues below are divided by as if they were this

/** g = 1 − exp(−rate·λ): how far each direction opens. */
export const gatesOf = ({ kernels }: Engine, eigenvalues: Float64Array, rate: number): Float64Array => eigenvalues.map(value => 1 - kernels.exp(-rate * Math.max(value, 0)))

/** g/λ */
export const dividesOf = (gates: Float64Array, eigenvalues: Float64Array): Float64Array => gates.map((gate, i) => gate / Math.max(eigenvalues[i]!, LEAST))
