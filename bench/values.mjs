// Weights like those of a trained model, and of fine-tunes of it, from a few blocks of random numbers: a base block has several tuned ones,
// and tensors are cut from blocks in a fixed random order, so a model of any size costs no more than its writing.

export const BLOCK = 2 ** 20 // elements of a block: far more than a processor's caches and branch history remember
const BLOCKS = 4
const VARIANTS = 4 // of each block in each fine-tune
const BASE_DEVIATION = 0.02 // of Llama's weights
const DELTA_DEVIATION = 0.002 // a tenth of it: nearly every bf16 changes
const NORM_DEVIATION = 0.1 // of the weights of norms, about 1

/** The blocks of model `index` (0 is the base, others are fine-tunes), as bf16: `pick(tensor, part)` gives the block for a part of a tensor, `norms` one for norms. */
export function createBlocks(index) {
  const normal = normals(1, BLOCKS * BLOCK)
  const bases = Array.from({ length: BLOCKS }, (_, b) => normal.subarray(b * BLOCK, (b + 1) * BLOCK))
  const deltas = index === 0 ? new Float32Array(BLOCK) : heavyTailed(1 + index)
  const blocks = bases.map(base =>
    Array.from({ length: index === 0 ? 1 : VARIANTS }, (_, v) =>
      toBf16({ mean: 0, base, scale: BASE_DEVIATION, deltas, turn: hash(index, v), deltaScale: DELTA_DEVIATION * (0.5 + v / VARIANTS) }),
    ),
  )
  return {
    norms: toBf16({ mean: 1, base: bases[0], scale: NORM_DEVIATION, deltas, turn: 0, deltaScale: NORM_DEVIATION / 2 }),
    pick(tensor, part) {
      const variants = blocks[hash(tensor, part) % BLOCKS]
      return variants[hash(tensor, part + 7919 * index) % variants.length]
    },
  }
}

/** mean + scale·base + deltaScale·deltas, the deltas turned by `turn`, in bf16 rounded to nearest even. The values are finite. */
function toBf16({ mean, base, scale, deltas, turn, deltaScale }) {
  const values = new Float32Array(BLOCK)
  for (let i = 0; i < BLOCK; i++) values[i] = mean + scale * base[i] + deltaScale * deltas[(i + turn) & (BLOCK - 1)]
  const bits = new Uint32Array(values.buffer)
  const rounded = new Uint16Array(BLOCK)
  for (let i = 0; i < BLOCK; i++) rounded[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16
  return rounded
}

/** A block of deltas of which a few are large, as fine-tuning moves a few weights far. */
function heavyTailed(seed) {
  const deltas = normals(seed, BLOCK)
  const widths = normals(1000 + seed, BLOCK)
  for (let i = 0; i < BLOCK; i++) deltas[i] *= 0.4 + Math.abs(widths[i])
  return deltas
}

/** `count` numbers of the standard normal distribution (Box and Muller 1958). */
function normals(seed, count) {
  const values = new Float32Array(count)
  const next = uniforms(seed)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - next()))
    const angle = 2 * Math.PI * next()
    values[i] = radius * Math.cos(angle)
    values[i + 1] = radius * Math.sin(angle)
  }
  return values
}

/** Numbers in [0, 1) from Marsaglia's xorshift32. */
function uniforms(seed) {
  let x = hash(seed, 1) | 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 2 ** 32
  }
}

/** A well-mixed number from two, 0 to 2^32 - 1 (the finalizer of MurmurHash3). */
export function hash(a, b) {
  let x = Math.imul(a, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca77)
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
