// Written by `npm run generate`. Do not edit.
import type { Format } from './format.ts'
import safetensors from './safetensors.ts'

/** Every checkpoint format: the files of this folder. */
export const FORMATS: Readonly<Record<string, Format>> = { safetensors }
