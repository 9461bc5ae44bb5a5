import type { Tokens } from '../tokens.ts'

export const idsOf = (tokens: Tokens, text: string | readonly number[]): readonly number[] => (typeof text === 'string' ? tokens.encode(text) : text)
