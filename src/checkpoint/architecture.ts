import type { Family } from './families.ts'

/** Where a tensor stands in its model. */
export interface LayerOf {
  /** The prefix that the layers share: `model.layers`. */
  readonly stack: string
  readonly index: number
  /** Layers in this stack: one more than its highest index. */
  readonly count: number
}

export interface Layers {
  /** The layer that a tensor belongs to; null for tensors outside of every stack. */
  of(name: string): LayerOf | null
  /** Whether a tensor is used before, inside or after the layers. An assumption from its name alone; when in doubt, `before`. */
  role(name: string): 'before' | 'inside' | 'after'
  /** Layers of the largest stack; 0 without layers. */
  readonly count: number
  /** Number of layers by stack, in the order of the names. */
  readonly stacks: ReadonlyMap<string, number>
}

/**
 * The layers of a model, by what is known of its family, else inferred from nothing but its tensors' names.
 * `counted` gives the number of layers that config.json tells for a stack: DeepSeek's has one more, for another purpose.
 */
export function layersOf(names: Iterable<string>, family: Family | null = null, counted: (stack: string) => number = () => Infinity): Layers {
  const prefixes = new Map<string, Map<number, string[]>>() // prefix → index → suffixes
  for (const name of names) {
    const parts = split(name)
    if (!parts) continue
    const indices = prefixes.get(parts.prefix) ?? new Map<number, string[]>()
    prefixes.set(parts.prefix, indices)
    const suffixes = indices.get(parts.index) ?? []
    indices.set(parts.index, suffixes)
    suffixes.push(parts.suffix)
  }
  const listed = family?.parts.flatMap(part => part.stacks.filter(stack => prefixes.has(stack))) ?? []
  const named = listed.length > 0 ? listed : [...prefixes.keys()].filter(isStackName)
  const chosen = named.length > 0 ? named : likeliest(prefixes)
  const stacks = new Map(chosen.map(prefix => [prefix, Math.min(counted(prefix), highest(prefixes.get(prefix)?.keys() ?? []) + 1)]))
  const shared = family?.parts.flatMap(part => part.shared) ?? []
  const of = (name: string): LayerOf | null => {
    const parts = shared.some(end => name.endsWith(end)) ? null : split(name)
    const count = parts && stacks.get(parts.prefix)
    return count && parts.index < count ? { stack: parts.prefix, index: parts.index, count } : null
  }
  const after = family?.parts.flatMap(part => part.after) ?? []
  const isBeyond = (name: string): boolean => chosen.some(stack => name.startsWith(`${stack}.`)) && !shared.some(end => name.endsWith(end))
  const roleOf = (name: string): 'before' | 'after' => (isBeyond(name) || after.some(beginning => name.startsWith(beginning)) ? 'after' : roleOutside(name))
  return { of, role: name => (of(name) ? 'inside' : roleOf(name)), count: highest([0, ...stacks.values()]), stacks }
}

/** The last segment before the index in the families people merge: `layers`, `h`, `resblocks`, `transformer_blocks`, ResNet's `layer3`, GGUF's `blk`. */
const STACK_NAME = /^(?:h|blk|(?:\w+_)?(?:res)?(?:layer|block|stage)s?\d*)$/i

const isStackName = (prefix: string): boolean => STACK_NAME.test(prefix.slice(prefix.lastIndexOf('.') + 1))

const LAYER_INDEX = /^\d{1,6}$/ // no model has a million layers; a longer number is something else

/** A name at its layer index: the first number after a stack's name, else the first number. Null for a name without numbers. */
function split(name: string): { readonly prefix: string; readonly index: number; readonly suffix: string } | null {
  const segments = name.split('.')
  let at = -1
  for (let i = 1; i < segments.length; i++) {
    if (!LAYER_INDEX.test(segments[i] ?? '')) continue
    if (at < 0) at = i
    if (!STACK_NAME.test(segments[i - 1] ?? '')) continue
    at = i
    break
  }
  if (at < 0) return null
  return { prefix: segments.slice(0, at).join('.'), index: Number(segments[at]), suffix: segments.slice(at + 1).join('.') }
}

/** Without a stack of a usual name: the prefix with the most tensors among those where two indices have the same suffixes. */
function likeliest(prefixes: ReadonlyMap<string, ReadonlyMap<number, readonly string[]>>): string[] {
  let best: string | null = null
  let most = 0
  for (const [prefix, indices] of prefixes) {
    const suffixes = [...indices.values()].map(list => JSON.stringify(list.toSorted()))
    if (new Set(suffixes).size === suffixes.length) continue
    const tensors = [...indices.values()].reduce((sum, list) => sum + list.length, 0)
    if (tensors > most) [best, most] = [prefix, tensors]
  }
  return best === null ? [] : [best]
}

const highest = (numbers: Iterable<number>): number => {
  let max = -1
  for (const n of numbers) if (n > max) max = n // a spread would overflow the stack for very many
  return max
}

/** Any segment decides; `before` goes first, since `embeddings.LayerNorm` is at the front. GPT-NeoX's `embed_out` is an output head. */
const BEFORE = /embed(?!_out)|^(?:wte|wpe|shared|cls_token|mask_token|stem|conv_in|patch\w*|pos_\w+|ln_pre|pre_\w+)$/i
const AFTER = /norm|^(?:ln_\w+|lm_head|embed_out|output|score|classifier|pooler|predictions|qa_outputs|logit_scale|(?:\w+_)?heads?|(?:text|visual)_projection)$/i

function roleOutside(name: string): 'before' | 'after' {
  const segments = name.split('.')
  if (segments.some(segment => BEFORE.test(segment))) return 'before'
  return segments.some(segment => AFTER.test(segment)) ? 'after' : 'before'
}
