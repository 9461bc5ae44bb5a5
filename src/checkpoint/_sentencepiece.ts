import { MergeError } from '../errors.ts'

const PIECES = 1 // ModelProto.pieces, of type SentencePiece (sentencepiece_model.proto)
const PIECE = 1 // SentencePiece.piece, a string
const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** The tokens of a sentencepiece tokenizer.model, in order of their ids. Throws on anything that is not one. */
export function piecesOf(where: string, bytes: Uint8Array): readonly string[] {
  const text = new TextDecoder('utf-8', { fatal: true })
  const pieces: string[] = []
  try {
    for (const field of fieldsOf(bytes)) {
      if (field.number !== PIECES || !field.bytes) continue
      const piece = [...fieldsOf(field.bytes)].find(inner => inner.number === PIECE)?.bytes
      pieces.push(piece ? text.decode(piece) : '')
    }
  } catch (cause) {
    throw unreadable(where, cause)
  }
  if (pieces.length === 0) throw unreadable(where)
  return pieces
}

const unreadable = (where: string, cause?: unknown): MergeError =>
  new MergeError('this is not a sentencepiece model', {
    where,
    cause,
    fix: 'take the file anew from the model’s source; a few bytes of text in its place mean that Git LFS did not fetch it',
  })

interface Field {
  readonly number: number
  /** Of fields that have a length; null for plain numbers. */
  readonly bytes: Uint8Array | null
}

/** The fields of a protobuf message (protobuf.dev/programming-guides/encoding). */
function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0
  while (at < bytes.length) {
    const tag = varint()
    const number = Math.floor(tag / 8)
    switch (tag % 8) {
      case VARINT:
        varint()
        yield { number, bytes: null }
        break
      case FIXED64:
        yield { number, bytes: take(8) && null }
        break
      case FIXED32:
        yield { number, bytes: take(4) && null }
        break
      case LENGTH:
        yield { number, bytes: take(varint()) }
        break
      default:
        throw new RangeError('unknown wire type')
    }
  }

  function varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]
      if (byte === undefined || scale > 2 ** 63) throw new RangeError('a number does not end')
      value += (byte & 127) * scale // exact below 2^53, and longer numbers are skipped only
      if (byte < 128) return value
    }
  }

  function take(length: number): Uint8Array {
    if (length > bytes.length - at) throw new RangeError('a field is longer than the file')
    return bytes.subarray(at, (at += length))
  }
}
