import type { FloatDType } from '../src/dtype.ts'

/**
 * The exact values of little-endian `bytes`, all of which a double can hold.
 * A plain reference for the tests of the kernels: it follows the formats' definitions, not their fast paths.
 */
export function decode(dtype: FloatDType, bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (dtype === 'F64') return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true))
  if (dtype === 'F32') return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true))
  const layout = LAYOUTS[dtype]
  if (layout.bytes === 1) return Float64Array.from(bytes, bits => numberOf(bits, layout))
  return Float64Array.from({ length: bytes.length / 2 }, (_, i) => numberOf(view.getUint16(2 * i, true), layout))
}

/**
 * Little-endian bytes of `values`, first rounded to f32 and then to `dtype`, both to nearest even. F64 keeps the double.
 * Overflow goes to infinity, in F8_E4M3, which has none, to NaN of the same sign: as ml_dtypes, and as PyTorch did until it
 * began to saturate there (https://github.com/pytorch/pytorch/pull/178817, April 2026). A merge that overflows should not look healthy.
 * A NaN becomes the positive quiet NaN of PyTorch's portable code: JavaScript keeps neither sign nor payload, and PyTorch's depend on the CPU.
 */
export function encode(dtype: FloatDType, values: ArrayLike<number>): Uint8Array {
  const width = dtype === 'F64' ? 8 : dtype === 'F32' ? 4 : LAYOUTS[dtype].bytes
  const bytes = new Uint8Array(values.length * width)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number // i < length
    if (dtype === 'F64') view.setFloat64(8 * i, value, true)
    else if (dtype === 'F32') view.setFloat32(4 * i, value, true)
    else if (width === 2) view.setUint16(2 * i, bitsOf(Math.fround(value), LAYOUTS[dtype]), true)
    else view.setUint8(i, bitsOf(Math.fround(value), LAYOUTS[dtype]))
  }
  return bytes
}

/** A float narrower than f32: sign, exponent, mantissa, from the highest bit to the lowest. */
interface Layout {
  readonly bytes: 1 | 2
  readonly exponentBits: number
  readonly mantissaBits: number
  readonly nan: number
  /** Bits of the largest number. */
  readonly largest: number
  /** Bits of +infinity, or of what a format without it gives instead. */
  readonly overflow: number
}

const LAYOUTS: Record<Exclude<FloatDType, 'F64' | 'F32'>, Layout> = {
  F16: { bytes: 2, exponentBits: 5, mantissaBits: 10, nan: 0x7e00, largest: 0x7bff, overflow: 0x7c00 },
  BF16: { bytes: 2, exponentBits: 8, mantissaBits: 7, nan: 0x7fc0, largest: 0x7f7f, overflow: 0x7f80 },
  F8_E4M3: { bytes: 1, exponentBits: 4, mantissaBits: 3, nan: 0x7f, largest: 0x7e, overflow: 0x7f }, // E4M3FN of https://arxiv.org/abs/2209.05433
  F8_E5M2: { bytes: 1, exponentBits: 5, mantissaBits: 2, nan: 0x7f, largest: 0x7b, overflow: 0x7c },
}

function numberOf(bits: number, { bytes, exponentBits, mantissaBits, nan, largest, overflow }: Layout): number {
  const signBit = 2 ** (8 * bytes - 1)
  const sign = bits >= signBit ? -1 : 1
  const magnitude = bits % signBit
  if (magnitude > largest) return magnitude === overflow && overflow !== nan ? sign * Infinity : Number.NaN
  const bias = 2 ** (exponentBits - 1) - 1
  const exponent = Math.floor(magnitude / 2 ** mantissaBits)
  const mantissa = magnitude % 2 ** mantissaBits
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits) // subnormal: no hidden one
  return sign * (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits)
}

function bitsOf(value: number, { bytes, exponentBits, mantissaBits, nan, largest, overflow }: Layout): number {
  if (Number.isNaN(value)) return nan
  const sign = value < 0 || Object.is(value, -0) ? 2 ** (8 * bytes - 1) : 0
  const magnitude = Math.abs(value)
  if (magnitude === Infinity) return sign + overflow
  const smallest = 2 - 2 ** (exponentBits - 1) // exponent of the smallest normal number
  const exponent = Math.max(smallest, exponentOf(magnitude))
  const steps = roundToEven(magnitude / 2 ** (exponent - mantissaBits)) // in units of the last place; dividing by a power of two is exact
  // Numbers of one sign are in the order of their bits, so a mantissa that rounds up to the next power of two carries into the exponent by itself.
  const bits = (exponent - smallest) * 2 ** mantissaBits + steps
  return sign + (bits > largest ? overflow : bits)
}

/** The largest e with 2 ** e ≤ x, from the bits of the double, since Math.log2 may round up to the next integer. */
function exponentOf(x: number): number {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, x)
  return (view.getUint16(0) >>> 4) - 1023 // x comes from an f32, whose subnormals are normal doubles; 0 gives -1023
}

function roundToEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1
  return below % 2 === 0 ? below : below + 1
}
