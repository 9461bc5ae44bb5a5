import type { Checkpoint, CheckpointTensor } from './checkpoint.ts'

/** A tensor under another name than was asked for. */
export interface Found {
  readonly tensor: CheckpointTensor
  /** `embedding`: the model has no output head of its own, and uses its embedding for one. */
  readonly as: 'itself' | 'alias' | 'embedding'
}

/** The tensor that `name`, in the spelling of another model of its kind, means in this one; null when it has none. */
export function findTensor(checkpoint: Checkpoint, name: string): Found | null {
  for (const spelling of spellingsOf(checkpoint, name)) {
    const tensor = checkpoint.tensors.get(spelling)
    if (tensor) return { tensor, as: spelling === name ? 'itself' : 'alias' }
  }
  const embedding = isTied(checkpoint) && isHead(checkpoint, name) ? checkpoint.family?.embedding : null
  const found = embedding ? findTensor(checkpoint, embedding) : null
  return found && { ...found, as: 'embedding' }
}

/** Whether the output head is the embedding, as config.json says or the family has it. */
export function isTied({ config, family }: Checkpoint): boolean {
  const said = config?.['tie_word_embeddings']
  return typeof said === 'boolean' ? said : (family?.tied ?? false)
}

/** Whether `name` is the output head of the model's family, in any spelling. */
export const isHead = (checkpoint: Checkpoint, name: string): boolean => {
  const head = checkpoint.family?.head
  return typeof head === 'string' && spellingsOf(checkpoint, name).includes(head)
}

/** `name` itself; with the prefix of its family, which a bare trunk lacks, or without it. */
function spellingsOf({ family }: Checkpoint, name: string): readonly string[] {
  if (!family?.prefix) return [name]
  return [name, name.startsWith(family.prefix) ? name.slice(family.prefix.length) : family.prefix + name]
}
