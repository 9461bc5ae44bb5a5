import { isEverywhere, isWhole, type OpOf } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'
import { sizeOf } from '../dtype.ts'
import type { Lowered } from './lower.ts'
import type { Task } from './plan.ts'

/** One number that is found over many tensors before anything is written: the sum of `size` elements, or the one of descending rank `rank` (from 1). */
export type Wanted = { readonly kind: 'sum'; readonly size: number } | { readonly kind: 'largest'; readonly size: number; readonly rank: number }

/** A look at many tensors for numbers of one kind, which none of the others needs to be known for. Sums take one pass over them, ranks two. */
export interface Round {
  readonly kind: Wanted['kind']
  /** Indices of the numbers. */
  readonly values: readonly number[]
  readonly tasks: readonly SurveyTask[]
}

/** A tensor to look at. Nothing is written: the program ends in folds. */
export interface SurveyTask extends Omit<Task, 'output'> {
  /** For each fold of the program's last pass the numbers it goes into: places in the round's `values`. */
  readonly into: readonly (readonly number[])[]
}

/** Everything that is found over the whole merge, round after round. */
export interface Survey {
  readonly values: readonly Wanted[]
  readonly rounds: readonly Round[]
}

/** Passes over the bytes that a round takes: a rank is found by the upper half of its bits, then by the lower. */
export const passesOf = ({ kind }: Round): number => (kind === 'sum' ? 1 : 2)

const COUNTERS = 65_536 // of a rank: one for each upper half of a float32, then one for each lower half

/** Bytes that finding ranks takes beside the engine: counters in float64 here, and in 32 bits in each thread, on the way and in hand. */
export function surveyBytes({ rounds }: Survey, threads: number): number {
  const most = rounds.reduce((n, { kind, values }) => (kind === 'largest' ? Math.max(n, values.length) : n), 0)
  return most * COUNTERS * (8 + 4 * (threads + 1))
}

type Node = Tensor & { readonly op: OpOf<'everywhere'> }

/** A number's parts: what stands for it in the formula of each tensor. */
interface Group {
  readonly index: number
  readonly first: { readonly name: string; readonly node: Node }
  readonly parts: Map<string, Node>
}

export interface Surveyor {
  /** The index of the number that formulas call `label`. */
  indexOf(label: string): number
  /** `taskFor` compiles folds of the inputs that a tensor's formula reads. */
  plan(taskFor: (name: string, folds: readonly Tensor[]) => Omit<Task, 'output'>): Survey
}

/** Gathers what all formulas of a merge want to know of each other. Throws what `fault` makes of a label and two shares that it is a rank of. */
export function createSurveyor(lowered: ReadonlyMap<string, Lowered>, fault: (label: string, what: string, fix: string) => Error): Surveyor {
  const groups = new Map<string, Group>()
  const known = new Map<Tensor, readonly Node[]>() // layers of a model share their formulas
  const wholes = new Map<Tensor, boolean>()
  for (const [name, { root }] of lowered) for (const node of nodesIn(root)) join(name, node)
  return { indexOf: label => groups.get(label)!.index, plan }

  function join(name: string, node: Node): void {
    const label = node.arg as string
    const group = groups.get(label) ?? { index: groups.size, first: { name, node }, parts: new Map<string, Node>() }
    groups.set(label, group)
    group.parts.set(name, node)
    if (node.inputs.some(isOfWholes))
      throw fault(
        label,
        `a number of the whole model cannot be found over what is made of whole matrices, as ${name} is`,
        'merge the call inside by a recipe of its own, and go on from its result',
      )
    const [share, other] = [shareOf(group.first.node), shareOf(node)]
    if (share === other) return
    throw fault(
      label,
      `the largest entries are chosen over the whole model, as a share that is ${share} for ${group.first.name} and ${other} for ${name}`,
      'give all tensors one density (1 leaves a tensor out), or set trim to tensor',
    )
  }

  /** Everything found everywhere that `t` needs, what others need first. */
  function nodesIn(t: Tensor): readonly Node[] {
    const before = known.get(t)
    if (before) return before
    const own = isNode(t) ? [t] : []
    const nodes = [...new Set([...t.inputs.flatMap(nodesIn), ...own])]
    known.set(t, nodes)
    return nodes
  }

  function isOfWholes(t: Tensor): boolean {
    const before = wholes.get(t)
    if (before !== undefined) return before
    const is = isWhole(t.op) || t.inputs.some(isOfWholes)
    wholes.set(t, is)
    return is
  }

  function plan(taskFor: Parameters<Surveyor['plan']>[0]): Survey {
    const all = [...groups.values()]
    const depths = new Map<Group, number>()
    const depthOf = (group: Group): number => {
      const before = depths.get(group)
      if (before !== undefined) return before
      const beneath = new Set([...group.parts.values()].flatMap(node => node.inputs.flatMap(nodesIn).map(n => groups.get(n.arg as string)!)))
      const depth = [...beneath].reduce((most, g) => Math.max(most, depthOf(g) + 1), 0)
      depths.set(group, depth)
      return depth
    }
    const rounds = new Map<string, Group[]>()
    for (const group of all) {
      const key = `${String(depthOf(group)).padStart(4, '0')} ${kindOf(group.first.node)}`
      rounds.set(key, [...(rounds.get(key) ?? []), group])
    }
    return {
      values: all.map(wantedOf),
      rounds: [...rounds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, members]) => roundOf(members)),
    }

    function roundOf(members: readonly Group[]): Round {
      const tasks = [...lowered.keys()].flatMap(name => {
        const folds = new Map<Tensor, number[]>()
        for (const [place, { parts }] of members.entries()) {
          const node = parts.get(name)
          if (!node || sizeOf(node.inputs[0]!.shape) === 0) continue
          const fold = foldOf(node)
          folds.set(fold, [...(folds.get(fold) ?? []), place])
        }
        const levels = [...new Set([...folds.keys()].map(f => f.level))] // nearly always one
        return levels.map((level): SurveyTask => {
          const own = [...folds].filter(([fold]) => fold.level === level)
          return {
            ...taskFor(
              name,
              own.map(([fold]) => fold),
            ),
            into: own.map(([, places]) => places),
          }
        })
      })
      return { kind: kindOf(members[0]!.first.node), values: members.map(g => g.index), tasks }
    }
  }
}

const isNode = (t: Tensor): t is Node => isEverywhere(t.op)
const kindOf = ({ op }: Node): Wanted['kind'] => (op === 'everywhere_sum' ? 'sum' : 'largest')
const shareOf = ({ inputs }: Node): number | null => (inputs[1] ? (inputs[1].arg as number) : null)

/** What a single tensor gives: its sum, or its counts by bits, for which any rank will do. */
const foldOf = (node: Node): Tensor => (node.op === 'everywhere_sum' ? node.inputs[0]!.sum() : node.inputs[0]!.largest(1))

function wantedOf({ first, parts }: Group): Wanted {
  const size = [...parts.values()].reduce((sum, node) => sum + sizeOf(node.inputs[0]!.shape), 0)
  const share = shareOf(first.node)
  return share === null ? { kind: 'sum', size } : { kind: 'largest', size, rank: Math.max(1, Math.floor(share * size)) }
}
