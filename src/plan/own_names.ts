import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { MergeError } from '../errors.ts'

/**
 * What the output calls its tensors → the names by which they were matched. A donor that a recipe has renamed gives its own names back, as its
 * config.json is for a model that has them. What the donor does not have keeps the name by which it was matched.
 */
export function ownNames({ ref, renamed }: Checkpoint, names: readonly string[]): ReadonlyMap<string, string> {
  const own = new Map<string, string>()
  for (const name of names) {
    const called = renamed?.get(name) ?? name
    const other = own.get(called)
    if (other !== undefined) {
      throw new MergeError(`${other} and ${name} would both be called ${called} in the output`, {
        fix: `${ref} is renamed, and its own names are given back: rename the other models to its names instead, or \`drop\` one of the two`,
      })
    }
    own.set(called, name)
  }
  return own
}
