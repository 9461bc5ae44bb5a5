import { pieceAt, piecesIn } from '../src/execute/select.ts'

/** Where the pieces of a tensor's sample begin. */
export const piecesOf = (size: number): readonly number[] => Array.from({ length: piecesIn(size) }, (_, i) => pieceAt(i, size))
