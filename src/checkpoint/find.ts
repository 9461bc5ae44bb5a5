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

/** Embeddings and heads by the names that most families share, and where no family is known. */
const BY_TOKEN =
  /(?:^|\.)(?:embed_tokens|wte|word_embeddings|embed_in|tok_embeddings|token_embedding|shared|lm_head|embed_out)\.weight$|(?:^|\.)(?:lm_head\.bias|cls\.predictions\.bias|final_logits_bias)$/
const HEAD = /(?:^|\.)(?:lm_head|embed_out)\./

/** How a tensor has a place for each token: `rows`, one row each, `elements`, one element each, as the bias of a head has. Null for any other tensor. */
export function tokenAxis(checkpoint: Checkpoint, name: string): 'rows' | 'elements' | null {
  const { embedding, head } = checkpoint.family ?? {}
  const known = [embedding, head, head?.replace(/\.weight$/, '.bias')]
  const isByToken = BY_TOKEN.test(name) ? !checkpoint.layers.of(name) : spellingsOf(checkpoint, name).some(spelling => known.includes(spelling))
  return !isByToken ? null : name.endsWith('bias') ? 'elements' : 'rows'
}

/** Tables that are looked up, for tokens, positions, distances or kinds, by the names that models give them. */
const TABLE =
  /embed(?:ding|dings|_tokens|_in|_positions)?(?=[._]|$)|(?:^|[._])(?:wte|wpe|position(?:al|s)?|relative_attention_bias|relative_position_bias_table|rel_pos_[hw])(?=[._]|$)/
/** What maps features to answers, outside the layers. */
const ANSWERS = /(?:^|\.)(?:head|heads|lm_head|embed_out|classifier|classification_head|score|cls|qa_outputs|text_projection|visual_projection)(?=\.|$)/

/** Whether a tensor maps features to features, as the weights of attention and MLPs do: two dimensions, no table that is looked up, and no output head. */
export function isFeatureMap(checkpoint: Checkpoint, { name, shape }: Pick<CheckpointTensor, 'name' | 'shape'>): boolean {
  if (shape.length !== 2 || TABLE.test(name) || tokenAxis(checkpoint, name) !== null) return false
  return checkpoint.layers.of(name) !== null || !(ANSWERS.test(name) || isHead(checkpoint, name))
}

/** Whether rows of a tensor are looked up, as those of embeddings are. */
export const isTable = ({ family }: Checkpoint, name: string): boolean => name === family?.embedding || (TABLE.test(name) && !HEAD.test(name) && name !== family?.head)

/** The input embedding, with a row for each token; null where none is recognised. */
export function embeddingOf(checkpoint: Checkpoint): CheckpointTensor | null {
  const known = checkpoint.family?.embedding
  const found = known ? findTensor(checkpoint, known) : null
  return found?.tensor ?? [...checkpoint.tensors.values()].find(({ name, shape }) => shape.length === 2 && !HEAD.test(name) && tokenAxis(checkpoint, name) === 'rows') ?? null
}

/** `name` itself; with the prefix of its family, which a bare trunk lacks, or without it. */
function spellingsOf({ family }: Checkpoint, name: string): readonly string[] {
  if (!family?.prefix) return [name]
  return [name, name.startsWith(family.prefix) ? name.slice(family.prefix.length) : family.prefix + name]
}
