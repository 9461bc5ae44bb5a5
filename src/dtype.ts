import { MergeError } from './errors.ts'

interface DTypeInfo {
  /** Bytes of one element. */
  readonly bytes: number
  /** `float` tensors take part in arithmetic; everything else passes through unchanged. */
  readonly kind: 'float' | 'integer' | 'other'
  /** Names other tools and recipes use, besides the safetensors name in either case. */
  readonly aliases: readonly string[]
}

/** The element types of safetensors, by their names there. */
export const DTYPES = {
  F64: { bytes: 8, kind: 'float', aliases: ['float64', 'double', 'fp64'] },
  F32: { bytes: 4, kind: 'float', aliases: ['float32', 'float', 'fp32'] },
  F16: { bytes: 2, kind: 'float', aliases: ['float16', 'half', 'fp16'] },
  BF16: { bytes: 2, kind: 'float', aliases: ['bfloat16'] },
  F8_E4M3: { bytes: 1, kind: 'float', aliases: ['float8_e4m3fn', 'float8_e4m3', 'fp8_e4m3', 'fp8'] },
  F8_E5M2: { bytes: 1, kind: 'float', aliases: ['float8_e5m2', 'fp8_e5m2'] },
  I64: { bytes: 8, kind: 'integer', aliases: ['int64', 'long'] },
  I32: { bytes: 4, kind: 'integer', aliases: ['int32', 'int'] },
  I16: { bytes: 2, kind: 'integer', aliases: ['int16', 'short'] },
  I8: { bytes: 1, kind: 'integer', aliases: ['int8'] },
  U64: { bytes: 8, kind: 'integer', aliases: ['uint64'] },
  U32: { bytes: 4, kind: 'integer', aliases: ['uint32'] },
  U16: { bytes: 2, kind: 'integer', aliases: ['uint16'] },
  U8: { bytes: 1, kind: 'integer', aliases: ['uint8', 'byte'] },
  BOOL: { bytes: 1, kind: 'integer', aliases: ['bool'] },
  F8_E8M0: { bytes: 1, kind: 'other', aliases: ['float8_e8m0fnu'] },
  C64: { bytes: 8, kind: 'other', aliases: ['complex64'] },
} as const satisfies Record<string, DTypeInfo>

export type DType = keyof typeof DTYPES

/** The dtypes arithmetic reads and writes. */
export type FloatDType = { [K in DType]: (typeof DTYPES)[K]['kind'] extends 'float' ? K : never }[DType]

/** The dtypes that generated code reads and writes; other floats are converted to float32 before and after. */
export type NativeDType = 'F32' | 'F16' | 'BF16'
export const isNative = (dtype: DType): dtype is NativeDType => dtype === 'F32' || dtype === 'F16' || dtype === 'BF16'
export const nativeOf = (dtype: DType): NativeDType => (isNative(dtype) ? dtype : 'F32')

export const isDType = (name: string): name is DType => Object.hasOwn(DTYPES, name)
export const isFloat = (dtype: DType): dtype is FloatDType => DTYPES[dtype].kind === 'float'
export const bytesOf = (dtype: DType): number => DTYPES[dtype].bytes

/** The dtype called `name` in any common spelling (`bf16`, `bfloat16`, `torch.bfloat16`), or null. */
export function dtypeNamed(name: string): DType | null {
  const plain = name
    .trim()
    .toLowerCase()
    .replace(/^torch\./, '')
  for (const [dtype, { aliases }] of Object.entries(DTYPES) as [DType, DTypeInfo][]) {
    if (dtype.toLowerCase() === plain || aliases.includes(plain)) return dtype
  }
  return null
}

/** The name PyTorch and config.json use: `bfloat16`. */
export const torchName = (dtype: DType): string => DTYPES[dtype].aliases[0]

/** Number of elements of `shape`; a 0-d tensor has one. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** The float dtype called `name`, for an output; throws with the choices. */
export function outputDType(name: string, at: { where?: string } = {}): FloatDType {
  const dtype = dtypeNamed(name)
  if (dtype && isFloat(dtype)) return dtype
  const choices = 'float32, float16, bfloat16, float64, float8_e4m3fn, float8_e5m2'
  throw new MergeError(`${dtype ? `${name} is not a floating-point dtype` : `unknown dtype "${name}"`}`, { ...at, fix: `use one of: ${choices}` })
}
