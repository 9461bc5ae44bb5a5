/** One field of a protobuf message (https://protobuf.dev/programming-guides/encoding): its number, and its value as a number or as bytes. */
export interface Field {
  readonly number: number
  /** Of varints; numbers of fixed size are in `bytes`. */
  readonly value: bigint
  readonly bytes: Uint8Array
  /** The whole field, with its tag. */
  readonly raw: Uint8Array
}

/** The fields of a message in their order. Throws RangeError where it ends within one. */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined || shift > 63n) throw new RangeError('a message of protobuf ends within a number')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
  }
  while (at < message.length) {
    const start = at
    const tag = Number(varint())
    let value = 0n
    let from = at
    const kind = tag & 7
    if (kind === 0) value = varint()
    else {
      const length = kind === 2 ? Number(varint()) : kind === 1 ? 8 : kind === 5 ? 4 : -1
      if (length < 0 || at + length > message.length) throw new RangeError('a message of protobuf ends within a field')
      from = at
      at += length
    }
    yield { number: tag >> 3, value, bytes: message.subarray(from, at), raw: message.subarray(start, at) }
  }
}

/** Varints without gaps between them, as packed lists have them. */
export function packedVarints(bytes: Uint8Array): readonly number[] {
  const values: number[] = []
  let value = 0n
  let shift = 0n
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift
    shift += 7n
    if (byte >= 0x80) continue
    values.push(Number(BigInt.asIntN(64, value)))
    value = 0n
    shift = 0n
  }
  return values
}

/** A field that holds bytes, text or a message. */
export function bytesField(number: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return joined([varintBytes((number << 3) | 2), varintBytes(bytes.length), bytes])
}

export const numberField = (number: number, value: number): Uint8Array => joined([varintBytes(number << 3), varintBytes(value)])

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = []
  let left = value
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80)
  return Uint8Array.from([...bytes, left])
}
