/**
 * The key of a tensor's random numbers: 64 bits from recipe seed and tensor name.
 * FNV-1a over both, from two offsets, each finished with MurmurHash3's mixer; the generator itself is in kernels/random.ts.
 */
export function randomKey(seed: number, tensor: string): readonly [number, number] {
  const bytes = new TextEncoder().encode(`${seed}\n${tensor}`)
  return [mix(fnv(bytes, 0x811c9dc5)), mix(fnv(bytes, 0x9747b28c))]
}

/** The key of one label's stream within a tensor, for the 2^32 elements around element `at`: the generator counts in 32 bits. */
export function streamKey([key0, key1]: readonly [number, number], label: number, at: number): readonly [number, number] {
  const stream = mix(Math.imul(label, 0x9e3779b1) ^ Math.imul(Math.floor(at / 2 ** 32), 0x85ebca77))
  return [mix(key0 ^ stream), mix((key1 + stream) | 0)]
}

function fnv(bytes: Uint8Array, offset: number): number {
  let hash = offset
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash
}

function mix(h: number): number {
  let x = h ^ (h >>> 16)
  x = Math.imul(x, 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
