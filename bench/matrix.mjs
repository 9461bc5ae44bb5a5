// What linear algebra costs: `npm run build && node bench/matrix.mjs [--sizes 512,1024,2048,4096] [--large] [--runs 3]`.
// Operations are those of the algorithm without the luck of deflation: 2·m·n·k for a product, 5/3·n³ + 3·n²·k for k eigenvectors. --large adds a matrix of 4096 × 14336 with its best 1024 triplets: what TSV-M takes.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import asc from 'assemblyscript/asc'
import { eigen, eigenOperations, eigenScratchBytes } from '../dist/kernels/eigen.js'
import { createEngine } from '../dist/kernels/kernels.js'
import { copy, finish, gram, matrix, matrixBytes, multiply, transposed } from '../dist/kernels/matrix.js'
import { newtonSchulz, newtonSchulzScratchBytes, polar, polarScratchBytes } from '../dist/kernels/polar.js'
import { qr, qrScratchBytes } from '../dist/kernels/qr.js'
import { randomSvd, randomSvdScratchBytes } from '../dist/kernels/random_svd.js'
import { svd, svdScratchBytes } from '../dist/kernels/svd.js'
import { createTable, megabytes, seconds } from './table.mjs'

const LARGE = { m: 4096, n: 14336, k: 1024, models: 4 }

const EIGHT = [0, 1, 2, 3, 4, 5, 6, 7]

// Eight sums of products of two and four vectors that are loaded at every turn: the inner loop of a product of matrices, without its matrices.
const PEAK = `export function peak(p: usize, n: i32): void {
  ${EIGHT.map(i => `let a${i} = v128.load(p, ${16 * i})`).join('\n')}
  for (let i = 0; i < n; i++) {
    const y0 = v128.load(p, 128), y1 = v128.load(p, 144)
    ${EIGHT.map(i => `a${i} = f32x4.add(a${i}, f32x4.mul(v128.load(p, ${160 + 16 * (i >> 1)}), y${i & 1}))`).join('\n')}
  }
  ${EIGHT.map(i => `v128.store(p, a${i}, ${16 * i})`).join('\n')}
}`

/** Billions of multiplications and additions a second. */
async function measurePeak() {
  let binary
  const options = ['peak.ts', '-o', 'peak.wasm', '--enable', 'simd', '--runtime', 'stub', '--importMemory', '--noExportMemory', '-O3']
  const { error } = await asc.main(options, {
    readFile: name => (name === 'peak.ts' ? PEAK : null),
    writeFile: (name, contents) => name === 'peak.wasm' && (binary = contents),
    listFiles: () => [],
  })
  if (error) throw error
  const memory = new WebAssembly.Memory({ initial: 1 })
  const { peak } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } }).exports
  const turns = 200_000
  return (64 * turns) / best(300, () => peak(1024, turns)) / 1e9
}

/** The least processor time, in seconds: all of this runs on one thread, and what else the machine does should not count. */
function best(runs, run) {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < runs; i++) {
    const from = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(from)
    least = Math.min(least, (user + system) / 1e6)
  }
  return least
}

/** Lays matrices out in one engine: `place` gives room, `reset` takes all of it back. */
function createBench(bytes) {
  const engine = createEngine(bytes)
  let next = engine.heap
  const hold = size => {
    const at = next
    next += Math.ceil(size / 64) * 64
    return at
  }
  return {
    engine,
    hold,
    reset: () => (next = engine.heap),
    place: (rows, cols, isWide = false) => matrix(hold(matrixBytes(rows, cols, isWide)), rows, cols, { isWide }),
    random(rows, cols, seed) {
      const a = matrix(hold(matrixBytes(rows, cols)), rows, cols)
      engine.kernels.gaussian(a.at, cols, rows, cols, seed)
      return a
    },
  }
}

/** Rows of the table for square matrices. */
function* measureSquare(n, runs) {
  const k = n / 4
  const scratch = Math.max(
    eigenScratchBytes(n),
    svdScratchBytes(n, n),
    polarScratchBytes(n, n),
    newtonSchulzScratchBytes(n, n),
    randomSvdScratchBytes(n, n, k),
    qrScratchBytes(n, n),
  )
  const { engine, hold, place, random, reset } = createBench(8 * matrixBytes(n, n) + scratch + 1e6)
  const label = `${n} × ${n}`
  const fresh = make => {
    reset()
    return make(hold(scratch))
  }

  for (const [name, flipA, flipB] of [
    ['A·B', false, false],
    ['Aᵀ·B', true, false],
    ['A·Bᵀ', false, true],
    ['Aᵀ·Bᵀ', true, true],
  ]) {
    const run = fresh(at => {
      const [a, b, c] = [random(n, n, 1), random(n, n, 2), place(n, n)]
      return () => finish(multiply(engine, c, flipA ? transposed(a) : a, flipB ? transposed(b) : b, at))
    })
    yield { what: `${name}, f32`, label, operations: 2 * n ** 3, time: best(runs, run) }
  }
  const wideProduct = fresh(at => {
    const [a, b, c] = [random(n, n, 1), random(n, n, 2), place(n, n, true)]
    return () => finish(multiply(engine, c, a, b, at))
  })
  yield { what: 'A·B, f64', label, isWide: true, operations: 2 * n ** 3, time: best(runs, wideProduct) }
  const square = fresh(at => {
    const [a, c] = [random(n, n, 1), place(n, n, true)]
    return () => finish(gram(engine, c, a, at))
  })
  yield { what: 'A·Aᵀ, f64', label, isWide: true, operations: n ** 3, time: best(runs, square) }
  for (const count of [k, n]) {
    const run = fresh(at => {
      const [a, wide] = [random(n, n, 1), place(n, n, true)]
      return () => {
        copy(engine, wide, a)
        engine.kernels.mirror(wide.at, n, 1, n)
        finish(eigen(engine, wide, count, at))
      }
    })
    yield { what: `eigenvectors, ${count}`, label, isWide: true, operations: eigenOperations(n, count), time: best(1, run) }
  }
  const triangle = fresh(at => {
    const [a, work, q] = [random(n, n, 1), place(n, n), place(n, n)]
    return () => {
      copy(engine, work, a)
      finish(qr(engine, work, q, null, at))
    }
  })
  yield { what: 'QR with Q', label, operations: (8 / 3) * n ** 3, time: best(1, triangle) }
  for (const [name, work] of [
    [`singular triplets, ${k}`, svd],
    [`  randomised, ${k}`, randomSvd],
  ]) {
    const run = fresh(at => {
      const [a, u, v] = [random(n, n, 1), place(n, k), place(n, k)]
      return () => finish(work(engine, a, k, { u, v }, at))
    })
    yield { what: name, label, time: best(1, run) }
  }
  const factor = fresh(at => {
    const [a, out] = [random(n, n, 1), place(n, n)]
    return () => finish(polar(engine, a, out, at))
  })
  yield { what: 'polar factor', label, time: best(1, factor) }
  // Of a square matrix of random numbers it would take dozens of steps: of one with twice as many columns it takes what is usual for stacked bases.
  const iterate = fresh(at => {
    const [a, out] = [random(n / 2, n, 1), place(n / 2, n)]
    return () => finish(newtonSchulz(engine, a, out, at))
  })
  yield { what: 'polar factor by Newton–Schulz', label: `${n / 2} × ${n}`, time: best(1, iterate) }
}

/** What TSV-M does to one tensor. */
function* measureLarge() {
  const { m, n, k, models } = LARGE
  const total = k * models
  const scratch = Math.max(svdScratchBytes(m, n), polarScratchBytes(n, total), polarScratchBytes(m, total))
  const bench = createBench(matrixBytes(m, n) + 2 * matrixBytes(m, total) + matrixBytes(n, total) + scratch + 1e6)
  const { engine, hold, place, random } = bench
  console.log(`\nTSV-M of ${models} models: ${megabytes(engine.memory.buffer.byteLength)} of memory`)
  const at = hold(scratch)
  const [a, u, v, left] = [random(m, n, 1), random(m, total, 2), random(n, total, 3), place(m, total)]
  const label = `${m} × ${n}`
  // In the order and in the places of TSV-M: see src/kernels/polar.ts. The other models' triplets are random numbers here.
  const [polarV, merged] = [matrix(a.at, n, total), matrix(v.at, m, n)]
  const steps = [
    { what: `singular triplets, ${k}`, size: label, repeats: models, work: svd(engine, a, k, { u: { ...u, cols: k }, v: { ...v, cols: k } }, at) },
    { what: 'polar factor', size: `${m} × ${total}`, repeats: 1, work: polar(engine, u, left, at) },
    { what: 'polar factor', size: `${n} × ${total}`, repeats: 1, work: polar(engine, v, polarV, at) },
    { what: 'product of both', size: label, repeats: 1, work: multiply(engine, merged, left, transposed(polarV), at) },
  ]
  let all = 0
  for (const { what, size, repeats, work } of steps) {
    const time = best(1, () => finish(work))
    all += time * repeats
    yield { what, label: size, time }
  }
  yield { what: `TSV-M of ${models} models`, label, time: all }
}

/** Prints rates of products and times of factorizations. */
export async function benchMatrix({ sizes, runs = 3, large = false, markdown = false }) {
  const peak = await measurePeak()
  console.log(`Multiply-adds on registers: ${peak.toFixed(1)} GFLOP/s in f32, half of that in f64; one thread, processor time`)
  const row = createTable([['', 32], ['size', 14], ['time', 10], ['GFLOP/s', 8], ['of peak', 8]], markdown) // biome-ignore format: a table
  const print = ({ what, label, time, operations, isWide = false }) => {
    const rate = operations / time / 1e9
    row([what, label, seconds(time), operations ? rate.toFixed(1) : '', operations ? `${((100 * rate) / (isWide ? peak / 2 : peak)).toFixed(0)} %` : ''])
  }
  for (const _ of measureSquare(256, 20)); // until the machine code is the optimized one
  for (const n of sizes) for (const measured of measureSquare(n, runs)) print(measured)
  if (large) for (const measured of measureLarge()) print(measured)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { sizes: { type: 'string', default: '512,1024,2048,4096' }, runs: { type: 'string', default: '3' }, large: { type: 'boolean' }, markdown: { type: 'boolean' } },
  })
  await benchMatrix({ ...values, sizes: values.sizes.split(',').filter(Boolean).map(Number), runs: Number(values.runs) })
}
