import { MergeError } from '../errors.ts'

/** Throws for parameters that have no meaning, or none yet; the plan adds the tensor and the place in the recipe. */
export function refuse(what: string, fix: string): never {
  throw new MergeError(what, { fix })
}
